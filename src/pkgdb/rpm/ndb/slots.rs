//! The beginning of a `Packages.db`: which header is where.

use std::collections::HashSet;
use std::ops::Range;

use super::{BLOCK, PAGE, RESERVED_SLOTS, blocks_for, number, unframed};

/// Why a file is no `Packages.db`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// It begins otherwise.
    #[error("it is no ndb database of version 0")]
    Beginning,
    /// It is shorter than its slots, or not whole blocks.
    #[error("its size is wrong")]
    Size,
    /// A slot makes no sense.
    #[error("slot {slot}: {what}")]
    Slot {
        /// Which one; the first is 2.
        slot: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Where a header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The place of the slot itself; the first is 2.
    pub place: usize,
    /// The header's number.
    pub number: u32,
    /// Its first block.
    pub start: u32,
    /// How many blocks it takes.
    pub blocks: u32,
}

impl Slot {
    /// Where its header is in the file, with what stands around it.
    pub fn bytes(&self) -> Range<u64> {
        u64::from(self.start) * BLOCK as u64..self.end() * BLOCK as u64
    }

    /// The header in these bytes of the file; whether the checksum is right is another question.
    pub fn header<'a>(&self, frame: &'a [u8]) -> Result<&'a [u8], &'static str> {
        unframed(self.number, frame)
    }

    /// The first block behind it.
    pub(super) fn end(&self) -> u64 {
        u64::from(self.start) + u64::from(self.blocks)
    }
}

/// All slots of a database, checked: they lie in the file, and do not overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotTable {
    /// Raised at each change.
    pub generation: u32,
    /// How many pages the slots take.
    pub pages: u32,
    /// The number of the next header.
    pub next_number: u32,
    /// The slots in use, by the place of their headers in the file.
    pub used: Vec<Slot>,
}

impl SlotTable {
    /// How many bytes the slots of a database take, as its first 32 say, in a file of `size` bytes.
    pub fn length(beginning: &[u8], size: u64) -> Result<usize, Malformed> {
        if !beginning.starts_with(b"RpmP") || number(beginning, 4) != Some(0) {
            return Err(Malformed::Beginning);
        }
        let pages = number(beginning, 12).ok_or(Malformed::Beginning)?;
        let length = u64::from(pages) * PAGE as u64;
        if pages == 0 || length > size || !size.is_multiple_of(BLOCK as u64) {
            return Err(Malformed::Size);
        }
        usize::try_from(length).map_err(|_| Malformed::Size)
    }

    /// Reads the slots: `pages` are exactly the bytes that [`SlotTable::length`] told.
    pub fn parse(pages: &[u8], size: u64) -> Result<SlotTable, Malformed> {
        if pages.len() != SlotTable::length(pages, size)? {
            return Err(Malformed::Size);
        }
        let head = |at| number(pages, at).ok_or(Malformed::Beginning);
        let blocks = size / BLOCK as u64;
        let first = (pages.len() / BLOCK) as u64;
        let mut used = Vec::new();
        for (place, slot) in pages.chunks_exact(BLOCK).enumerate().skip(RESERVED_SLOTS) {
            let bad = |what| Malformed::Slot { slot: place, what };
            if !slot.starts_with(b"Slot") {
                return Err(bad("it is none"));
            }
            let word = |at| number(slot, at).unwrap_or_default();
            let slot = Slot { place, number: word(4), start: word(8), blocks: word(12) };
            if slot.start == 0 {
                continue;
            }
            if slot.number == 0 || (slot.blocks as usize) < blocks_for(0) {
                return Err(bad("it has no number, or no size"));
            }
            if u64::from(slot.start) < first || slot.end() > blocks {
                return Err(bad("it names blocks outside of the file"));
            }
            used.push(slot);
        }
        in_order(&mut used)?;
        Ok(SlotTable { generation: head(8)?, pages: head(12)?, next_number: head(16)?, used })
    }
}

