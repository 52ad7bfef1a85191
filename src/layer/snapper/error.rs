//! What can go wrong with snapshots.

use std::path::PathBuf;

use crate::host::selinux;
use crate::sys::IoError;
use crate::tool;

/// A refusal or failure that a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What is booted next is not one of them.
    #[error("none of snapper's snapshots is booted next")]
    NoDefault,
    /// Another one is booted next than when the change began.
    #[error(
        "snapshot {found} is booted next now, and was {expected}: somebody else has changed that meanwhile"
    )]
    Moved {
        /// The one that the change began with.
        expected: u64,
        /// The one that it is.
        found: u64,
    },
    /// What is written to it until the reboot would be lost.
    #[error(
        "snapshot {number}, which is booted next, can be written to: install packages there as on any other host"
    )]
    Writable {
        /// Which.
        number: u64,
    },
    /// What is in it would not be in a snapshot.
    #[error("/etc is an overlay over the snapshot, as older versions of transactional-update make it")]
    EtcOverlay,
    /// It would go back in time with the packages.
    #[error("/var is in the snapshots, so what was written there until the reboot would be lost")]
    VarInside,
    /// What boots would change.
    #[error("that changes what the kernel boots with, which is not made here: {}", listed(paths))]
    Kernel {
        /// Files and directories of another kernel.
        paths: Vec<PathBuf>,
    },
    /// It is not ours to remove.
    #[error("snapshot {number} was not made by onlay")]
    OfOthers {
        /// Which.
        number: String,
    },
    /// transactional-update is at work.
    #[error("transactional-update is at work ('{}' is locked)", path.display())]
    Busy {
        /// What is locked.
        path: PathBuf,
    },
    /// The policy's labels cannot be read.
    #[error(transparent)]
    Labels(#[from] selinux::Error),
    /// A program said no.
    #[error(transparent)]
    Tool(#[from] tool::Error),
    /// The system said no.
    #[error(transparent)]
    Io(#[from] IoError),
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
