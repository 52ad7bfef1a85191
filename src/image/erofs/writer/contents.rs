//! How files say where their contents are.

use super::End;
use super::algorithm;
use crate::image::Error;
use crate::image::blocks::{FileBlocks, Options, Place, Placed, StoredFile};
use crate::image::erofs::BLOCK;
use crate::image::erofs::format::{BLOCK_COUNT, NOWHERE, advice, cluster, layout};
use crate::image::squashfs::compression::Compressor;
use crate::image::squashfs::format::BLOCK_RAW;

/// All contents of an image.
pub(super) struct Contents<'a> {
    placed: &'a Placed,
    block_size: u64,
    /// The number of the algorithm, where contents are compressed.
    algorithm: Option<u8>,
    /// The block with as many compressed zeros as a block of contents has bytes, where there are holes.
    zeros: u32,
}

/// What an inode has of its contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// One of [`layout`].
    pub(super) layout: u16,
    /// Bytes of the contents.
    pub(super) size: u64,
    /// A block, or how many there are, or the size of chunks, by the layout.
    pub(super) word: u32,
    /// What is behind the inode.
    pub(super) behind: Vec<u8>,
    /// What its place is a multiple of.
    pub(super) alignment: usize,
}

/// Set in the head of an index where the whole file is in the packed one.
const WHOLLY_PACKED: u64 = 1 << 63;
/// Set in the first entry of a part that is not all that comes out of its cluster (Z_EROFS_LI_PARTIAL_REF).
const PARTIAL: u16 = 1 << 15;
/// The largest distance that an entry has room for.
const FARTHEST: u16 = BLOCK_COUNT - 1;

impl<'a> Contents<'a> {
    /// Writes a block of zeros where one is needed.
    pub(super) fn of(
        placed: &'a Placed,
        options: &Options,
        end: &mut End<'_>,
    ) -> Result<Contents<'a>, Error> {
        let algorithm = algorithm(options.compression).map(|algorithm| algorithm as u8);
        let mut zeros = 0;
        if algorithm.is_some() && placed.files.iter().flatten().any(|file| file.sparse > 0) {
            let mut compressor = Compressor::new(options.compression, options.block_size as usize);
            let small = compressor.compress(&vec![0; options.block_size as usize]).unwrap_or_default();
            let mut block = vec![0; small.len().next_multiple_of(BLOCK) - small.len()];
            block.extend_from_slice(small);
            zeros = end.append(&block)?;
        }
        Ok(Contents { placed, block_size: options.block_size.into(), algorithm, zeros })
    }

    /// The packed file, where there is one.
    pub(super) fn packed(&self) -> Option<Stored> {
        let fragments = &self.placed.fragments;
        self.algorithm.filter(|_| !fragments.is_empty())?;
        let size = fragments.len() as u64 * self.block_size;
        let parts = fragments.iter().map(|(position, word)| (*position, *word, self.block_size));
        Some(self.compressed(size, parts))
    }

    /// The contents of a file.
    pub(super) fn file(&self, file: StoredFile) -> Stored {
        let size = file.size();
        match file.place {
            Place::Nowhere => Stored { alignment: 1, ..Stored::default() },
            Place::Fragment { fragment, offset } => {
                let number = self.placed.first_fragments[file.segment] + fragment;
                if self.algorithm.is_none() {
                    let (start, _) = self.placed.fragments[number as usize];
                    let word = ((start + u64::from(offset)) / BLOCK as u64) as u32;
                    return Stored { layout: layout::PLAIN, size, word, behind: Vec::new(), alignment: 1 };
                }
                let place = u64::from(number) * self.block_size + u64::from(offset);
                let behind = (place | WHOLLY_PACKED).to_le_bytes().to_vec();
                Stored { layout: layout::COMPACT, size, word: 0, behind, alignment: 8 }
            }
            Place::Blocks(number) => {
                let blocks = &self.placed.files[file.segment][number as usize];
                if self.algorithm.is_some() {
                    self.compressed(size, parts(blocks, size, self.block_size))
                } else {
                    self.chunked(size, blocks)
                }
            }
        }
    }

    /// A file in chunks: a list of their blocks.
    fn chunked(&self, size: u64, blocks: &FileBlocks) -> Stored {
        let chunks = parts(blocks, size, self.block_size);
        let address = |position: u64, word: u32| match word {
            0 => NOWHERE,
            _ => (position / BLOCK as u64) as u32,
        };
        let behind = chunks.flat_map(|(position, word, _)| address(position, word).to_le_bytes()).collect();
        let word = self.block_size.ilog2() - BLOCK.ilog2();
        Stored { layout: layout::CHUNKED, size, word, behind, alignment: 4 }
    }

    /// A compressed file: a full index of its parts, of which each says where it is, its word, and its length.
    fn compressed(&self, size: u64, parts: impl Iterator<Item = (u64, u32, u64)>) -> Stored {
        let mut index = Index { entries: vec![0; 16], blocks: 0 };
        // Nothing that is beside it, the algorithm, logical clusters of one block; then eight bytes of nothing.
        index.entries[4..6].copy_from_slice(&advice::LARGE_1.to_le_bytes());
        index.entries[6] = self.algorithm.unwrap_or_default();
        for (position, word, length) in parts {
            let block = (position / BLOCK as u64) as u32;
            if word == 0 {
                let is_partial = length < self.block_size;
                index.add_compressed(self.zeros, 1, length, is_partial);
            } else if word & BLOCK_RAW != 0 {
                index.add_plain(block, length);
            } else {
                index.add_compressed(block, word / BLOCK as u32, length, false);
            }
        }
        Stored { layout: layout::FULL, size, word: index.blocks, behind: index.entries, alignment: 8 }
    }
}

