//! The tables of fragments and ids.

use std::collections::HashMap;

use crate::image::blocks::Placed;

/// The fragment table: where each block is, and its word.
pub(super) fn fragments(placed: &Placed) -> Vec<u8> {
    placed
        .fragments
        .iter()
        .flat_map(|(start, word)| [&start.to_le_bytes()[..], &word.to_le_bytes(), &[0; 4]].concat())
        .collect()
}

/// The ids of users and groups, which inodes name by their place in this table.
#[derive(Default)]
pub(super) struct Ids {
    known: HashMap<u32, u16>,
    all: Vec<u32>,
}

impl Ids {
    /// Where an id is in the table; `None` where there is no room for it.
    pub(super) fn place(&mut self, id: u32) -> Option<u16> {
        if let Some(place) = self.known.get(&id) {
            return Some(*place);
        }
        let place = u16::try_from(self.all.len()).ok().filter(|place| *place < u16::MAX)?;
        self.known.insert(id, place);
        self.all.push(id);
        Some(place)
    }

    /// How many there are.
    pub(super) fn len(&self) -> u16 {
        self.all.len() as u16
    }

    /// The table.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.all.iter().flat_map(|id| id.to_le_bytes()).collect()
    }
}
