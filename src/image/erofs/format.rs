//! What is stored, and where. All numbers are little-endian. The kernel's `erofs_fs.h` is the specification.
//!
//! ```text
//! 0      anything, such as a boot sector
//! 1024   superblock, 128 bytes and more: then what the algorithms need to know, a length before each
//! …      blocks of contents, inodes and attributes, in any order
//! ```
//!
//! An inode is found by its number: at `metadata block × block size + 32 × number`. It has 32 bytes, or 64 where a number does
//! not fit into the short form or the file has a time of its own. Behind it come its attributes, and then, by its layout, the
//! index of its contents, or their end.

use crate::image::tree::Kind;

/// Where the superblock is.
pub const SUPERBLOCK_OFFSET: u64 = 1024;
/// Bytes of the superblock without extensions.
pub const SUPERBLOCK_SIZE: usize = 128;
/// `EROFS_SUPER_MAGIC_V1`.
pub const MAGIC: u32 = 0xE0F5_E1E2;
/// Bytes of an inode slot, and of a short inode.
pub const SLOT: u64 = 32;
/// Bytes of a directory's entry, without its name.
pub const ENTRY: usize = 12;
/// The most bytes that one cluster is stored in (Z_EROFS_PCLUSTER_MAX_SIZE).
pub const LARGEST_CLUSTER: u64 = 1 << 20;
/// The most bytes that come out of one cluster (Z_EROFS_PCLUSTER_MAX_DSIZE).
pub const LARGEST_EXTENT: u64 = 12 << 20;
/// The address of a hole.
pub const NOWHERE: u32 = u32::MAX;

/// Bits of `feature_compat`.
pub mod compatible {
    /// The superblock's checksum is there.
    pub const CHECKSUM: u32 = 1;
    /// Times of inodes are those of their contents.
    pub const MTIME: u32 = 2;
    /// Long prefixes of attributes are outside of the packed file though there is one.
    pub const PLAIN_PREFIXES: u32 = 0x10;
}

/// Bits of `feature_incompat`.
pub mod incompatible {
    /// Compressed data ends where its blocks end, with zeros before; without that, it is LZ4 with something behind.
    pub const ZERO_PADDING: u32 = 1;
    /// There are settings of algorithms, and clusters may have several blocks.
    pub const CONFIGURED: u32 = 2;
    /// Files may be in chunks.
    pub const CHUNKED: u32 = 4;
    /// There are further devices, or a second algorithm.
    pub const DEVICES: u32 = 8;
    /// Ends of compressed files may be beside their inodes.
    pub const TAIL_PACKING: u32 = 0x10;
    /// Ends of files may be in the packed file, and clusters may be shared.
    pub const FRAGMENTS: u32 = 0x20;
    /// Attributes may have long prefixes.
    pub const PREFIXES: u32 = 0x40;
    /// Addresses have 48 bits; files may have encoded extents.
    pub const WIDE: u32 = 0x80;
    /// Metadata may be compressed.
    pub const METADATA_BOX: u32 = 0x100;
}

/// Bits of what an inode says of its compression (`h_advise`).
pub mod advice {
    /// A compact index has entries of two bytes.
    pub const TWO_BYTES: u16 = 1;
    /// Clusters of the first algorithm may have several blocks.
    pub const LARGE_1: u16 = 2;
    /// Those of the second, and those that are not compressed.
    pub const LARGE_2: u16 = 4;
    /// The last cluster is beside the index.
    pub const INLINE: u16 = 8;
    /// What is not compressed is in its block where it is in the file's, as in a ring.
    pub const INTERLACED: u16 = 0x10;
    /// The end is in the packed file.
    pub const FRAGMENT: u16 = 0x20;
}

/// Set in the distance of the first cluster after a head: then it is the number of blocks (Z_EROFS_LI_D0_CBLKCNT).
pub const BLOCK_COUNT: u16 = 1 << 11;

/// Types of entries of indexes.
pub mod cluster {
    /// An extent begins that is not compressed.
    pub const PLAIN: u8 = 0;
    /// One begins that the first algorithm has compressed.
    pub const HEAD_1: u8 = 1;
    /// None begins.
    pub const INSIDE: u8 = 2;
    /// One begins that the second algorithm has compressed.
    pub const HEAD_2: u8 = 3;
}

/// How a file's contents are stored (`i_format`, bits 1 to 3).
pub mod layout {
    /// In blocks, one after the other.
    pub const PLAIN: u16 = 0;
    /// Compressed, with an index of eight bytes for each cluster.
    pub const FULL: u16 = 1;
    /// In blocks, but for the end, which is behind the inode.
    pub const INLINE: u16 = 2;
    /// Compressed, with a smaller index.
    pub const COMPACT: u16 = 3;
    /// In chunks, which may be holes or shared.
    pub const CHUNKED: u16 = 4;
}

/// The number of a kind in directories (FT_REG_FILE and the like).
pub fn listed_type<F>(kind: &Kind<F>) -> u8 {
    match kind {
        Kind::File(_) => 1,
        Kind::Directory(_) => 2,
        Kind::CharacterDevice(_) => 3,
        Kind::BlockDevice(_) => 4,
        Kind::Fifo => 5,
        Kind::Socket => 6,
        Kind::Symlink(_) => 7,
    }
}

