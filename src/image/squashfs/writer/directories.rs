//! Listings of directories: names in runs, each under a header; and an index of them where there are many.

use super::metadata::Metadata;
use crate::image::squashfs::compression::Compressor;
use crate::image::squashfs::format::{LISTING_RUN, METADATA_SIZE, Reference};

/// A listing that is being stored.
pub(super) struct Listing<'a> {
    table: &'a mut Metadata,
    compressor: &'a mut Compressor,
    run: Run,
    stored: Stored,
    /// The block in which the last header is that can be found.
    indexed: u64,
}

/// A listing that was stored.
pub(super) struct Stored {
    /// Where it is.
    pub(super) start: Reference,
    /// Its bytes before compression.
    pub(super) size: u32,
    /// How many entries the index has.
    pub(super) indexes: u16,
    /// The index: where headers are, and the first name after each.
    pub(super) index: Vec<u8>,
}

/// Names under one header: their inodes are in one block, with numbers not far from the first one's.
#[derive(Default)]
struct Run {
    entries: Vec<u8>,
    count: usize,
    block: u64,
    number: u32,
    first: Vec<u8>,
}

impl<'a> Listing<'a> {
    pub(super) fn new(table: &'a mut Metadata, compressor: &'a mut Compressor) -> Listing<'a> {
        let start = table.position();
        let stored = Stored { start, size: 0, indexes: 0, index: Vec::new() };
        Listing { table, compressor, run: Run::default(), indexed: start.block, stored }
    }

    /// Adds the next name, which comes after those before it by its bytes.
    pub(super) fn add(&mut self, name: &[u8], number: u32, kind: u16, inode: Reference) {
        if !self.fits(number, inode) {
            self.close_run();
        }
        if self.run.count == 0 {
            self.run = Run { block: inode.block, number, first: name.to_vec(), ..Run::default() };
        }
        // Numbers of one run differ by less than 32 Ki.
        let difference = number.wrapping_sub(self.run.number) as u16;
        for field in [inode.offset, difference, kind, name.len() as u16 - 1] {
            self.run.entries.extend(field.to_le_bytes());
        }
        self.run.entries.extend_from_slice(name);
        self.run.count += 1;
    }

    /// Stores what is left.
    pub(super) fn close(mut self) -> Stored {
        self.close_run();
        if self.stored.size == 0 {
            self.stored.start = Reference { block: 0, offset: 0 };
        }
        self.stored
    }

    fn fits(&self, number: u32, inode: Reference) -> bool {
        let run = &self.run;
        let difference = i64::from(number) - i64::from(run.number);
        // What begins in another block gets a header of its own there, which can be found by the index.
        let is_in_block =
            usize::from(self.table.position().offset) + HEADER + run.entries.len() < METADATA_SIZE;
        run.count < LISTING_RUN
            && run.block == inode.block
            && i16::try_from(difference).is_ok()
            && is_in_block
    }

    fn close_run(&mut self) {
        if self.run.count == 0 {
            return;
        }
        let run = std::mem::take(&mut self.run);
        let position = self.table.position();
        if position.block != self.indexed && self.stored.indexes < u16::MAX {
            let name_length = run.first.len() as u32 - 1;
            for field in [self.stored.size, position.block as u32, name_length] {
                self.stored.index.extend(field.to_le_bytes());
            }
            self.stored.index.extend_from_slice(&run.first);
            self.stored.indexes += 1;
            self.indexed = position.block;
        }
        for field in [run.count as u32 - 1, run.block as u32, run.number] {
            self.table.add(&field.to_le_bytes(), self.compressor);
        }
        self.table.add(&run.entries, self.compressor);
        self.stored.size += (HEADER + run.entries.len()) as u32;
    }
}

/// Bytes of a header.
const HEADER: usize = 12;
