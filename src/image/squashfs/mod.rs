//! SquashFS 4.0: a writer and a reader of our own.
//!
//! The crate `backhand` (0.25) knows no extended attributes, neither reading nor writing them: file capabilities and SELinux's
//! labels would be lost. It also compresses on one thread, holds all names and inodes of an image that it reads in memory,
//! whatever they say, and has no hard links. The format is small, and stable for fifteen years.
//!
//! A [`Writer`] takes contents first and the tree last. Its [`Segment`]s are filled side by side, each by a thread of its
//! caller's, one package each for example, while threads of the writer's compress. In the image they come one after the other,
//! in the order in which they were opened, so that its bytes are the same however the threads were scheduled, and
//! a segment's blocks are the same whatever other segments hold.

pub mod format;

mod compression;
mod reader;
mod writer;

pub use compression::{Algorithm, Compression, UnknownCompression};
pub use format::Superblock;
pub use reader::{
    Contents, Entries, Entry, FileContents, Inode, InodeKind, Part, Piece, Places, ReadAt, Reader, Verified,
    Walk, Walked,
};
pub use writer::{Finished, Options, Segment, StoredFile, Writer};
