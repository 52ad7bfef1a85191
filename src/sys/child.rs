//! What a directory holds under one plain name, never through a link.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{Mode, OFlags};

use super::{Context, IoError, Root};

impl Root {
    /// Opens a regular file by its plain name for reading.
    pub fn open_child_file(&self, name: &OsStr) -> Result<File, IoError> {
        // A pipe put there meanwhile must not make us wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::openat(self, name, flags, Mode::empty()).map(File::from).context("open", self.join(name))
    }

    /// What a symbolic link says.
    pub fn read_link(&self, name: &OsStr) -> Result<OsString, IoError> {
        rustix::fs::readlinkat(self, name, Vec::new())
            .map(|target| OsString::from_vec(target.into_bytes()))
            .context("read link", self.join(name))
    }
}
