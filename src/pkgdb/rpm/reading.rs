//! Reading parts of files into memory that is used again and again.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::pkgdb::Error;
use crate::sys::Context;

/// Memory to read into. It begins at a multiple of [`ALIGNMENT`]: musl puts all that is large 16 bytes behind the beginning of
/// a page, and what the kernel copies to there takes four times as long on some of AMD's processors (`rep movsb`).
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

const ALIGNMENT: usize = 64;

impl Buffer {
    /// Room for so many bytes, whatever is in there.
    pub(super) fn room(&mut self, length: usize) -> &mut [u8] {
        if self.bytes.len() < self.start + length {
            self.bytes = vec![0; length + ALIGNMENT];
            self.start = self.bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        }
        &mut self.bytes[self.start..self.start + length]
    }

    /// A part of what was read there.
    pub(super) fn part(&self, part: Range<usize>) -> &[u8] {
        &self.bytes[self.start + part.start..self.start + part.end]
    }
}

/// Reads as much as there is; a file may be truncated while it is read.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64, path: &Path) -> Result<usize, Error> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("read", path).map_err(Error::from),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_where_it_is_fast_and_keeps_what_is_read() {
        let mut buffer = Buffer::default();
        for length in [1, 4096, 300_000, 10, 300_000, 300_001] {
            let room = buffer.room(length);
            assert_eq!((room.len(), room.as_ptr().align_offset(ALIGNMENT)), (length, 0));
            room.fill(length as u8);
            assert!(buffer.part(length / 2..length).iter().all(|byte| *byte == length as u8));
        }
    }
}
