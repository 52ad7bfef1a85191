//! Reading an image, of ours or of others.
//!
//! Nothing in an image is believed: every place is checked against the file's length, every length against what the
//! format allows, and what is decompressed is never more than a block. What is held in memory does not grow with what
//! an image says of itself: tables are read where they are needed, a few blocks of them are kept.

mod contents;
mod directory;
mod file_system;
mod inode;
mod metadata;
mod places;
mod units;
mod verify;
mod walk;
mod xattrs;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::compression::Decompressor;
use super::format::{
    BLOCK_RAW, METADATA_RAW, METADATA_SIZE, NONE_64, Reference, SUPERBLOCK_SIZE, Superblock, Unreadable, flag,
};
use crate::image::cache::Cache;
use crate::image::{Error, FileSource, Format, Source};
pub use contents::{Contents, Piece};
pub use directory::{Entries, Entry};
pub use inode::{FileContents, Inode, InodeKind};
use metadata::Cursor;
pub use places::Places;
pub use walk::{Walk, Walked};

/// An image that can be read.
pub struct Reader {
    source: Box<dyn Source>,
    path: PathBuf,
    superblock: Superblock,
    /// Users and groups.
    ids: Vec<u32>,
    state: Mutex<State>,
}

/// What is kept between blocks.
struct State {
    decompressor: Decompressor,
    metadata: Cache<(Vec<u8>, u64)>,
    fragments: Cache<Vec<u8>>,
}

/// Blocks of metadata that are kept: 2 MiB.
const METADATA_KEPT: usize = 256;
/// Fragment blocks that are kept.
const FRAGMENTS_KEPT: usize = 4;

impl Reader {
    /// Opens an image that is all of a file. `path` is for messages.
    pub fn open(file: File, path: &Path) -> Result<Reader, Error> {
        Reader::new(Box::new(FileSource::of(file, path)?), path)
    }

    /// Opens an image that is somewhere. `path` is for messages.
    pub fn new(source: Box<dyn Source>, path: &Path) -> Result<Reader, Error> {
        let path = path.to_owned();
        match Format::of(&*source)? {
            Some(Format::Squashfs) => {}
            Some(format) => return Err(Error::OtherFormat { path, format }),
            None => return Err(Error::NotAnImage { path }),
        }
        let mut head = [0; SUPERBLOCK_SIZE];
        if source.size() < SUPERBLOCK_SIZE as u64 {
            return Err(Error::Damaged { path, what: format!("it has {} bytes", source.size()) });
        }
        source.read_at(0, &mut head)?;
        let superblock = Superblock::from_bytes(&head).map_err(|reason| {
            let what = match reason {
                Unreadable::Magic => return Error::NotAnImage { path: path.clone() },
                Unreadable::Version(major, minor) => format!("squashfs version {major}.{minor}"),
                Unreadable::Algorithm(id) => format!("squashfs compressor number {id}"),
                Unreadable::BlockSize(size) => {
                    return Error::Damaged { path: path.clone(), what: format!("blocks of {size} bytes") };
                }
            };
            Error::Unsupported { path: path.clone(), what }
        })?;
        let state = State {
            decompressor: Decompressor::new(superblock.algorithm),
            metadata: Cache::new(METADATA_KEPT),
            fragments: Cache::new(FRAGMENTS_KEPT),
        };
        let mut reader = Reader { source, path, superblock, ids: Vec::new(), state: Mutex::new(state) };
        reader.check_superblock()?;
        reader.ids = reader.read_ids()?;
        Ok(reader)
    }

    /// The image's first block.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// The level or preset that an image was compressed with, where it says so: what differs from `mksquashfs`'s default.
    pub fn level(&self) -> Option<u32> {
        use super::compression::Algorithm;
        let options = self.options().ok().flatten()?;
        let first = u32::from_le_bytes(*options.first_chunk()?);
        matches!(self.superblock.algorithm, Algorithm::Gzip | Algorithm::Zstd).then_some(first)
    }

    /// The top directory.
    pub fn root(&self) -> Result<Inode, Error> {
        let root = self.inode(self.superblock.root)?;
        match root.kind {
            InodeKind::Directory { .. } => Ok(root),
            _ => Err(self.damaged("its top is no directory")),
        }
    }

