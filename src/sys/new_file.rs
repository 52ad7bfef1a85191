//! Files that appear whole: written beside their name, and put there when they are complete; and files without a name.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

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
        let mode = Mode::from_raw_mode(0o600);
        let (file, is_named) = match rustix::fs::openat(dir, ".", UNNAMED, mode) {
            Err(error) if has_no_unnamed(error) => {
                let flags =
                    OFlags::CREATE | OFlags::TRUNC | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                (rustix::fs::openat(dir, &aside, flags, mode).context("create", dir.join(&aside))?, true)
            }
            other => (other.context("create", dir.join(name))?, false),
        };
        let (dir, name, file) = (dir.try_clone()?, name.to_owned(), File::from(file));
        Ok(NewFile { dir, name, aside, file, is_named })
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
        let path = self.path();
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode)).context("change mode of", &path)?;
        self.file.sync_all().context("sync", &path)?;
        if !self.is_named {
            // What a crash has left of that moment.
            let _ = rustix::fs::unlinkat(&self.dir, &self.aside, AtFlags::empty());
            let open = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            rustix::fs::linkat(CWD, open, &self.dir, &self.aside, AtFlags::SYMLINK_FOLLOW)
                .context("name", &path)?;
            self.is_named = true;
        }
        rustix::fs::renameat(&self.dir, &self.aside, &self.dir, &self.name).context("replace", &path)?;
        self.is_named = false;
        sync_dir(&self.dir)
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

const UNNAMED: OFlags = OFlags::TMPFILE.union(OFlags::RDWR).union(OFlags::CLOEXEC);

/// Old kernels see a directory to be written, and some file systems have no files without a name.
fn has_no_unnamed(error: Errno) -> bool {
    matches!(error, Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT)
}

/// A file without a name on the file system of `dir`, for reading and writing (open(2) O_TMPFILE).
pub fn unnamed_file(dir: &Root) -> Result<File, IoError> {
    let mode = Mode::from_raw_mode(0o600);
    match rustix::fs::openat(dir, ".", UNNAMED, mode) {
        Err(error) if has_no_unnamed(error) => once_named_file(dir),
        other => other.map(File::from).context("create a file in", dir.path()),
    }
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
