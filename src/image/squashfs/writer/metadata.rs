//! Metadata as it is written: blocks of 8 KiB, each compressed by itself.

use crate::image::squashfs::compression::Compressor;
use crate::image::squashfs::format::{METADATA_RAW, METADATA_SIZE, Reference};

/// A table of metadata in memory, of which all full blocks are compressed already.
#[derive(Default)]
pub(super) struct Metadata {
    done: Vec<u8>,
    pending: Vec<u8>,
}

impl Metadata {
    /// Where the next byte will be.
    pub(super) fn position(&self) -> Reference {
        Reference { block: self.done.len() as u64, offset: self.pending.len() as u16 }
    }

    /// Adds bytes, which may run over the end of a block.
    pub(super) fn add(&mut self, mut bytes: &[u8], compressor: &mut Compressor) {
        while !bytes.is_empty() {
            let room = METADATA_SIZE - self.pending.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.pending.extend_from_slice(now);
            if self.pending.len() == METADATA_SIZE {
                self.close_block(compressor);
            }
            bytes = later;
        }
    }

    /// Compresses what is left.
    pub(super) fn close(&mut self, compressor: &mut Compressor) {
        if !self.pending.is_empty() {
            self.close_block(compressor);
        }
    }

    /// All that is compressed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.done
    }

    fn close_block(&mut self, compressor: &mut Compressor) {
        push_block(&mut self.done, &self.pending, compressor);
        self.pending.clear();
    }
}

/// A whole table as metadata, and where its blocks begin.
pub(super) fn in_blocks(bytes: &[u8], compressor: &mut Compressor) -> (Vec<u8>, Vec<u64>) {
    let mut blocks = Vec::new();
    let mut starts = Vec::new();
    for block in bytes.chunks(METADATA_SIZE) {
        starts.push(blocks.len() as u64);
        push_block(&mut blocks, block, compressor);
    }
    (blocks, starts)
}

fn push_block(blocks: &mut Vec<u8>, block: &[u8], compressor: &mut Compressor) {
    let (head, body) = match compressor.compress(block) {
        Some(small) => (small.len() as u16, small),
        None => (METADATA_RAW | block.len() as u16, block),
    };
    blocks.extend(head.to_le_bytes());
    blocks.extend_from_slice(body);
}
