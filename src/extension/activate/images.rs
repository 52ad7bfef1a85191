//! The folder of images, `STATE/images`: `NAME_VERSION_ARCHITECTURE.raw`, and its manifest beside it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::Error;
use super::identity::Identity;
use super::links::remove_file;
use crate::extension::build::Manifest;
use crate::extension::build::manifest::{LARGEST, place_beside};
use crate::extension::order;
use crate::sys::{Context, FileKind, IoError, NewFile, Root, sync_dir};

const FOLDER: &str = "images";

/// The folder.
#[derive(Debug)]
pub struct Images {
    pub(super) dir: Root,
}

/// One image in it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The extension's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of the file.
    pub size: u64,
    /// What it says of itself; `None` where nothing is beside it.
    pub manifest: Option<Manifest>,
}

impl Images {
    /// Where they are below a state directory.
    pub fn place(state: &Path) -> PathBuf {
        state.join(FOLDER)
    }

    /// Those of a state directory; `None` where there is no folder.
    pub fn open(state: &Path) -> Result<Option<Images>, Error> {
        match Root::open(Images::place(state)) {
            Ok(dir) => Ok(Some(Images { dir })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The same, made when missing.
    pub fn make(state: &Path) -> Result<Images, Error> {
        Root::open("/")?.make_dirs(state, 0o700)?;
        let state = Root::open(state)?;
        state.make_dir(FOLDER, 0o700)?;
        Ok(Images { dir: state.open_dir(FOLDER)? })
    }

    /// The folder itself.
    pub fn directory(&self) -> &Root {
        &self.dir
    }

    /// All images, in the order of their names and versions.
    pub fn all(&self) -> Result<Vec<Stored>, Error> {
        let mut found = Vec::new();
        for entry in self.dir.entries()? {
            if let Some(stored) = self.stored(&entry.name)? {
                found.push(stored);
            }
        }
        found.sort_by(|one, other| {
            one.name.cmp(&other.name).then_with(|| order::compare(&one.version, &other.version))
        });
        Ok(found)
    }

    /// Those of one name, the newest last.
    pub fn of(&self, name: &str) -> Result<Vec<Stored>, Error> {
        Ok(self.all()?.into_iter().filter(|stored| stored.name == name).collect())
    }

    /// The image with a file name; `None` where there is none, or the name is none of an image.
    pub(super) fn stored(&self, file: &OsStr) -> Result<Option<Stored>, Error> {
        let Some((name, version)) = file.to_str().and_then(parts) else { return Ok(None) };
        let Some(stat) = self.dir.lstat(file)?.filter(|stat| FileKind::of(stat) == FileKind::File) else {
            return Ok(None);
        };
        let beside = place_beside(file);
        // One that cannot be read says nothing.
        let text = self.dir.read(&beside, LARGEST as u64).ok();
        let manifest = text.and_then(|text| serde_json::from_slice(&text).ok());
        Ok(Some(Stored {
            name: name.to_owned(),
            version: version.to_owned(),
            path: self.dir.join(file),
            size: stat.st_size.try_into().unwrap_or_default(),
            manifest,
        }))
    }

    /// A file without a name here, for a new image.
    pub(super) fn new_file(&self, file: &str) -> Result<NewFile, Error> {
        Ok(NewFile::create(&self.dir, OsStr::new(file))?)
    }

    /// Gives a new image its name, and puts its manifest beside it before: an image is never without.
    pub(super) fn place_new(&self, image: NewFile, identity: &Identity) -> Result<PathBuf, Error> {
        if let Some(manifest) = &identity.manifest {
            let beside = NewFile::create(&self.dir, place_beside(identity.file_name()).as_os_str())?;
            beside.file().write_all(&manifest.to_text()).context("write", beside.path())?;
            beside.place(0o644)?;
        }
        let path = image.path();
        image.place(0o644)?;
        Ok(path)
    }

    /// Removes an image and its manifest.
    pub(super) fn remove(&self, stored: &Stored) -> Result<(), Error> {
        let Some(file) = stored.path.file_name() else { return Ok(()) };
        for name in [Path::new(file), &place_beside(file)] {
            remove_file(&self.dir, name)?;
        }
        Ok(sync_dir(&self.dir)?)
    }
}

/// Opens what should be an image: whatever else it is, nobody waits for it.
pub(super) fn open_to_read(path: &Path) -> Result<File, IoError> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    File::options().read(true).custom_flags(flags).open(path).context("open", path)
}

/// Name and version in the name of a file here.
pub(super) fn parts(file: &str) -> Option<(&str, &str)> {
    let (name, rest) = file.strip_suffix(".raw")?.split_once('_')?;
    let (version, architecture) = rest.rsplit_once('_')?;
    let is_image =
        !name.is_empty() && !name.starts_with('.') && !version.is_empty() && !architecture.is_empty();
    is_image.then_some((name, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_after_what_they_are() {
        for (file, found) in [
            ("gdb_16.3-1_x86-64.raw", Some(("gdb", "16.3-1"))),
            ("debug-tools_1+2~rc1_any.raw", Some(("debug-tools", "1+2~rc1"))),
            (".gdb_1_any.raw.new", None),
            (".gdb_1_any.raw", None),
            ("gdb_1.raw", None),
            ("gdb.raw", None),
            ("gdb_1_any.raw.json", None),
            ("__.raw", None),
        ] {
            assert_eq!(parts(file), found, "{file}");
        }
    }

    #[test]
    fn images_are_listed_by_name_and_version() {
        let state = tempfile::tempdir().expect("a directory");
        assert!(Images::open(state.path()).expect("readable").is_none());
        let images = Images::make(state.path()).expect("it is ours");
        for file in ["b_1_any.raw", "a_10_any.raw", "a_9_any.raw", "a_9_any.raw.json", "other"] {
            std::fs::write(images.dir.join(file), "{\"name\":\"a\"}").expect("a file");
        }
        let all = images.all().expect("readable");
        let names: Vec<_> = all.iter().map(|stored| format!("{} {}", stored.name, stored.version)).collect();
        assert_eq!(names, ["a 9", "a 10", "b 1"]);
        assert_eq!(all[0].manifest.as_ref().map(|manifest| &*manifest.name), Some("a"));
        images.remove(&all[0]).expect("it is there");
        assert!(!images.dir.exists("a_9_any.raw.json") && images.of("a").expect("readable").len() == 1);
    }
}
