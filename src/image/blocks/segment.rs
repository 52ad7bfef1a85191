//! A segment: a part of an image's contents, which one thread fills.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Options;
use super::output::Item;
use super::pool::Pool;
use crate::image::squashfs::Compression;
use crate::image::{Error, Format};
use crate::sys::io_error;

/// A part of an image's contents, in the order in which they are stored. Must be closed; one that is dropped without that
/// was given up, and the image with it.
pub struct Segment {
    pool: Arc<Pool>,
    number: usize,
    block_size: usize,
    /// What the place of contents in a fragment block is a multiple of.
    alignment: usize,
    /// Whether all fragment blocks are to have one size.
    fills_blocks: bool,
    /// What comes next in the segment's order.
    sequence: u64,
    files: u32,
    fragments: u32,
    /// The fragment block that is being filled.
    fragment: Vec<u8>,
    /// Where contents are that went into fragments, by their digest.
    known: HashMap<[u8; 32], (u32, u32)>,
    /// A buffer to be used again.
    spare: Vec<u8>,
    is_closed: bool,
}

/// Where a file's contents are in an image that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredFile {
    pub(in crate::image) size: u64,
    pub(in crate::image) segment: usize,
    pub(in crate::image) place: Place,
}

/// What of a segment a file's contents are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) enum Place {
    /// There are none.
    Nowhere,
    /// A part of a fragment block.
    Fragment { fragment: u32, offset: u32 },
    /// Blocks, as the file with this number.
    Blocks(u32),
}

impl StoredFile {
    /// Bytes of the contents.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Segment {
    pub(super) fn new(pool: Arc<Pool>, options: &Options) -> Segment {
        Segment {
            number: pool.open_segment(),
            pool,
            block_size: options.block_size as usize,
            alignment: if options.compression == Compression::None { options.alignment() } else { 1 },
            fills_blocks: options.format == Format::Erofs && options.compression != Compression::None,
            sequence: 0,
            files: 0,
            fragments: 0,
            fragment: Vec::new(),
            known: HashMap::new(),
            spare: Vec::new(),
            is_closed: false,
        }
    }

    /// Stores all that `content` gives, as the contents of one file. An error of `content` is one of reading `path`; after any
    /// error, the image cannot be finished.
    pub fn store(&mut self, content: &mut dyn Read, path: &Path) -> Result<StoredFile, Error> {
        let result = self.store_content(content, path);
        if result.is_err() {
            self.pool.give_up();
        }
        result
    }

    fn store_content(&mut self, content: &mut dyn Read, path: &Path) -> Result<StoredFile, Error> {
        let mut read = |mut buffer: Vec<u8>, limit: usize| {
            buffer.reserve_exact(limit);
            match content.take(limit as u64).read_to_end(&mut buffer) {
                Ok(_) => Ok(buffer),
                Err(error) => Err(Error::Io(io_error("read", path, error))),
            }
        };
        let mut block = read(std::mem::take(&mut self.spare), self.block_size)?;
        if block.len() < self.block_size {
            let size = block.len() as u64;
            let place = self.store_in_fragment(&block)?;
            block.clear();
            self.spare = block;
            return Ok(StoredFile { size, segment: self.number, place });
        }
        let mut size = 0;
        while !block.is_empty() {
            size += block.len() as u64;
            let next = self.store_block(block)?;
            block = read(next, self.block_size)?;
        }
        self.spare = block;
        self.deliver(Item::EndOfFile)?;
        self.files += 1;
        Ok(StoredFile { size, segment: self.number, place: Place::Blocks(self.files - 1) })
    }

    /// Ends the segment. Blocks may still be on their way.
    pub fn close(mut self) -> Result<(), Error> {
        self.close_fragment()?;
        self.deliver(Item::EndOfSegment)?;
        self.is_closed = true;
        Ok(())
    }

    /// Stores a block, and gives a buffer for the next one.
    fn store_block(&mut self, mut block: Vec<u8>) -> Result<Vec<u8>, Error> {
        // Each byte is equal to the one before it, and the first one is zero.
        if block[0] == 0 && block[1..] == block[..block.len() - 1] {
            self.deliver(Item::Hole(block.len() as u32))?;
            block.clear();
            return Ok(block);
        }
        self.compress(block, false)?;
        Ok(self.pool.buffer())
    }

    fn store_in_fragment(&mut self, content: &[u8]) -> Result<Place, Error> {
        if content.is_empty() {
            return Ok(Place::Nowhere);
        }
        let digest: [u8; 32] = Sha256::digest(content).into();
        if let Some((fragment, offset)) = self.known.get(&digest).copied() {
            return Ok(Place::Fragment { fragment, offset });
        }
        let aligned = self.fragment.len().next_multiple_of(self.alignment);
        if aligned + content.len() > self.block_size {
            self.close_fragment()?;
        } else {
            self.fragment.resize(aligned, 0);
        }
        let (fragment, offset) = (self.fragments, self.fragment.len() as u32);
        self.fragment.extend_from_slice(content);
        self.known.insert(digest, (fragment, offset));
        Ok(Place::Fragment { fragment, offset })
    }

    fn close_fragment(&mut self) -> Result<(), Error> {
        if self.fragment.is_empty() {
            return Ok(());
        }
        let mut block = std::mem::replace(&mut self.fragment, self.pool.buffer());
        if self.fills_blocks {
            block.resize(self.block_size, 0);
        }
        self.fragments += 1;
        self.compress(block, true)
    }

    fn compress(&mut self, block: Vec<u8>, is_fragment: bool) -> Result<(), Error> {
        self.sequence += 1;
        self.pool.compress(self.number, self.sequence - 1, block, is_fragment)
    }

    fn deliver(&mut self, item: Item) -> Result<(), Error> {
        self.sequence += 1;
        self.pool.deliver(self.number, self.sequence - 1, item)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if !self.is_closed {
            self.pool.give_up();
        }
    }
}
