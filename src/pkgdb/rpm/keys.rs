//! What SQLite's tables are for a database that has none: which headers have a name, in memory.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;

use super::Hnum;
use super::index_rows::{TABLES, Table};
use crate::package::header::{Glance, tag};

/// The headers that have a key in a table, by the hash of both: keys themselves would take many times the
/// memory, and a header too many is looked at for nothing.
#[derive(Debug, Default)]
pub(super) struct Keys {
    numbers: HashMap<u64, Vec<Hnum>>,
    hasher: RandomState,
    paths: HashMap<u32, BTreeSet<Vec<u8>>>,
}

impl Keys {
    /// Adds a header, but for its files: who looks for those looks for many.
    pub(super) fn add(&mut self, number: Hnum, header: &Glance<'_>) {
        let is_asked = |table: &&Table| ![tag::BASENAMES, tag::DIRNAMES].contains(&table.tag);
        for table in TABLES.iter().filter(is_asked) {
            for row in table.rows(header) {
                let numbers = self.numbers.entry(self.hash(table, &row.key)).or_default();
                if numbers.last() != Some(&number) {
                    numbers.push(number);
                }
                if row.key.starts_with(b"/") {
                    self.paths.entry(table.tag).or_default().insert(row.key.into_owned());
                }
            }
        }
    }

    /// The headers that may have a key.
    pub(super) fn numbers(&self, table: &Table, key: &[u8]) -> impl Iterator<Item = Hnum> + '_ {
        self.numbers.get(&self.hash(table, key)).into_iter().flatten().copied()
    }

    /// The keys of a table that are paths.
    pub(super) fn paths(&self, table: &Table) -> Vec<Vec<u8>> {
        self.paths.get(&table.tag).into_iter().flatten().cloned().collect()
    }

    fn hash(&self, table: &Table, key: &[u8]) -> u64 {
        self.hasher.hash_one((table.tag, key))
    }
}
