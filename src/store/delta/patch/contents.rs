//! What is in pieces of an image, without their compression, and how they were compressed.

use super::Reference;
use super::make::Side;
use crate::image::squashfs::{Algorithm, Compression};
use crate::image::{Recompressor, Unpacker};
use crate::store::delta::{Error, Piece};

/// Levels of zstd that are tried, after what an image says of itself: what programs use by default, and round numbers.
const ZSTD_LEVELS: &[u8] = &[3, 15, 9, 19, 22, 6, 1, 5, 10, 12, 18];
/// Those of gzip, and presets of xz.
const OTHER_LEVELS: &[u8] = &[9, 6, 1];
/// So many blocks are compressed to see whether the settings are right.
const TRIED: usize = 3;

/// Reads pieces of an image.
pub(super) struct Contents<'a> {
    pub(super) side: &'a Side<'a>,
    unpacker: Option<Unpacker>,
}

/// What is in a piece.
pub(super) struct Content {
    /// Its bytes in the image.
    pub(super) stored: Vec<u8>,
    /// So many of them are before the block.
    pub(super) skipped: usize,
    /// What is in the block; what is stored, where that is not compressed in a way that is known.
    pub(super) bytes: Vec<u8>,
    /// Whether it is without its compression.
    pub(super) is_unpacked: bool,
}

impl<'a> Contents<'a> {
    pub(super) fn new(side: &'a Side<'a>) -> Contents<'a> {
        let mut contents = Contents { side, unpacker: None };
        contents.unpacker = contents.algorithm().map(Unpacker::new);
        contents
    }

    /// What all blocks are compressed with that are decompressed here.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        self.side.cut.compression.map(Compression::algorithm)
    }

    /// What is in a piece.
    pub(super) fn of(&mut self, piece: &Piece) -> Result<Content, Error> {
        let mut stored = vec![0; piece.length as usize];
        self.side.source.read_at(piece.at, &mut stored)?;
        let algorithm = self.algorithm();
        let (Some(unpacker), Some((packing, head))) = (&mut self.unpacker, piece.packing) else {
            return Ok(Content { bytes: stored.clone(), stored, skipped: 0, is_unpacked: false });
        };
        let zeros = || stored[usize::from(head)..].iter().take_while(|byte| **byte == 0).count();
        let skipped = usize::from(head) + if packing.is_padded { zeros() } else { 0 };
        let mut bytes = vec![0; packing.limit as usize];
        let length = unpacker.unpack(&stored[skipped..], &mut bytes).filter(|length| *length > 0);
        match length.filter(|_| algorithm == Some(packing.algorithm)) {
            Some(length) => {
                bytes.truncate(length);
                Ok(Content { stored, skipped, bytes, is_unpacked: true })
            }
            None => Ok(Content { bytes: stored.clone(), stored, skipped: 0, is_unpacked: false }),
        }
    }

    /// What others refer to of a piece.
    pub(super) fn reference(&mut self, piece: &Piece) -> Result<Reference, Error> {
        let content = self.of(piece)?;
        let raw = content.is_unpacked.then_some(content.bytes.len() as u32);
        Ok(Reference {
            at: piece.at + content.skipped as u64,
            stored: piece.length - content.skipped as u32,
            raw,
        })
    }
}

/// Finds out how an image was compressed, by doing it again to some pieces; `None` where nothing makes the same bytes.
pub(super) fn settings(side: &Side<'_>, pieces: &[Piece]) -> Result<Option<Recompressor>, Error> {
    let Some(said) = side.cut.compression else { return Ok(None) };
    let mut contents = Contents::new(side);
    let packed: Vec<&Piece> = pieces.iter().filter(|piece| piece.packing.is_some()).collect();
    let mut tried = Vec::new();
    for piece in packed.iter().step_by((packed.len() / TRIED).max(1)) {
        let content = contents.of(piece)?;
        if content.is_unpacked {
            tried.push(content);
        }
    }
    let levels =
        |levels: &[u8], make: fn(u8) -> Compression| levels.iter().map(|level| make(*level)).collect();
    let others: Vec<Compression> = match said {
        Compression::Zstd(_) => levels(ZSTD_LEVELS, Compression::Zstd),
        Compression::Gzip(_) => levels(OTHER_LEVELS, Compression::Gzip),
        Compression::Xz(_) => levels(OTHER_LEVELS, Compression::Xz),
        Compression::Lz4 | Compression::None => Vec::new(),
    };
    let mut best = (0, None);
    for compression in std::iter::once(said).chain(others) {
        let Some(mut recompressor) = Recompressor::new(compression, side.cut.block_size) else { continue };
        let is_same = |content: &&Content| {
            let packed = recompressor.pack(&content.bytes);
            packed.is_some_and(|packed| *packed == content.stored[content.skipped..])
        };
        let count = tried.iter().filter(is_same).count();
        if count > best.0 {
            best = (count, Some(recompressor));
        }
        if count == tried.len() {
            break;
        }
    }
    Ok(best.1)
}
