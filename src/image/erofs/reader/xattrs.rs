//! Extended attributes as they are stored: behind the inode, or shared by many.

use super::inode::{Inode, u16_at};
use super::{Packed, Reader};
use crate::image::Error;
use crate::image::erofs::format::{XATTR_PREFIXES, compatible, incompatible};
use crate::sys::Xattrs;

/// Bytes of the head.
const HEAD: usize = 12;
/// Set in the number of a prefix where that is one of the image's own.
const LONG: u8 = 0x80;

impl Reader {
    /// The extended attributes of a file, by full name. Those of kinds that Linux does not know are left out.
    pub(super) fn xattrs_of(&self, inode: &Inode) -> Result<Xattrs, Error> {
        let mut found = Xattrs::default();
        // At most 65,535 pieces of four bytes.
        let mut bytes = vec![0; (inode.end - inode.xattrs) as usize];
        if bytes.is_empty() {
            return Ok(found);
        }
        self.read(inode.xattrs, &mut bytes)?;
        let damaged = || self.damaged("the attributes that a file has make no sense");
        let shared = usize::from(bytes[4]);
        let (ids, mut own) = bytes[HEAD..].split_at_checked(shared * 4).ok_or_else(damaged)?;
        while own.len() >= 4 {
            let length = entry_length(own);
            let entry = own.get(..length).ok_or_else(damaged)?;
            self.add(entry, &mut found)?;
            own = own.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        for id in ids.as_chunks::<4>().0 {
            let start = u64::from(self.superblock.xattr_block) * self.block_size();
            let at = start + u64::from(u32::from_le_bytes(*id)) * 4;
            let head: [u8; 4] = self.metadata(at)?;
            let mut entry = vec![0; entry_length(&head)];
            self.read_metadata(at, &mut entry)?;
            self.add(&entry, &mut found)?;
        }
        Ok(found)
    }

    fn add(&self, entry: &[u8], found: &mut Xattrs) -> Result<(), Error> {
        let (name, value) = entry[4..].split_at(usize::from(entry[0]));
        let number = entry[1];
        let prefix = if number & LONG == 0 {
            XATTR_PREFIXES.iter().find(|(known, _)| *known == number).map(|(_, prefix)| *prefix)
        } else {
            self.prefixes()?.get(usize::from(number & !LONG)).map(Vec::as_slice)
        };
        let Some(prefix) = prefix else { return Ok(()) };
        if name.contains(&0) {
            return Err(self.damaged("the name of an attribute makes no sense"));
        }
        found.0.insert([prefix, name].concat(), value.to_vec());
        Ok(())
    }

    /// The image's own prefixes, in their order.
    fn prefixes(&self) -> Result<&[Vec<u8>], Error> {
        if self.prefixes.get().is_none() {
            let _ = self.prefixes.set(self.read_prefixes()?);
        }
        Ok(self.prefixes.get().map(Vec::as_slice).unwrap_or_default())
    }

    fn read_prefixes(&self) -> Result<Vec<Vec<u8>>, Error> {
        let superblock = &self.superblock;
        let is_plain = superblock.compatible & compatible::PLAIN_PREFIXES != 0 || superblock.packed == 0;
        let packed = if is_plain { None } else { Some(self.packed()?) };
        let count = if superblock.has(incompatible::PREFIXES) { superblock.prefixes } else { 0 };
        let mut at = u64::from(superblock.prefix_start) * 4;
        let mut found = Vec::new();
        for _ in 0..count {
            let mut length = [0; 2];
            self.read_prefix(packed, at, &mut length)?;
            let mut bytes = vec![0; usize::from(u16::from_le_bytes(length))];
            self.read_prefix(packed, at + 2, &mut bytes)?;
            let (base, infix) = bytes.split_first().ok_or_else(|| self.damaged("an empty prefix"))?;
            let base = XATTR_PREFIXES.iter().find(|(number, _)| number == base);
            found.push([base.map(|(_, prefix)| *prefix).unwrap_or_default(), infix].concat());
            at = (at + 2 + bytes.len() as u64).next_multiple_of(4);
        }
        Ok(found)
    }

    fn read_prefix(&self, packed: Option<&Packed>, at: u64, target: &mut [u8]) -> Result<(), Error> {
        match packed {
            None => self.read(at, target),
            Some(packed) => self.read_packed(packed, at, target),
        }
    }
}

/// Bytes of an entry, without those that fill it up. It begins with the length of its name, a number for what comes before
/// that, and the length of its value.
fn entry_length(head: &[u8]) -> usize {
    4 + usize::from(head[0]) + usize::from(u16_at(head, 2))
}
