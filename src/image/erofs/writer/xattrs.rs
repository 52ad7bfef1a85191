//! Extended attributes as they are stored: behind the inode, or once for all that have the same.

use std::collections::HashMap;

use crate::image::erofs::format::XATTR_PREFIXES;
use crate::sys::Xattrs;

/// Bytes of the head.
const HEAD: usize = 12;
/// As many attributes of a file as can be shared.
const MOST_SHARED: usize = u8::MAX as usize;

/// Attributes that several files have.
#[derive(Default)]
pub(super) struct Shared {
    counts: HashMap<Vec<u8>, u32>,
    places: HashMap<Vec<u8>, u32>,
    bytes: Vec<u8>,
}

impl Shared {
    /// Counts the attributes of a file; says which of them cannot be stored.
    pub(super) fn count(&mut self, xattrs: &Xattrs) -> Result<(), String> {
        for (name, value) in &xattrs.0 {
            *self.counts.entry(entry(name, value)?).or_default() += 1;
        }
        Ok(())
    }

    /// What is behind the inode of a file whose attributes were counted.
    pub(super) fn of(&mut self, xattrs: &Xattrs) -> Result<Vec<u8>, String> {
        if xattrs.0.is_empty() {
            return Ok(Vec::new());
        }
        let (mut ids, mut own) = (Vec::new(), Vec::new());
        for (name, value) in &xattrs.0 {
            let entry = entry(name, value)?;
            if self.counts.get(&entry).is_some_and(|count| *count > 1) && ids.len() < MOST_SHARED {
                ids.push(self.place(entry));
            } else {
                own.extend(entry);
            }
        }
        let mut bytes = vec![0; HEAD];
        bytes[4] = ids.len() as u8;
        bytes.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
        bytes.extend(own);
        if pieces(&bytes) > u16::MAX.into() {
            return Err("its extended attributes are too many or too long".to_owned());
        }
        Ok(bytes)
    }

    /// All that are shared.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn place(&mut self, entry: Vec<u8>) -> u32 {
        let next = (self.bytes.len() / 4) as u32;
        if let Some(place) = self.places.get(&entry) {
            return *place;
        }
        self.bytes.extend_from_slice(&entry);
        self.places.insert(entry, next);
        next
    }
}

/// How the inode says how long its attributes are: the head is one piece, four bytes are another.
pub(super) fn pieces(bytes: &[u8]) -> usize {
    if bytes.is_empty() { 0 } else { 1 + (bytes.len() - HEAD) / 4 }
}

/// One attribute: the lengths of its name and value, and a number for what the name begins with.
fn entry(name: &[u8], value: &[u8]) -> Result<Vec<u8>, String> {
    let known =
        XATTR_PREFIXES.iter().find_map(|(number, prefix)| Some((*number, name.strip_prefix(*prefix)?)));
    let lengths =
        known.and_then(|(_, rest)| Some((u8::try_from(rest.len()).ok()?, u16::try_from(value.len()).ok()?)));
    let (Some((number, rest)), Some((name_length, value_length))) = (known, lengths) else {
        let shown = String::from_utf8_lossy(name);
        return Err(format!("there is no room for the extended attribute '{shown}'"));
    };
    let mut entry = vec![name_length, number];
    entry.extend(value_length.to_le_bytes());
    entry.extend_from_slice(rest);
    entry.extend_from_slice(value);
    entry.resize(entry.len().next_multiple_of(4), 0);
    Ok(entry)
}
