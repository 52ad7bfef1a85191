//! Sparse files: pieces that are stored, and zeros between them.

use std::io::{self, Read};

use super::PART;
use super::header::BLOCK;
use super::pax::decimal;
use crate::package::archive::error::Fault;

/// Offset and length of each piece that is stored, one behind the other.
pub(super) type Map = Vec<(u64, u64)>;

/// The most pieces of a file, 4 MiB of memory: a file of 16 GiB with every second page a hole has half as many.
pub(super) const MOST_PIECES: usize = 256 * 1024;

/// Gives a file with its holes.
#[derive(Debug)]
pub(super) struct SparseReader {
    map: std::vec::IntoIter<(u64, u64)>,
    /// The piece that is read or comes next.
    piece: Option<(u64, u64)>,
    position: u64,
    size: u64,
}

impl SparseReader {
    /// One for a file of this size, of which so many bytes are stored.
    pub(super) fn new(map: Map, size: u64, stored: u64) -> Result<SparseReader, Fault> {
        let wrong = |problem| Err(Fault::malformed(PART, problem));
        if map.len() > MOST_PIECES {
            return wrong("a sparse file has too many pieces");
        }
        let mut end = 0_u64;
        let mut sum = 0_u64;
        for (offset, length) in &map {
            let piece_end = offset.checked_add(*length).filter(|piece_end| *piece_end <= size);
            match piece_end {
                Some(piece_end) if *offset >= end => end = piece_end,
                _ => return wrong("pieces of a sparse file overlap or lie behind its end"),
            }
            // No overflow: the pieces lie in the size.
            sum += length;
        }
        if sum != stored {
            return wrong("the pieces of a sparse file are not what is stored");
        }
        let mut map = map.into_iter();
        Ok(SparseReader { piece: map.next(), map, position: 0, size })
    }

    /// Reads a piece of the file from what is stored.
    pub(super) fn read(&mut self, stored: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some((_, 0)) = self.piece {
            self.piece = self.map.next();
        }
        let (hole_end, in_piece) = match self.piece {
            Some((offset, length)) if offset <= self.position => (offset, length),
            Some((offset, _)) => (offset, 0),
            None => (self.size, 0),
        };
        if in_piece == 0 {
            let length = at_most(buffer.len(), hole_end - self.position);
            buffer[..length].fill(0);
            self.position += length as u64;
            return Ok(length);
        }
        let length = at_most(buffer.len(), in_piece);
        let read = stored.read(&mut buffer[..length])?;
        self.position += read as u64;
        self.piece = Some((self.position, in_piece - read as u64));
        Ok(read)
    }
}

fn at_most(length: usize, left: u64) -> usize {
    usize::try_from(left).map_or(length, |left| left.min(length))
}

/// The map of format 1.0, at the beginning of what is stored: decimal numbers, each on its line, how many pieces and then
/// offset and length of each, with zeros up to a full block.
pub(super) fn read_map(stored: &mut dyn Read) -> Result<Map, Fault> {
    let mut lines = Lines { stored, block: [0; BLOCK], at: BLOCK };
    let count = usize::try_from(lines.number()?).unwrap_or(usize::MAX);
    if count > MOST_PIECES {
        return Err(Fault::malformed(PART, "a sparse file has too many pieces"));
    }
    let mut map = Map::new();
    for _ in 0..count {
        map.push((lines.number()?, lines.number()?));
    }
    Ok(map)
}

struct Lines<'a> {
    stored: &'a mut dyn Read,
    block: [u8; BLOCK],
    at: usize,
}

impl Lines<'_> {
    fn number(&mut self) -> Result<u64, Fault> {
        let mut digits = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return decimal(&digits),
                // More digits than any number has.
                _ if digits.len() == 20 => return decimal(b"x"),
                digit => digits.push(digit),
            }
        }
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        if self.at == BLOCK {
            self.stored.read_exact(&mut self.block).map_err(|error| Fault::reading(PART, error))?;
            self.at = 0;
        }
        self.at += 1;
        Ok(self.block[self.at - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(map: &[(u64, u64)], size: u64, stored: &[u8]) -> Option<Vec<u8>> {
        let mut reader = SparseReader::new(map.to_vec(), size, stored.len() as u64).ok()?;
        let (mut stored, mut found, mut buffer) = (stored, Vec::new(), [7; 3]);
        loop {
            match reader.read(&mut stored, &mut buffer).expect("memory can be read") {
                0 => return Some(found),
                length => found.extend_from_slice(&buffer[..length]),
            }
        }
    }

    #[test]
    fn holes_are_zeros() {
        assert_eq!(expand(&[(2, 4), (7, 1), (9, 0)], 9, b"abcde").as_deref(), Some(&b"\0\0abcd\0e\0"[..]));
        assert_eq!(expand(&[(0, 2), (2, 2)], 4, b"abcd").as_deref(), Some(&b"abcd"[..]));
        assert_eq!(expand(&[], 5, b"").as_deref(), Some(&[0; 5][..]));
        assert_eq!(expand(&[], 0, b"").as_deref(), Some(&b""[..]));
        for (map, size, stored) in [
            (&[(0, 2), (1, 2)][..], 4, &b"abcd"[..]),
            (&[(2, 2), (0, 2)], 4, b"abcd"),
            (&[(3, 2)], 4, b"ab"),
            (&[(u64::MAX, 2)], 4, b"ab"),
            (&[(0, 2)], 4, b"abc"),
        ] {
            assert_eq!(expand(map, size, stored), None, "{map:?}");
        }
    }

    #[test]
    fn maps_are_read() {
        let block = |text: &str| [text.as_bytes(), &vec![0; BLOCK - text.len()]].concat();
        let map = read_map(&mut &block("2\n0\n1\n512\n2\n")[..]).expect("a map");
        assert_eq!(map, [(0, 1), (512, 2)]);
        for bad in
            ["x\n", "1\n0\n", "262145\n", "-1\n", "18446744073709551616\n", "111111111111111111111111\n"]
        {
            assert!(read_map(&mut &block(bad)[..]).is_err(), "{bad}");
        }
    }
}
