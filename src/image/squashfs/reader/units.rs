//! What of an image is stored by itself.

use std::collections::HashSet;

use super::metadata::Cursor;
use super::{FileContents, InodeKind, Reader};
use crate::image::Error;
use crate::image::squashfs::Compression;
use crate::image::squashfs::compression::Algorithm;
use crate::image::squashfs::format::{BLOCK_RAW, METADATA_RAW, METADATA_SIZE, NONE_64};
use crate::image::units::{MOST, Packing, Unit, Units};

/// Bytes of an entry of the tables of fragments, inodes, ids and attributes.
const ENTRIES: [u64; 4] = [16, 8, 4, 16];

impl Reader {
    /// All blocks, of contents and of metadata, in any order; those of files that share them several times.
    pub fn units(&self) -> Result<Units, Error> {
        let mut units = Vec::new();
        let mut seen = HashSet::new();
        for walked in self.walk() {
            let inode = walked?.inode;
            if let InodeKind::File(file) = &inode.kind
                && (inode.links < 2 || seen.insert(inode.reference))
            {
                self.add_blocks(file, &mut units)?;
            }
        }
        self.add_fragments(&mut units)?;
        self.add_metadata(&mut units)?;
        Ok(Units { units, compression: Some(self.compression()), block_size: self.superblock.block_size })
    }

    /// How blocks are likely to be compressed.
    fn compression(&self) -> Compression {
        let level = self.level().and_then(|level| u8::try_from(level).ok());
        let said = match self.superblock.algorithm {
            Algorithm::Gzip => Compression::Gzip(level.unwrap_or(9)),
            Algorithm::Xz => Compression::Xz(6),
            Algorithm::Lz4 => Compression::Lz4,
            Algorithm::Zstd => Compression::Zstd(level.unwrap_or(15)),
        };
        if said.check().is_ok() { said } else { Compression::None }
    }

    fn add_blocks(&self, file: &FileContents, units: &mut Vec<Unit>) -> Result<(), Error> {
        let count = file.blocks(self.superblock.block_size);
        if count == 0 {
            return Ok(());
        }
        let mut words = Cursor::new(self, self.superblock.inode_table, file.words)?;
        let mut at = file.start;
        for _ in 0..count {
            at = self.add_block(at, words.u32()?, units)?;
        }
        Ok(())
    }

    /// Adds a block with this word, and gives the place behind it.
    fn add_block(&self, at: u64, word: u32, units: &mut Vec<Unit>) -> Result<u64, Error> {
        let stored = word & !BLOCK_RAW;
        let end = at.checked_add(stored.into()).filter(|end| *end <= self.superblock.bytes_used);
        let end = end.filter(|_| stored <= self.superblock.block_size && units.len() < MOST);
        let end = end.ok_or_else(|| self.damaged(&format!("its block at {at} makes no sense")))?;
        if stored > 0 {
            let packing = self.packing(word & BLOCK_RAW != 0, self.superblock.block_size);
            units.push(Unit { at, stored, packing });
        }
        Ok(end)
    }

    fn packing(&self, is_raw: bool, limit: u32) -> Option<Packing> {
        (!is_raw).then_some(Packing { algorithm: self.superblock.algorithm, limit, is_padded: false })
    }

    fn add_fragments(&self, units: &mut Vec<Unit>) -> Result<(), Error> {
        for number in 0..self.superblock.fragments {
            let (at, word) = self.fragment_place(number)?;
            self.add_block(at, word, units)?;
        }
        Ok(())
    }

    /// The blocks of tables. Inodes and directories follow each other; the other tables have lists.
    fn add_metadata(&self, units: &mut Vec<Unit>) -> Result<(), Error> {
        let superblock = &self.superblock;
        let mut ends = vec![superblock.bytes_used, superblock.directory_table];
        let counts = [superblock.fragments, superblock.inodes, superblock.ids.into(), self.xattr_sets()?];
        let xattr_list = superblock.xattr_table.saturating_add(16);
        let lists = [superblock.fragment_table, superblock.export_table, superblock.id_table, xattr_list];
        let mut starts = vec![superblock.inode_table, superblock.directory_table];
        for ((list, count), entry) in lists.into_iter().zip(counts).zip(ENTRIES) {
            if list == NONE_64 || count == 0 {
                continue;
            }
            ends.push(list);
            for number in 0..(u64::from(count) * entry).div_ceil(METADATA_SIZE as u64) {
                let mut start = [0; 8];
                self.read(&mut start, list.saturating_add(number * 8))?;
                starts.push(u64::from_le_bytes(start));
            }
        }
        if superblock.xattr_table != NONE_64 {
            ends.push(superblock.xattr_table);
            starts.push(self.xattr_values()?);
        }
        ends.extend(&starts);
        ends.sort_unstable();
        for start in starts {
            let end = ends.get(ends.partition_point(|end| *end <= start)).copied();
            self.add_chain(start, end.unwrap_or(superblock.bytes_used), units)?;
        }
        Ok(())
    }

    /// Blocks of metadata that follow each other, up to an end.
    fn add_chain(&self, mut at: u64, end: u64, units: &mut Vec<Unit>) -> Result<(), Error> {
        while at + 2 < end {
            let mut head = [0; 2];
            self.read(&mut head, at)?;
            let head = u16::from_le_bytes(head);
            let stored = u32::from(head & !METADATA_RAW);
            if stored == 0 || stored as usize > METADATA_SIZE || units.len() >= MOST {
                break;
            }
            let packing = self.packing(head & METADATA_RAW != 0, METADATA_SIZE as u32);
            units.push(Unit { at: at + 2, stored, packing });
            at += 2 + u64::from(stored);
        }
        Ok(())
    }
}
