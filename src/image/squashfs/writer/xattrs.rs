//! Extended attributes: sets of them, each stored once.

use std::collections::HashMap;

use super::Appender;
use super::metadata::Metadata;
use crate::image::Error;
use crate::image::squashfs::compression::Compressor;
use crate::image::squashfs::format::{NONE_32, NONE_64, XATTR_PREFIXES};
use crate::sys::Xattrs;

/// The sets of attributes of all files.
#[derive(Default)]
pub(super) struct XattrSets {
    known: HashMap<Vec<u8>, u32>,
    values: Metadata,
    table: Vec<u8>,
}

impl XattrSets {
    /// Which set these are; says which attribute cannot be stored.
    pub(super) fn place(&mut self, xattrs: &Xattrs, compressor: &mut Compressor) -> Result<u32, String> {
        if xattrs.0.is_empty() {
            return Ok(NONE_32);
        }
        let mut stored = Vec::new();
        let mut size = 0;
        for (name, value) in &xattrs.0 {
            push(&mut stored, name, value)?;
            // As listxattr(2) and getxattr(2) would give them.
            size += name.len() + 1 + value.len();
        }
        if let Some(place) = self.known.get(&stored) {
            return Ok(*place);
        }
        let place = self.known.len() as u32;
        self.table.extend(self.values.position().to_raw().to_le_bytes());
        self.table.extend((xattrs.0.len() as u32).to_le_bytes());
        self.table.extend((size as u32).to_le_bytes());
        self.values.add(&stored, compressor);
        self.known.insert(stored, place);
        Ok(place)
    }

    /// Appends all sets and their table; gives the place of its head.
    pub(super) fn write(mut self, end: &mut Appender<'_>, compressor: &mut Compressor) -> Result<u64, Error> {
        if self.known.is_empty() {
            return Ok(NONE_64);
        }
        self.values.close(compressor);
        let values = end.append(self.values.bytes())?;
        let list = end.metadata(&self.table, compressor)?;
        let head =
            [&values.to_le_bytes()[..], &(self.known.len() as u32).to_le_bytes(), &[0; 4], &list].concat();
        end.append(&head)
    }
}

fn push(stored: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), String> {
    let prefixed = XATTR_PREFIXES
        .iter()
        .zip(0u16..)
        .find_map(|(prefix, index)| Some((index, name.strip_prefix(*prefix)?)));
    let (Some((index, rest)), true) = (prefixed, name.len() <= 255 && value.len() <= 64 << 10) else {
        let shown = String::from_utf8_lossy(name);
        return Err(format!("there is no room for the extended attribute '{shown}'"));
    };
    stored.extend(index.to_le_bytes());
    stored.extend((rest.len() as u16).to_le_bytes());
    stored.extend_from_slice(rest);
    stored.extend((value.len() as u32).to_le_bytes());
    stored.extend_from_slice(value);
    Ok(())
}
