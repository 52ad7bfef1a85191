//! The names in a directory. Each block of one has entries first, in the order of their names' bytes, and then the names.

use super::Reader;
use super::inode::{u16_at, u64_at};
use crate::image::Error;
use crate::image::erofs::format::{ENTRY, listed_type};
use crate::image::file_system::Found;
use crate::image::tree::is_name;

impl Reader {
    /// The names in a directory with what they lead to, but for `.` and `..`.
    pub(super) fn names(&self, directory: &Found) -> Result<Vec<(Vec<u8>, Found)>, Error> {
        let mut names: Vec<(Vec<u8>, Found)> = Vec::new();
        if !directory.is_directory() {
            return Ok(names);
        }
        let inode = self.inode(directory.place)?;
        let map = self.map(&inode)?;
        let mut decoded = None;
        let mut block = vec![0; self.block_size() as usize];
        let mut at = 0;
        while at < inode.size {
            let length = (inode.size - at).min(self.block_size()) as usize;
            if self.read_part(&map, inode.size, at, &mut block[..length], &mut decoded)? < length {
                return Err(self.damaged("a directory is shorter than it says"));
            }
            self.names_of_block(&block[..length], &mut names)?;
            at += length as u64;
        }
        Ok(names)
    }

    fn names_of_block(&self, block: &[u8], names: &mut Vec<(Vec<u8>, Found)>) -> Result<(), Error> {
        let damaged = || self.damaged("a list of names makes no sense");
        let entry = |number: usize| block.get(number * ENTRY..(number + 1) * ENTRY).ok_or_else(damaged);
        // Where the first name begins, the entries end.
        let first = usize::from(u16_at(entry(0)?, 8));
        if first == 0 || !first.is_multiple_of(ENTRY) {
            return Err(damaged());
        }
        let count = first / ENTRY;
        for number in 0..count {
            let this = entry(number)?;
            let start = usize::from(u16_at(this, 8));
            let is_last = number + 1 == count;
            let end = if is_last { block.len() } else { usize::from(u16_at(entry(number + 1)?, 8)) };
            let name = block.get(start..end).filter(|_| start >= first).ok_or_else(damaged)?;
            // The last one of a block may have zeros behind it.
            let name = name.split(|byte| *byte == 0).next().filter(|_| is_last).unwrap_or(name);
            if matches!(name, b"." | b"..") {
                continue;
            }
            if !is_name(name) || names.last().is_some_and(|(last, _)| last.as_slice() >= name) {
                return Err(damaged());
            }
            let found = self.inode(u64_at(this, 0))?.found;
            if this[10] != listed_type(&found.kind) {
                let shown = String::from_utf8_lossy(name);
                return Err(self.damaged(&format!("'{shown}' is something else than its directory says")));
            }
            names.push((name.to_vec(), found));
        }
        Ok(())
    }
}
