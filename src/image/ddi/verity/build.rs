//! Making a tree: data is read once, by all processors, and copied on the way where it is not in its place yet. Each
//! block of hashes is written as soon as it is whole, so that memory does not grow with the data.

use super::{BLOCK, Geometry, HASH, Hasher, Level, RootHash};
use crate::image::Source;
use crate::image::ddi::error::Error;
use crate::image::ddi::parallel::each_piece;
use crate::image::ddi::target::Target;

/// What a tree is made for.
pub(in crate::image::ddi) struct Data<'a> {
    pub(in crate::image::ddi) source: &'a dyn Source,
    /// Where it begins in there.
    pub(in crate::image::ddi) offset: u64,
    /// How many bytes it has. What lacks to a whole block is zeros.
    pub(in crate::image::ddi) length: u64,
    /// Where in the target it is copied to; it is there already where this is `None`.
    pub(in crate::image::ddi) copy_to: Option<u64>,
}

/// Writes the tree that belongs behind a superblock at `offset`, and tells its root hash.
pub(in crate::image::ddi) fn build(
    data: &Data<'_>,
    salt: &[u8],
    target: Target<'_>,
    offset: u64,
) -> Result<RootHash, Error> {
    let geometry = Geometry::new(BLOCK, BLOCK, data.length.div_ceil(u64::from(BLOCK)))?;
    let hasher = Hasher::new(salt);
    let Some(leaves) = geometry.levels.first() else {
        let mut buffer = Vec::new();
        data.take(0, geometry.hash_block, &mut buffer, target)?;
        return Ok(RootHash(hasher.hash(&buffer)));
    };
    let piece_size = geometry.fanout() * geometry.data_block;
    each_piece(leaves.blocks, |piece, buffer| {
        data.take(piece * piece_size, piece_size, buffer, target)?;
        target.write_at(geometry.place(offset, *leaves, piece), &hasher.hashes(buffer))
    })?;
    for pair in geometry.levels.windows(2) {
        let (below, above) = (pair[0], pair[1]);
        each_piece(above.blocks, |piece, buffer| {
            let first = piece * geometry.fanout();
            let count = geometry.fanout().min(below.blocks - first);
            buffer.resize((count * geometry.hash_block) as usize, 0);
            target.read_at(geometry.place(offset, below, first), buffer)?;
            target.write_at(geometry.place(offset, above, piece), &hasher.hashes(buffer))
        })?;
    }
    let mut root = [0; BLOCK as usize];
    target.read_at(offset + geometry.hash_block, &mut root)?;
    Ok(RootHash(hasher.hash(&root)))
}

impl Data<'_> {
    /// Reads up to `size` bytes from an offset within it on, as whole blocks, and copies them where that is wanted.
    pub(in crate::image::ddi) fn take(
        &self,
        start: u64,
        size: u64,
        buffer: &mut Vec<u8>,
        target: Target<'_>,
    ) -> Result<(), crate::sys::IoError> {
        let length = size.min(self.length - start);
        buffer.clear();
        buffer.resize(length.next_multiple_of(u64::from(BLOCK)) as usize, 0);
        self.source.read_at(self.offset + start, &mut buffer[..length as usize])?;
        match self.copy_to {
            Some(place) => target.write_at(place + start, buffer),
            None => Ok(()),
        }
    }
}

impl Geometry {
    /// Where a block of a level is, with the superblock at an offset.
    fn place(&self, offset: u64, level: Level, block: u64) -> u64 {
        offset + (level.first + block) * self.hash_block
    }
}

impl Hasher {
    /// A block with the hashes of blocks.
    fn hashes(&self, blocks: &[u8]) -> [u8; BLOCK as usize] {
        let mut hashes = [0; BLOCK as usize];
        for (place, block) in hashes.chunks_exact_mut(HASH as usize).zip(blocks.chunks_exact(BLOCK as usize))
        {
            place.copy_from_slice(&self.hash(block));
        }
        hashes
    }
}
