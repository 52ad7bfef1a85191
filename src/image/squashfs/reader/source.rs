//! Where an image is: a file, a part of one, or memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that can be read at any place.
pub trait ReadAt: Send + Sync {
    /// Fills `target` with what is at `offset`.
    fn read_exact_at(&self, target: &mut [u8], offset: u64) -> io::Result<()>;

    /// How many bytes there are.
    fn length(&self) -> u64;
}

/// A part of a file, such as a partition of a disk image.
#[derive(Debug)]
pub struct Part {
    /// The whole file.
    pub file: File,
    /// Where the part begins.
    pub offset: u64,
    /// Bytes of the part.
    pub length: u64,
}

impl ReadAt for Part {
    fn read_exact_at(&self, target: &mut [u8], offset: u64) -> io::Result<()> {
        let is_inside = offset.checked_add(target.len() as u64).is_some_and(|end| end <= self.length);
        match self.offset.checked_add(offset).filter(|_| is_inside) {
            Some(at) => self.file.read_exact_at(target, at),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn length(&self) -> u64 {
        self.length
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, target: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = start.checked_add(target.len()).and_then(|end| self.get(start..end));
        target.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn length(&self) -> u64 {
        self.len() as u64
    }
}
