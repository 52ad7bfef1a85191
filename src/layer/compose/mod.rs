//! Packages put into a base that is not booted: by its own package manager, in an isolated overlay over the base.
//!
//! What runs there (scripts of packages, too) sees the base with a /var of its own, and neither the host nor a network: what is
//! needed was downloaded before, in an overlay in RAM. Nothing is written but layers of the overlay, so files of the base, which
//! may be links to objects of a repository, stay as they are.

mod base;
mod boot_files;
mod install;
mod kernel;
mod ram;
mod run;
mod seal;
mod succession;
mod tree;
mod users;
mod var;
mod workshop;

pub(super) use base::package_system;
pub use base::{BootFiles, Lower, Shape};
pub(super) use install::FILES;
pub use install::{Plan, Planned};
pub use kernel::{Boot, Initramfs};
pub(super) use ram::and_back;
use run::run;
pub(super) use succession::is_word_for;
pub use tree::{Composed, Resolved, Wanted, compose, resolve};
pub use workshop::{Layers, PLACE, Workshop};