    /// What is at a path, which may begin with a slash. Links are not followed.
    pub fn find(&self, path: &[u8]) -> Result<Option<Inode>, Error> {
        let mut at = self.root()?;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            if !matches!(at.kind, InodeKind::Directory { .. }) {
                return Ok(None);
            }
            let mut found = None;
            for entry in self.entries(&at)? {
                let entry = entry?;
                if entry.name == name {
                    found = Some(entry.inode);
                    break;
                }
            }
            let Some(reference) = found else { return Ok(None) };
            at = self.inode(reference)?;
        }
        Ok(Some(at))
    }

    fn check_superblock(&self) -> Result<(), Error> {
        let superblock = &self.superblock;
        if superblock.bytes_used > self.source.size() {
            let (said, found) = (superblock.bytes_used, self.source.size());
            return Err(self.damaged(&format!("it is cut off: {found} bytes of {said}")));
        }
        let tables = [
            ("inodes", superblock.inode_table),
            ("directories", superblock.directory_table),
            ("ids", superblock.id_table),
            ("fragments", superblock.fragment_table),
            ("exports", superblock.export_table),
            ("attributes", superblock.xattr_table),
        ];
        for (number, (name, start)) in tables.into_iter().enumerate() {
            let may_be_absent = number > 2 && start == NONE_64;
            let is_inside = (SUPERBLOCK_SIZE as u64..superblock.bytes_used).contains(&start);
            if !may_be_absent && !is_inside {
                return Err(self.damaged(&format!("its table of {name} is outside")));
            }
        }
        Ok(())
    }

    /// The compressor's options, as they are stored.
    fn options(&self) -> Result<Option<Vec<u8>>, Error> {
        if !self.superblock.has(flag::OPTIONS) {
            return Ok(None);
        }
        let (block, _) = self.read_metadata_block(SUPERBLOCK_SIZE as u64)?;
        Ok(Some(block))
    }

    fn read_ids(&self) -> Result<Vec<u32>, Error> {
        (0..u64::from(self.superblock.ids))
            .map(|number| Ok(u32::from_le_bytes(self.table_entry(self.superblock.id_table, number)?)))
            .collect()
    }

    /// An entry of a table of metadata that is found through a list of its blocks.
    fn table_entry<const SIZE: usize>(&self, list: u64, number: u64) -> Result<[u8; SIZE], Error> {
        let at = number.checked_mul(SIZE as u64).ok_or_else(|| self.damaged("a number is too large"))?;
        let (block, offset) = (at / METADATA_SIZE as u64, (at % METADATA_SIZE as u64) as u16);
        let in_list = block.checked_mul(8).and_then(|place| place.checked_add(list));
        let mut start = [0; 8];
        self.read(&mut start, in_list.ok_or_else(|| self.damaged("a number is too large"))?)?;
        let mut cursor = Cursor::new(self, 0, Reference { block: u64::from_le_bytes(start), offset })?;
        let mut entry = [0; SIZE];
        cursor.read(&mut entry)?;
        Ok(entry)
    }

    /// Reads bytes, which must be inside the image.
    fn read(&self, target: &mut [u8], at: u64) -> Result<(), Error> {
        let is_inside =
            at.checked_add(target.len() as u64).is_some_and(|end| end <= self.superblock.bytes_used);
        if !is_inside {
            return Err(self.damaged(&format!("something is said to be at {at}, outside of it")));
        }
        Ok(self.source.read_at(at, target)?)
    }

    /// A block of metadata and the place of the next one.
    fn read_metadata_block(&self, at: u64) -> Result<(Vec<u8>, u64), Error> {
        let mut head = [0; 2];
        self.read(&mut head, at)?;
        let head = u16::from_le_bytes(head);
        let length = usize::from(head & !METADATA_RAW);
        let damaged = || self.damaged(&format!("its metadata at {at} makes no sense"));
        if length == 0 || length > METADATA_SIZE {
            return Err(damaged());
        }
        let mut stored = vec![0; length];
        self.read(&mut stored, at + 2)?;
        let next = at + 2 + length as u64;
        if head & METADATA_RAW != 0 {
            return Ok((stored, next));
        }
        let mut block = vec![0; METADATA_SIZE];
        let length = self.state().decompressor.decompress(&stored, &mut block).ok_or_else(damaged)?;
        block.truncate(length);
        if block.is_empty() {
            return Err(damaged());
        }
        Ok((block, next))
    }

    /// A data or fragment block with this word, of at most `limit` bytes, in `target`.
    fn read_block(&self, at: u64, word: u32, limit: usize, target: &mut Vec<u8>) -> Result<(), Error> {
        let length = (word & !BLOCK_RAW) as usize;
        let is_raw = word & BLOCK_RAW != 0;
        let damaged = || self.damaged(&format!("its block at {at} makes no sense"));
        if length == 0 || length > self.superblock.block_size as usize || is_raw && length > limit {
            return Err(damaged());
        }
        if is_raw {
            target.resize(length, 0);
            return self.read(target, at);
        }
        let mut stored = vec![0; length];
        self.read(&mut stored, at)?;
        target.resize(limit, 0);
        let length = self.state().decompressor.decompress(&stored, target).ok_or_else(damaged)?;
        target.truncate(length);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Damaged { path: self.path.clone(), what: what.to_owned() }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reader").field("path", &self.path).finish_non_exhaustive()
    }
}
