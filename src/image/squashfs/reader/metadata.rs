//! Going through metadata, block by block.

use std::sync::Arc;

use super::Reader;
use crate::image::Error;
use crate::image::squashfs::format::Reference;

/// A place in metadata, from which can be read.
pub(super) struct Cursor<'a> {
    reader: &'a Reader,
    table: u64,
    /// Where the block begins, relative to the table.
    block: u64,
    /// The block's bytes, and where the next one begins.
    data: Arc<(Vec<u8>, u64)>,
    offset: usize,
}

impl<'a> Cursor<'a> {
    /// At a place of the table that begins at `table`.
    pub(super) fn new(reader: &'a Reader, table: u64, place: Reference) -> Result<Cursor<'a>, Error> {
        let data = load(reader, table, place.block)?;
        let offset = usize::from(place.offset);
        if offset > data.0.len() {
            return Err(reader.damaged("something is said to be behind the end of its metadata"));
        }
        Ok(Cursor { reader, table, block: place.block, data, offset })
    }

    /// Where the next byte is.
    pub(super) fn position(&self) -> Reference {
        Reference { block: self.block, offset: self.offset as u16 }
    }

    /// Reads as many bytes as fit.
    pub(super) fn read(&mut self, mut target: &mut [u8]) -> Result<(), Error> {
        while !target.is_empty() {
            if self.offset == self.data.0.len() {
                self.block = self.data.1 - self.table;
                self.data = load(self.reader, self.table, self.block)?;
                self.offset = 0;
            }
            let available = &self.data.0[self.offset..];
            let (now, later) = target.split_at_mut(available.len().min(target.len()));
            now.copy_from_slice(&available[..now.len()]);
            self.offset += now.len();
            target = later;
        }
        Ok(())
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; length];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        let mut bytes = [0; 2];
        self.read(&mut bytes)?;
        Ok(u16::from_le_bytes(bytes))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        self.read(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.read(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

fn load(reader: &Reader, table: u64, block: u64) -> Result<Arc<(Vec<u8>, u64)>, Error> {
    let at = table.checked_add(block).ok_or_else(|| reader.damaged("a place is too far"))?;
    if let Some(kept) = reader.state().metadata.get(at) {
        return Ok(kept);
    }
    let block = reader.read_metadata_block(at)?;
    Ok(reader.state().metadata.keep(at, block))
}
