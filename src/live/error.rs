//! What can go wrong while directories of the host are unlocked or locked.

use std::path::PathBuf;

use crate::overlay::{self, OverlayName};
use crate::sys::{IoError, MountError};
use crate::tool;

/// A refusal or failure that a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Only root may mount.
    #[error("only root may unlock the host")]
    NotRoot,
    /// Root without the capability to mount (in a container, a restricted unit).
    #[error("root may not mount here: CAP_SYS_ADMIN is missing")]
    NoCapability,
    /// The caller is in an overlay.
    #[error("this is overlay '{name}', not the host")]
    Inside {
        /// The overlay that the caller is in.
        name: String,
    },
    /// The caller's root is not the host's, or process 1 cannot be reached.
    #[error("the host cannot be reached from here")]
    NoHost(#[source] IoError),
    /// Process 1, as it is seen, is in a namespace of a service.
    #[error("the host cannot be reached from here: process 1 is not the host's")]
    NotTheHost,
    /// It is unlocked.
    #[error("the host is unlocked since {since}, by {by}")]
    Unlocked {
        /// When that was (RFC 3339).
        since: String,
        /// Who did it.
        by: String,
    },
    /// Somebody was killed while he unlocked or locked it.
    #[error("an unlock since {since}, by {by}, was broken off, or its lock")]
    BrokenOff {
        /// When that was begun (RFC 3339).
        since: String,
        /// By whom.
        by: String,
    },
    /// It is not unlocked.
    #[error("the host is not unlocked")]
    NotUnlocked,
    /// Something is kept over reboots, but is not laid.
    #[error("what was unlocked persistently is held back: {why}")]
    Held {
        /// Why, in words.
        why: String,
    },
    /// Following another base would leave something to mend.
    #[error("the base has changed, and following it breaks something: {}", breaks.join("; "))]
    Unsound {
        /// What, in words.
        breaks: Vec<String>,
    },
    /// Layers that were taken off live in a process, and cannot be laid a second time.
    #[error("process {pid} ({command}) still uses what was taken off before")]
    StillUsed {
        /// Its number.
        pid: i32,
        /// What it was started with.
        command: String,
    },
    /// A record makes no sense.
    #[error("'{}' is damaged, or of a later onlay", path.display())]
    Damaged {
        /// Its file.
        path: PathBuf,
    },
    /// A record is damaged, and the layers do not tell what it was about.
    #[error("'{}' holds layers, and it cannot be told which of them were kept", path.display())]
    Unclear {
        /// What holds them.
        path: PathBuf,
    },
    /// Nobody would lay it again at boot.
    #[error("systemd does not run this host, and nobody else would unlock it at boot")]
    NoSystemd,
    /// What is needed at boot cannot be made, or must not be relied on.
    #[error("this cannot be persistent: '{}': {reason}", path.display())]
    NotPersistent {
        /// What is in the way.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// Something that is needed at boot will not be there.
    #[error("{what} is not there at the next boot: '{}': {reason}", path.display())]
    Fleeting {
        /// What, in words.
        what: &'static str,
        /// Where it is now.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// What was unlocked is not there, or lies under something else.
    #[error("'{}' is not as it was unlocked: it was broken off, or something lies on it", path.display())]
    Broken {
        /// The directory.
        path: PathBuf,
    },
    /// A directory that is not for this.
    #[error("'{}' cannot be unlocked: {reason}", path.display())]
    Unsuitable {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// Another program has laid something over a directory.
    #[error("'{}' is covered by {whose}", path.display())]
    Covered {
        /// The directory.
        path: PathBuf,
        /// Whose it is, in words.
        whose: String,
    },
    /// There is less room than was asked for, or too little to begin.
    #[error("there is no room: {0}")]
    NoRoom(String),
    /// An overlay of that name is there.
    #[error("there is an overlay '{name}' already")]
    Exists {
        /// Its name.
        name: OverlayName,
    },
    /// An overlay has not followed its base yet.
    #[error("the base has changed since overlay '{name}' was last entered")]
    Behind {
        /// Its name.
        name: OverlayName,
    },
    /// A tool that is needed.
    #[error(transparent)]
    Tool(#[from] tool::Error),
    /// Layers, mounts and state.
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    /// An operation on a file failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl From<MountError> for Error {
    fn from(error: MountError) -> Error {
        Error::Overlay(error.into())
    }
}
