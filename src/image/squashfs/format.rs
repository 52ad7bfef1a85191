//! SquashFS 4.0 on disk, as Linux reads it (fs/squashfs/squashfs_fs.h). All numbers are little-endian.
//!
//! ```text
//! superblock | compressor options | data blocks and fragment blocks | inode table | directory table
//!            | fragment table | export table | id table | extended attributes | padding to 4 KiB
//! ```
//!
//! Tables from the inode table on are *metadata*: blocks of 8 KiB, each compressed and with two bytes before it: its length
//! on disk, and bit 15 set where it is stored as it is. A place in metadata is a *reference*: where its block
//! begins on disk, relative to the table (48 bits), and the byte in the block after decompression (16 bits). The fragment, export, id and
//! attribute tables are metadata found through a list of absolute block positions behind them.
//!
//! A file's contents are *data blocks* one after the other, each the compressed block size of the file (the last one
//! shorter), and a *word* for each in the inode: its length on disk, bit 24 set where it is stored as it is, 0 where it is
//! a hole. The end of a file that fills no block can be in a *fragment*, a block that many files share.

use super::compression::Algorithm;

/// The first four bytes: "hsqs".
pub const MAGIC: u32 = 0x7371_7368;
/// Bytes of the superblock.
pub const SUPERBLOCK_SIZE: usize = 96;
/// Bytes of a block of metadata before it is compressed.
pub const METADATA_SIZE: usize = 8192;
/// In the length of a block of metadata: stored as it is.
pub const METADATA_RAW: u16 = 1 << 15;
/// In the word of a data block: stored as it is.
pub const BLOCK_RAW: u32 = 1 << 24;
/// No fragment, no attributes.
pub const NONE_32: u32 = u32::MAX;
/// No such table.
pub const NONE_64: u64 = u64::MAX;
/// The length of a directory's listing counts these many bytes more, for `.` and `..`.
pub const LISTING_EXTRA: u32 = 3;
/// The most names under one header of a directory listing.
pub const LISTING_RUN: usize = 256;
/// In the type of an attribute: the value is a reference to where it is stored.
pub const XATTR_ELSEWHERE: u16 = 1 << 8;
/// Which names of attributes there can be, at the index that stands for each.
pub const XATTR_PREFIXES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

/// Flags of the superblock.
pub mod flag {
    /// The inode table is not compressed.
    pub const RAW_INODES: u16 = 1 << 0;
    /// Data blocks are not compressed.
    pub const RAW_DATA: u16 = 1 << 1;
    /// Fragment blocks are not compressed.
    pub const RAW_FRAGMENTS: u16 = 1 << 3;
    /// There are no fragments.
    pub const NO_FRAGMENTS: u16 = 1 << 4;
    /// Files with the same contents share blocks.
    pub const DUPLICATES: u16 = 1 << 6;
    /// Inodes can be found by number, as NFS needs.
    pub const EXPORTABLE: u16 = 1 << 7;
    /// Extended attributes are not compressed.
    pub const RAW_XATTRS: u16 = 1 << 8;
    /// There are no extended attributes.
    pub const NO_XATTRS: u16 = 1 << 9;
    /// The compressor's options follow the superblock.
    pub const OPTIONS: u16 = 1 << 10;
    /// The id table is not compressed.
    pub const RAW_IDS: u16 = 1 << 11;
}

/// The type of an inode; the extended one of each is 7 more.
pub mod inode_type {
    /// Directory.
    pub const DIRECTORY: u16 = 1;
    /// Regular file.
    pub const FILE: u16 = 2;
    /// Symbolic link.
    pub const SYMLINK: u16 = 3;
    /// Block device.
    pub const BLOCK_DEVICE: u16 = 4;
    /// Character device.
    pub const CHARACTER_DEVICE: u16 = 5;
    /// Named pipe.
    pub const FIFO: u16 = 6;
    /// Unix socket.
    pub const SOCKET: u16 = 7;
    /// What makes an extended type of one.
    pub const EXTENDED: u16 = 7;
}

