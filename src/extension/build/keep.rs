//! Content on its way into an image: its digest is made, and what is to be looked into is kept for that.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use super::error::Error;
use crate::extension::{self, Content};
use crate::package::digest::{Algorithm, Digester, FileDigest};
use crate::sys::{Root, io_error, unnamed_file};

/// Larger files are kept in a file without a name.
const MOST_IN_MEMORY: u64 = 8 << 20;

/// Passes content on.
pub(super) struct Keeping<R> {
    content: R,
    digest: Digester,
    kept: Option<Kept>,
}

/// A file's content, to be looked into.
pub(super) enum Kept {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file without a name.
    File(File),
}

impl<R: Read> Keeping<R> {
    /// With `is_kept`, keeps the content, of which there are about `size` bytes.
    pub(super) fn new(content: R, is_kept: bool, size: u64, work: &Root) -> Result<Keeping<R>, Error> {
        let kept = match is_kept {
            false => None,
            true if size <= MOST_IN_MEMORY => Some(Kept::Memory(Vec::with_capacity(size as usize))),
            true => Some(Kept::File(unnamed_file(work)?)),
        };
        Ok(Keeping { content, digest: Digester::new(Algorithm::Sha256), kept })
    }

    /// The digest of all that was passed on (SHA-256), and what was kept.
    pub(super) fn finish(self) -> (FileDigest, Option<Kept>) {
        (self.digest.finish(), self.kept)
    }
}

impl<R: Read> Read for Keeping<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.content.read(buffer)?;
        let read = &buffer[..length];
        self.digest.update(read);
        match &mut self.kept {
            Some(Kept::Memory(kept)) => kept.extend_from_slice(read),
            Some(Kept::File(file)) => file.write_all(read)?,
            None => {}
        }
        Ok(length)
    }
}

impl Content for Kept {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, extension::Error> {
        match self {
            Kept::Memory(bytes) => bytes.as_slice().read_at(offset, buffer),
            Kept::File(file) => {
                let mut done = 0;
                while done < buffer.len() {
                    match file.read_at(&mut buffer[done..], offset.saturating_add(done as u64)) {
                        Ok(0) => break,
                        Ok(length) => done += length,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(io_error("read", "a file that was kept", error).into()),
                    }
                }
                Ok(done)
            }
        }
    }
}
