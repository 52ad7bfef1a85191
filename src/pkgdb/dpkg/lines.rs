//! Lines of dpkg's files that are no stanzas, with their numbers.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::package::Error;

/// The lines of a text, each with its number; the last must end like the others.
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a [u8]) -> Lines<'a> {
        Lines { rest: text, number: 0 }
    }

    /// The next line without its newline, or `None` at the end.
    pub(super) fn take(&mut self) -> Result<Option<&'a [u8]>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') else {
            return Err(self.wrong("is the last and has no newline"));
        };
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Ok(Some(line))
    }

    /// A line that must be there.
    pub(super) fn expect(&mut self, problem: &'static str) -> Result<&'a [u8], Error> {
        match self.take()? {
            Some(line) => Ok(line),
            None => Err(Error::Line { line: self.number + 1, problem }),
        }
    }

    /// A line that must be there and be text.
    pub(super) fn expect_text(&mut self, problem: &'static str) -> Result<String, Error> {
        let line = self.expect(problem)?;
        if line.is_empty() {
            return Err(self.wrong(problem));
        }
        self.text(line)
    }

    /// A line that must be there and be an absolute path.
    pub(super) fn expect_path(&mut self, problem: &'static str) -> Result<PathBuf, Error> {
        let line = self.expect(problem)?;
        if line.starts_with(b"/") { Ok(path(line)) } else { Err(self.wrong(problem)) }
    }

    pub(super) fn text(&self, line: &[u8]) -> Result<String, Error> {
        match std::str::from_utf8(line) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(self.wrong("is no text")),
        }
    }

    /// That something is wrong with the line taken last.
    pub(super) fn wrong(&self, problem: &'static str) -> Error {
        Error::Line { line: self.number, problem }
    }
}

pub(super) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// Whether this can be the name of a package: dpkg takes these letters and no others.
pub(super) fn is_package_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte))
}

/// Whether this can be the name of an architecture.
pub(super) fn is_architecture(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
