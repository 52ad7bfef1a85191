//! Files that appear whole: written beside their name, and put there when they are complete; and files without a name.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::{Context, IoError, Root, sync_dir};

/// A file that is being written without a name, or where the file system has none such under one of its own (`.NAME.new`).
/// It goes when it is given up, by a crash also where it has no name.
#[derive(Debug)]
pub struct NewFile {
    dir: Root,
    name: OsString,
    /// The name that it has, or gets for a moment.
    aside: OsString,
    file: File,
    is_named: bool,
}

impl NewFile {
    /// Makes an empty file beside `name` in `dir`, for reading and writing, in place of what an earlier run has left.
    pub fn create(dir: &Root, name: &OsStr) -> Result<NewFile, IoError> {
        let mut aside = OsString::from(".");
        aside.push(name);
        aside.push(".new");
        let unnamed = open_unnamed(dir).context("create", dir.join(name))?;
        let is_named = unnamed.is_none();
        let file = match unnamed {
            Some(file) => file,
            None => named_file(dir, &aside)?,
        };
        Ok(NewFile { dir: dir.try_clone()?, name: name.to_owned(), aside, file, is_named })
    }

    /// Takes a file that is being written under a name of its own in `dir`, `aside`.
    pub fn adopt(dir: Root, name: &OsStr, aside: &OsStr, file: File) -> NewFile {
        NewFile { dir, name: name.to_owned(), aside: aside.to_owned(), file, is_named: true }
    }

    /// To write to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The path that the file will have, for messages.
    pub fn path(&self) -> PathBuf {
        self.dir.join(&self.name)
    }

    /// Syncs the file and renames it over what has its name (rename(2), fsync(2)).
    pub fn place(mut self, mode: u32) -> Result<(), IoError> {
        self.make_ready(mode)?;
        let dir = self.dir.try_clone()?;
        self.swap()?;
        sync_dir(&dir)
    }

    /// Does all of [`NewFile::place`] that takes time, so that several files can take their places right after each other.
    pub fn make_ready(&mut self, mode: u32) -> Result<(), IoError> {
        let path = self.path();
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode)).context("change mode of", &path)?;
        self.file.sync_all().context("sync", &path)?;
        if !self.is_named {
            // What a crash has left of that moment.
            let _ = rustix::fs::unlinkat(&self.dir, &self.aside, AtFlags::empty());
            give_name(&self.file, &self.dir, &self.aside).context("name", &path)?;
            self.is_named = true;
        }
        Ok(())
    }

    /// Renames a file that is ready over what has its name. The directory is not synced.
    pub fn swap(mut self) -> Result<(), IoError> {
        let renamed = rustix::fs::renameat(&self.dir, &self.aside, &self.dir, &self.name);
        renamed.context("replace", self.path())?;
        self.is_named = false;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.is_named {
            // One that stays is overwritten next time.
            let _ = rustix::fs::unlinkat(&self.dir, &self.aside, AtFlags::empty());
        }
    }
}

/// A file without a name on the file system of `dir` that can get one, for reading and writing (open(2) O_TMPFILE); `None`
/// where there is no such thing: old kernels see a directory to be written, and some file systems have none.
pub fn open_unnamed(dir: &Root) -> Result<Option<File>, Errno> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, ".", flags, Mode::from_raw_mode(0o600)) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => Ok(None),
        other => other.map(|file| Some(File::from(file))),
    }
}

/// Gives such a file its name, in the way that needs no privilege (open(2), O_TMPFILE).
pub fn give_name(file: &File, dir: &Root, name: impl AsRef<Path>) -> Result<(), Errno> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, open, dir, name.as_ref(), AtFlags::SYMLINK_FOLLOW)
}

/// A file without a name on the file system of `dir`, for reading and writing, whatever that file system has.
pub fn unnamed_file(dir: &Root) -> Result<File, IoError> {
    match open_unnamed(dir).context("create a file in", dir.path())? {
        Some(file) => Ok(file),
        None => once_named_file(dir),
    }
}

fn named_file(dir: &Root, name: &OsStr) -> Result<File, IoError> {
    let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let opened = rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o600));
    opened.map(File::from).context("create", dir.join(name))
}

fn once_named_file(dir: &Root) -> Result<File, IoError> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    for number in 0.. {
        let name = format!(".onlay.{}.{number}", std::process::id());
        match rustix::fs::openat(dir, &name, flags, Mode::from_raw_mode(0o600)) {
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error).context("create", dir.join(&name)),
            Ok(file) => {
                rustix::fs::unlinkat(dir, &name, AtFlags::empty()).context("remove", dir.join(&name))?;
                return Ok(File::from(file));
            }
        }
    }
    unreachable!("one of so many numbers is free")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let top = tempfile::tempdir().expect("a directory");
        let dir = Root::open(top.path()).expect("our directory");
        std::fs::write(top.path().join("x"), "old").expect("there is room");
        let content = || std::fs::read_to_string(top.path().join("x")).expect("it is there");
        let new = NewFile::create(&dir, OsStr::new("x")).expect("there is room");
        new.file().write_all(b"half").expect("there is room");
        assert_eq!(content(), "old");
        drop(new);
        assert_eq!((content(), dir.entries().expect("our directory").len()), ("old".into(), 1));
        let new = NewFile::create(&dir, OsStr::new("x")).expect("there is room");
        new.file().write_all(b"new").expect("there is room");
        new.place(0o644).expect("it is ours");
        assert_eq!((content(), dir.entries().expect("our directory").len()), ("new".into(), 1));
    }

    #[test]
    fn unnamed_files_leave_nothing() {
        let top = tempfile::tempdir().expect("a directory");
        let dir = Root::open(top.path()).expect("our directory");
        for mut file in [unnamed_file(&dir), once_named_file(&dir)].map(|file| file.expect("there is room")) {
            file.write_all(b"x").expect("there is room");
            assert!(dir.is_empty().expect("our directory"));
        }
    }
}
