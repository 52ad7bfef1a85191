//! Lists of blocks: the pieces of an image, by which a client finds what of it he has. The file is `IMAGE.blocks`.
//!
//! ```text
//! 0   8   "ONLAYBL1": what it is, and the version of this format
//! 8   8   bytes of the image
//! 16  32  SHA-256 of the image
//! 48  4   how many pieces there are
//! 52  4   bytes of what is in the frame
//! 56      a frame of zstd (RFC 8878): the length of each piece (LEB128), then the digest of each: the first eight
//!         bytes of its SHA-256
//! ```
//!
//! All numbers are little-endian. The pieces follow each other, and together are the image. How an image is to be cut is said
//! nowhere: who cuts in another way than the list's maker finds less in what he has, and still builds the right image.

use super::bytes::{Reader, compress, decompress, put};
use super::{Error, Piece};
use crate::package::Identity;

const MAGIC: &[u8; 8] = b"ONLAYBL1";
/// What every version of the format begins with.
const FAMILY: usize = 7;
/// More pieces are not listed: 64 GiB, with usual ones.
const MOST: usize = 4 << 20;
/// The largest list that there can be.
pub const LARGEST: u64 = 64 << 20;

/// A list of blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Bytes of the image.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Identity,
    /// Length and digest of each piece.
    pub pieces: Vec<(u32, u64)>,
}

impl List {
    /// The list of an image that was cut; `None` where it has too many pieces.
    pub fn of(pieces: &[Piece], sha256: Identity) -> Option<List> {
        let size = pieces.last().map_or(0, |last| last.at + u64::from(last.length));
        let pieces: Vec<_> = pieces.iter().map(|piece| (piece.length, piece.digest)).collect();
        (pieces.len() <= MOST).then_some(List { size, sha256, pieces })
    }

    /// As it is stored.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        self.pieces.iter().for_each(|(length, _)| put(&mut body, (*length).into()));
        body.extend(self.pieces.iter().flat_map(|(_, digest)| digest.to_le_bytes()));
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.size.to_le_bytes());
        bytes.extend(self.sha256.digest());
        bytes.extend((self.pieces.len() as u32).to_le_bytes());
        bytes.extend((body.len() as u32).to_le_bytes());
        bytes.extend(compress(&body, b"", 19)?);
        Ok(bytes)
    }

    /// Reads one. Its pieces are as long as the image.
    pub fn parse(bytes: &[u8]) -> Result<List, Error> {
        let mut reader = Reader(bytes);
        let magic = reader.array::<8>()?;
        if magic != *MAGIC {
            let is_later = magic[..FAMILY] == MAGIC[..FAMILY];
            return Err(if is_later { Error::Unknown } else { Error::Nonsense("it is no list of blocks") });
        }
        let size = u64::from_le_bytes(reader.array()?);
        let sha256 = Identity::from_digest(reader.array()?);
        let count = u32::from_le_bytes(reader.array()?) as usize;
        let length = u32::from_le_bytes(reader.array()?) as usize;
        // A length has one to five bytes.
        if count > MOST || !(count * 9..=count * 13).contains(&length) {
            return Err(Error::Nonsense("its length is not that of so many pieces"));
        }
        let body = decompress(reader.0, b"", length)?;
        let mut reader = Reader(&body);
        let mut lengths = Vec::with_capacity(count);
        let mut end = 0u64;
        for _ in 0..count {
            let length = reader.small()?;
            // As many as 2^22 of 32 bits.
            end += u64::from(length);
            lengths.push(length);
        }
        if end != size || lengths.contains(&0) {
            return Err(Error::Nonsense("its pieces are not the image"));
        }
        let digests = reader.take(count * 8)?.as_chunks::<8>().0;
        reader.end()?;
        let pieces = lengths.into_iter().zip(digests.iter().map(|digest| u64::from_le_bytes(*digest)));
        Ok(List { size, sha256, pieces: pieces.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lengths: &[u32]) -> List {
        let digest = |length: u32| u64::from(length).wrapping_mul(0x0123_4567_89ab_cdef);
        List {
            size: lengths.iter().map(|length| u64::from(*length)).sum(),
            sha256: Identity::of(b"x"),
            pieces: lengths.iter().map(|length| (*length, digest(*length))).collect(),
        }
    }

    #[test]
    fn a_list_comes_back_and_is_refused_when_it_was_changed() {
        for lengths in [&[][..], &[1], &[100, 70_000, u32::MAX, 5, 127, 128]] {
            let list = list(lengths);
            let bytes = list.to_bytes().expect("it can be compressed");
            assert_eq!(List::parse(&bytes).expect("it was just made"), list);
            for length in 0..bytes.len() {
                assert!(List::parse(&bytes[..length]).is_err(), "{length}");
            }
            for place in [0, 8, 15, 48, 49, 51, 52, 53, 56] {
                let mut changed = bytes.clone();
                changed[place] ^= 0x41;
                assert!(List::parse(&changed).is_err(), "{place}");
            }
        }
    }

    #[test]
    fn a_later_format_is_told_apart_and_lies_are_refused() {
        let mut later = list(&[5]).to_bytes().expect("it can be compressed");
        later[7] = b'2';
        assert!(matches!(List::parse(&later), Err(Error::Unknown)));
        for lengths in [&[5, 0][..], &[0]] {
            let bytes = list(lengths).to_bytes().expect("it can be compressed");
            assert!(matches!(List::parse(&bytes), Err(Error::Nonsense("its pieces are not the image"))));
        }
        let mut other = list(&[5]);
        other.size = 6;
        assert!(List::parse(&other.to_bytes().expect("it can be compressed")).is_err());
        // One that says that it has more pieces than there are bytes for.
        let mut many = list(&[5]).to_bytes().expect("it can be compressed");
        many[48..56].copy_from_slice(&[0xff; 8]);
        assert!(List::parse(&many).is_err());
    }
}
