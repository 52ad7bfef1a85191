//! Hooks of package managers: what makes apt, dnf and zypper say, at the right moment, that what they are about to
//! install is temporary, or that nothing can be installed here and what can be done instead.
//!
//! A hook is one file of ours among a package manager's own settings (`file`), which calls `onlay hooks run` where that
//! program is there, and does nothing where it is not. `install` writes all of those that are asked for or none, never
//! over a file that is not ours; `remove` takes them away with the directories that were made for them. What a hook has
//! to say is decided by what the process of the package manager sees (`situation`), and how it is said by what each
//! package manager understands (`apt`, `zypp`). Nothing here prints.

mod apt;
mod error;
mod file;
mod manager;
mod place;
mod situation;
mod zypp;

pub use apt::is_for_this_root;
pub use error::Error;
pub use file::STOP;
pub use manager::Manager;
pub use place::{Hook, State, find, install, remove};
pub use situation::Situation;
pub use zypp::{Frame, read_frame};
