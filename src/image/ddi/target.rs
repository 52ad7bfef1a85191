//! Where an image is written to.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::sys::{Context, IoError};

/// A file that is written, at offsets and by several threads at once, and read again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) file: &'a File,
    pub(super) path: &'a Path,
}

impl Target<'_> {
    pub(super) fn write_at(self, offset: u64, bytes: &[u8]) -> Result<(), IoError> {
        self.file.write_all_at(bytes, offset).context("write", self.path)
    }

    pub(super) fn read_at(self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError> {
        self.file.read_exact_at(buffer, offset).context("read", self.path)
    }
}
