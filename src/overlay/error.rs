//! What can go wrong with overlays.

use std::path::PathBuf;

use crate::pkgdb;
use crate::sys::{IoError, MountError};

use super::name::OverlayName;
use super::rebase::Room;
use super::running::User;

/// A refusal or failure that a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no overlay of that name.
    #[error("there is no overlay '{name}'")]
    NotFound {
        /// The name.
        name: OverlayName,
    },
    /// Somebody is in it.
    #[error("overlay '{name}' is in use{}", by(user.as_ref()))]
    InUse {
        /// The name.
        name: OverlayName,
        /// A process in it, where one is known.
        user: Option<User>,
    },
    /// Its description was written by a later version of Onlay.
    #[error("overlay '{name}' has format {found}; this onlay reads up to {known}")]
    Newer {
        /// The name.
        name: OverlayName,
        /// The format that was found.
        found: u64,
        /// The newest that this program knows.
        known: u64,
    },
    /// Its description is missing or makes no sense.
    #[error("overlay '{name}' is damaged: {what}")]
    Damaged {
        /// The name.
        name: OverlayName,
        /// What is wrong with `overlay.toml`.
        what: String,
    },
    /// It lies over another root than the one that was given.
    #[error("overlay '{name}' lies over '{root}', not '{}'", given.display())]
    OtherRoot {
        /// The name.
        name: OverlayName,
        /// The root that it was made over.
        root: String,
        /// The one that was given.
        given: PathBuf,
    },
    /// Its directory is another than the one that was looked at a moment ago.
    #[error("overlay '{name}' was replaced while it was being entered: another directory is at '{}'", path.display())]
    Replaced {
        /// The name.
        name: OverlayName,
        /// Where its directory was.
        path: PathBuf,
    },
    /// A temporary overlay was asked for under the name of a kept one.
    #[error("overlay '{name}' exists and is kept on disk")]
    NotTemporary {
        /// The name.
        name: OverlayName,
    },
    /// The state directory could be written by somebody else than root.
    #[error("state directory '{}' is not safe: {reason}", path.display())]
    UnsafeState {
        /// The directory.
        path: PathBuf,
        /// Whose it is, or who may write it.
        reason: &'static str,
    },
    /// The state directory's file system cannot hold what an upper directory needs.
    #[error("'{}' cannot hold overlays: {reason}", path.display())]
    UnsuitableState {
        /// The directory.
        path: PathBuf,
        /// What it lacks.
        reason: String,
    },
    /// The base became another one while an overlay was following it.
    #[error("the base was changed while overlay '{name}' was following it")]
    BaseChanged {
        /// The overlay, which is as it was.
        name: OverlayName,
    },
    /// There is no room for what it takes to follow a base.
    #[error("no room to let overlay '{name}' follow its base")]
    NoRoom {
        /// The overlay, which is as it was.
        name: OverlayName,
        /// On whose file system.
        path: PathBuf,
        /// How much it takes, about.
        needed: Room,
        /// How much is free.
        free: Room,
        /// What could not be done.
        source: Box<Error>,
    },
    /// An overlay has something else where a directory is to be.
    #[error("the overlay has no directory '{}' any more", path.display())]
    NotADirectory {
        /// The directory.
        path: PathBuf,
    },
    /// A choice is for a package that there is not.
    #[error("neither the overlay nor the base has a package '{name}'")]
    NoSuchPackage {
        /// As it was asked for.
        name: String,
    },
    /// A side that had packages has none: its database is not there, or empty.
    #[error("{whose} has no packages any more: {what}")]
    PackagesGone {
        /// Whose, in words.
        whose: &'static str,
        /// What is missing.
        what: String,
    },
    /// A package database could not be read or merged.
    #[error(transparent)]
    Packages(#[from] pkgdb::Error),
    /// The kernel would not mount it.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// An operation on a file failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

fn by(user: Option<&User>) -> String {
    user.map(|user| format!(" by process {user}")).unwrap_or_default()
}
