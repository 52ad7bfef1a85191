//! The contents of a file, block by block.

use std::io::{self, Read};
use std::sync::Arc;

use super::metadata::Cursor;
use super::{FileContents, Reader};
use crate::image::Error;
use crate::image::squashfs::format::NONE_64;

/// Reads a file's contents from their beginning.
pub struct Contents<'a> {
    reader: &'a Reader,
    file: FileContents,
    words: Option<Cursor<'a>>,
    /// Where the next block is in the image.
    at: u64,
    /// Bytes of the file that are left.
    left: u64,
    block: Vec<u8>,
    /// What of the block was not given yet, where it is read as a stream.
    given: usize,
}

/// A part of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// So many zeros.
    Hole(u64),
    /// Bytes.
    Data(&'a [u8]),
}

impl Reader {
    /// The contents of a file.
    pub fn contents(&self, file: &FileContents) -> Contents<'_> {
        Contents {
            reader: self,
            file: *file,
            words: None,
            at: file.start,
            left: file.size,
            block: Vec::new(),
            given: 0,
        }
    }

    /// All of a file, if it is not longer than `limit`; `None` if it is.
    pub fn read_file(&self, file: &FileContents, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        if file.size > limit {
            return Ok(None);
        }
        let mut all = Vec::new();
        let mut contents = self.contents(file);
        while let Some(piece) = contents.next_piece()? {
            match piece {
                Piece::Hole(length) => all.resize(all.len() + length as usize, 0),
                Piece::Data(bytes) => all.extend_from_slice(bytes),
            }
        }
        Ok(Some(all))
    }

    /// The end of a file, in a fragment block.
    pub(super) fn fragment_part(&self, number: u32, start: usize, length: usize) -> Result<Vec<u8>, Error> {
        let shared = self.fragment(number)?;
        let part = start.checked_add(length).and_then(|end| shared.get(start..end));
        let part = part.ok_or_else(|| self.damaged("a file is said to be behind a fragment's end"))?;
        Ok(part.to_vec())
    }

    fn fragment(&self, number: u32) -> Result<Arc<Vec<u8>>, Error> {
        let (start, word) = self.fragment_place(number)?;
        if let Some(kept) = self.state().fragments.get(start) {
            return Ok(kept);
        }
        let mut block = Vec::new();
        self.read_block(start, word, self.superblock.block_size as usize, &mut block)?;
        Ok(self.state().fragments.keep(start, block))
    }

    /// Where a fragment block is, and its word.
    pub(super) fn fragment_place(&self, number: u32) -> Result<(u64, u32), Error> {
        let table = self.superblock.fragment_table;
        if number >= self.superblock.fragments || table == NONE_64 {
            return Err(self.damaged(&format!("there is no fragment {number}")));
        }
        let entry: [u8; 16] = self.table_entry(table, u64::from(number))?;
        let (start, rest) = entry.split_at(8);
        let start = u64::from_le_bytes(start.try_into().expect("8 of 16 bytes"));
        let word = u32::from_le_bytes(rest[..4].try_into().expect("4 of 8 bytes"));
        Ok((start, word))
    }
}

impl Contents<'_> {
    /// The next part; `None` at the end.
    pub fn next_piece(&mut self) -> Result<Option<Piece<'_>>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        let block_size = u64::from(self.reader.superblock.block_size);
        let length = self.left.min(block_size);
        if let Some((fragment, offset)) = self.file.fragment.filter(|_| length < block_size) {
            let shared = self.reader.fragment(fragment)?;
            let start = offset as usize;
            let part = start.checked_add(length as usize).and_then(|end| shared.get(start..end));
            let part =
                part.ok_or_else(|| self.reader.damaged("a file is said to be behind a fragment's end"))?;
            self.block.clear();
            self.block.extend_from_slice(part);
        } else if !self.read_block(length as usize)? {
            self.left -= length;
            return Ok(Some(Piece::Hole(length)));
        }
        self.left -= length;
        Ok(Some(Piece::Data(&self.block)))
    }

    /// Reads the next block; says whether there is one, or a hole.
    fn read_block(&mut self, length: usize) -> Result<bool, Error> {
        let words = match &mut self.words {
            Some(words) => words,
            none => {
                none.insert(Cursor::new(self.reader, self.reader.superblock.inode_table, self.file.words)?)
            }
        };
        let word = words.u32()?;
        if word == 0 {
            return Ok(false);
        }
        self.reader.read_block(self.at, word, length, &mut self.block)?;
        if self.block.len() != length {
            return Err(self.reader.damaged(&format!("its block at {} is too short", self.at)));
        }
        self.at += u64::from(word & !crate::image::squashfs::format::BLOCK_RAW);
        Ok(true)
    }
}

impl Read for Contents<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.given >= self.block.len() {
            let hole = match self.next_piece().map_err(io::Error::other)? {
                None => return Ok(0),
                Some(Piece::Hole(length)) => Some(length as usize),
                Some(Piece::Data(_)) => None,
            };
            if let Some(length) = hole {
                self.block.clear();
                self.block.resize(length, 0);
            }
            self.given = 0;
        }
        let available = &self.block[self.given..];
        let count = available.len().min(target.len());
        target[..count].copy_from_slice(&available[..count]);
        self.given += count;
        Ok(count)
    }
}
