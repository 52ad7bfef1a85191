//! What stands between an archive and the caller who visits it: order among paths, limits, and digests of files.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;

use super::Limits;
use super::entry::{Entry, Kind};
use super::error::Fault;
use super::paths::Tree;
use crate::package::digest::{Digester, FileDigest};

/// Why visiting ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The package is wrong.
    Fault(Fault),
    /// The caller wants no more.
    Caller,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

/// What a visit went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// How many entries.
    pub entries: u64,
    /// The sum of their sizes.
    pub bytes: u64,
}

/// What the caller does with an entry.
pub(super) type Visitor<'v> = dyn FnMut(&Entry, &mut dyn Read) -> ControlFlow<()> + 'v;

/// Gives entries to a caller.
pub(super) struct Delivery<'v> {
    limits: &'v Limits,
    tree: Tree,
    summary: Summary,
    visitor: &'v mut Visitor<'v>,
}

impl<'v> Delivery<'v> {
    pub(super) fn new(limits: &'v Limits, visitor: &'v mut Visitor<'v>) -> Delivery<'v> {
        Delivery { limits, tree: Tree::default(), summary: Summary::default(), visitor }
    }

    pub(super) fn limits(&self) -> &'v Limits {
        self.limits
    }

    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    /// Gives one entry, with its content, which has a digest.
    pub(super) fn give(
        &mut self,
        entry: &Entry,
        content: &mut dyn Read,
        expected: Option<FileDigest>,
    ) -> Result<(), Stop> {
        self.count(entry.size)?;
        self.tree.add(entry.path.as_os_str().as_bytes(), &entry.kind)?;
        let expected = expected.filter(|_| self.limits.check_files && entry.kind == Kind::File);
        let digester = expected.map(|digest| Digester::new(digest.algorithm()));
        let mut content = Content { reader: content, left: entry.size, digester, fault: None };
        let flow = (self.visitor)(entry, &mut content);
        // What is wrong with the package comes first: the caller knows no more of it than that reading failed.
        if let Some(fault) = content.fault.take() {
            return Err(fault.into());
        }
        if flow.is_break() {
            return Err(Stop::Caller);
        }
        content.finish(entry, expected)
    }

    fn count(&mut self, size: u64) -> Result<(), Fault> {
        let Limits { entries, bytes, .. } = *self.limits;
        if self.summary.entries >= entries {
            return Err(Fault::Limit { what: "entries", limit: entries });
        }
        if size > bytes - self.summary.bytes {
            return Err(Fault::Limit { what: "bytes unpacked", limit: bytes });
        }
        self.summary.entries += 1;
        self.summary.bytes += size;
        Ok(())
    }
}

/// An entry's content: exactly as long as its size.
struct Content<'a> {
    reader: &'a mut dyn Read,
    left: u64,
    digester: Option<Digester>,
    /// What reading found; the reader's error is only its text.
    fault: Option<Fault>,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(fault) = &self.fault {
            return Err(io::Error::new(io::ErrorKind::InvalidData, fault.to_string()));
        }
        let length = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if length == 0 {
            return Ok(0);
        }
        let fault = match self.reader.read(&mut buffer[..length]) {
            Ok(0) => Fault::Truncated("payload"),
            Ok(read) => {
                self.left -= read as u64;
                if let Some(digester) = &mut self.digester {
                    digester.update(&buffer[..read]);
                }
                return Ok(read);
            }
            Err(error) => Fault::reading("payload", error),
        };
        let error = io::Error::new(io::ErrorKind::InvalidData, fault.to_string());
        self.fault = Some(fault);
        Err(error)
    }
}

impl Content<'_> {
    /// Reads what the caller did not, and compares digests.
    fn finish(mut self, entry: &Entry, expected: Option<FileDigest>) -> Result<(), Stop> {
        if self.digester.is_some() && self.left > 0 {
            let result = io::copy(&mut self, &mut io::sink());
            if let (Err(_), Some(fault)) = (result, self.fault.take()) {
                return Err(fault.into());
            }
        }
        let found = self.digester.map(Digester::finish);
        match (found, expected) {
            (Some(found), Some(expected)) if found != expected => Err(Fault::Digest {
                what: format!("file '{}'", entry.path.display()),
                expected: expected.to_string(),
                found: found.to_string(),
            }
            .into()),
            _ => Ok(()),
        }
    }
}
