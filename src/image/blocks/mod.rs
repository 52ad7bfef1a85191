//! Writing an image: contents through segments, then the tree.
//!
//! A [`Writer`] takes contents first and the tree last. Its [`Segment`]s are filled side by side, each by a thread of its
//! caller's, one package each for example, while threads of the writer's compress. In the image they come one after the other,
//! in the order in which they were opened, so that its bytes are the same however the threads were scheduled, and
//! a segment's blocks are the same whatever other segments hold. Which file system it becomes matters to the tree alone, and to
//! where blocks begin.

mod output;
mod pool;
mod segment;

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::squashfs::Compression;
use super::{Error, Format, Tree, erofs, squashfs};
use crate::sys::{Context, Root};
use output::Output;
pub(super) use output::{FileBlocks, Placed};
use pool::Pool;
pub(super) use segment::Place;
pub use segment::{Segment, StoredFile};

/// How an image is to be written.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which file system: squashfs or erofs.
    pub format: Format,
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
    /// A squashfs image with blocks of 128 KiB, zstd at a fast level, as many threads as the machine has processors.
    pub fn new(time: u32) -> Options {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let (format, compression) = (Format::Squashfs, Compression::Zstd(3));
        Options { format, compression, block_size: 128 << 10, time, threads }
    }

    /// Refuses what cannot be written.
    pub fn check(&self) -> Result<(), Error> {
        self.compression.check()?;
        if self.format == Format::Gpt || self.format == Format::Erofs && !erofs::takes(self.compression) {
            return Err(Error::Compression { format: self.format, compression: self.compression });
        }
        if self.block_size.is_power_of_two() && (4096..=1 << 20).contains(&self.block_size) {
            return Ok(());
        }
        let expected = "a power of two from 4096 to 1048576";
        Err(Error::Setting { what: "the size of blocks", expected, found: u64::from(self.block_size) })
    }

    /// What the place of each block is a multiple of.
    fn alignment(&self) -> usize {
        if self.format == Format::Erofs { erofs::BLOCK } else { 1 }
    }

    /// Where the first block goes.
    fn start(&self) -> u64 {
        match self.format {
            Format::Erofs => erofs::BLOCK as u64,
            _ => squashfs::data_start(self.compression),
        }
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
pub(super) struct Target {
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
        let output = Output::new(for_data, dir.try_clone()?, options.start());
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
        Segment::new(Arc::clone(&self.pool), &self.options)
    }

    /// Writes the tree, when all segments are closed, and the superblock. What is behind the image in the file is
    /// cut off. The file is not synced.
    pub fn finish(self, tree: &Tree<StoredFile>) -> Result<Finished, Error> {
        let placed = self.pool.finish()?;
        match self.options.format {
            Format::Erofs => erofs::finish(tree, &placed, &self.target, &self.options),
            _ => squashfs::finish(tree, &placed, &self.target, &self.options),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.pool.stop();
    }
}

impl Target {
    pub(super) fn write_at(&self, bytes: &[u8], position: u64) -> Result<(), Error> {
        Ok(self.file.write_all_at(bytes, self.offset + position).context("write", &self.path)?)
    }

    /// Takes off what was written behind the end, before it turned out to be there already.
    pub(super) fn cut(&self, size: u64) -> Result<(), Error> {
        let found = self.file.metadata().context("examine", &self.path)?;
        if found.is_file() && found.len() > self.offset + size {
            self.file.set_len(self.offset + size).context("cut", &self.path)?;
        }
        Ok(())
    }
}
