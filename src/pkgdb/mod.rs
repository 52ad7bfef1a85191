//! Databases of installed packages: reading them, writing them, and merging three of them.
//!
//! A database is read natively, never through rpm or dpkg: those leave out what they cannot verify, and
//! the host's may be broken. It is written as a whole beside the old one and then takes its place.
//! Nothing here looks at the files that packages own, prints, or starts a program.

pub mod compare;
pub mod dnf;
pub mod dpkg;
pub mod merge;
pub mod rpm;

mod any;
mod error;
mod reasons;

pub use any::{AnyDatabase, Listed, Place};
pub use error::Error;
pub use reasons::Reasons;

use crate::package::Identity;

/// An installed package, as every database can tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its architecture, in its database's words; empty where it has none (rpm's gpg-pubkey).
    pub arch: String,
    /// Its version as people write it: rpm's `[epoch:]version-release`, Debian's `[epoch:]upstream[-revision]`.
    pub version: String,
    /// What tells it from any other.
    pub identity: Identity,
}
