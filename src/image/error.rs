//! What can go wrong with an image.

use std::path::PathBuf;

use super::format::Format;
use super::squashfs::Compression;
use crate::sys::IoError;

/// A refusal or failure that a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something cannot be put where it should go in a tree.
    #[error("cannot put '{}' into the image: {problem}", path.display())]
    Misplaced {
        /// The path in the image.
        path: PathBuf,
        /// What is wrong with it.
        problem: Misplacement,
    },
    /// A file system's format has no room for something.
    #[error("cannot write '{}' into a {format} image: {problem}", path.display())]
    Unrepresentable {
        /// The path in the image.
        path: PathBuf,
        /// Which format.
        format: &'static str,
        /// What does not fit.
        problem: String,
    },
    /// A way to compress that a format does not have, or that is not written here.
    #[error("{} {format} cannot be compressed with {compression}: that takes lz4, zstd or none", article(*format))]
    Compression {
        /// Which format.
        format: Format,
        /// Which way.
        compression: Compression,
    },
    /// A number that the format has no room for, or that makes no sense.
    #[error("{what} must be {expected}, not {found}")]
    Setting {
        /// What is set.
        what: &'static str,
        /// What could be.
        expected: &'static str,
        /// What is.
        found: u64,
    },
    /// An image of another kind than is read here.
    #[error("'{}' is {} {format}: only squashfs and erofs images can be read", path.display(), article(*format))]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// What it is.
        format: Format,
    },
    /// It is not what it should be.
    #[error("'{}' is no image that is known here (squashfs, erofs, GPT disk)", path.display())]
    NotAnImage {
        /// The file.
        path: PathBuf,
    },
    /// An image of a kind that is not read here.
    #[error("the image '{}' has {what}, which is not supported", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it has.
        what: String,
    },
    /// What is stored makes no sense.
    #[error("the image '{}' is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// Writing was given up before all contents were there.
    #[error("the image '{}' was not finished: a part of its files was given up", path.display())]
    GivenUp {
        /// The file.
        path: PathBuf,
    },
    /// An operation on a file failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

fn article(format: Format) -> &'static str {
    if format == Format::Erofs { "an" } else { "a" }
}

/// Why something cannot be at a path of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misplacement {
    /// Empty, `.`, `..`, with NUL, or too long.
    #[error("this is no name that a file can have")]
    BadName,
    /// Longer than Linux takes (PATH_MAX).
    #[error("the path is longer than 4095 bytes")]
    TooLong,
    /// The directory above is missing.
    #[error("the directory above it is not there")]
    NoParent,
    /// What is above it is no directory.
    #[error("what is above it is no directory")]
    NotADirectory,
    /// There is something.
    #[error("something is there already")]
    Exists,
    /// A directory has one name.
    #[error("a directory cannot have a second name")]
    LinkToDirectory,
}
