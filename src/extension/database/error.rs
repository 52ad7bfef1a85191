//! What keeps a database from being merged.

use crate::extension;
use crate::pkgdb;
use crate::sys::IoError;

/// A failure, after which nothing has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A database cannot be read or written.
    #[error(transparent)]
    Database(#[from] pkgdb::Error),
    /// An image cannot be read.
    #[error(transparent)]
    Extension(#[from] extension::Error),
    /// What is there already is seen in the base.
    #[error("extensions are merged over the base that is looked at")]
    Merged,
    /// The system said no.
    #[error(transparent)]
    Io(#[from] IoError),
}
