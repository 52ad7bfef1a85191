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

    /// Why the kernel said no, in words alone.
    pub fn cause(&self) -> String {
        without_number(&self.source)
    }

    /// Whether the cause is that the file does not exist.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// Whether the cause is that the caller may not.
    pub fn is_denied(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }
}

/// Makes an [`IoError`] from anything that turns into an [`io::Error`].
pub fn io_error(operation: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> IoError {
    IoError { operation, path: path.as_ref().to_owned(), source: source.into() }
}

/// An error and all that caused it, in one line of words.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = without_number(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = without_number(error);
        // A transparent layer repeats what is inside it.
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

/// An error's text without the "(os error 2)" that the standard library adds to the system's words.
fn without_number(error: &(impl std::fmt::Display + ?Sized)) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_in_words() {
        let error = io_error("open", "/x", io::Error::from_raw_os_error(libc::ENOENT));
        assert_eq!(error.cause(), "No such file or directory");
        assert_eq!(with_causes(&error), "cannot open '/x': No such file or directory");
    }
}
