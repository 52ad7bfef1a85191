//! Writing an image: contents through segments, then the tree.

mod directories;
mod inodes;
mod metadata;
mod output;
mod pool;
mod segment;
mod tables;
mod xattrs;

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compression::{Compression, Compressor};
use super::format::{NONE_64, SUPERBLOCK_SIZE, Superblock, flag};
use crate::image::{Error, Tree};
use crate::sys::{Context, Root};
use inodes::Inodes;
use output::{Output, Placed};
use pool::Pool;
pub use segment::{Segment, StoredFile};

/// The image's length is a multiple of this, since block devices are read in such pieces.
const PADDING: u64 = 4096;

/// How an image is to be written.
#[derive(Debug, Clone)]
pub struct Options {
    /// How blocks are compressed.
    pub compression: Compression,
    /// Bytes of a data block: a power of two from 4 KiB to 1 MiB.
    pub block_size: u32,
    /// What the image says of when it was made, in seconds since 1970 (SOURCE_DATE_EPOCH).
    pub time: u32,
    /// How many threads compress. The image does not depend on it.
    pub threads: NonZeroUsize,
}

impl Options {
    /// Blocks of 128 KiB, zstd at a fast level, as many threads as the machine has processors.
    pub fn new(time: u32) -> Options {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Options { compression: Compression::Zstd(3), block_size: 128 << 10, time, threads }
    }

    fn check(&self) -> Result<(), Error> {
        self.compression.check()?;
        if self.block_size.is_power_of_two() && (4096..=1 << 20).contains(&self.block_size) {
            return Ok(());
        }
        let expected = "a power of two from 4096 to 1048576";
        Err(Error::Setting { what: "the size of blocks", expected, found: u64::from(self.block_size) })
    }
}

/// An image that is being written.
pub struct Writer {
    options: Options,
    target: Target,
    pool: Arc<Pool>,
}

/// Where in which file the image is.
#[derive(Debug)]
struct Target {
    file: File,
    /// Where it begins.
    offset: u64,
    path: PathBuf,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Bytes of the image, with its padding.
    pub size: u64,
    /// How many inodes it has.
    pub inodes: u32,
}

impl Writer {
    /// Begins an image in `file`, which can be read and written, `offset` bytes from its beginning. `path` is for messages.
    /// What must wait for its turn waits in files without a name in `dir`.
    pub fn new(file: &File, offset: u64, path: &Path, dir: &Root, options: Options) -> Result<Writer, Error> {
        options.check()?;
        let duplicate = || file.try_clone().context("duplicate", path);
        let target = Target { file: duplicate()?, offset, path: path.to_owned() };
        let for_data = Target { file: duplicate()?, offset, path: path.to_owned() };
        let start = SUPERBLOCK_SIZE + options.compression.options().map_or(0, |block| block.len());
        let output = Output::new(for_data, dir.try_clone()?, start as u64);
        let pool = Pool::start(&options, output)?;
        Ok(Writer { options, target, pool })
    }

    /// Gives the image another time than its options say: one that is known only when the contents are.
    #[must_use]
    pub fn dated(mut self, time: u32) -> Writer {
        self.options.time = time;
        self
    }

    /// Opens a segment, which comes after those that were opened before. It must be closed.
    pub fn segment(&self) -> Segment {
        Segment::new(Arc::clone(&self.pool), self.options.block_size as usize)
    }

    /// Writes the tree, when all segments are closed, and the superblock. What is behind the image in the file is
    /// cut off. The file is not synced.
    pub fn finish(self, tree: &Tree<StoredFile>) -> Result<Finished, Error> {
        let placed = self.pool.finish()?;
        let Options { compression, block_size, time, .. } = self.options;
        let mut compressor = Compressor::new(compression, block_size as usize);
        let inodes = Inodes::of(tree, &placed, block_size, &mut compressor)?;
        let (count, ids, root) = (inodes.count(), inodes.ids.len(), inodes.root);
        let mut end = Appender { target: &self.target, position: placed.position };
        let inode_table = end.append(inodes.table.bytes())?;
        let directory_table = end.append(inodes.directories.bytes())?;
        let fragment_table = end.table(&tables::fragments(&placed), &mut compressor)?;
        let export_table = end.table(&inodes.export_table(), &mut compressor)?;
        let id_table = end.table(&inodes.ids.to_bytes(), &mut compressor)?;
        let xattr_table = inodes.xattrs.write(&mut end, &mut compressor)?;
        let superblock = Superblock {
            inodes: count,
            time,
            block_size,
            fragments: placed.fragments.len() as u32,
            algorithm: compression.algorithm(),
            flags: flags(compression, &placed, xattr_table != NONE_64),
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
        self.target.cut(size)?;
        self.target.write_at(&compression.options().unwrap_or_default(), SUPERBLOCK_SIZE as u64)?;
        // Last: what has no superblock is no image.
        self.target.write_at(&superblock.to_bytes(), 0)?;
        Ok(Finished { size, inodes: count })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.pool.stop();
    }
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

impl Target {
    fn write_at(&self, bytes: &[u8], position: u64) -> Result<(), Error> {
        Ok(self.file.write_all_at(bytes, self.offset + position).context("write", &self.path)?)
    }

    /// Takes off what was written behind the end, before it turned out to be there already.
    fn cut(&self, size: u64) -> Result<(), Error> {
        let found = self.file.metadata().context("examine", &self.path)?;
        if found.is_file() && found.len() > self.offset + size {
            self.file.set_len(self.offset + size).context("cut", &self.path)?;
        }
        Ok(())
    }
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