/// The parts of a file: where each is, its word, and how many bytes of the file it has.
fn parts(blocks: &FileBlocks, size: u64, block_size: u64) -> impl Iterator<Item = (u64, u32, u64)> {
    let mut position = blocks.start;
    blocks.words.iter().zip(0..).map(move |(word, number): (&u32, u64)| {
        let part = (position, *word, (size - number * block_size).min(block_size));
        position += u64::from(word & !BLOCK_RAW);
        part
    })
}

/// A full index that is made.
struct Index {
    entries: Vec<u8>,
    /// Blocks that the file has.
    blocks: u32,
}

impl Index {
    /// What is not compressed: each block for itself, as all kernels know it.
    fn add_plain(&mut self, block: u32, length: u64) {
        let count = length.div_ceil(BLOCK as u64) as u32;
        for number in 0..count {
            self.add(u16::from(cluster::PLAIN), (block + number).to_le_bytes());
        }
        self.blocks += count;
    }

    /// A cluster of some blocks. The entry behind its first one says how many they are; all others, how far it is to
    /// where it begins, and to where the next one does.
    fn add_compressed(&mut self, block: u32, blocks: u32, length: u64, is_partial: bool) {
        let count = length.div_ceil(BLOCK as u64) as u16;
        let head = u16::from(cluster::HEAD_1) | if is_partial { PARTIAL } else { 0 };
        self.add(head, block.to_le_bytes());
        for number in 1..count {
            let back = if number == 1 { BLOCK_COUNT | blocks as u16 } else { number.min(FARTHEST) };
            let [low, high] = (count - number).to_le_bytes();
            let [back_low, back_high] = back.to_le_bytes();
            self.add(u16::from(cluster::INSIDE), [back_low, back_high, low, high]);
        }
        self.blocks += blocks;
    }

    fn add(&mut self, advice: u16, rest: [u8; 4]) {
        self.entries.extend(advice.to_le_bytes());
        self.entries.extend([0; 2]);
        self.entries.extend(rest);
    }
}
