//! Extended attributes as they are stored.

use super::metadata::Cursor;
use super::{Inode, Reader};
use crate::image::Error;
use crate::image::squashfs::format::{NONE_32, NONE_64, Reference, XATTR_ELSEWHERE, XATTR_PREFIXES};
use crate::sys::Xattrs;

/// The longest value that Linux takes (XATTR_SIZE_MAX).
const LONGEST_VALUE: usize = 64 << 10;
/// More than Linux could list (XATTR_LIST_MAX).
const MOST: u32 = 16 << 10;
/// More than is read of one file's attributes.
const LARGEST_SET: usize = 4 << 20;

impl Reader {
    /// The extended attributes of a file, by full name. Those of kinds that Linux does not know are left out.
    pub fn xattrs(&self, inode: &Inode) -> Result<Xattrs, Error> {
        let mut found = Xattrs::default();
        if inode.xattrs == NONE_32 {
            return Ok(found);
        }
        if self.superblock.xattr_table == NONE_64 {
            return Err(self.damaged("there is no table of the attributes that a file has"));
        }
        let (values, sets) = (self.xattr_values()?, self.xattr_sets()?);
        if inode.xattrs >= sets {
            return Err(self.damaged("the attributes that a file has are not in their table"));
        }
        let entry: [u8; 16] = self.table_entry(self.superblock.xattr_table + 16, u64::from(inode.xattrs))?;
        let (place, rest) = entry.split_at(8);
        let place = Reference::from_raw(u64::from_le_bytes(place.try_into().expect("8 of 16 bytes")));
        let count = u32::from_le_bytes(rest[..4].try_into().expect("4 of 8 bytes"));
        let damaged = || self.damaged("the attributes that a file has make no sense");
        let mut cursor = Cursor::new(self, values, place)?;
        let mut size = 0;
        for _ in 0..Some(count).filter(|count| *count <= MOST).ok_or_else(damaged)? {
            let kind = cursor.u16()?;
            let length = usize::from(cursor.u16()?);
            let name = cursor.bytes(length)?;
            let value = self.value(&mut cursor, values, kind & XATTR_ELSEWHERE != 0)?;
            size += name.len() + value.len();
            if size > LARGEST_SET || name.is_empty() || name.contains(&0) {
                return Err(damaged());
            }
            if let Some(prefix) = XATTR_PREFIXES.get(usize::from(kind & !XATTR_ELSEWHERE)) {
                found.0.insert([prefix, &name[..]].concat(), value);
            }
        }
        Ok(found)
    }

    /// Where values of attributes begin.
    pub(super) fn xattr_values(&self) -> Result<u64, Error> {
        let mut values = [0; 8];
        self.read(&mut values, self.superblock.xattr_table)?;
        Ok(u64::from_le_bytes(values))
    }

    /// How many sets of attributes there are.
    pub(super) fn xattr_sets(&self) -> Result<u32, Error> {
        if self.superblock.xattr_table == NONE_64 {
            return Ok(0);
        }
        let mut sets = [0; 4];
        self.read(&mut sets, self.superblock.xattr_table.saturating_add(8))?;
        Ok(u32::from_le_bytes(sets))
    }

    fn value(&self, cursor: &mut Cursor<'_>, values: u64, is_elsewhere: bool) -> Result<Vec<u8>, Error> {
        let length = cursor.u32()? as usize;
        if !is_elsewhere {
            return self.bytes(cursor, length);
        }
        let place = Reference::from_raw(cursor.u64()?);
        let mut other = Cursor::new(self, values, place)?;
        let length = other.u32()? as usize;
        self.bytes(&mut other, length)
    }

    fn bytes(&self, cursor: &mut Cursor<'_>, length: usize) -> Result<Vec<u8>, Error> {
        if length > LONGEST_VALUE {
            return Err(self.damaged("an attribute is too long"));
        }
        cursor.bytes(length)
    }
}
