//! The index of a compressed file.
//!
//! A file is divided in logical clusters of one size, and in extents, each of which comes out of one physical cluster. For each
//! logical cluster, the index says whether an extent begins in it and at which byte, and where its physical cluster is; or, where
//! none begins, how far it is to one that does. A full index has eight bytes for each. A compact one has packs: of two
//! clusters in eight bytes, or of sixteen in 32, with the address of the pack's first block at its end.
//!
//! Instead of the distances, which a hostile image can make into circles, clusters are looked at one by one: an extent has
//! few of them.

use super::Reader;
use super::inode::{Inode, u16_at, u32_at, u64_at};
use super::map::{Coding, From, Map, Run};
use crate::image::Error;
use crate::image::erofs::format::{
    Algorithm, BLOCK_COUNT, LARGEST_CLUSTER, LARGEST_EXTENT, advice, cluster, incompatible, layout,
};

/// Where an index is, and how it is to be read.
pub(super) struct Index {
    /// Where its first entry is.
    at: u64,
    is_full: bool,
    /// Bits of [`advice`].
    advice: u16,
    algorithms: [u8; 2],
    /// The size of a logical cluster, as a power of two.
    bits: u32,
    /// Where in the packed file the end is.
    fragment: u64,
    /// Bytes of the cluster that is beside the index.
    inline: u64,
    /// How many logical clusters there are.
    count: u64,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cluster {
    /// One of [`cluster`].
    kind: u8,
    /// Where in it an extent begins; where none does, a distance, or the blocks of the physical cluster.
    word: u16,
    /// The block of the physical cluster.
    block: u32,
}

/// Set where the whole file is in the packed one; the other bits of the head say where.
const WHOLLY_PACKED: u64 = 1 << 63;
/// A word in a compact index has at least so many bits.
const LEAST_BITS: u32 = 12;
/// What of an entry of a full index is its kind.
const KIND: u16 = 3;

impl Reader {
    /// Reads the head of an index.
    pub(super) fn index(&self, inode: &Inode) -> Result<Map, Error> {
        let head_at = inode.end.next_multiple_of(8);
        let is_full = inode.layout == layout::FULL;
        let block_bits = u32::from(self.superblock.block_bits);
        let has_head = !is_full
            || self
                .superblock
                .has(incompatible::CONFIGURED | incompatible::TAIL_PACKING | incompatible::FRAGMENTS);
        let head: [u8; 8] = if has_head { self.metadata(head_at)? } else { [0; 8] };
        if u64_at(&head, 0) & WHOLLY_PACKED != 0 {
            return Ok(Map::Packed(u64_at(&head, 0) & !WHOLLY_PACKED));
        }
        let bits = block_bits + u32::from(head[7] & 15);
        let advice = u16_at(&head, 4);
        let has_dense = advice & advice::TWO_BYTES != 0;
        if is_full && has_dense {
            return Err(self.unsupported("encoded extents"));
        }
        if !is_full && (bits > 14 || has_dense && bits > LEAST_BITS) {
            return Err(self.unsupported(&format!("compact indexes of clusters of 2^{bits} bytes")));
        }
        let is_packed = advice & advice::FRAGMENT != 0;
        let is_inline = advice & advice::INLINE != 0 && !is_packed;
        Ok(Map::Clusters(Index {
            at: head_at + if is_full { 16 } else { 8 },
            is_full,
            advice,
            algorithms: [head[6] & 15, head[6] >> 4],
            bits,
            fragment: u32_at(&head, 0).into(),
            inline: if is_inline { u16_at(&head, 2).into() } else { 0 },
            count: inode.size.div_ceil(1 << bits),
        }))
    }

