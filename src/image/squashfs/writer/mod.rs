//! Writing an image, when its contents are in their places.

mod directories;
mod inodes;
mod metadata;
mod tables;
mod xattrs;

use super::compression::{Compression, Compressor};
use super::format::{NONE_64, SUPERBLOCK_SIZE, Superblock, flag};
use crate::image::blocks::{Finished, Options, Placed, StoredFile, Target};
use crate::image::{Error, Tree};
use inodes::Inodes;

/// The image's length is a multiple of this, since block devices are read in such pieces.
const PADDING: u64 = 4096;

/// Where the first block of contents goes.
pub(in crate::image) fn data_start(compression: Compression) -> u64 {
    (SUPERBLOCK_SIZE + compression.options().map_or(0, |block| block.len())) as u64
}

/// Writes the tree and the superblock. What is behind the image in the file is cut off.
pub(in crate::image) fn finish(
    tree: &Tree<StoredFile>,
    placed: &Placed,
    target: &Target,
    options: &Options,
) -> Result<Finished, Error> {
    let Options { compression, block_size, time, .. } = *options;
    let mut compressor = Compressor::new(compression, block_size as usize);
    let inodes = Inodes::of(tree, placed, block_size, &mut compressor)?;
    let (count, ids, root) = (inodes.count(), inodes.ids.len(), inodes.root);
    let mut end = Appender { target, position: placed.position };
    let inode_table = end.append(inodes.table.bytes())?;
    let directory_table = end.append(inodes.directories.bytes())?;
    let fragment_table = end.table(&tables::fragments(placed), &mut compressor)?;
    let export_table = end.table(&inodes.export_table(), &mut compressor)?;
    let id_table = end.table(&inodes.ids.to_bytes(), &mut compressor)?;
    let xattr_table = inodes.xattrs.write(&mut end, &mut compressor)?;
    let superblock = Superblock {
        inodes: count,
        time,
        block_size,
        fragments: placed.fragments.len() as u32,
        algorithm: compression.algorithm(),
        flags: flags(compression, placed, xattr_table != NONE_64),
        ids,
        root,
        bytes_used: end.position,
        id_table,
        xattr_table,
        inode_table,
        directory_table,
        fragment_table,
        export_table,
    };
    let size = end.position.next_multiple_of(PADDING);
    end.append(&vec![0; (size - end.position) as usize])?;
    target.cut(size)?;
    target.write_at(&compression.options().unwrap_or_default(), SUPERBLOCK_SIZE as u64)?;
    // Last: what has no superblock is no image.
    target.write_at(&superblock.to_bytes(), 0)?;
    Ok(Finished { size, inodes: count })
}

fn flags(compression: Compression, placed: &Placed, has_xattrs: bool) -> u16 {
    let mut flags = flag::DUPLICATES | flag::EXPORTABLE;
    if placed.fragments.is_empty() {
        flags |= flag::NO_FRAGMENTS;
    }
    if compression == Compression::None {
        let all = [flag::RAW_INODES, flag::RAW_DATA, flag::RAW_FRAGMENTS, flag::RAW_XATTRS, flag::RAW_IDS];
        flags |= all.iter().sum::<u16>();
    }
    if compression.options().is_some() {
        flags |= flag::OPTIONS;
    }
    if !has_xattrs {
        flags |= flag::NO_XATTRS;
    }
    flags
}

/// The end of what has been written.
struct Appender<'a> {
    target: &'a Target,
    position: u64,
}

impl Appender<'_> {
    /// Appends bytes, and says where they are.
    fn append(&mut self, bytes: &[u8]) -> Result<u64, Error> {
        let start = self.position;
        self.target.write_at(bytes, start)?;
        self.position += bytes.len() as u64;
        Ok(start)
    }

    /// Appends a table as metadata, and the list of where its blocks are. Gives the place of the list, or `NONE_64`
    /// where the table is empty.
    fn table(&mut self, bytes: &[u8], compressor: &mut Compressor) -> Result<u64, Error> {
        if bytes.is_empty() {
            return Ok(NONE_64);
        }
        let list = self.metadata(bytes, compressor)?;
        self.append(&list)
    }

    /// Appends metadata, and gives the list of where its blocks are.
    fn metadata(&mut self, bytes: &[u8], compressor: &mut Compressor) -> Result<Vec<u8>, Error> {
        let start = self.position;
        let (blocks, starts) = metadata::in_blocks(bytes, compressor);
        self.append(&blocks)?;
        Ok(starts.iter().flat_map(|block| (start + block).to_le_bytes()).collect())
    }
}
