//! Cutting an image in pieces that its next version is likely to have, too.
//!
//! A block that is compressed by itself is a piece, with the few bytes before it that some blocks have. What is between them, and
//! files that are no image, is cut where the bytes themselves say so (content-defined chunks: a sum over the last 64 bytes has
//! so many zeros), so that what is inserted moves no cuts but those around it.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Error;
use crate::image::squashfs::Compression;
use crate::image::units::{Packing, Unit, units};
use crate::image::{LARGEST_BLOCK, Source};

/// A shorter block is no piece of its own: a digest of it would be worth more than what is saved.
const SHORTEST_UNIT: u32 = 1024;
/// What is before a block and not longer than this is a part of its piece: a length, in squashfs's metadata.
const LONGEST_HEAD: u64 = 8;
/// Bytes of a piece between blocks: at least, most often, and at most.
const CHUNK: [usize; 3] = [4 << 10, 16 << 10, 64 << 10];
/// As much is read at once.
const BUFFER: usize = 1 << 20;

/// A part of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins.
    pub at: u64,
    /// Bytes of it.
    pub length: u32,
    /// The first eight bytes of its SHA-256, as a little-endian number.
    pub digest: u64,
    /// How it is compressed, behind a head of so many bytes.
    pub packing: Option<(Packing, u8)>,
}

/// An image in pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cut {
    /// One after the other, from the beginning of the image to its end.
    pub pieces: Vec<Piece>,
    /// How blocks are likely to have been compressed.
    pub compression: Option<Compression>,
    /// Bytes of a block before it is compressed, at most.
    pub block_size: u32,
}

/// Cuts an image.
pub fn cut(source: &Arc<dyn Source>) -> Result<Cut, Error> {
    let units = units(Box::new(Arc::clone(source)))?;
    let mut cutter = Cutter { source: &**source, pieces: Vec::new(), at: 0, buffer: Vec::new() };
    for unit in units.units {
        let is_whole = unit.at.checked_add(unit.stored.into()).is_some_and(|end| end <= source.size());
        if is_whole && (SHORTEST_UNIT..=LARGEST_BLOCK).contains(&unit.stored) {
            cutter.unit(&unit)?;
        }
    }
    cutter.between(source.size())?;
    Ok(Cut { pieces: cutter.pieces, compression: units.compression, block_size: units.block_size })
}

struct Cutter<'a> {
    source: &'a dyn Source,
    pieces: Vec<Piece>,
    /// What is before this is in pieces.
    at: u64,
    buffer: Vec<u8>,
}

impl Cutter<'_> {
    fn unit(&mut self, unit: &Unit) -> Result<(), Error> {
        let mut head = unit.at - self.at;
        if head > LONGEST_HEAD {
            self.between(unit.at)?;
            head = 0;
        }
        self.buffer.resize((head + u64::from(unit.stored)) as usize, 0);
        self.source.read_at(self.at, &mut self.buffer)?;
        let length = self.buffer.len();
        self.piece(length, unit.packing.map(|packing| (packing, head as u8)));
        Ok(())
    }

    /// Cuts what is before a block, or before the end.
    fn between(&mut self, end: u64) -> Result<(), Error> {
        self.buffer.clear();
        while self.at < end {
            let read = self.at + self.buffer.len() as u64;
            if self.buffer.len() < CHUNK[2] && read < end {
                let filled = self.buffer.len();
                self.buffer.resize(filled + (end - read).min(BUFFER as u64) as usize, 0);
                self.source.read_at(read, &mut self.buffer[filled..])?;
            }
            let mut done = 0;
            let is_last = self.at + self.buffer.len() as u64 == end;
            while self.buffer.len() - done >= CHUNK[2] || is_last && done < self.buffer.len() {
                let length = chunk(&self.buffer[done..]);
                self.pieces.push(piece(self.at, &self.buffer[done..done + length], None));
                self.at += length as u64;
                done += length;
            }
            self.buffer.drain(..done);
        }
        Ok(())
    }

    fn piece(&mut self, length: usize, packing: Option<(Packing, u8)>) {
        self.pieces.push(piece(self.at, &self.buffer[..length], packing));
        self.at += length as u64;
    }
}

fn piece(at: u64, bytes: &[u8], packing: Option<(Packing, u8)>) -> Piece {
    Piece { at, length: bytes.len() as u32, digest: digest(bytes), packing }
}

/// What a piece is known by.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    u64::from_le_bytes(*digest.first_chunk().expect("a SHA-256 has 32 bytes"))
}

/// Where the first piece of some bytes ends. It is hard to find an end before the usual length, and easy after it (FastCDC).
fn chunk(bytes: &[u8]) -> usize {
    let [least, usual, most] = CHUNK.map(|length| length.min(bytes.len()));
    let mut sum = 0u64;
    for (place, byte) in bytes[..most].iter().enumerate().skip(least.saturating_sub(64)) {
        sum = (sum << 1).wrapping_add(GEAR[usize::from(*byte)]);
        let zeros = if place < usual { 16 } else { 12 };
        if place >= least && sum.leading_zeros() >= zeros {
            return place;
        }
    }
    most
}

/// A number for each byte, in which any bit may be set (SplitMix64).
pub(super) const GEAR: [u64; 256] = {
    let mut table = [0; 256];
    let mut place = 0;
    while place < 256 {
        let mut mixed = (place as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        table[place] = mixed ^ (mixed >> 31);
        place += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_bytes(bytes: Vec<u8>) -> Vec<Piece> {
        let source: Arc<dyn Source> = Arc::new(bytes);
        cut(&source).expect("memory can be read").pieces
    }

    #[test]
    fn pieces_are_all_of_it_and_few_change_with_it() {
        let mut random = fastrand::Rng::with_seed(5);
        let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(3_000_000).collect();
        let pieces = cut_bytes(bytes.clone());
        let mut at = 0;
        for piece in &pieces {
            assert_eq!((piece.at, piece.packing), (at, None));
            assert!(piece.length as usize <= CHUNK[2]);
            let end = at as usize + piece.length as usize;
            assert_eq!(piece.digest, digest(&bytes[at as usize..end]));
            at = end as u64;
        }
        assert_eq!(at, bytes.len() as u64);
        assert!((100..300).contains(&pieces.len()), "{}", pieces.len());
        let changed = cut_bytes([b"new", &bytes[..1_000_000], b"other", &bytes[1_000_000..]].concat());
        let is_new = |piece: &&Piece| pieces.iter().all(|old| old.digest != piece.digest);
        assert!(changed.iter().filter(is_new).count() < 8);
    }

    #[test]
    fn the_smallest_files_are_cut() {
        assert_eq!(cut_bytes(Vec::new()), []);
        assert_eq!(cut_bytes(vec![1]).len(), 1);
        let zeros = cut_bytes(vec![0; 1 << 20]);
        assert_eq!(zeros.iter().map(|piece| u64::from(piece.length)).sum::<u64>(), 1 << 20);
    }
}
