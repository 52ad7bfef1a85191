//! What can go wrong on the way into an overlay.

use std::ffi::OsString;

use super::Size;
use crate::overlay::{self, OverlayName};
use crate::sys::{IoError, MountError};
use crate::tool;

/// A refusal or failure that a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Only root may mount.
    #[error("only root may enter an overlay")]
    NotRoot,
    /// Root without the capability to mount (in a container, a restricted unit).
    #[error("root may not mount here: CAP_SYS_ADMIN is missing")]
    NoCapability,
    /// What is kept would lie over what is gone when the host is locked.
    #[error(
        "the host is unlocked, and an overlay that is kept would lie over what is gone when it is locked"
    )]
    HostUnlocked,
    /// Nothing can be laid there.
    #[error(
        "over '{}' lies an overlay upon another one, and its layers, without which nothing can be laid there, have no names", path.display()
    )]
    Unnamed {
        /// Where.
        path: std::path::PathBuf,
    },
    /// The caller is in an overlay already.
    #[error("this is overlay '{name}' already")]
    Inside {
        /// The overlay that the caller is in.
        name: String,
    },
    /// Others are in the overlay in another way than was asked for.
    #[error("overlay '{name}' is running {running}, not {asked}")]
    OtherMode {
        /// The overlay.
        name: OverlayName,
        /// How it runs.
        running: &'static str,
        /// How it was to be entered.
        asked: &'static str,
    },
    /// An option makes no sense without another, or with it.
    #[error("{one} {other}")]
    Conflict {
        /// The option.
        one: &'static str,
        /// What it needs, or does not go with.
        other: &'static str,
    },
    /// More RAM was asked for than there is.
    #[error("--size {asked} is more than this machine has: RAM and swap are {available}")]
    TooLarge {
        /// What was asked for.
        asked: Size,
        /// RAM and swap together.
        available: Size,
    },
    /// The base has no init that could be booted.
    #[error("there is no init to boot in '{}'", root.display())]
    NoInit {
        /// The base.
        root: std::path::PathBuf,
    },
    /// The command could not be started inside.
    #[error("cannot execute '{}'", command.display())]
    Command {
        /// What was to run.
        command: OsString,
        /// Why it did not.
        source: std::io::Error,
    },
    /// The command's process could not be prepared.
    #[error("cannot prepare the command: {0}")]
    Preparation(String),
    /// The overlay itself.
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    /// A tool that is needed for this way of entering.
    #[error(transparent)]
    Tool(#[from] tool::Error),
    /// An operation on a file failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl From<MountError> for Error {
    fn from(error: MountError) -> Error {
        Error::Overlay(error.into())
    }
}