    /// The extent that an offset is in.
    pub(super) fn extent(&self, index: &Index, size: u64, offset: u64) -> Result<Run, Error> {
        let mut number = offset >> index.bits;
        let begin = |number: u64, cluster: &Cluster| (number << index.bits) + u64::from(cluster.word);
        let mut head = self.cluster(index, number)?;
        let last = number;
        while head.kind == cluster::INSIDE || begin(number, &head) > offset {
            if number == 0 || last - number > LARGEST_EXTENT >> index.bits {
                return Err(self.damaged("a part of a file has no beginning"));
            }
            number -= 1;
            head = self.cluster(index, number)?;
        }
        let start = begin(number, &head);
        let end = self.end_of(index, number, start, size)?;
        let length = end - start;
        if length > LARGEST_EXTENT || offset >= end {
            return Err(self.damaged("a part of a file is longer than any can be"));
        }
        let is_last = end == size;
        let from = if is_last && index.advice & advice::FRAGMENT != 0 {
            // The address of the last one is not needed otherwise.
            let high = if index.is_full { u64::from(head.block) << 32 } else { 0 };
            From::Packed(index.fragment | high)
        } else if is_last && index.inline > 0 {
            let at = index.at_of(index.count - 1).1;
            From::Cluster { at, stored: index.inline, coding: self.coding(index, head, true)? }
        } else {
            let stored = self.blocks_of(index, number, head, size)? * self.block_size();
            let at = u64::from(head.block) * self.block_size();
            From::Cluster { at, stored, coding: self.coding(index, head, false)? }
        };
        Ok(Run { start, length, from })
    }

    /// Where the extent ends that begins in a cluster: where the next one begins, or with the file.
    fn end_of(&self, index: &Index, number: u64, start: u64, size: u64) -> Result<u64, Error> {
        for next in number + 1..index.count.min(number + 2 + (LARGEST_EXTENT >> index.bits)) {
            let found = self.cluster(index, next)?;
            if found.kind != cluster::INSIDE {
                let end = (next << index.bits) + u64::from(found.word);
                return if end <= size {
                    Ok(end)
                } else {
                    Err(self.damaged("a part begins behind a file's end"))
                };
            }
        }
        if start < size { Ok(size) } else { Err(self.damaged("a part begins behind a file's end")) }
    }

    /// How many blocks the physical cluster has of the extent that begins in a logical one.
    fn blocks_of(&self, index: &Index, number: u64, head: Cluster, size: u64) -> Result<u64, Error> {
        let needed = if head.kind == cluster::HEAD_1 { advice::LARGE_1 } else { advice::LARGE_2 };
        let next = number + 1;
        if index.advice & needed == 0 || next << index.bits >= size {
            return Ok(1);
        }
        let next = self.cluster(index, next)?;
        let is_counted = next.kind == cluster::INSIDE && next.word & BLOCK_COUNT != 0;
        let count = if is_counted { u64::from(next.word & !BLOCK_COUNT).max(1) } else { 1 };
        if count * self.block_size() > LARGEST_CLUSTER {
            return Err(self.damaged("a cluster is larger than any can be"));
        }
        Ok(count)
    }

    fn coding(&self, index: &Index, head: Cluster, is_inline: bool) -> Result<Coding, Error> {
        let number = match head.kind {
            cluster::PLAIN if index.advice & advice::INTERLACED != 0 && !is_inline => {
                return Ok(Coding::Interlaced);
            }
            cluster::PLAIN => return Ok(Coding::Shifted),
            cluster::HEAD_1 => index.algorithms[0],
            _ => index.algorithms[1],
        };
        let algorithm = Algorithm::ALL.get(usize::from(number));
        algorithm
            .map(|algorithm| Coding::Compressed(*algorithm))
            .ok_or_else(|| self.unsupported(&format!("compression number {number}")))
    }

    fn cluster(&self, index: &Index, number: u64) -> Result<Cluster, Error> {
        if number >= index.count {
            return Err(self.damaged("a file has fewer parts than its size says"));
        }
        let found = if index.is_full { self.full(index, number)? } else { self.compact(index, number)? };
        if found.kind != cluster::INSIDE && u64::from(found.word) >= 1 << index.bits {
            return Err(self.damaged("a part of a file begins where it cannot"));
        }
        Ok(found)
    }

