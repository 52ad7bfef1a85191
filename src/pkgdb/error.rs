//! What can go wrong with a database of packages.

use std::path::PathBuf;

use crate::package::header::Malformed;
use crate::sys::IoError;

/// A refusal or failure that a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is stored in a way that is not read here.
    #[error("the package database '{}' is {format}, which is not supported", path.display())]
    Unsupported {
        /// Where it is.
        path: PathBuf,
        /// How it is stored.
        format: &'static str,
    },
    /// What is stored makes no sense.
    #[error("the package database '{}' is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// Somebody is changing it.
    #[error("the package database '{}' is in use by another program", path.display())]
    InUse {
        /// Where it is.
        path: PathBuf,
    },
    /// A program that changed it was broken off.
    #[error("{program} was interrupted while it changed '{}': '{remedy}' finishes it", path.display())]
    Interrupted {
        /// Where it is.
        path: PathBuf,
        /// Which program.
        program: &'static str,
        /// The command that finishes what it began.
        remedy: &'static str,
    },
    /// It is not there.
    #[error("there is no package database '{}'", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// It is not what it was when it was read.
    #[error("the package database '{}' has changed meanwhile", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// What is to be stored is no header.
    #[error("not a header of a package")]
    NoHeader(#[from] Malformed),
    /// SQLite cannot do something.
    #[error("cannot use the package database '{}'", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// An operation on a file failed.
    #[error(transparent)]
    Io(#[from] IoError),
}
