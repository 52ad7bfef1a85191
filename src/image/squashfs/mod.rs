//! SquashFS 4.0: a writer and a reader of our own.
//!
//! The crate `backhand` (0.25) knows no extended attributes, neither reading nor writing them: file capabilities and SELinux's
//! labels would be lost. It also compresses on one thread, holds all names and inodes of an image that it reads in memory,
//! whatever they say, and has no hard links. The format is small, and stable for fifteen years.

pub mod format;

pub(in crate::image) mod compression;
mod reader;
mod writer;

pub use super::blocks::{Finished, Options, Segment, StoredFile, Writer};
pub use compression::{Algorithm, Compression, UnknownCompression};
pub use format::Superblock;
pub use reader::{
    Contents, Entries, Entry, FileContents, Inode, InodeKind, Piece, Places, Reader, Walk, Walked,
};
pub(super) use writer::{data_start, finish};
