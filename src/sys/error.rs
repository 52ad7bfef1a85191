//! An I/O error that always says which operation failed on which path.

use std::io;
use std::path::{Path, PathBuf};

/// A failed operation on a path. The cause (`errno`) is in `source()`, not again in the text.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} '{}'", path.display())]
pub struct IoError {
    /// What was tried, as an infinitive: "open", "create directory".
    pub operation: &'static str,
    /// What it was tried on.
    pub path: PathBuf,
    /// Why the kernel said no.
    pub source: io::Error,
}

impl IoError {
    /// The raw `errno`, where there is one.
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// Whether the cause is that the file does not exist.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// Makes an [`IoError`] from anything that turns into an [`io::Error`].
pub fn io_error(operation: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> IoError {
    IoError { operation, path: path.as_ref().to_owned(), source: source.into() }
}

/// Adds operation and path to a bare result.
pub trait Context<T> {
    /// Says what was tried, and on what.
    fn context(self, operation: &'static str, path: impl AsRef<Path>) -> Result<T, IoError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, operation: &'static str, path: impl AsRef<Path>) -> Result<T, IoError> {
        self.map_err(|source| io_error(operation, path, source))
    }
}
