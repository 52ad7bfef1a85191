//! A directory of this machine, which may be mounted from another one.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use super::contents::{Content, Item};
use super::{Error, Target};
use crate::package::Identity;
use crate::sys::{Context, NewFile, Root, copy_content};

/// A directory that is published to.
pub(super) struct Directory(Root);

impl Directory {
    /// Opens a directory; it is made where it is missing.
    pub(super) fn open(path: &Path) -> Result<Directory, Error> {
        std::fs::create_dir_all(path).context("create", path)?;
        Ok(Directory(Root::open(path)?))
    }

    /// The directory that a file is in, and its name there; the directory is made where it is missing.
    fn place(&self, file: &str) -> Result<(Root, String), Error> {
        let Some((below, name)) = file.rsplit_once('/') else {
            return Ok((self.0.try_clone()?, file.to_owned()));
        };
        self.0.make_dirs(below, 0o755)?;
        Ok((self.0.open_dir(below)?, name.to_owned()))
    }
}

impl Target for Directory {
    fn read(&mut self, file: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        match self.0.read(file, limit) {
            Err(error) if error.is_not_found() => Ok(None),
            other => Ok(Some(other?)),
        }
    }

    fn has(&mut self, item: &Item) -> Result<bool, Error> {
        match self.0.open_child_file(OsStr::new(&item.file)) {
            Err(error) if error.is_not_found() => Ok(false),
            other => Ok(Identity::of_file(&other?, &self.0.join(&item.file))? == item.sha256),
        }
    }

    fn put(&mut self, item: &Item, content: &Content<'_>) -> Result<(), Error> {
        let (dir, name) = self.place(&item.file)?;
        let new = NewFile::create(&dir, OsStr::new(&name))?;
        let path = new.path();
        match content {
            Content::Bytes(bytes) => new.file().write_all(bytes).context("write", &path)?,
            Content::File(file) => {
                copy_content(file, new.file()).context("copy", &path)?;
            }
        }
        Ok(new.place(0o644)?)
    }

    fn remove(&mut self, file: &str) -> Result<(), Error> {
        match unlinkat(&self.0, file, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Ok(Err(error).context("remove", self.0.join(file))?),
        }
    }
}
