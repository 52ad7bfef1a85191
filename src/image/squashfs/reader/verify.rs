//! Whether all of an image can be read.

use std::collections::HashSet;

use super::{InodeKind, Piece, Reader};
use crate::image::squashfs::format::{NONE_64, Reference};
use crate::image::{Error, Verified};

/// More files with several names than any system has; the rest of them would be read once for each name.
const MOST_REMEMBERED: usize = 1 << 20;

impl Reader {
    /// Reads every name, inode, attribute and block.
    pub fn verify(&self) -> Result<Verified, Error> {
        let mut found = Verified::default();
        let mut several = HashSet::new();
        for walked in self.walk() {
            let walked = walked?;
            found.names += u64::from(!walked.path.is_empty());
            let inode = &walked.inode;
            if inode.links > 1 && several.contains(&inode.reference) {
                continue;
            }
            if inode.links > 1 && several.len() < MOST_REMEMBERED {
                several.insert(inode.reference);
            }
            self.check_export(inode.number, inode.reference)?;
            self.xattrs(inode)?;
            if let InodeKind::File(file) = &inode.kind {
                found.files += 1;
                let mut contents = self.contents(file);
                while let Some(piece) = contents.next_piece()? {
                    found.bytes = found.bytes.saturating_add(match piece {
                        Piece::Hole(length) => length,
                        Piece::Data(bytes) => bytes.len() as u64,
                    });
                }
            }
        }
        Ok(found)
    }

    /// Whether an inode is found by its number, where there is a table for that.
    fn check_export(&self, number: u32, reference: Reference) -> Result<(), Error> {
        let table = self.superblock.export_table;
        if table == NONE_64 {
            return Ok(());
        }
        if number == 0 || number > self.superblock.inodes {
            return Err(self.damaged(&format!("there is no inode {number}")));
        }
        let entry = u64::from_le_bytes(self.table_entry(table, u64::from(number) - 1)?);
        if Reference::from_raw(entry) != reference {
            return Err(self.damaged(&format!("the table of inodes has another inode {number}")));
        }
        Ok(())
    }
}
