//! Rows of headers that go, which headers that come take over.
//!
//! Another version of a package has nearly the names that the last one had. In the index of keys, the rows of one
//! package are spread over all of it; but a row that keeps its key keeps its place there. Only its number changes, and
//! rows of one number lie side by side. So a package costs a few pages, and not one for each of its files.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use rusqlite::Connection;

use crate::pkgdb::rpm::Hnum;
use crate::pkgdb::rpm::index_rows::Table;

/// The rows of a table whose headers are gone.
#[derive(Default)]
pub(super) struct SpareRows {
    hasher: RandomState,
    /// The hash of a key, and the row that has it, in order. Keys themselves would take many times the memory.
    rows: Vec<(u64, i64)>,
    /// Which of them are taken.
    is_taken: Vec<bool>,
}

impl SpareRows {
    /// All rows of these headers.
    pub(super) fn of(connection: &Connection, table: &Table, gone: &[Hnum]) -> rusqlite::Result<SpareRows> {
        let mut spare = SpareRows::default();
        for numbers in gone.chunks(super::writer::AT_ONCE) {
            let list: Vec<String> = numbers.iter().map(Hnum::to_string).collect();
            let sql = format!("SELECT rowid, key FROM \"{}\" WHERE hnum IN ({})", table.name, list.join(","));
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                // What is neither text nor bytes is nobody's key.
                let key = row.get_ref(1)?.as_bytes().unwrap_or_default();
                spare.rows.push((spare.hasher.hash_one(key), row.get(0)?));
            }
        }
        spare.rows.sort_unstable();
        spare.is_taken = vec![false; spare.rows.len()];
        Ok(spare)
    }

    /// A row that seems to have this key: whoever changes it looks at the key itself.
    pub(super) fn take(&mut self, key: &[u8]) -> Option<Taken> {
        let hash = self.hasher.hash_one(key);
        let first = self.rows.partition_point(|(other, _)| *other < hash);
        let same = self.rows[first..].iter().take_while(|(other, _)| *other == hash).count();
        let place = (first..first + same).find(|place| !self.is_taken[*place])?;
        self.is_taken[place] = true;
        Some(Taken { place, row: self.rows[place].1 })
    }

    /// It was another's key.
    pub(super) fn give_back(&mut self, taken: &Taken) {
        self.is_taken[taken.place] = false;
    }

    /// The rows that nobody took.
    pub(super) fn left(&self) -> Vec<i64> {
        let left = self.rows.iter().zip(&self.is_taken).filter(|(_, is_taken)| !**is_taken);
        left.map(|((_, row), _)| *row).collect()
    }
}

/// A row that is taken.
pub(super) struct Taken {
    place: usize,
    /// Its `rowid`.
    pub(super) row: i64,
}
