//! What keeps extensions from being added, removed or merged.

use std::path::PathBuf;

use crate::extension::{self, SystemdVersion};
use crate::sys::IoError;
use crate::{image, live, tool};

/// A refusal or failure that a caller can act on. Of an extension that does not fit, see [`super::HeldBack`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Only root may change what is merged.
    #[error("only root may do that")]
    NotRoot,
    /// A file that is no image that can be merged.
    #[error("'{}' cannot be used: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why, in words.
        why: String,
    },
    /// Two of the files that are to be added are one extension.
    #[error("'{}' and '{}' are both extension '{name}'", one.display(), other.display())]
    Twice {
        /// Its name.
        name: String,
        /// One file.
        one: PathBuf,
        /// The other one.
        other: PathBuf,
    },
    /// Another image of the same name and version is there, and others than this root use it.
    #[error("there is another image of '{name}' {version}, which {user} uses")]
    OtherContent {
        /// The extension.
        name: String,
        /// Its version.
        version: String,
        /// Who uses it.
        user: String,
    },
    /// What somebody else has put there keeps systemd from merging anything, and comes before what could mask it.
    #[error("as long as '{}' is there, systemd merges nothing: {why}", path.display())]
    Blocked {
        /// Where it is.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// No image has this name.
    #[error("there is no extension '{0}'")]
    NoSuch(String),
    /// An extension is enabled whose image was removed by somebody else.
    #[error("'{name}' is enabled, and its image is gone: '{}'", path.display())]
    Gone {
        /// The extension.
        name: String,
        /// Where its image was.
        path: PathBuf,
    },
    /// There is no image of this version.
    #[error("there is no image of '{name}' {version}")]
    NoSuchVersion {
        /// The extension.
        name: String,
        /// The version.
        version: String,
    },
    /// It is not enabled, so there is no version of it to go back from.
    #[error("extension '{0}' is not enabled")]
    NotEnabled(String),
    /// No older image is there.
    #[error("there is no image of '{name}' that is older than {version}, which is enabled")]
    NothingBefore {
        /// The extension.
        name: String,
        /// The version that is enabled.
        version: String,
    },
    /// The host's systemd knows no extensions.
    #[error("this host has no systemd-sysext")]
    NoSystemd,
    /// The host's systemd is older than extensions.
    #[error("this host has systemd {0}, and extensions are merged from {first} on", first = SystemdVersion::FIRST)]
    TooOld(SystemdVersion),
    /// The host is unlocked: what would be enabled now goes with that.
    #[error("'{}' is unlocked, and what is changed there would go with that", .0.display())]
    Unlocked(PathBuf),
    /// Extensions lie under what is unlocked.
    #[error("'{}' is unlocked over the extensions that are merged", .0.display())]
    Under(PathBuf),
    /// A unit is to start this program at boot, and others could make it another one.
    #[error("this program, '{}', is started at boot where there are extensions, and '{}': {reason}", program.display(), path.display())]
    Exposed {
        /// The program.
        program: PathBuf,
        /// The program, or a directory on the way to it.
        path: PathBuf,
        /// What is wrong there.
        reason: &'static str,
    },
    /// systemd merges nothing, whatever of ours is left out.
    #[error("systemd does not merge the extensions: {words}")]
    Refused {
        /// What it said.
        words: String,
    },
    /// What is needed is read-only.
    #[error("'{}' is read-only", .0.display())]
    ReadOnly(PathBuf),
    /// Mounts and the host's namespace.
    #[error(transparent)]
    Live(#[from] live::Error),
    /// Extensions could not be looked into.
    #[error(transparent)]
    Extension(#[from] extension::Error),
    /// A tool that is needed.
    #[error(transparent)]
    Tool(#[from] tool::Error),
    /// An operation on a file failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl From<image::Error> for Error {
    fn from(error: image::Error) -> Error {
        Error::Extension(error.into())
    }
}
