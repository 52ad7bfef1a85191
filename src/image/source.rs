//! What an image is read from: a file, a part of one, or bytes in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sys::{Context, IoError, io_error};

/// Bytes at offsets, for several threads at once.
pub trait Source: Send + Sync {
    /// How many there are.
    fn size(&self) -> u64;

    /// Fills a buffer with those from an offset on; fewer are an error.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError>;
}

/// A file or a part of one, such as a partition of a disk image.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    path: PathBuf,
    offset: u64,
    size: u64,
}

impl FileSource {
    /// All of an open file, or block device; `path` is what messages call it.
    pub fn new(file: &File, path: &Path) -> Result<FileSource, IoError> {
        FileSource::of(file.try_clone().context("duplicate", path)?, path)
    }

    /// The same of one that nobody else needs.
    pub fn of(file: File, path: &Path) -> Result<FileSource, IoError> {
        // A block device's status has no size.
        let size = rustix::fs::seek(&file, rustix::fs::SeekFrom::End(0)).context("find the end of", path)?;
        Ok(FileSource { file, path: path.to_owned(), offset: 0, size })
    }

    /// A part of it, by what is said of where that is. What of it lies behind the end cannot be read.
    #[must_use]
    pub fn part(self, offset: u64, size: u64) -> FileSource {
        let room = self.size.saturating_sub(offset);
        FileSource { offset: self.offset.saturating_add(offset), size: size.min(room), ..self }
    }
}

impl Source for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError> {
        let is_inside = offset.checked_add(buffer.len() as u64).is_some_and(|end| end <= self.size);
        match self.offset.checked_add(offset).filter(|_| is_inside) {
            Some(at) => self.file.read_exact_at(buffer, at).context("read", &self.path),
            None => Err(io_error("read", &self.path, io::Error::from(io::ErrorKind::UnexpectedEof))),
        }
    }
}

/// What several read from.
impl Source for Arc<dyn Source> {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError> {
        (**self).read_at(offset, buffer)
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

impl Source for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError> {
        self.as_slice().read_at(offset, buffer)
    }
}
