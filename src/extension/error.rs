//! What goes wrong while extensions are looked at.

use std::path::{Path, PathBuf};

use crate::image;
use crate::sys::{IoError, with_causes};

/// What keeps an extension from being judged. What is wrong with one that was judged are findings, not errors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error(transparent)]
    Io(#[from] IoError),
    /// An image could not be read.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// A disk image could not be read.
    #[error("the disk image '{}' {problem}", path.display())]
    Ddi {
        /// The image.
        path: PathBuf,
        /// What is wrong with it, or what cannot be done.
        problem: String,
    },
    /// A disk image is not what its hash tree says, and the kernel does not read such.
    #[error("the disk image '{}' was changed: {blocks} of its blocks are not as its hash tree says", path.display())]
    Changed {
        /// The image.
        path: PathBuf,
        /// How many, of data or the tree.
        blocks: u64,
    },
    /// A disk image has nothing that is laid over a root.
    #[error("the disk image '{}' has no partition for a root directory", .0.display())]
    NoRoot(PathBuf),
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
    /// Nobody knows what that version does.
    #[error("systemd {0} is newer than any whose rules are known here (252 to {last})", last = super::SystemdVersion::LAST)]
    TooNew(super::SystemdVersion),
    /// A word that is no version of systemd's.
    #[error("'{0}' is no version of systemd: it looks like 257 or 257.13")]
    NoVersion(String),
}

/// Says which disk image an error is about.
pub fn of_disk(path: &Path) -> impl Fn(image::ddi::Error) -> Error {
    let path = path.to_owned();
    move |error| match error {
        image::ddi::Error::Io(error) => error.into(),
        error => Error::Ddi { path: path.clone(), problem: with_causes(&error) },
    }
}
