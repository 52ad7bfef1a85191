//! The contents of a file at any place.

use std::sync::{Arc, Mutex};

use super::metadata::Cursor;
use super::{FileContents, Reader};
use crate::image::Error;
use crate::image::squashfs::format::BLOCK_RAW;

/// Reads parts of a file; of its blocks only those that are asked for, one after the other kept.
pub struct Places {
    reader: Arc<Reader>,
    file: FileContents,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of each block, where it is and its word; as far as was needed.
    known: Vec<(u64, u32)>,
    /// The block that was read last, by its number.
    last: Option<(usize, Vec<u8>)>,
}

impl Places {
    /// The contents of a file.
    pub fn new(reader: Arc<Reader>, file: FileContents) -> Places {
        Places { reader, file, state: Mutex::default() }
    }

    /// Reads at an offset, as much as there is and fits. Fewer bytes than fit are the end of the file.
    pub fn read_at(&self, offset: u64, target: &mut [u8]) -> Result<usize, Error> {
        let block_size = u64::from(self.reader.superblock.block_size);
        let mut done = 0;
        while done < target.len() {
            let at = offset.saturating_add(done as u64);
            if at >= self.file.size {
                break;
            }
            let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let number = (at / block_size) as usize;
            if state.last.as_ref().is_none_or(|(last, _)| *last != number) {
                let block = self.block(number, &mut state.known)?;
                state.last = Some((number, block));
            }
            let block = state.last.as_ref().map_or(&[][..], |(_, block)| block);
            let rest = &block[((at % block_size) as usize).min(block.len())..];
            let count = rest.len().min(target.len() - done);
            if count == 0 {
                break;
            }
            target[done..done + count].copy_from_slice(&rest[..count]);
            done += count;
        }
        Ok(done)
    }

    /// One block of the file, or its end in a fragment.
    fn block(&self, number: usize, known: &mut Vec<(u64, u32)>) -> Result<Vec<u8>, Error> {
        let block_size = u64::from(self.reader.superblock.block_size);
        let begin = number as u64 * block_size;
        let length = (self.file.size - begin).min(block_size) as usize;
        if let Some((fragment, offset)) = self.file.fragment.filter(|_| (length as u64) < block_size) {
            let part = self.reader.fragment_part(fragment, offset as usize, length)?;
            return Ok(part);
        }
        self.find_blocks(number, known)?;
        let (at, word) = known[number];
        let mut block = Vec::new();
        if word == 0 {
            block.resize(length, 0);
            return Ok(block);
        }
        self.reader.read_block(at, word, length, &mut block)?;
        if block.len() != length {
            return Err(self.reader.damaged(&format!("its block at {at} is too short")));
        }
        Ok(block)
    }

    /// Finds where blocks are, up to that with this number.
    fn find_blocks(&self, number: usize, known: &mut Vec<(u64, u32)>) -> Result<(), Error> {
        if number < known.len() {
            return Ok(());
        }
        // A block's place is known by the sizes of all before it.
        let mut words = Cursor::new(&self.reader, self.reader.superblock.inode_table, self.file.words)?;
        known.clear();
        let mut at = self.file.start;
        // Twice as far, so that going on to the end costs no more than that.
        for _ in 0..(number + 1).next_power_of_two().min(self.file.blocks(self.reader.superblock.block_size))
        {
            let word = words.u32()?;
            known.push((at, word));
            at += u64::from(word & !BLOCK_RAW);
        }
        if number < known.len() {
            return Ok(());
        }
        Err(self.reader.damaged("a file has fewer blocks than its size says"))
    }
}
