//! What makes some files an extension of a host (systemd-sysext(8), systemd-confext(8)), and whether they fit: whether
//! systemd takes them for this host's, and whether their programs find here what they need.
//!
//! Nothing here writes or starts anything, so a base can be one that is not booted yet. Files of extensions are
//! foreign bytes: no link in them leads out, no count in them is believed.

pub mod build;
mod contents;
pub mod elf;
mod error;
pub mod finding;
pub mod fit;
pub mod libraries;
pub mod matching;
pub mod order;
pub mod places;
pub mod release;
mod rules;
mod scripts;
mod sonames;
mod squashed;
mod stack;
mod systemd;
mod unmerged;

pub use contents::{Content, Contents, Directory, Item};
pub use error::{Error, of_disk};
pub use release::{Class, Release};
pub use sonames::{Sonames, Versions};
pub use squashed::Squashed;
pub use stack::{Layer, Node, Stack};
pub use systemd::SystemdVersion;
pub use unmerged::with_base;
