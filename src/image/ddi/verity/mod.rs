//! Hash trees of dm-verity, format 1, with SHA-256 (the kernel's `Documentation/admin-guide/device-mapper/verity.rst`).
//!
//! ```text
//! block 0     superblock
//! block 1     the root's block: hashes of the blocks below
//! …           levels, from the root down
//! last blocks hashes of the data's blocks
//! ```
//!
//! A hash is SHA-256 of the salt and then the block. A block is filled with hashes, 128 of them where it has 4096 bytes,
//! and a last one that is not full with zeros. What is known of the root block's hash makes all the rest known.

mod build;
mod check;
mod superblock;

pub(super) use build::{Data, build};
pub use check::{BadBlocks, TreeReport};
pub(super) use check::{Place, check};
pub(super) use superblock::SIZE as SUPERBLOCK;
pub use superblock::Superblock;

use sha2::{Digest, Sha256};

use super::error::TreeProblem;

/// Bytes of a hash.
const HASH: u64 = 32;

/// Bytes of a block of what is written.
pub(super) const BLOCK: u32 = 4096;

/// The hash of a tree's root block, which stands for all of the data.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RootHash(pub [u8; 32]);

impl RootHash {
    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<RootHash> {
        let mut hash = [0; 32];
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for (index, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
        }
        Some(RootHash(hash))
    }
}

impl std::fmt::Display for RootHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&super::signature::hex(&self.0))
    }
}

impl std::fmt::Debug for RootHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for RootHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One level of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    /// Its first block, counted from the superblock.
    first: u64,
    /// How many it has.
    blocks: u64,
}

/// Where what lies in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes of a block of data.
    data_block: u64,
    /// Bytes of a block of the tree.
    hash_block: u64,
    /// Blocks of data.
    data_blocks: u64,
    /// From the one with the data's hashes to the root; none where there is but one block of data.
    levels: Vec<Level>,
    /// Blocks of all levels, and the superblock's.
    blocks: u64,
}

impl Geometry {
    /// That of a tree for so much data.
    pub(super) fn new(data_block: u32, hash_block: u32, data_blocks: u64) -> Result<Geometry, TreeProblem> {
        let is_known = |size: u32| (512..=64 * 1024).contains(&size) && size.is_power_of_two();
        if !is_known(data_block) || !is_known(hash_block) {
            return Err(TreeProblem::BlockSizes { data: data_block, hash: hash_block });
        }
        if data_blocks == 0 {
            return Err(TreeProblem::NoData);
        }
        let fanout = u64::from(hash_block) / HASH;
        let mut counts = Vec::new();
        let mut count = data_blocks;
        while count > 1 {
            count = count.div_ceil(fanout);
            counts.push(count);
        }
        // The superblock has 512 bytes, and so fits in a block.
        let mut next = 1;
        let mut levels = vec![Level { first: 0, blocks: 0 }; counts.len()];
        for (level, blocks) in levels.iter_mut().zip(counts).rev() {
            *level = Level { first: next, blocks };
            next += blocks;
        }
        let (data_block, hash_block) = (u64::from(data_block), u64::from(hash_block));
        Ok(Geometry { data_block, hash_block, data_blocks, levels, blocks: next })
    }

    /// Bytes of superblock and tree.
    pub(super) fn size(&self) -> u64 {
        // The tree is much smaller than the data.
        self.blocks.saturating_mul(self.hash_block)
    }

    /// How many hashes a block has.
    fn fanout(&self) -> u64 {
        self.hash_block / HASH
    }
}

/// Makes hashes with one salt.
#[derive(Clone)]
struct Hasher(Sha256);

impl Hasher {
    fn new(salt: &[u8]) -> Hasher {
        Hasher(Sha256::new_with_prefix(salt))
    }

    fn hash(&self, block: &[u8]) -> [u8; HASH as usize] {
        self.0.clone().chain_update(block).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_from_the_number_of_blocks() {
        let levels = |blocks| {
            let geometry = Geometry::new(4096, 4096, blocks).expect("a tree");
            (
                geometry.levels.iter().map(|level| (level.first, level.blocks)).collect::<Vec<_>>(),
                geometry.blocks,
            )
        };
        assert_eq!(levels(1), (vec![], 1));
        assert_eq!(levels(2), (vec![(1, 1)], 2));
        assert_eq!(levels(128), (vec![(1, 1)], 2));
        assert_eq!(levels(129), (vec![(2, 2), (1, 1)], 4));
        assert_eq!(levels(128 * 128 + 1), (vec![(4, 129), (2, 2), (1, 1)], 133));
        assert!(Geometry::new(4096, 512, u64::MAX).is_ok());
    }

    #[test]
    fn what_dm_verity_does_not_know_is_refused() {
        for (data, hash) in [(0, 4096), (4096, 0), (4096, 256), (3000, 4096), (4096, 131_072)] {
            assert_eq!(Geometry::new(data, hash, 1), Err(TreeProblem::BlockSizes { data, hash }));
        }
        assert_eq!(Geometry::new(4096, 4096, 0), Err(TreeProblem::NoData));
    }

    #[test]
    fn root_hashes_are_read_as_written() {
        let text = "00ff".repeat(16);
        assert_eq!(RootHash::parse(&text).expect("a hash").to_string(), text);
        for wrong in ["", "00", &"0g".repeat(32), &"+1".repeat(32), &"é".repeat(32), &text[1..]] {
            assert_eq!(RootHash::parse(wrong), None, "{wrong}");
        }
    }
}
