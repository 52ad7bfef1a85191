//! Files beside an image: the list of its blocks, and patches that make it of older versions.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use super::directory::Store;
use super::index::Entry;
use super::{Error, delta};
use crate::extension::order;
use crate::package::Identity;
use crate::sys::{Context, NewFile};

impl Store {
    /// Makes what is published beside a new image. Only older versions for which there will be a patch are read. What cannot be
    /// made is not there: a client needs none of it.
    pub(super) fn add_beside(&mut self, entry: &mut Entry, image: &File) -> Result<(), Error> {
        let path = self.dir.join(&entry.file);
        let Some(sha256) = entry.digest() else { return Ok(()) };
        let Some(new) = made(delta::Image::of(image, &path, sha256))? else { return Ok(()) };
        if let Some(list) = made(delta::publish_list(&entry.file, &new))?.flatten() {
            self.write_beside(&list.entry.file, &list.bytes)?;
            entry.blocks = Some(list.entry);
        }
        for (file, path, sha256) in self.older(entry)? {
            let Some(old) = made(delta::Image::of(&file, &path, sha256))? else { continue };
            if let Some(patch) = made(delta::publish_patch(&entry.file, &new, &old))?.flatten() {
                self.write_beside(&patch.entry.file, &patch.bytes)?;
                entry.patches.push(patch.entry);
            }
        }
        Ok(())
    }

    /// Takes over the patches that lie beside an image, those of `names` that make it of an older one.
    pub(super) fn find_patches<'a>(
        &self,
        entry: &mut Entry,
        names: impl Iterator<Item = &'a String>,
    ) -> Result<(), Error> {
        let Some(sha256) = entry.digest() else { return Ok(()) };
        for name in names {
            let bytes = self.dir.read(name, delta::patch::LARGEST)?;
            let Ok(found) = delta::read_patch(&entry.file, &bytes) else { continue };
            let older = self.index.images.iter().find(|older| older.sha256 == found.from);
            let opened = older.and_then(|older| {
                let file = self.dir.open_child_file(OsStr::new(&older.file)).ok()?;
                Some((file, self.dir.join(&older.file), older.digest()?))
            });
            let old = opened.as_ref().map(|(file, path, sha256)| delta::Old { file, path, sha256: *sha256 });
            let is_good = made(delta::check_patch(&bytes, sha256, &found.from, old.as_ref()))?.is_some();
            if found.file == *name && is_good {
                entry.patches.push(found);
            }
        }
        Ok(())
    }

    /// Has a file get its name when all is carried out, unless it is there as it is.
    pub(super) fn write_beside(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        if self.dir.read(name, bytes.len() as u64).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        let file = NewFile::create(&self.dir, OsStr::new(name))?;
        file.file().write_all(bytes).context("write", file.path())?;
        self.new.push(file);
        Ok(())
    }

    /// The newest of the older versions of an image, for the same architecture and hosts, as many as there are to be patches.
    fn older(&self, entry: &Entry) -> Result<Vec<(File, PathBuf, Identity)>, Error> {
        let is_older = |other: &&Entry| {
            other.name == entry.name
                && other.architecture == entry.architecture
                && other.release == entry.release
                && order::compare(&other.version, &entry.version).is_lt()
        };
        let mut older: Vec<&Entry> = self.index.images.iter().filter(is_older).collect();
        older.sort_by(|one, other| order::compare(&other.version, &one.version));
        let mut found = Vec::new();
        for entry in older.into_iter().take(self.patches) {
            let path = self.dir.join(&entry.file);
            let waiting = self.new.iter().find(|file| file.path() == path);
            let opened = match waiting {
                Some(file) => file.file().try_clone().context("duplicate", &path)?,
                None => match self.dir.open_child_file(OsStr::new(&entry.file)) {
                    Err(error) if error.is_not_found() => continue,
                    other => other?,
                },
            };
            found.extend(entry.digest().map(|digest| (opened, path, digest)));
        }
        Ok(found)
    }
}

/// What was made; `None` where it cannot be. That a file cannot be read or written is told.
fn made<T>(result: Result<T, delta::Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(made) => Ok(Some(made)),
        Err(delta::Error::Io(error) | delta::Error::Image(crate::image::Error::Io(error))) => {
            Err(error.into())
        }
        Err(_) => Ok(None),
    }
}

/// The names and digests of the files beside an image.
pub(super) fn beside(entry: &Entry) -> impl Iterator<Item = (&String, Option<Identity>)> {
    let blocks = entry.blocks.iter().map(|blocks| (&blocks.file, Identity::parse(&blocks.sha256)));
    blocks.chain(entry.patches.iter().map(|patch| (&patch.file, Identity::parse(&patch.sha256))))
}
