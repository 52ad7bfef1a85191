//! Where the contents of a file are.

use super::Reader;
use super::index::Index;
use super::inode::{Inode, u16_at, u32_at};
use crate::image::Error;
use crate::image::erofs::format::{Algorithm, NOWHERE, layout};

/// Where to look for the contents of one file.
pub(super) enum Map {
    /// From a place on, up to an offset of the file; what comes after is at another place.
    Flat { start: u64, until: u64, rest: u64 },
    /// In chunks, whose addresses are in a list.
    Chunks { list: u64, entry: u64, bits: u32 },
    /// In clusters, found through an index.
    Clusters(Index),
    /// In the packed file, from an offset on.
    Packed(u64),
}

/// A part of a file that is in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Where it begins in the file.
    pub(super) start: u64,
    /// Bytes of it.
    pub(super) length: u64,
    /// Where it is.
    pub(super) from: From,
}

/// Where a part of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// Nowhere: zeros.
    Hole,
    /// At a place of the image, as it is.
    Image(u64),
    /// At a place of the packed file.
    Packed(u64),
    /// In a cluster.
    Cluster { at: u64, stored: u64, coding: Coding },
}

/// How a cluster is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Compressed.
    Compressed(Algorithm),
    /// As it is, from its beginning on.
    Shifted,
    /// As it is, each byte where it is in its block of the file.
    Interlaced,
}

/// Bits of the format of chunks: their size in blocks, as a power of two.
const CHUNK_BITS: u16 = 0x1f;
/// That addresses have eight bytes, with the number of a device.
const CHUNK_INDEXES: u16 = 0x20;

impl Reader {
    pub(super) fn map(&self, inode: &Inode) -> Result<Map, Error> {
        let block = self.block_size();
        let start = u64::from(inode.word) * block;
        Ok(match inode.layout {
            layout::PLAIN => Map::Flat { start, until: u64::MAX, rest: 0 },
            layout::INLINE => {
                let until = inode.size.saturating_sub(1) / block * block;
                if inode.end % block + (inode.size - until) > block {
                    return Err(self.damaged("the end of a file is said to be in two blocks"));
                }
                Map::Flat { start, until, rest: inode.end }
            }
            layout::CHUNKED => {
                let format = inode.word as u16;
                if format & !(CHUNK_BITS | CHUNK_INDEXES) != 0 {
                    return Err(self.unsupported(&format!("chunks of format {format:#x}")));
                }
                let entry = if format & CHUNK_INDEXES == 0 { 4 } else { 8 };
                let bits = u32::from(self.superblock.block_bits) + u32::from(format & CHUNK_BITS);
                Map::Chunks { list: inode.end.next_multiple_of(entry), entry, bits }
            }
            _ => self.index(inode)?,
        })
    }

    /// The part of a file that an offset is in, which must be inside; it may begin before that.
    pub(super) fn run(&self, map: &Map, size: u64, offset: u64) -> Result<Run, Error> {
        Ok(match map {
            Map::Flat { start, until, .. } if offset < *until => {
                let from = start.checked_add(offset).ok_or_else(|| self.damaged("a place is too far"))?;
                Run { start: offset, length: size.min(*until) - offset, from: From::Image(from) }
            }
            Map::Flat { until, rest, .. } => {
                Run { start: *until, length: size - until, from: From::Image(*rest) }
            }
            Map::Chunks { list, entry, bits } => self.chunk(size, offset, *list, *entry, *bits)?,
            Map::Packed(start) => Run { start: 0, length: size, from: From::Packed(*start) },
            Map::Clusters(index) => self.extent(index, size, offset)?,
        })
    }

    fn chunk(&self, size: u64, offset: u64, list: u64, entry: u64, bits: u32) -> Result<Run, Error> {
        let number = offset >> bits;
        let at = number.checked_mul(entry).and_then(|at| at.checked_add(list));
        let at = at.ok_or_else(|| self.damaged("a place is too far"))?;
        let mut bytes = [0; 8];
        self.read_metadata(at, &mut bytes[8 - entry as usize..])?;
        let address = u32_at(&bytes, 4);
        if entry == 8 && address != NOWHERE && u16_at(&bytes, 2) != 0 {
            return Err(self.unsupported("contents on further devices"));
        }
        let start = number << bits;
        let length = (size - start).min(1 << bits);
        let from = match address {
            NOWHERE => From::Hole,
            address => From::Image(u64::from(address) * self.block_size()),
        };
        Ok(Run { start, length, from })
    }
}
