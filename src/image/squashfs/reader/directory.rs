//! The names in a directory.

use super::metadata::Cursor;
use super::{Inode, InodeKind, Reader};
use crate::image::Error;
use crate::image::squashfs::format::{LISTING_EXTRA, LISTING_RUN, Reference};
use crate::image::tree::is_name;

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: Vec<u8>,
    /// Where its inode is.
    pub inode: Reference,
    /// What the listing says its inode is.
    pub(super) listed_type: u16,
}

/// The names in a directory, in the order of their bytes. Ends with the first error.
pub struct Entries<'a> {
    reader: &'a Reader,
    cursor: Option<Cursor<'a>>,
    /// Bytes of the listing that are left.
    left: u32,
    /// Names of the run that are left.
    run: u32,
    /// The block in which inodes of the run are.
    block: u32,
    last: Vec<u8>,
}

impl Reader {
    /// The names in a directory; none in anything else.
    pub fn entries(&self, inode: &Inode) -> Result<Entries<'_>, Error> {
        let mut entries = Entries { reader: self, cursor: None, left: 0, run: 0, block: 0, last: Vec::new() };
        if let InodeKind::Directory { listing, size } = inode.kind
            && size > LISTING_EXTRA
        {
            entries.left = size - LISTING_EXTRA;
            entries.cursor = Some(Cursor::new(self, self.superblock.directory_table, listing)?);
        }
        Ok(entries)
    }

    /// The inode that a name leads to, which must be what the listing says.
    pub(super) fn listed_inode(&self, entry: &Entry) -> Result<Inode, Error> {
        let inode = self.inode(entry.inode)?;
        if inode.listed_type() != entry.listed_type {
            let shown = String::from_utf8_lossy(&entry.name);
            return Err(self.damaged(&format!("'{shown}' is something else than its directory says")));
        }
        Ok(inode)
    }
}

impl Entries<'_> {
    fn read(&mut self) -> Result<Option<Entry>, Error> {
        let Some(cursor) = self.cursor.as_mut().filter(|_| self.left > 0) else { return Ok(None) };
        let damaged = || self.reader.damaged("a list of names makes no sense");
        if self.run == 0 {
            self.left = self.left.checked_sub(12).ok_or_else(damaged)?;
            self.run = cursor
                .u32()?
                .checked_add(1)
                .filter(|run| *run as usize <= LISTING_RUN)
                .ok_or_else(damaged)?;
            self.block = cursor.u32()?;
            let _number = cursor.u32()?;
        }
        let (offset, _difference) = (cursor.u16()?, cursor.u16()?);
        let (listed_type, length) = (cursor.u16()?, u32::from(cursor.u16()?) + 1);
        self.left = self.left.checked_sub(8 + length).ok_or_else(damaged)?;
        let name = cursor.bytes(length as usize)?;
        if !is_name(&name) || name <= self.last {
            return Err(damaged());
        }
        self.run -= 1;
        self.last.clone_from(&name);
        let inode = Reference { block: u64::from(self.block), offset };
        Ok(Some(Entry { name, inode, listed_type }))
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Result<Entry, Error>> {
        let read = self.read();
        if read.is_err() {
            self.cursor = None;
        }
        read.transpose()
    }
}