/// The beginning of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Superblock {
    /// How many inodes there are.
    pub inodes: u32,
    /// When the image was made, in seconds since 1970.
    pub time: u32,
    /// Bytes of a data block before it is compressed: a power of two from 4 KiB to 1 MiB.
    pub block_size: u32,
    /// How many fragment blocks there are.
    pub fragments: u32,
    /// How blocks are compressed.
    pub algorithm: Algorithm,
    /// See [`flag`].
    pub flags: u16,
    /// How many user and group ids there are.
    pub ids: u16,
    /// The top directory's inode.
    pub root: Reference,
    /// Bytes of the image, without padding.
    pub bytes_used: u64,
    /// Where the list of the id table is.
    pub id_table: u64,
    /// Where the list of the attribute table is.
    pub xattr_table: u64,
    /// Where inodes begin.
    pub inode_table: u64,
    /// Where directory listings begin.
    pub directory_table: u64,
    /// Where the list of the fragment table is.
    pub fragment_table: u64,
    /// Where the list of the export table is.
    pub export_table: u64,
}

/// A place in a table of metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Where the block begins on disk, relative to the table.
    pub block: u64,
    /// The byte in the decompressed block.
    pub offset: u16,
}

/// Why a superblock is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It is something else.
    Magic,
    /// Another version than 4.0.
    Version(u16, u16),
    /// A compressor that is not known here.
    Algorithm(u16),
    /// A block size that there is not.
    BlockSize(u32),
}

impl Reference {
    /// As it is stored.
    pub fn to_raw(self) -> u64 {
        self.block << 16 | u64::from(self.offset)
    }

    /// From what is stored.
    pub fn from_raw(raw: u64) -> Reference {
        Reference { block: raw >> 16, offset: raw as u16 }
    }
}

impl Superblock {
    /// As it is stored.
    pub fn to_bytes(self) -> [u8; SUPERBLOCK_SIZE] {
        let mut bytes = Vec::with_capacity(SUPERBLOCK_SIZE);
        for number in [MAGIC, self.inodes, self.time, self.block_size, self.fragments] {
            bytes.extend(number.to_le_bytes());
        }
        let log = self.block_size.trailing_zeros() as u16;
        for number in [self.algorithm.id(), log, self.flags, self.ids, 4, 0] {
            bytes.extend(number.to_le_bytes());
        }
        let tables = [
            self.root.to_raw(),
            self.bytes_used,
            self.id_table,
            self.xattr_table,
            self.inode_table,
            self.directory_table,
            self.fragment_table,
            self.export_table,
        ];
        for number in tables {
            bytes.extend(number.to_le_bytes());
        }
        bytes.try_into().expect("five of four bytes, six of two, eight of eight")
    }

    /// From what is stored. Where tables are is checked by whoever knows how large the file is.
    pub fn from_bytes(bytes: &[u8; SUPERBLOCK_SIZE]) -> Result<Superblock, Unreadable> {
        let [u16_at, u32_at, u64_at] = [2, 4, 8].map(|width| {
            move |at: usize| {
                bytes[at..at + width].iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte))
            }
        });
        if u32_at(0) as u32 != MAGIC {
            return Err(Unreadable::Magic);
        }
        let version = (u16_at(28) as u16, u16_at(30) as u16);
        if version != (4, 0) {
            return Err(Unreadable::Version(version.0, version.1));
        }
        let block_size = u32_at(12) as u32;
        let is_size = block_size.is_power_of_two() && (4096..=1 << 20).contains(&block_size);
        if !is_size || u64::from(block_size.trailing_zeros()) != u16_at(22) {
            return Err(Unreadable::BlockSize(block_size));
        }
        let id = u16_at(20) as u16;
        Ok(Superblock {
            inodes: u32_at(4) as u32,
            time: u32_at(8) as u32,
            block_size,
            fragments: u32_at(16) as u32,
            algorithm: Algorithm::from_id(id).ok_or(Unreadable::Algorithm(id))?,
            flags: u16_at(24) as u16,
            ids: u16_at(26) as u16,
            root: Reference::from_raw(u64_at(32)),
            bytes_used: u64_at(40),
            id_table: u64_at(48),
            xattr_table: u64_at(56),
            inode_table: u64_at(64),
            directory_table: u64_at(72),
            fragment_table: u64_at(80),
            export_table: u64_at(88),
        })
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}