fn in_order(used: &mut [Slot]) -> Result<(), Malformed> {
    used.sort_by_key(|slot| slot.start);
    for pair in used.windows(2) {
        if pair[0].end() > u64::from(pair[1].start) {
            return Err(Malformed::Slot { slot: pair[1].place, what: "it overlaps another" });
        }
    }
    let mut numbers = HashSet::with_capacity(used.len());
    match used.iter().find(|slot| !numbers.insert(slot.number)) {
        Some(slot) => Err(Malformed::Slot { slot: slot.place, what: "another has the same number" }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkgdb::rpm::ndb::framed;

    /// A database of blocks: a page of slots with those given, and so many blocks behind it.
    fn database(slots: &[[u32; 3]], blocks: usize) -> Vec<u8> {
        let mut bytes = vec![0; PAGE + blocks * BLOCK];
        bytes[..4].copy_from_slice(b"RpmP");
        for (at, number) in [(8, 7_u32), (12, 1), (16, 99)] {
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        for place in RESERVED_SLOTS..PAGE / BLOCK {
            bytes[place * BLOCK..place * BLOCK + 4].copy_from_slice(b"Slot");
        }
        for (index, slot) in slots.iter().enumerate() {
            for (field, number) in slot.iter().enumerate() {
                let at = (RESERVED_SLOTS + index) * BLOCK + 4 + field * 4;
                bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
            }
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<SlotTable, Malformed> {
        let size = bytes.len() as u64;
        SlotTable::parse(&bytes[..SlotTable::length(bytes, size)?], size)
    }

    #[test]
    fn slots_are_read_in_the_order_of_the_file() {
        let table = parse(&database(&[[4, 260, 3], [0, 0, 0], [9, 256, 2]], 20)).expect("a good one");
        assert_eq!((table.generation, table.pages, table.next_number), (7, 1, 99));
        let found: Vec<_> = table.used.iter().map(|slot| (slot.place, slot.number, slot.start)).collect();
        assert_eq!(found, [(4, 9, 256), (2, 4, 260)]);
        assert!(parse(&database(&[], 0)).expect("an empty one").used.is_empty());
    }

    #[test]
    fn hostile_slots_are_refused() {
        for (slots, what) in [
            (&[[1, 255, 2]][..], "outside"),
            (&[[1, 256, 21]], "outside"),
            (&[[1, u32::MAX, u32::MAX]], "outside"),
            (&[[1, 256, 0]], "no size"),
            (&[[0, 256, 2]], "no number"),
            (&[[1, 256, 3], [2, 258, 3]], "overlaps"),
            (&[[1, 256, 3], [1, 260, 3]], "same number"),
        ] {
            let error = parse(&database(slots, 20)).expect_err("it must not be read").to_string();
            assert!(error.contains(what), "{slots:?}: {error}");
        }
        let good = database(&[[1, 256, 3]], 20);
        for (place, value) in [(0, 0), (4, 1), (12, 0), (12, 2), (12, 0xff), (15, 0xff), (32, 0)] {
            let mut bad = good.clone();
            bad[place] = value;
            assert!(parse(&bad).is_err(), "byte {place} = {value}");
        }
        for length in 0..good.len() {
            let found = parse(&good[..length]);
            assert!(found.is_err() || length >= PAGE + 3 * BLOCK, "{length}: {found:?}");
        }
    }

    /// What SUSE's rpm wrote.
    const REAL: &[u8] =
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sle15-part.Packages.db"));

    fn frame<'a>(slot: &Slot, file: &'a [u8]) -> &'a [u8] {
        let range = slot.bytes();
        &file[range.start as usize..range.end as usize]
    }

    #[test]
    fn frames_are_written_as_suse_writes_them() {
        let table = parse(REAL).expect("a good one");
        assert_eq!((table.generation, table.next_number, table.used.len()), (46, 41, 3));
        for slot in &table.used {
            let bytes = frame(slot, REAL);
            let time = number(bytes, 8).expect("a time");
            let header = slot.header(bytes).expect("a good header");
            assert!(bytes == framed(slot.number, time, header), "header {}", slot.number);
        }
    }

    #[test]
    fn a_real_database_may_be_changed_anywhere() {
        let mut random = fastrand::Rng::with_seed(29);
        let used = parse(REAL).expect("a good one").used;
        let (mut told, mut unseen) = (0, 0);
        for _ in 0..3000 {
            let mut bytes = REAL.to_vec();
            let slot = &used[random.usize(0..used.len())];
            // In the slots, or in or around a header.
            let place = match random.u8(0..3) {
                0 => random.usize(0..10 * BLOCK),
                1 => slot.bytes().start as usize + random.usize(0..40),
                _ => slot.bytes().end as usize - 1 - random.usize(0..40),
            };
            bytes[place] ^= 1 << random.u8(0..8);
            let read = parse(&bytes).ok().and_then(|table| {
                let headers = table.used.iter().map(|slot| slot.header(frame(slot, &bytes)).ok());
                headers.collect::<Option<Vec<_>>>().map(|headers| headers.len())
            });
            if read.is_some() { unseen += 1 } else { told += 1 }
        }
        // A checksum, a time or a generation says nothing of the structure.
        assert!(told > 1000 && unseen > 500, "{told} were told, {unseen} were not");
    }

    #[test]
    fn thousands_of_mutations_do_no_harm() {
        let good = database(&[[1, 256, 3], [2, 259, 4], [3, 270, 2]], 20);
        let mut random = fastrand::Rng::with_seed(5);
        let (mut read, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..random.usize(1..4) {
                // Where it matters: the beginning, and the first slots.
                let place = random.usize(0..6 * BLOCK);
                bytes[place] = [random.u8(..), 0, 0xff, bytes[place] ^ 1][random.usize(0..4)];
            }
            match parse(&bytes) {
                Ok(table) => {
                    read += 1;
                    assert!(table.used.iter().all(|slot| slot.end() <= (bytes.len() / BLOCK) as u64));
                }
                Err(_) => refused += 1,
            }
        }
        assert!(read > 1000 && refused > 1000, "{read} were read, {refused} were not");
    }
}
