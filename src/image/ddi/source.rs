//! What an image is read from: a file, or bytes in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::sys::{Context, IoError, io_error};

/// Bytes at offsets, for several threads at once.
pub trait Source: Sync {
    /// How many there are.
    fn size(&self) -> u64;

    /// Fills a buffer with those from an offset on; fewer are an error.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError>;
}

/// A file, with the path that messages show.
#[derive(Debug, Clone, Copy)]
pub struct FileSource<'a> {
    file: &'a File,
    path: &'a Path,
    size: u64,
}

impl<'a> FileSource<'a> {
    /// An open file, or block device.
    pub fn new(file: &'a File, path: &'a Path) -> Result<FileSource<'a>, IoError> {
        // A block device's status has no size.
        let size = rustix::fs::seek(file, rustix::fs::SeekFrom::End(0)).context("find the end of", path)?;
        Ok(FileSource { file, path, size })
    }
}

impl Source for FileSource<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError> {
        self.file.read_exact_at(buffer, offset).context("read", self.path)
    }
}

impl Source for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buffer.len())?))
            .ok_or_else(|| {
                io_error("read", "bytes in memory", io::Error::from(io::ErrorKind::UnexpectedEof))
            })?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

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
