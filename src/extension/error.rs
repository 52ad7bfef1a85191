//! What goes wrong while extensions are looked at.

use std::path::PathBuf;

use crate::sys::IoError;

/// What keeps an extension from being judged. What is wrong with one that was judged are findings, not errors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error(transparent)]
    Io(#[from] IoError),
    /// It is no directory.
    #[error("'{}' is no directory with an extension in it", .0.display())]
    NotADirectory(PathBuf),
    /// Its name is none of an extension.
    #[error("'{}' has no name that systemd takes for an extension's", .0.display())]
    Unnamed(PathBuf),
    /// Two are to be laid over the same base, and have one name.
    #[error("'{}' and '{}' have the same name, and only one of them can be merged", one.display(), other.display())]
    SameName {
        /// One of them.
        one: PathBuf,
        /// The other one.
        other: PathBuf,
    },
    /// A word that is no version of systemd's.
    #[error("'{0}' is no version of systemd: it looks like 257 or 257.13")]
    NoVersion(String),
}
