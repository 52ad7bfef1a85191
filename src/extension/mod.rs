//! What makes some files an extension of a host (systemd-sysext(8), systemd-confext(8)), and whether they fit: whether
//! systemd takes them for this host's, and whether their programs find here what they need.
//!
//! Nothing but `activate` and `build` writes or starts anything, so a base can be one that is not booted yet. Files of extensions are
//! foreign bytes: no link in them leads out, no count in them is believed.

pub mod activate;
mod as_built;
pub mod build;
mod contents;
pub mod database;
pub mod elf;
mod error;
pub mod finding;
pub mod fit;
mod image_files;
pub mod libraries;
pub mod matching;
pub mod order;
pub mod places;
pub mod release;
mod rules;
mod scripts;
mod sonames;
mod stack;
mod systemd;
mod unmerged;
mod versions;

pub use as_built::AsBuilt;
pub use contents::{Content, Contents, Directory, Item};
pub use error::{Error, of_disk};
pub use image_files::ImageFiles;
pub use release::{Class, Release};
pub use sonames::{Sonames, Versions, has_loader};
pub use stack::{Layer, Node, Stack};
pub use systemd::SystemdVersion;
pub use unmerged::{is_merged_for_all, with_base, with_stackable};
