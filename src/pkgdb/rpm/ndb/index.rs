//! `Index.db` beside a `Packages.db`: rpm makes it anew where it is missing, which takes a moment, says so on
//! every terminal, and cannot be where the directory is read-only: there rpm does not even open the database.
//!
//! The file (rpm's rpmxdb.c) is a container of one hash table for each index table:
//!
//! ```text
//! 0   "RpmX"  version (0)  generation  pages of slots (1)  size of a page (4096)
//!     generation of Packages.db that it was made for                           32 bytes with zeros
//! 32  slots of 16 bytes: "Slo" and a zero, tag, first page, pages; free where the first page is 0
//! ```
//!
//! Each table (rpm's rpmidx.c) takes whole pages:
//!
//! ```text
//! 0   "RpmI"  version (0)  generation  slots  used  freed  mask  end of the keys  holes in them      64 bytes
//! 64  for each slot, 8 bytes: place of the key, with bits of its hash where the mask has ones; data
//! …   for each slot, 4 bytes: more data
//! …   keys, each behind its length; place 0 is none
//! ```
//!
//! Data are a header's number and an index in its values. A key's first slot is its hash; where that is
//! taken, slots 7, 8, 9… further on are tried. At least half of the slots are free.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{PAGE, Reader, number};
use crate::package::Header;
use crate::pkgdb::Error;
use crate::pkgdb::rpm::Hnum;
use crate::pkgdb::rpm::index_rows::TABLES;
use crate::sys::Context;

const TABLE_HEAD: usize = 64;
const MULTIPLIER: u32 = 0x5bd1_e995;

/// Writes the index of a database into an empty file.
pub(in crate::pkgdb::rpm) fn write_index(reader: &Reader, file: &File, path: &Path) -> Result<(), Error> {
    let mut all: Vec<Rows> = TABLES.iter().map(|_| Rows::default()).collect();
    reader.each(&mut |number, blob| {
        // rpm leaves headers out that it cannot read.
        if let Ok(header) = Header::parse(blob) {
            for (table, rows) in TABLES.iter().zip(&mut all) {
                table.rows(&header).iter().for_each(|row| rows.add(&row.key, number, row.index));
            }
        }
        Ok(())
    })?;
    let write = |bytes: &[u8], page: usize| {
        file.write_all_at(bytes, (page * PAGE) as u64).context("write", path).map_err(Error::from)
    };
    let mut slots = Vec::from(*b"RpmX");
    for word in [0, 1, 1, PAGE as u32, reader.table.generation, 0, 0] {
        slots.extend_from_slice(&word.to_le_bytes());
    }
    let mut page = 1;
    // One table is in memory at a time, besides the rows.
    for (table, rows) in TABLES.iter().zip(all) {
        let image = rows.into_table();
        write(&image, page)?;
        let pages = image.len() / PAGE;
        slots.extend_from_slice(b"Slo\0");
        for word in [table.tag, page as u32, pages as u32] {
            slots.extend_from_slice(&word.to_le_bytes());
        }
        page += pages;
    }
    while slots.len() < PAGE {
        slots.extend_from_slice(b"Slo\0\0\0\0\0\0\0\0\0\0\0\0\0");
    }
    write(&slots, 0)
}

/// The rows of a table: keys one after the other, and whose they are.
#[derive(Default)]
struct Rows {
    keys: Vec<u8>,
    /// Length of the key, number of the header, index.
    rows: Vec<(u32, Hnum, u32)>,
}

impl Rows {
    fn add(&mut self, key: &[u8], number: Hnum, index: u32) {
        // Data that do not fit are not stored by rpm, either.
        if index < 1 << 31 {
            self.keys.extend_from_slice(key);
            self.rows.push((key.len() as u32, number, index));
        }
    }

