//! What can be wrong with a package file.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::package::{self, header};

/// A package file that cannot be read, or should not be.
#[derive(Debug, thiserror::Error)]
#[error("package '{}': {fault}", package.display())]
pub struct Error {
    /// The file.
    pub package: PathBuf,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a package file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The file cannot be read.
    #[error("cannot {operation} it: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// It begins like no package.
    #[error("is neither a Debian package nor an RPM package")]
    Format,
    /// It holds sources and a recipe, nothing to install.
    #[error("is a source package, which holds nothing to install")]
    Source,
    /// Its parts are not as they should be.
    #[error("bad {part}: {problem}")]
    Malformed {
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It ends too early.
    #[error("ends inside its {0}")]
    Truncated(&'static str),
    /// One of rpm's headers makes no sense.
    #[error("bad {which}: {why}")]
    Header {
        /// Which one.
        which: &'static str,
        /// Why it is none.
        why: header::Malformed,
    },
    /// The control file makes no sense.
    #[error("control file: {0}")]
    Control(package::Error),
    /// The control file lacks a field.
    #[error("control file has no field '{0}', or one that is no text")]
    Field(&'static str),
    /// It needs something that is not known here.
    #[error("has {what} '{name}', which is not known")]
    Unknown {
        /// What is not known.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Its decoder cannot go on.
    #[error("bad {compression} data: {message}")]
    Compression {
        /// How it is compressed.
        compression: &'static str,
        /// What the decoder says.
        message: String,
    },
    /// An entry that cannot be, or that reaches out of the package's directory.
    #[error("entry '{}' {problem}", path.display())]
    Entry {
        /// Its path, as the package has it.
        path: OsString,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An entry of something that cannot be there, because of another.
    #[error("entry '{}' {problem} '{}'", path.display(), other.display())]
    Entries {
        /// Its path.
        path: OsString,
        /// What is wrong with it.
        problem: &'static str,
        /// The other.
        other: OsString,
    },
    /// A digest is another's.
    #[error("{what} has digest {found}, not {expected}")]
    Digest {
        /// Of what.
        what: String,
        /// What the package says.
        expected: String,
        /// What it is.
        found: String,
    },
    /// It is larger than the caller wants.
    #[error("has more than {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many were allowed.
        limit: u64,
    },
}

impl Fault {
    pub(super) fn of_entry(path: &[u8], problem: &'static str) -> Fault {
        Fault::Entry { path: os_string(path), problem }
    }

    pub(super) fn malformed(part: &'static str, problem: &'static str) -> Fault {
        Fault::Malformed { part, problem }
    }

    /// What went wrong while a part was read: a fault that came through a reader, the part's end, or the file's own.
    pub(super) fn reading(part: &'static str, error: io::Error) -> Fault {
        match error.downcast::<Fault>() {
            Ok(fault) => fault,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Fault::Truncated(part),
            Err(source) => Fault::Io { operation: "read", source },
        }
    }

    /// The same, to go through a reader.
    pub(super) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }
}

pub(super) fn os_string(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}
