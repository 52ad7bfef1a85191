//! Directories as they are stored: blocks of entries, with their names behind them.

use crate::image::erofs::BLOCK;
use crate::image::erofs::format::ENTRY;

/// One name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) text: &'a [u8],
    /// Which node it is, by its number in the walk.
    pub(super) node: usize,
    /// The number of its kind.
    pub(super) kind: u8,
}

/// The names of each block, of names in their order.
pub(super) fn in_blocks<'a, 'b>(names: &'b [Name<'a>]) -> Vec<&'b [Name<'a>]> {
    let mut blocks = Vec::new();
    let (mut begin, mut used) = (0, 0);
    for (number, name) in names.iter().enumerate() {
        let size = ENTRY + name.text.len();
        if used + size > BLOCK {
            blocks.push(&names[begin..number]);
            (begin, used) = (number, 0);
        }
        used += size;
    }
    blocks.push(&names[begin..]);
    blocks
}

/// Bytes that are used of a block.
pub(super) fn size_of(block: &[Name<'_>]) -> usize {
    block.iter().map(|name| ENTRY + name.text.len()).sum()
}

/// A block, as long as it is used. `number` knows inodes by nodes.
pub(super) fn to_bytes(block: &[Name<'_>], number: &dyn Fn(usize) -> u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of(block));
    let mut at = block.len() * ENTRY;
    for name in block {
        bytes.extend(number(name.node).to_le_bytes());
        bytes.extend((at as u16).to_le_bytes());
        bytes.extend([name.kind, 0]);
        at += name.text.len();
    }
    for name in block {
        bytes.extend_from_slice(name.text);
    }
    bytes
}