    fn into_table(self) -> Vec<u8> {
        // The highest power of two that is not above the number of rows, four times.
        let slots = 4 << self.rows.len().max(256).ilog2();
        // A key takes seven bytes more at most, and rpm wants room for others.
        let room = self.keys.len() + 7 * self.rows.len() + PAGE + 8192;
        let mask = !(room.next_power_of_two().max(1 << 16) as u32 - 1);
        let mut table = Table { slots, mask, used: 0, image: vec![0; TABLE_HEAD + slots * 12], key_end: 1 };
        table.image.push(0);
        let mut rest = &self.keys[..];
        for (length, number, index) in self.rows {
            let key;
            (key, rest) = rest.split_at(length as usize);
            table.insert(key, number.0, index);
        }
        table.finish()
    }
}

/// A table in the making.
struct Table {
    slots: usize,
    mask: u32,
    used: u32,
    image: Vec<u8>,
    key_end: usize,
}

impl Table {
    fn insert(&mut self, key: &[u8], number: u32, index: u32) {
        let (data, more) = encoded(number, index);
        let hash = murmur(key);
        let mut slot = hash as usize & (self.slots - 1);
        let mut step = 7;
        let mut place = 0;
        loop {
            let found = self.word(slot_at(slot));
            if found == 0 {
                break;
            }
            if place == 0 && (found ^ hash) & self.mask == 0 && self.has_key(found & !self.mask, key) {
                place = found;
            }
            if found == place
                && self.word(slot_at(slot) + 4) == data
                && self.word(self.overflow(slot)) == more
            {
                return;
            }
            slot = (slot + step) & (self.slots - 1);
            step += 1;
        }
        if place == 0 {
            place = self.key_end as u32 | hash & self.mask;
            self.image.extend_from_slice(&encoded_length(key.len()));
            self.image.extend_from_slice(key);
            self.key_end = self.image.len() - self.keys();
        }
        self.set(slot_at(slot), place);
        self.set(slot_at(slot) + 4, data);
        self.set(self.overflow(slot), more);
        self.used += 1;
    }

    fn has_key(&self, place: u32, key: &[u8]) -> bool {
        let length = encoded_length(key.len());
        let stored = self.image.get(self.keys() + place as usize..).unwrap_or_default();
        stored.strip_prefix(&*length).is_some_and(|stored| stored.starts_with(key))
    }

    fn finish(mut self) -> Vec<u8> {
        // rpm's tables have a page of keys at least.
        let size = self.image.len().max(self.keys() + PAGE);
        self.image.resize(size.next_multiple_of(PAGE), 0);
        let (slots, key_end) = (self.slots as u32, self.key_end as u32);
        self.image[..4].copy_from_slice(b"RpmI");
        for (field, word) in [0, 1, slots, self.used, 0, self.mask, key_end, 0].into_iter().enumerate() {
            self.set(4 + field * 4, word);
        }
        self.image
    }

    fn overflow(&self, slot: usize) -> usize {
        TABLE_HEAD + self.slots * 8 + slot * 4
    }

    fn keys(&self) -> usize {
        TABLE_HEAD + self.slots * 12
    }

    fn word(&self, at: usize) -> u32 {
        number(&self.image, at).expect("all slots are in the image")
    }

