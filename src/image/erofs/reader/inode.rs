//! Inodes as they are stored.

use super::Reader;
use crate::image::Error;
use crate::image::erofs::format::{incompatible, layout};
use crate::image::file_system::Found;
use crate::image::tree::{Device, Kind, LONGEST_PATH};

/// One file of any kind, with where its parts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// What is known of it; its place is its number.
    pub found: Found,
    /// Bytes of its contents.
    pub size: u64,
    /// How they are stored ([`layout`]).
    pub(super) layout: u16,
    /// A number whose meaning depends on the layout.
    pub(super) word: u32,
    /// Where its attributes are.
    pub(super) xattrs: u64,
    /// Where those end, and what the layout wants behind them begins.
    pub(super) end: u64,
}

/// Types of files in `i_mode` (S_IFMT).
mod file_type {
    pub(super) const MASK: u16 = 0o170_000;
    pub(super) const FIFO: u16 = 0o010_000;
    pub(super) const CHARACTER_DEVICE: u16 = 0o020_000;
    pub(super) const DIRECTORY: u16 = 0o040_000;
    pub(super) const BLOCK_DEVICE: u16 = 0o060_000;
    pub(super) const FILE: u16 = 0o100_000;
    pub(super) const SYMLINK: u16 = 0o120_000;
    pub(super) const SOCKET: u16 = 0o140_000;
}

/// Bits of `i_format` that have a meaning.
const FORMAT_BITS: u16 = 0xf;
/// Bytes of the head of attributes, and of each piece of them.
const XATTR_HEAD: u64 = 12;

impl Reader {
    /// The inode with a number.
    pub fn inode(&self, number: u64) -> Result<Inode, Error> {
        let (mode, mut inode) = self.stored_inode(number)?;
        inode.found.kind = self.kind(mode, &inode)?;
        Ok(inode)
    }

    /// The file that has ends of others. Nothing of what is in it is read.
    pub(super) fn packed_inode(&self) -> Result<Inode, Error> {
        let (mode, inode) = self.stored_inode(self.superblock.packed)?;
        if self.superblock.packed == 0 || mode & file_type::MASK != file_type::FILE {
            return Err(self.damaged("there is no file of ends of others"));
        }
        Ok(inode)
    }

    /// An inode with the type of its file, which is not in it yet.
    fn stored_inode(&self, number: u64) -> Result<(u16, Inode), Error> {
        let at = self.place_of(number)?;
        let short: [u8; 32] = self.metadata(at)?;
        let format = u16_at(&short, 0);
        if format & !FORMAT_BITS != 0 {
            return Err(self.unsupported(&format!("an inode of format {format:#x}")));
        }
        let is_long = format & 1 == 1;
        let mode = u16_at(&short, 4);
        let pieces = u64::from(u16_at(&short, 2));
        let mut inode = Inode {
            found: Found {
                place: number,
                mode: mode & 0o7777,
                uid: u16_at(&short, 24).into(),
                gid: u16_at(&short, 26).into(),
                mtime: self.superblock.time.try_into().unwrap_or_default(),
                links: u16_at(&short, 6).into(),
                kind: Kind::Fifo,
            },
            size: u32_at(&short, 8).into(),
            layout: format >> 1,
            word: u32_at(&short, 16),
            xattrs: at + 32,
            end: 0,
        };
        if is_long {
            let long: [u8; 64] = self.metadata(at)?;
            inode.size = u64_at(&long, 8);
            let found = &mut inode.found;
            (found.uid, found.gid, found.links) = (u32_at(&long, 24), u32_at(&long, 28), u32_at(&long, 44));
            found.mtime = u64_at(&long, 32) as i64;
            inode.xattrs = at + 64;
        }
        let xattrs = if pieces == 0 { 0 } else { XATTR_HEAD + (pieces - 1) * 4 };
        inode.end = inode.xattrs + xattrs;
        self.check_layout(&inode)?;
        Ok((mode, inode))
    }

    fn check_layout(&self, inode: &Inode) -> Result<(), Error> {
        match inode.layout {
            layout::PLAIN | layout::INLINE | layout::FULL | layout::COMPACT => Ok(()),
            layout::CHUNKED if self.superblock.has(incompatible::CHUNKED) => Ok(()),
            other => Err(self.unsupported(&format!("a file of layout {other}"))),
        }
    }

    fn kind(&self, mode: u16, inode: &Inode) -> Result<Kind<u64>, Error> {
        Ok(match mode & file_type::MASK {
            file_type::DIRECTORY => Found::directory(),
            file_type::FILE => Kind::File(inode.size),
            file_type::SYMLINK => Kind::Symlink(self.target(inode)?),
            file_type::CHARACTER_DEVICE => Kind::CharacterDevice(Device::unpacked(inode.word)),
            file_type::BLOCK_DEVICE => Kind::BlockDevice(Device::unpacked(inode.word)),
            file_type::FIFO => Kind::Fifo,
            file_type::SOCKET => Kind::Socket,
            _ => return Err(self.damaged(&format!("a file of mode {mode:o}"))),
        })
    }

    /// Where a link leads.
    fn target(&self, inode: &Inode) -> Result<Vec<u8>, Error> {
        if inode.size > LONGEST_PATH as u64 + 1 {
            return Err(self.damaged(&format!("a link with a target of {} bytes", inode.size)));
        }
        self.whole(inode)
    }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