/// What names of attributes begin with, by the numbers that stand for it.
pub const XATTR_PREFIXES: [(u8, &[u8]); 6] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (5, b"lustre."),
    (6, b"security."),
];

/// How clusters are compressed; the numbers are those of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// LZ4.
    Lz4 = 0,
    /// LZMA, without a header (MicroLZMA).
    Lzma = 1,
    /// DEFLATE, without a header.
    Deflate = 2,
    /// Zstandard.
    Zstd = 3,
}

impl Algorithm {
    /// All of them, by their numbers.
    pub const ALL: [Algorithm; 4] = [Algorithm::Lz4, Algorithm::Lzma, Algorithm::Deflate, Algorithm::Zstd];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Lz4 => "lz4",
            Algorithm::Lzma => "lzma",
            Algorithm::Deflate => "deflate",
            Algorithm::Zstd => "zstd",
        }
    }
}

/// The superblock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Superblock {
    /// Bits of [`compatible`].
    pub compatible: u32,
    /// The size of a block, as a power of two.
    pub block_bits: u8,
    /// Further pieces of 16 bytes that the superblock has.
    pub extensions: u8,
    /// The number of the top directory's inode.
    pub root: u16,
    /// How many inodes there are.
    pub inodes: u64,
    /// The time of the image, and of short inodes.
    pub time: u64,
    /// Blocks of the image.
    pub blocks: u32,
    /// The block that inodes' numbers count from.
    pub metadata_block: u32,
    /// The block that numbers of shared attributes count from.
    pub xattr_block: u32,
    /// Which image it is.
    pub uuid: [u8; 16],
    /// Bits of [`incompatible`].
    pub incompatible: u32,
    /// Which algorithms there are, a bit for each; where there are no settings, something of LZ4.
    pub algorithms: u16,
    /// How many further devices there are.
    pub devices: u16,
    /// The size of a directory's block, as a power of two times that of a block.
    pub directory_block_bits: u8,
    /// How many long prefixes of attributes there are.
    pub prefixes: u8,
    /// Where they begin, in pieces of four bytes.
    pub prefix_start: u32,
    /// The number of the packed file's inode; 0 where there is none.
    pub packed: u64,
}

impl Superblock {
    /// Whether a bit of [`incompatible`] is set.
    pub fn has(&self, feature: u32) -> bool {
        self.incompatible & feature != 0
    }

    /// Reads one. Whether its numbers make sense is for the reader to say.
    pub fn from_bytes(bytes: &[u8; SUPERBLOCK_SIZE]) -> Superblock {
        let u16 = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32 = |at: usize| u32::from(u16(at)) | u32::from(u16(at + 2)) << 16;
        let u64 = |at: usize| u64::from(u32(at)) | u64::from(u32(at + 4)) << 32;
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&bytes[48..64]);
        Superblock {
            compatible: u32(8),
            block_bits: bytes[12],
            extensions: bytes[13],
            root: u16(14),
            inodes: u64(16),
            time: u64(24),
            blocks: u32(36),
            metadata_block: u32(40),
            xattr_block: u32(44),
            uuid,
            incompatible: u32(80),
            algorithms: u16(84),
            devices: u16(86),
            directory_block_bits: bytes[90],
            prefixes: bytes[91],
            prefix_start: u32(92),
            packed: u64(96),
        }
    }

    /// As it is stored, without its checksum.
    pub fn to_bytes(&self) -> [u8; SUPERBLOCK_SIZE] {
        let mut bytes = [0; SUPERBLOCK_SIZE];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &MAGIC.to_le_bytes());
        put(8, &self.compatible.to_le_bytes());
        put(12, &[self.block_bits, self.extensions]);
        put(14, &self.root.to_le_bytes());
        put(16, &self.inodes.to_le_bytes());
        put(24, &self.time.to_le_bytes());
        put(36, &self.blocks.to_le_bytes());
        put(40, &self.metadata_block.to_le_bytes());
        put(44, &self.xattr_block.to_le_bytes());
        put(48, &self.uuid);
        put(80, &self.incompatible.to_le_bytes());
        put(84, &self.algorithms.to_le_bytes());
        put(86, &self.devices.to_le_bytes());
        put(90, &[self.directory_block_bits, self.prefixes]);
        put(92, &self.prefix_start.to_le_bytes());
        put(96, &self.packed.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_superblock_comes_back() {
        let superblock = Superblock {
            compatible: 3,
            block_bits: 12,
            root: 0x1234,
            inodes: 1 << 40,
            time: 1_700_000_000,
            blocks: 99,
            metadata_block: 7,
            xattr_block: 8,
            uuid: *b"0123456789abcdef",
            incompatible: incompatible::FRAGMENTS,
            algorithms: 9,
            packed: 1 << 33,
            ..Superblock::default()
        };
        assert_eq!(Superblock::from_bytes(&superblock.to_bytes()), superblock);
        assert!(superblock.has(incompatible::FRAGMENTS) && !superblock.has(incompatible::WIDE));
    }
}