    fn set(&mut self, at: usize, word: u32) {
        self.image[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
}

/// Where a slot is in a table.
fn slot_at(slot: usize) -> usize {
    TABLE_HEAD + slot * 8
}

/// A header's number and an index, in one word where both are small.
fn encoded(number: u32, index: u32) -> (u32, u32) {
    if number < 0x10_0000 && index < 0x400 {
        (number | index << 20, 0)
    } else if number < 0x100_0000 && index < 0x40 {
        (number | index << 24 | 0x4000_0000, 0)
    } else {
        (index | 0x8000_0000, number)
    }
}

/// What stands in front of a key of this length.
fn encoded_length(length: usize) -> Vec<u8> {
    match length {
        1..255 => vec![length as u8],
        0 | 255..65535 => vec![255, length as u8, (length >> 8) as u8],
        _ => [&[255; 3], &(length as u32).to_le_bytes()[..]].concat(),
    }
}

/// rpm's variant of MurmurHash.
fn murmur(key: &[u8]) -> u32 {
    let mix = |hash: u32, shift: u32| {
        let hash = hash.wrapping_mul(MULTIPLIER);
        hash ^ hash >> shift
    };
    let mut hash = (key.len() as u32).wrapping_mul(MULTIPLIER);
    for chunk in key.chunks(4) {
        let word = chunk.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = mix(hash.wrapping_add(word), 16);
    }
    mix(mix(hash, 10), 17)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What rpm would find for a key (`rpmidxGetInternal`).
    fn get(image: &[u8], key: &[u8]) -> Vec<(u32, u32)> {
        let word = |at| number(image, at).expect("it is inside");
        let (slots, mask) = (word(12) as usize, word(24));
        let keys = TABLE_HEAD + slots * 12;
        let (hash, mut step, mut found) = (murmur(key), 7, Vec::new());
        let mut slot = hash as usize & (slots - 1);
        loop {
            let place = word(TABLE_HEAD + slot * 8);
            if place == 0 {
                return found;
            }
            let wanted = [encoded_length(key.len()), key.to_vec()].concat();
            let stored = &image[keys + (place & !mask) as usize..];
            if (place ^ hash) & mask == 0 && stored.starts_with(&wanted) {
                let (data, more) = (word(TABLE_HEAD + slot * 8 + 4), word(TABLE_HEAD + slots * 8 + slot * 4));
                found.push(match data >> 30 {
                    0 => (data & 0xf_ffff, data >> 20),
                    1 => (data & 0xff_ffff, data >> 24 & 0x3f),
                    _ => (more, data & 0x7fff_ffff),
                });
            }
            slot = (slot + step) & (slots - 1);
            step += 1;
        }
    }

    #[test]
    fn all_rows_are_found_and_no_others() {
        let mut random = fastrand::Rng::with_seed(31);
        for count in [0, 1, 255, 256, 257, 1000, 5000] {
            let mut rows = Rows::default();
            let mut expected: Vec<(Vec<u8>, u32, u32)> = Vec::new();
            for _ in 0..count {
                let length = [0, 1, 3, 4, 9, 254, 255, 300][random.usize(0..8)];
                let key: Vec<u8> = (0..length).map(|_| random.u8(b'a'..b'c')).collect();
                let number = [1, 5, 0x10_0000, 0x100_0000, u32::MAX][random.usize(0..5)];
                let index = [0, 1, 0x3f, 0x40, 0x3ff, 0x400, 0x7fff_ffff][random.usize(0..7)];
                rows.add(&key, Hnum(number), index);
                expected.push((key, number, index));
            }
            let image = rows.into_table();
            assert_eq!(image.len() % PAGE, 0);
            let expected: BTreeSet<_> = expected.into_iter().collect();
            let keys: BTreeSet<&Vec<u8>> = expected.iter().map(|(key, _, _)| key).collect();
            let mut found = BTreeSet::new();
            for key in keys {
                let rows = get(&image, key);
                found.extend(rows.into_iter().map(|(number, index)| (key.clone(), number, index)));
            }
            assert_eq!(found, expected, "{count} rows");
            assert!(get(&image, b"nothing").is_empty());
        }
    }

    #[test]
    fn a_key_that_is_too_long_for_two_bytes_is_stored() {
        let mut rows = Rows::default();
        let long = vec![b'x'; 70_000];
        rows.add(&long, Hnum(3), 4);
        rows.add(b"", Hnum(5), 6);
        rows.add(b"x", Hnum(7), 1 << 31);
        let image = rows.into_table();
        assert_eq!((get(&image, &long), get(&image, b"")), (vec![(3, 4)], vec![(5, 6)]));
        assert!(get(&image, b"x").is_empty());
    }
}
