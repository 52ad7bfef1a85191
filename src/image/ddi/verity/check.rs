//! Holding data against a tree, and the tree against its root hash, block by block and from the root down: what a block
//! says is only believed once its own hash was right.

use std::ops::Range;
use std::sync::Mutex;

use serde::Serialize;

use super::{Geometry, HASH, Hasher, RootHash, Superblock};
use crate::image::Source;
use crate::image::ddi::error::Error;
use crate::image::ddi::parallel::each_piece;
use crate::sys::IoError;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TreeReport {
    /// What all was held against.
    pub root_hash: RootHash,
    /// How many blocks of data there are.
    pub data_blocks: u64,
    /// Bytes of each.
    pub data_block: u32,
    /// Blocks of the tree with another hash than their parent says, counted from the superblock.
    pub bad_tree: BadBlocks,
    /// Blocks of data with another hash than the tree says.
    pub bad_data: BadBlocks,
    /// Blocks of data of which nothing can be said, since a block of the tree above them is bad.
    pub unknown_data: BadBlocks,
}

/// Blocks, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BadBlocks {
    /// How many.
    pub count: u64,
    /// Which, in order and with the end excluded; the first thousand ranges of those that were found.
    pub ranges: Vec<Range<u64>>,
}

/// How many ranges are told.
const MOST_RANGES: usize = 1000;

impl TreeReport {
    /// Whether every block is what the root hash says.
    pub fn is_sound(&self) -> bool {
        [&self.bad_tree, &self.bad_data, &self.unknown_data].iter().all(|blocks| blocks.count == 0)
    }
}

/// A tree with its data, both within one image.
pub(in crate::image::ddi) struct Place<'a> {
    pub(in crate::image::ddi) source: &'a dyn Source,
    /// Where data begins.
    pub(in crate::image::ddi) data: u64,
    /// Where the superblock is.
    pub(in crate::image::ddi) tree: u64,
}

/// Blocks of one kind, one after the other.
#[derive(Clone, Copy)]
struct Row {
    /// Where the first is.
    offset: u64,
    /// Bytes of each.
    size: u64,
    count: u64,
}

/// Checks all blocks. The geometry fits into the image.
pub(in crate::image::ddi) fn check(
    place: &Place<'_>,
    superblock: &Superblock,
    root: RootHash,
) -> Result<TreeReport, Error> {
    let geometry = superblock.geometry()?;
    let hasher = Hasher::new(&superblock.salt);
    let mut rows = rows(place, &geometry);
    let mut report = TreeReport {
        root_hash: root,
        data_blocks: geometry.data_blocks,
        data_block: superblock.data_block,
        bad_tree: BadBlocks::default(),
        bad_data: BadBlocks::default(),
        unknown_data: BadBlocks::default(),
    };
    let top = rows.remove(0);
    let mut buffer = vec![0; top.size as usize];
    place.source.read_at(top.offset, &mut buffer)?;
    let mut found = Found::default();
    if hasher.hash(&buffer) != root.0 {
        found.bad.push(0..1);
    }
    let mut parents = top;
    for row in rows {
        report.bad_tree.add(&found.bad, (parents.offset - place.tree) / geometry.hash_block);
        found = check_row(place.source, &hasher, parents, row, found)?;
        parents = row;
    }
    report.bad_data.add(&found.bad, 0);
    report.unknown_data.add(&found.unknown, 0);
    Ok(report)
}

/// From the root's block down to the data.
fn rows(place: &Place<'_>, geometry: &Geometry) -> Vec<Row> {
    let tree = geometry.levels.iter().rev().map(|level| {
        let offset = place.tree + level.first * geometry.hash_block;
        Row { offset, size: geometry.hash_block, count: level.blocks }
    });
    let data = Row { offset: place.data, size: geometry.data_block, count: geometry.data_blocks };
    tree.chain([data]).collect()
}

/// What is wrong in a row, in order.
#[derive(Default)]
struct Found {
    bad: Vec<Range<u64>>,
    unknown: Vec<Range<u64>>,
}

