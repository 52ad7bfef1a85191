//! What of an image is stored by itself.

use super::Reader;
use super::inode::Inode;
use super::map::{Coding, From, Map};
use crate::image::Error;
use crate::image::erofs::format::Algorithm as Stored;
use crate::image::file_system::walk;
use crate::image::squashfs::Compression;
use crate::image::squashfs::compression::Algorithm;
use crate::image::tree::Kind;
use crate::image::units::{MOST, Packing, Unit, Units};

/// The largest block that an erofs image is made of here.
const BLOCK_SIZE: u32 = 1 << 20;

impl Reader {
    /// All clusters of compressed files, in any order; those of files that share them several times. What is not compressed has
    /// none: it is like any other bytes.
    pub fn units(&self) -> Result<Units, Error> {
        let mut units = Vec::new();
        if self.superblock.packed != 0 {
            self.add_clusters(&self.packed_inode()?, &mut units)?;
        }
        walk(self, &self.path, |_, found| -> Result<(), Error> {
            if let Kind::File(_) = found.kind {
                self.add_clusters(&self.inode(found.place)?, &mut units)?;
            }
            Ok(())
        })?;
        let compression = self.algorithms().into_iter().find_map(|algorithm| match algorithm {
            Stored::Lz4 => Some(Compression::Lz4),
            Stored::Zstd => Some(Compression::Zstd(3)),
            Stored::Lzma | Stored::Deflate => None,
        });
        Ok(Units { units, compression, block_size: BLOCK_SIZE })
    }

    fn add_clusters(&self, inode: &Inode, units: &mut Vec<Unit>) -> Result<(), Error> {
        let map = self.map(inode)?;
        if !matches!(map, Map::Clusters(_)) {
            return Ok(());
        }
        let mut offset = 0;
        while offset < inode.size {
            let run = self.run(&map, inode.size, offset)?;
            offset = run.start.saturating_add(run.length);
            let From::Cluster { at, stored, coding } = run.from else { continue };
            // One that is beside the index is a part of that.
            if !at.is_multiple_of(self.block_size()) || stored > u64::from(BLOCK_SIZE) {
                continue;
            }
            if units.len() >= MOST || at.checked_add(stored).is_none_or(|end| end > self.source.size()) {
                return Err(self.damaged(&format!("its cluster at {at} makes no sense")));
            }
            units.push(Unit { at, stored: stored as u32, packing: packing(coding, run.length) });
        }
        Ok(())
    }
}

fn packing(coding: Coding, length: u64) -> Option<Packing> {
    let algorithm = match coding {
        Coding::Compressed(Stored::Lz4) => Algorithm::Lz4,
        Coding::Compressed(Stored::Zstd) => Algorithm::Zstd,
        _ => return None,
    };
    let limit = u32::try_from(length).ok().filter(|limit| *limit <= BLOCK_SIZE)?;
    Some(Packing { algorithm, limit, is_padded: true })
}
