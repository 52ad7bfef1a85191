//! Reading an image, of ours or of others.
//!
//! Nothing in an image is believed: every place is checked against the image's length, and what is held in memory does not grow
//! with what an image says of itself. An index is read where it is needed, a few blocks of metadata and a few clusters of the
//! packed file are kept.

mod contents;
mod directory;
mod index;
mod inode;
mod map;
mod units;
mod verify;
mod xattrs;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::crc32c::crc32c;
use super::decompress::Decompressor;
use super::format::{
    Algorithm, SLOT, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, Superblock, compatible, incompatible,
};
use crate::image::cache::Cache;
use crate::image::file_system::{self, FileSystem, Found, Summary, Verified};
use crate::image::{Error, Format, Source};
use crate::sys::Xattrs;
use contents::Packed;
pub use inode::Inode;

/// Metadata is read in pieces of so many bytes.
const PIECE: u64 = 4096;
/// So many of them are kept: 2 MiB.
const PIECES_KEPT: usize = 512;
/// Blocks are as large as the kernel takes them, up to its largest pages.
const BLOCK_BITS: std::ops::RangeInclusive<u8> = 9..=16;

/// An image that can be read.
pub struct Reader {
    source: Box<dyn Source>,
    path: PathBuf,
    superblock: Superblock,
    state: Mutex<State>,
    /// The file that has ends of others, when it was needed.
    packed: OnceLock<Packed>,
    /// Long prefixes of attributes, likewise.
    prefixes: OnceLock<Vec<Vec<u8>>>,
}

/// What is kept between reads.
struct State {
    decompressor: Decompressor,
    metadata: Cache<Vec<u8>>,
}

impl Reader {
    /// Opens an image that is somewhere. `path` is for messages.
    pub fn new(source: Box<dyn Source>, path: &Path) -> Result<Reader, Error> {
        let path = path.to_owned();
        match Format::of(&*source)? {
            Some(Format::Erofs) => {}
            Some(format) => return Err(Error::OtherFormat { path, format }),
            None => return Err(Error::NotAnImage { path }),
        }
        if source.size() < SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE as u64 {
            return Err(Error::Damaged { path, what: format!("it has {} bytes", source.size()) });
        }
        let mut head = [0; SUPERBLOCK_SIZE];
        source.read_at(SUPERBLOCK_OFFSET, &mut head)?;
        let superblock = Superblock::from_bytes(&head);
        let state = State { decompressor: Decompressor::new(), metadata: Cache::new(PIECES_KEPT) };
        let reader = Reader {
            source,
            path,
            superblock,
            state: Mutex::new(state),
            packed: OnceLock::new(),
            prefixes: OnceLock::new(),
        };
        reader.check_superblock()?;
        Ok(reader)
    }

