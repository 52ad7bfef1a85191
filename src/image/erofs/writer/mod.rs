//! Writing an image, when its contents are in their places.
//!
//! Blocks of contents are clusters: each is compressed by itself, and begins at a byte of its file that a logical cluster
//! begins at. What is smaller than a block is in the packed file with others, as in fragments of squashfs. So one pipeline
//! makes the contents of both formats, and kernels from 6.1 on can read what it makes (from 6.10 on with zstd); where nothing is
//! compressed, from 5.15 on.
//!
//! ```text
//! 0                superblock, settings of the algorithm
//! 4096             contents; a block of zeros where there are holes
//! …                blocks of directories and long links
//! attributes that several files have
//! inodes, from the top directory on, as they are walked
//! ```

mod contents;
mod directory;
mod nodes;
mod xattrs;

use sha2::{Digest, Sha256};

use super::BLOCK;
use super::crc32c::crc32c;
use super::format::{
    Algorithm, SLOT, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, Superblock, compatible, incompatible,
};
use crate::image::blocks::{Finished, Options, Placed, StoredFile, Target};
use crate::image::squashfs::Compression;
use crate::image::{Error, Tree};
use contents::Contents;
use nodes::Nodes;

/// The smallest window of zstd, as a power of two; settings count from it (ZSTD_WINDOWLOG_ABSOLUTEMIN).
const SMALLEST_WINDOW: u32 = 10;

/// Writes the tree and the superblock. What is behind the image in the file is cut off.
pub(in crate::image) fn finish(
    tree: &Tree<StoredFile>,
    placed: &Placed,
    target: &Target,
    options: &Options,
) -> Result<Finished, Error> {
    let mut end = End { target, position: placed.position };
    let contents = Contents::of(placed, options, &mut end)?;
    let mut nodes = Nodes::of(tree, &contents, options)?;
    nodes.place(&mut end)?;
    let xattr_block = end.append(&nodes.shared)?;
    let metadata = nodes.to_bytes();
    let metadata_block = end.append(&metadata)?;
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&Sha256::digest(&metadata)[..16]);
    let superblock = Superblock {
        compatible: compatible::CHECKSUM | compatible::MTIME,
        block_bits: BLOCK.ilog2() as u8,
        root: nodes.number(0) as u16,
        inodes: nodes.count() as u64,
        time: options.time.into(),
        blocks: end.block()?,
        metadata_block,
        xattr_block,
        uuid,
        incompatible: features(options.compression),
        algorithms: algorithm(options.compression).map_or(0, |algorithm| 1 << algorithm as u16),
        packed: nodes.packed.map_or(0, |packed| nodes.number(packed)),
        ..Superblock::default()
    };
    target.cut(end.position)?;
    // Last: what has no superblock is no image.
    target.write_at(&first_block(&superblock, options), 0)?;
    Ok(Finished { size: end.position, inodes: nodes.count() as u32 })
}

fn algorithm(compression: Compression) -> Option<Algorithm> {
    match compression {
        Compression::Lz4 => Some(Algorithm::Lz4),
        Compression::Zstd(_) => Some(Algorithm::Zstd),
        _ => None,
    }
}

fn features(compression: Compression) -> u32 {
    match algorithm(compression) {
        Some(_) => incompatible::ZERO_PADDING | incompatible::CONFIGURED | incompatible::FRAGMENTS,
        None => incompatible::CHUNKED,
    }
}

/// The block with the superblock, the algorithm's settings behind it, and the checksum of both.
fn first_block(superblock: &Superblock, options: &Options) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    let start = SUPERBLOCK_OFFSET as usize;
    block[start..start + SUPERBLOCK_SIZE].copy_from_slice(&superblock.to_bytes());
    let settings = settings(options);
    let behind = start + SUPERBLOCK_SIZE;
    block[behind..behind + settings.len()].copy_from_slice(&settings);
    let sum = crc32c(&block[start..]);
    block[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
    block
}

/// What the kernel needs to know to prepare (`struct z_erofs_lz4_cfgs`, `z_erofs_zstd_cfgs`), its length before it.
fn settings(options: &Options) -> Vec<u8> {
    let blocks = options.block_size as usize / BLOCK;
    let (length, first): (u16, [u8; 4]) = match algorithm(options.compression) {
        Some(Algorithm::Lz4) => {
            let [low, high] = (blocks as u16).to_le_bytes();
            // The farthest that a match is away, which LZ4's format limits.
            (14, [0xff, 0xff, low, high])
        }
        Some(_) => (6, [0, (options.block_size.ilog2() - SMALLEST_WINDOW) as u8, 0, 0]),
        None => return Vec::new(),
    };
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend(first);
    bytes.resize(2 + usize::from(length), 0);
    bytes
}

/// The end of what has been written, which is always one of a block.
struct End<'a> {
    target: &'a Target,
    position: u64,
}

impl End<'_> {
    /// Appends bytes, and zeros to the end of their block; says which block they begin with.
    fn append(&mut self, bytes: &[u8]) -> Result<u32, Error> {
        let block = self.block()?;
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        self.target.write_at(&bytes, self.position)?;
        self.position += bytes.len() as u64;
        Ok(block)
    }

    /// The number of the next block.
    fn block(&self) -> Result<u32, Error> {
        let found = self.position / BLOCK as u64;
        let expected = "less than 2^32";
        u32::try_from(found).map_err(|_| Error::Setting {
            what: "the number of blocks of the image",
            expected,
            found,
        })
    }
}

/// The number of an inode, by its place in the metadata.
fn number_at(place: usize) -> u64 {
    place as u64 / SLOT
}
