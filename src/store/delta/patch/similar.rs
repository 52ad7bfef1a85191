//! Finding what of an older image is like something in the new one, by what both have inside: digests of a few bytes, at places
//! that these bytes choose themselves, so that the same ones are found wherever they are.

use std::collections::HashMap;

use crate::store::delta::cut::GEAR;

/// So many bytes have to be the same.
const WINDOW: u32 = 24;
/// One place of two to this is taken.
const RARE: u32 = 9;
/// At most so many of each block: of those, the smallest.
const MOST: usize = 64;
/// So many blocks are named for one.
const NAMED: usize = 3;

/// Blocks by what they have inside.
#[derive(Default)]
pub(super) struct Similar {
    known: HashMap<u64, u32>,
}

impl Similar {
    /// Remembers a block by its number.
    pub(super) fn add(&mut self, number: u32, bytes: &[u8]) {
        for mark in marks(bytes) {
            self.known.entry(mark).or_insert(number);
        }
    }

    /// The blocks that are most like this one, in their order.
    pub(super) fn find(&self, bytes: &[u8]) -> Vec<u32> {
        let mut votes: HashMap<u32, u32> = HashMap::new();
        for mark in marks(bytes) {
            if let Some(number) = self.known.get(&mark) {
                *votes.entry(*number).or_default() += 1;
            }
        }
        let mut votes: Vec<(u32, u32)> = votes.into_iter().map(|(number, count)| (count, number)).collect();
        votes.sort_unstable_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
        let mut found: Vec<u32> = votes.into_iter().take(NAMED).map(|(_, number)| number).collect();
        found.sort_unstable();
        found
    }
}

/// Digests of the last 24 bytes, at places that are chosen by a sum over them.
fn marks(bytes: &[u8]) -> Vec<u64> {
    let mut sum = 0u64;
    let mut found = Vec::new();
    for (place, byte) in bytes.iter().enumerate() {
        sum = (sum << 1).wrapping_add(GEAR[usize::from(*byte)]);
        // A bit of the sum depends on as many bytes as are below it.
        if (sum >> (WINDOW - RARE)).trailing_zeros() >= RARE && place >= WINDOW as usize {
            let parts = bytes[place + 1 - WINDOW as usize..=place].as_chunks::<8>().0;
            let mix = |mixed: u64, part: &[u8; 8]| {
                (mixed ^ u64::from_le_bytes(*part)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
            };
            found.push(parts.iter().fold(0, mix));
        }
    }
    found.sort_unstable();
    found.dedup();
    found.truncate(MOST);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_and_changed_is_found() {
        let mut random = fastrand::Rng::with_seed(2);
        let mut block = || -> Vec<u8> { std::iter::repeat_with(|| random.u8(..)).take(40_000).collect() };
        let blocks: Vec<Vec<u8>> = std::iter::repeat_with(&mut block).take(20).collect();
        let mut similar = Similar::default();
        for (number, bytes) in blocks.iter().enumerate() {
            similar.add(number as u32, bytes);
        }
        let both = [b"x", &blocks[7][..20_000], b"yz", &blocks[3][13_000..]].concat();
        assert_eq!(similar.find(&both), [3, 7]);
        assert!(similar.find(&block()).is_empty());
        assert!(similar.find(b"short").is_empty());
    }
}
