//! EROFS: a reader of our own, for images of every maker, and a writer.
//!
//! The crates for it (`erofs-rs` 0.3, `composefs` 0.9) read no compressed data, or only what they write. The specification is
//! [the kernel's](https://docs.kernel.org/filesystems/erofs.html), with `erofs_fs.h`; [`format`] says what of it is here.
//!
//! Read are all layouts of files (plain, with their end beside the inode, in chunks with holes, compressed with either kind
//! of index), all algorithms (LZ4, MicroLZMA, DEFLATE, Zstandard), clusters of several blocks, shared clusters, ends of files
//! beside inodes or in the packed file, and attributes, shared ones and long prefixes among them. Not read are 48-bit
//! addresses with encoded extents, compressed metadata, and data on further devices.

pub mod format;

mod crc32c;
mod decompress;
mod lz4;
mod reader;
mod writer;

pub use reader::{Inode, Reader};
pub(super) use writer::finish;

use super::squashfs::Compression;

/// Bytes of a block of images that are written here: every kernel can read such.
pub(super) const BLOCK: usize = 4096;

/// Whether images are written that are compressed in this way.
pub(super) fn takes(compression: Compression) -> bool {
    matches!(compression, Compression::Lz4 | Compression::Zstd(_) | Compression::None)
}