    /// The image's superblock.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    fn check_superblock(&self) -> Result<(), Error> {
        let superblock = &self.superblock;
        if !BLOCK_BITS.contains(&superblock.block_bits) {
            return Err(self.damaged(&format!("blocks of 2^{} bytes", superblock.block_bits)));
        }
        // Before what is unknown: a damaged bit is no unknown feature.
        self.check_sum()?;
        let unknown = superblock.incompatible & !((incompatible::METADATA_BOX << 1) - 1);
        let refused = [
            (superblock.devices > 0, "contents on further devices".to_owned()),
            (superblock.has(incompatible::WIDE), "48-bit addresses".to_owned()),
            (superblock.has(incompatible::METADATA_BOX), "compressed metadata".to_owned()),
            (superblock.directory_block_bits > 0, "blocks of directories larger than others".to_owned()),
            (unknown != 0, format!("features that are not known here ({unknown:#x})")),
        ];
        if let Some((_, what)) = refused.into_iter().find(|(is_there, _)| *is_there) {
            return Err(self.unsupported(&what));
        }
        let (said, found) = (u64::from(superblock.blocks) * self.block_size(), self.source.size());
        if said > found {
            return Err(self.damaged(&format!("it is cut off: {found} bytes of {said}")));
        }
        Ok(())
    }

    /// Compares the checksum of the superblock's block with what it says, where it says any.
    fn check_sum(&self) -> Result<(), Error> {
        if self.superblock.compatible & compatible::CHECKSUM == 0 {
            return Ok(());
        }
        let length = match self.block_size() {
            size if size > SUPERBLOCK_OFFSET => size - SUPERBLOCK_OFFSET,
            size => size,
        };
        let mut block = vec![0; length as usize];
        self.read(SUPERBLOCK_OFFSET, &mut block)?;
        let said: [u8; 4] = block[4..8].try_into().expect("4 bytes");
        block[4..8].fill(0);
        if crc32c(&block) == u32::from_le_bytes(said) {
            return Ok(());
        }
        Err(self.damaged("the checksum of its superblock is another one"))
    }

    fn block_size(&self) -> u64 {
        1 << self.superblock.block_bits
    }

    /// The algorithms that the image says it has.
    fn algorithms(&self) -> Vec<Algorithm> {
        if self.superblock.has(incompatible::CONFIGURED) {
            let has = |algorithm: &Algorithm| self.superblock.algorithms >> *algorithm as u16 & 1 == 1;
            return Algorithm::ALL.into_iter().filter(has).collect();
        }
        // Without settings, there is but one.
        if self.superblock.has(incompatible::ZERO_PADDING) { vec![Algorithm::Lz4] } else { Vec::new() }
    }

    /// Reads bytes, which must be inside the image.
    fn read(&self, at: u64, target: &mut [u8]) -> Result<(), Error> {
        let is_inside = at.checked_add(target.len() as u64).is_some_and(|end| end <= self.source.size());
        if !is_inside {
            return Err(self.damaged(&format!("something is said to be at {at}, outside of it")));
        }
        Ok(self.source.read_at(at, target)?)
    }

    /// Reads a few bytes of metadata, near which more will be read.
    fn read_metadata(&self, at: u64, target: &mut [u8]) -> Result<(), Error> {
        let mut done = 0;
        while done < target.len() {
            let position = at.checked_add(done as u64).ok_or_else(|| self.damaged("a place is too far"))?;
            let piece = self.piece(position / PIECE * PIECE)?;
            let available = piece.get((position % PIECE) as usize..).unwrap_or_default();
            let count = available.len().min(target.len() - done);
            if count == 0 {
                return Err(self.damaged(&format!("something is said to be at {at}, outside of it")));
            }
            target[done..done + count].copy_from_slice(&available[..count]);
            done += count;
        }
        Ok(())
    }

    fn metadata<const SIZE: usize>(&self, at: u64) -> Result<[u8; SIZE], Error> {
        let mut bytes = [0; SIZE];
        self.read_metadata(at, &mut bytes)?;
        Ok(bytes)
    }

    fn piece(&self, at: u64) -> Result<Arc<Vec<u8>>, Error> {
        if let Some(kept) = self.state().metadata.get(at) {
            return Ok(kept);
        }
        let mut piece = vec![0; self.source.size().saturating_sub(at).min(PIECE) as usize];
        self.read(at, &mut piece)?;
        Ok(self.state().metadata.keep(at, piece))
    }

    /// Where an inode is.
    fn place_of(&self, number: u64) -> Result<u64, Error> {
        let start = u64::from(self.superblock.metadata_block) * self.block_size();
        let place = number.checked_mul(SLOT).and_then(|slots| slots.checked_add(start));
        place.ok_or_else(|| self.damaged("the number of an inode is too large"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Damaged { path: self.path.clone(), what: what.to_owned() }
    }

    /// Something that the kernel may read, and this does not.
    fn unsupported(&self, what: &str) -> Error {
        let hint = "mount it, or unpack it with 'fsck.erofs --extract=DIR'";
        Error::Unsupported { path: self.path.clone(), what: format!("{what} ({hint})") }
    }
}

impl FileSystem for Reader {
    fn summary(&self) -> Summary {
        let names: Vec<&str> = self.algorithms().into_iter().map(Algorithm::name).collect();
        Summary {
            format: Format::Erofs,
            compression: if names.is_empty() { "none".to_owned() } else { names.join(" and ") },
            level: None,
            block_size: self.block_size() as u32,
            time: self.superblock.time.try_into().unwrap_or_default(),
        }
    }

    fn root(&self) -> Result<Found, Error> {
        let root = self.inode(self.superblock.root.into())?;
        if root.found.is_directory() { Ok(root.found) } else { Err(self.damaged("its top is no directory")) }
    }

    fn list(&self, directory: &Found) -> Result<Vec<(Vec<u8>, Found)>, Error> {
        self.names(directory)
    }

    fn xattrs(&self, file: &Found) -> Result<Xattrs, Error> {
        self.xattrs_of(&self.inode(file.place)?)
    }

    fn open(self: Arc<Self>, file: &Found) -> Result<Box<dyn file_system::Places>, Error> {
        let inode = self.inode(file.place)?;
        Ok(Box::new(contents::Contents::new(self, &inode)?))
    }

    fn verify(&self) -> Result<Verified, Error> {
        self.verify_all()
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reader").field("path", &self.path).finish_non_exhaustive()
    }
}
