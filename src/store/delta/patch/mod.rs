//! Patches: how an image is made of one older one. The file is `IMAGE.from-XXXXXXXXXXXX.patch`, with the first twelve digits of the
//! SHA-256 of the older image.
//!
//! ```text
//! 0    8   "ONLAYPA1": what it is, and the version of this format
//! 8    8   bytes of the older image
//! 16   32  its SHA-256
//! 48   8   bytes of the new image
//! 56   32  its SHA-256
//! 88   1   with what blocks of the older image are compressed: the number of the algorithm in squashfs (1 gzip, 4 xz, 5 LZ4,
//!          6 Zstandard); 0 where none is used
//! 89   1   with what blocks of the new one are compressed, likewise
//! 90   1   the level of that, or preset; 0 for LZ4
//! 91   1   0
//! 92   4   bytes of a block before it is compressed, at most; 0 where there is none
//! 96   8   the fingerprint of the compressor: the first eight bytes of a SHA-256 of what it makes of certain bytes
//! 104  4   bytes of what is in the first frame
//! 108  4   bytes of the first frame
//! 112      the first frame: what is to be done
//!          … a frame for each group that has bytes
//! ```
//!
//! All numbers are little-endian; frames are those of zstd (RFC 8878). The first one says what is to be done, group after group, in
//! numbers of LEB128; a *place* is the distance from the end of what was named before (twice as much, and one less where it is
//! backwards).
//!
//! ```text
//! groups, and for each:
//!   references, and for each: its place in the older image, bytes there, and bytes that come out of them:
//!       0 where they are not compressed
//!   bytes of the group, and bytes of its frame
//!   operations, and for each: what, as the lowest two bits, and a number n in those above
//!       0 COPY  n bytes of the older image; then their place
//!       1 DATA  n bytes of the group, as they are
//!       2 PACK  n bytes of the group, compressed; then to how many bytes
//! ```
//!
//! The frame of a group is decompressed with all references, one after the other and without their compression, as what is before
//! it (a *prefix* in the words of zstd, a raw dictionary). The new image is what the operations give, one after the other. Groups are there so that
//! never more than [`LIMIT`] bytes of both must be in memory.

mod apply;
mod contents;
mod format;
mod make;
mod similar;

pub use apply::{apply, apply_to_digest};
pub use format::{Group, Head, Operation, Patch, Reference};
#[cfg(test)]
pub(super) use make::make_in_groups;
pub use make::{Side, make};

/// The most bytes of a group, and of its references.
pub const LIMIT: usize = 32 << 20;
/// The largest patch that there can be.
pub const LARGEST: u64 = 256 << 20;
