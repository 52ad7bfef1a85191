//! What a source brings: its files placed, their contents stored in the image, the rest said.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{Cursor, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::accounts::Accounts;
use super::error::Error;
use super::keep::Keeping;
use super::manifest::LeftOut;
use super::placing::{FACTORY, Placed, Placing, Reason};
use super::recipe::Filter;
use super::source::Source;
use crate::extension::Contents;
use crate::extension::elf::Elf;
use crate::image::squashfs::{Segment, StoredFile};
use crate::image::tree::Metadata;
use crate::package::archive::{Entry, Kind, Owner};
use crate::package::digest::FileDigest;
use crate::sys::{Root, Xattrs};

/// What all sources have in common.
#[derive(Debug)]
pub(super) struct Common<'a> {
    /// The files of the base.
    pub(super) base: &'a (dyn Contents + Send + Sync),
    /// Its users and groups.
    pub(super) accounts: Accounts,
    /// What is left out.
    pub(super) filter: Filter,
    /// Where large programs wait to be looked into.
    pub(super) work: &'a Root,
}

/// What one source brings.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Its files, in its order.
    pub(super) files: Vec<Brought>,
    /// What is not in the image, by the reason.
    pub(super) out: BTreeMap<Reason, LeftOut>,
    /// Its ELF files.
    pub(super) objects: Vec<(PathBuf, Elf)>,
    /// Owners that nobody knows, with a file of each; root has them.
    pub(super) strangers: BTreeMap<OsString, PathBuf>,
    /// Directories of which the recipe leaves something out.
    pub(super) emptied: BTreeSet<PathBuf>,
}

/// One file of any kind.
#[derive(Debug)]
pub(super) struct Brought {
    /// Where it is in the image.
    pub(super) path: PathBuf,
    /// Where it goes from there, when it is a default.
    pub(super) default_of: Option<PathBuf>,
    /// Whose it is.
    pub(super) metadata: Metadata,
    /// What it is.
    pub(super) what: What,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A directory.
    Directory,
    /// A regular file, with the digest of its contents.
    File(StoredFile, FileDigest),
    /// A symbolic link, with its target.
    Symlink(OsString),
    /// Another name of a file that came before.
    Hardlink(PathBuf),
}

/// Goes through a source, stores what goes into the image, and closes the segment.
pub(super) fn gather(source: &Source, common: &Common<'_>, mut segment: Segment) -> Result<Gathered, Error> {
    let mut gathering =
        Gathering { common, source, placing: Placing::over(common.base), gathered: Gathered::default() };
    source.visit(|entry, content| gathering.take(entry, content, &mut segment))?;
    segment.close()?;
    Ok(gathering.gathered)
}

struct Gathering<'a> {
    common: &'a Common<'a>,
    source: &'a Source,
    placing: Placing<'a>,
    gathered: Gathered,
}

impl Gathering<'_> {
    fn take(&mut self, entry: &Entry, content: &mut dyn Read, segment: &mut Segment) -> Result<(), Error> {
        if entry.is_root() {
            return Ok(());
        }
        let placed = match entry.kind {
            Kind::Directory => self.placing.place_directory(&entry.path),
            _ => self.placing.place(&entry.path),
        };
        let (path, default_of) = match placed {
            Placed::At(path) => (path, None),
            Placed::Default(path) => (Path::new(FACTORY).join(&path), Some(path)),
            Placed::Out(reason) => {
                // A directory is told by what is in it.
                if entry.kind != Kind::Directory {
                    self.gathered.out.entry(reason).or_default().add(&entry.path);
                }
                return Ok(());
            }
        };
        if self.common.filter.drops(&entry.path) {
            if entry.kind != Kind::Directory {
                self.gathered.out.entry(Reason::Dropped).or_default().add(&entry.path);
            }
            self.gathered.emptied.extend(path.parent().map(Path::to_owned));
            return Ok(());
        }
        let what = self.what(entry, &path, content, segment)?;
        let metadata = self.metadata(entry);
        self.gathered.files.push(Brought { path, default_of, metadata, what });
        Ok(())
    }

    /// What an entry becomes.
    fn what(
        &mut self,
        entry: &Entry,
        path: &Path,
        content: &mut dyn Read,
        segment: &mut Segment,
    ) -> Result<What, Error> {
        Ok(match &entry.kind {
            Kind::Directory => What::Directory,
            Kind::Symlink(target) => What::Symlink(target.clone()),
            Kind::Hardlink(to) => match self.placing.place(to) {
                Placed::At(to) => What::Hardlink(to),
                Placed::Default(to) => What::Hardlink(Path::new(FACTORY).join(to)),
                Placed::Out(_) => {
                    return Err(self.impossible(entry, "is another name of a file that is left out"));
                }
            },
            Kind::File => self.store(entry, path, content, segment)?,
            Kind::CharacterDevice(_) | Kind::BlockDevice(_) => {
                return Err(self.impossible(entry, "is a device node, which an extension must not have"));
            }
            Kind::Fifo | Kind::Socket => {
                return Err(
                    self.impossible(entry, "is a pipe or a socket, which is nothing to be shared by image")
                );
            }
        })
    }

    fn impossible(&self, entry: &Entry, why: &'static str) -> Error {
        Error::Impossible { from: self.source.name(), path: entry.path.clone(), why }
    }

    fn store(
        &mut self,
        entry: &Entry,
        path: &Path,
        content: &mut dyn Read,
        segment: &mut Segment,
    ) -> Result<What, Error> {
        let mut beginning = Vec::new();
        content
            .take(4)
            .read_to_end(&mut beginning)
            .map_err(|error| self.source.unreadable(&entry.path, error))?;
        let is_elf = Elf::is_one(&beginning);
        let whole = Cursor::new(beginning).chain(content);
        let mut keeping = Keeping::new(whole, is_elf, entry.size, self.common.work)?;
        let stored = segment.store(&mut keeping, &entry.path)?;
        let (digest, kept) = keeping.finish();
        if let Some(kept) = kept {
            // What is damaged is told by who judges the fit.
            if let Ok(elf) = Elf::read(&kept) {
                self.gathered.objects.push((path.to_owned(), elf));
            }
        }
        Ok(What::File(stored, digest))
    }

    fn metadata(&mut self, entry: &Entry) -> Metadata {
        let accounts = &self.common.accounts;
        let name = |owner: &Owner| owner.name.clone();
        let uid = accounts.user(name(&entry.user).as_deref(), entry.user.id);
        let gid = accounts.group(name(&entry.group).as_deref(), entry.group.id);
        for (number, owner) in [(uid, &entry.user), (gid, &entry.group)] {
            if number.is_none() {
                let name = owner.name.clone().unwrap_or_default();
                self.gathered.strangers.entry(name).or_insert_with(|| entry.path.clone());
            }
        }
        // Privilege that was meant for another is not given to root's.
        let is_known = uid.is_some() && gid.is_some();
        let mode = if is_known { entry.mode } else { entry.mode & !0o6000 };
        let xattrs = entry.xattrs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.clone()));
        Metadata {
            mode: mode as u16,
            uid: uid.unwrap_or(0),
            gid: gid.unwrap_or(0),
            mtime: entry.mtime,
            xattrs: Xattrs(xattrs.collect()),
        }
    }
}
