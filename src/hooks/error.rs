//! What can go wrong with hooks.

use std::path::PathBuf;

use super::Manager;
use crate::sys::IoError;

/// A refusal or failure that a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no package manager that could have hooks.
    #[error("there is no package manager here that could have hooks (apt, dnf, zypper)")]
    NoManager,
    /// One that was asked for is not there, or lacks what runs hooks.
    #[error("{manager} cannot have a hook: {reason}")]
    Unable {
        /// Which.
        manager: Manager,
        /// Why.
        reason: &'static str,
    },
    /// A file of somebody else is where a hook would be.
    #[error("'{}' is there and was not written by onlay", .0.display())]
    Foreign(PathBuf),
    /// A hook cannot be written or removed where it has to be.
    #[error("the hook of {manager} has to be in '{}', which cannot be written", directory.display())]
    ReadOnly {
        /// Whose hook it is.
        manager: Manager,
        /// The directory, or the nearest above it that is there.
        directory: PathBuf,
        /// What the kernel said.
        source: IoError,
    },
    /// The program cannot be named in a hook.
    #[error("a hook cannot name the program '{}': {reason}", path.display())]
    Program {
        /// Where it is.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// An operation on a file failed.
    #[error(transparent)]
    Io(#[from] IoError),
}
