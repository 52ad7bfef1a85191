//! Entering an overlay: a shell in which everything looks like the host and everything is writable.
//!
//! `plan` only reads; `enter` takes the lock, looks again whether somebody is in already, and then
//! either makes a view in new namespaces or joins the one that is there. The process that enters is
//! the one that waits for the command; it leaves nothing mounted, since a mount namespace goes with
//! its last process. Nothing here prints.
//!
//! By default the host's processes, network and IPC are in view, and `guard` keeps what runs inside
//! from changing the host by accident. `isolate` is for what is not trusted that far.

mod additions;
mod boot;
mod cgroups;
mod child;
mod command;
mod enter;
mod error;
mod follow;
mod guard;
mod here;
mod isolate;
mod leave;
mod noting;
mod plan;
mod session;
mod size;
mod view;

pub mod system_calls;

pub use command::exec_failure_code;
pub use enter::{Outcome, Remains, current_directory, enter};
pub use error::Error;
pub use follow::{Followed, preview, rebase};
pub use here::run_here;
pub use plan::{Entrance, Plan, inside, plan};
pub use size::{InvalidSize, Size};

use std::ffi::OsString;
use std::path::PathBuf;

use crate::overlay::{Mode, OverlayName};

/// Where a command inside finds what its caller shares with it.
pub const SHARED: &str = "/run/onlay/shared";

/// What a caller wants to enter, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The overlay; `None` is `default`, or a fresh name for a temporary one.
    pub name: Option<OverlayName>,
    /// Keep everything in RAM, and nothing afterwards.
    pub temporary: bool,
    /// Bounds what a temporary overlay holds.
    pub size: Option<Size>,
    /// Make /root and /home private, too.
    pub private_home: bool,
    /// How to enter.
    pub mode: Mode,
    /// In an isolated or booted overlay: without the host's network.
    pub private_network: bool,
    /// Leave it as it is where the base has changed.
    pub no_rebase: bool,
    /// Without the protections of the host.
    pub unguarded: bool,
    /// A directory of the caller's that is seen inside as [`SHARED`], to be written by both.
    pub shared: Option<PathBuf>,
    /// What to run; empty is a shell.
    pub command: Vec<OsString>,
    /// Where Onlay keeps its state.
    pub state: PathBuf,
    /// The root to lay over.
    pub root: PathBuf,
}