    fn full(&self, index: &Index, number: u64) -> Result<Cluster, Error> {
        let entry: [u8; 8] = self.metadata(index.at_of(number).0)?;
        let kind = (u16_at(&entry, 0) & KIND) as u8;
        let at = if kind == cluster::INSIDE { 4 } else { 2 };
        Ok(Cluster { kind, word: u16_at(&entry, at), block: u32_at(&entry, 4) })
    }

    fn compact(&self, index: &Index, number: u64) -> Result<Cluster, Error> {
        let (at, end) = index.at_of(number);
        let length = index.pack_of(number).1;
        let mut pack = [0; 32];
        let pack = &mut pack[..length as usize];
        self.read_metadata(end - length, pack)?;
        let entries =
            Pack { bytes: pack, count: if length == 8 { 2 } else { 16 }, bits: index.bits.max(LEAST_BITS) };
        let place = ((at - (end - length)) / (length / entries.count)) as i64;
        let (kind, word) = entries.get(place);
        let mut found = Cluster { kind, word, block: 0 };
        if kind != cluster::INSIDE {
            let is_large = index.advice & advice::LARGE_1 != 0;
            let before =
                if is_large { entries.blocks_before(place) } else { Some(entries.clusters_before(place)) };
            let before = before.ok_or_else(|| self.damaged("an index makes no sense"))?;
            found.block = u32_at(entries.bytes, length as usize - 4).wrapping_add(before);
        }
        Ok(found)
    }
}

impl Index {
    /// Where an entry is, and where its pack ends.
    fn at_of(&self, number: u64) -> (u64, u64) {
        if self.is_full {
            let at = self.at.saturating_add(number.saturating_mul(8));
            return (at, at.saturating_add(8));
        }
        let (at, length) = self.pack_of(number);
        (at, at / length * length + length)
    }

    /// Where an entry of a compact index is, and the length of its pack.
    fn pack_of(&self, number: u64) -> (u64, u64) {
        // Packs of 32 bytes are aligned to that, so that those before and behind them are small.
        let first = (32 - self.at % 32) / 4 % 8;
        let small = |at: u64, number: u64| (at.saturating_add(number.saturating_mul(4)), 8);
        if number < first || self.advice & advice::TWO_BYTES == 0 {
            return small(self.at, number);
        }
        let (start, number) = (self.at + first * 4, number - first);
        let dense = (self.count - first) / 16 * 16;
        if number < dense { (start + number * 2, 32) } else { small(start + dense * 2, number - dense) }
    }
}

/// Entries of a compact index that are stored together.
struct Pack<'a> {
    bytes: &'a [u8],
    count: u64,
    /// Bits of a word.
    bits: u32,
}

impl Pack<'_> {
    /// Kind and word of an entry.
    fn get(&self, place: i64) -> (u8, u16) {
        let each = (self.bytes.len() as u64 - 4) * 8 / self.count;
        let bit = each * place as u64;
        let word = u32_at(self.bytes, (bit / 8) as usize) >> (bit % 8);
        (((word >> self.bits) & 3) as u8, (word & ((1 << self.bits) - 1)) as u16)
    }

    /// How many physical clusters begin before an entry, and one: each has one block.
    fn clusters_before(&self, mut place: i64) -> u32 {
        let mut blocks = 1;
        while place > 0 {
            place -= 1;
            let (kind, word) = self.get(place);
            if kind == cluster::INSIDE {
                place -= i64::from(word);
            }
            blocks += u32::from(place >= 0);
        }
        blocks
    }

    /// How many blocks the physical clusters before an entry have.
    fn blocks_before(&self, mut place: i64) -> Option<u32> {
        let mut blocks = 0;
        while place > 0 {
            place -= 1;
            let (kind, word) = self.get(place);
            if kind != cluster::INSIDE {
                blocks += 1;
            } else if word & BLOCK_COUNT != 0 {
                // The one before is its head.
                place -= 1;
                blocks += u32::from(word & !BLOCK_COUNT);
            } else {
                // To the first one behind its head, which has the number.
                place -= i64::from(word.checked_sub(2).filter(|_| word > 1)?);
            }
        }
        Some(blocks)
    }
}