/// Checks a row against the one above it, of which some is not to be believed.
fn check_row(
    source: &dyn Source,
    hasher: &Hasher,
    parents: Row,
    row: Row,
    above: Found,
) -> Result<Found, IoError> {
    let mut lost = above.bad;
    lost.extend(above.unknown);
    let lost = merged(lost);
    let fanout = parents.size / HASH;
    let found = Mutex::new(Found::default());
    each_piece(parents.count, |parent, buffer| {
        let first = parent * fanout;
        let children = first..row.count.min(first + fanout);
        if contains(&lost, parent) {
            found.lock().expect("nobody panics with it").unknown.push(children);
            return Ok(());
        }
        let bad = bad_children(source, hasher, &Family { parents, parent, row, children }, buffer)?;
        if !bad.is_empty() {
            found.lock().expect("nobody panics with it").bad.extend(bad);
        }
        Ok(())
    })?;
    let found = found.into_inner().expect("nobody panics with it");
    Ok(Found { bad: merged(found.bad), unknown: merged(found.unknown) })
}

/// A block of hashes, and the blocks that it has them of.
struct Family {
    parents: Row,
    parent: u64,
    row: Row,
    children: Range<u64>,
}

fn bad_children(
    source: &dyn Source,
    hasher: &Hasher,
    family: &Family,
    buffer: &mut Vec<u8>,
) -> Result<Vec<Range<u64>>, IoError> {
    let Family { parents, parent, row, children } = family;
    let count = (children.end - children.start) as usize;
    let mut hashes = vec![0; parents.size as usize];
    source.read_at(parents.offset + parent * parents.size, &mut hashes)?;
    // Large blocks with many hashes would ask for much memory at once.
    let at_once = (AT_ONCE / row.size).max(1) as usize;
    let mut bad = Vec::new();
    for start in (0..count).step_by(at_once) {
        let blocks = at_once.min(count - start);
        buffer.resize(blocks * row.size as usize, 0);
        source.read_at(row.offset + (children.start + start as u64) * row.size, buffer)?;
        let expected = hashes[start * HASH as usize..].chunks_exact(HASH as usize);
        for ((index, block), expected) in buffer.chunks_exact(row.size as usize).enumerate().zip(expected) {
            if hasher.hash(block) != *expected {
                let number = children.start + (start + index) as u64;
                bad.push(number..number + 1);
            }
        }
    }
    Ok(merged(bad))
}

/// Bytes that are read in one piece.
const AT_ONCE: u64 = 512 * 1024;

/// Ranges in order, with those that touch as one.
fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(ranges.len().min(16));
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

fn contains(ranges: &[Range<u64>], number: u64) -> bool {
    let after = ranges.partition_point(|range| range.start <= number);
    after > 0 && ranges[after - 1].contains(&number)
}

impl BadBlocks {
    fn add(&mut self, ranges: &[Range<u64>], first: u64) {
        self.count += ranges.iter().map(|range| range.end - range.start).sum::<u64>();
        let room = MOST_RANGES - self.ranges.len();
        self.ranges.extend(ranges.iter().take(room).map(|range| range.start + first..range.end + first));
    }
}

/// "3 (5, 8-9)".
impl std::fmt::Display for BadBlocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut told: Vec<String> = self
            .ranges
            .iter()
            .take(TOLD)
            .map(|range| match range.end - range.start {
                1 => range.start.to_string(),
                _ => format!("{}-{}", range.start, range.end - 1),
            })
            .collect();
        if self.ranges.len() > TOLD {
            told.push("…".to_owned());
        }
        write!(f, "{} ({})", self.count, told.join(", "))
    }
}

/// How many ranges a text names.
const TOLD: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_one() {
        assert_eq!(merged(vec![5..6, 1..2, 2..4, 3..4]), [1..4, 5..6]);
        let ranges = [1..4, 5..6];
        let inside: Vec<u64> = (0..8).filter(|number| contains(&ranges, *number)).collect();
        assert_eq!(inside, [1, 2, 3, 5]);
    }

    #[test]
    fn many_bad_blocks_are_told_shortly() {
        let mut blocks = BadBlocks::default();
        blocks.add(&[5..6, 8..10], 0);
        assert_eq!(blocks.to_string(), "3 (5, 8-9)");
        let many: Vec<Range<u64>> = (0..5000).map(|number| number * 2..number * 2 + 1).collect();
        blocks.add(&many, 100);
        assert_eq!((blocks.count, blocks.ranges.len()), (5003, MOST_RANGES));
        assert_eq!(blocks.to_string(), "5003 (5, 8-9, 100, 102, 104, 106, 108, 110, …)");
    }
}
