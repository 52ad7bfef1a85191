//! How what is enabled is merged, and what comes of it.

use std::path::PathBuf;

use super::merge::Way;
use super::others::Trouble;
use super::record::{Active, HeldBack};
use crate::extension::database::Remark;

/// How it is done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Only make the links: systemd merges them later in the boot.
    pub at_boot: bool,
    /// Merge anew what seems to be merged.
    pub always: bool,
    /// Change nothing.
    pub dry_run: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// How extensions were merged.
    pub way: Way,
    /// What is merged of ours.
    pub active: Vec<Active>,
    /// What is not, and why.
    pub held: Vec<HeldBack>,
    /// What there is to say of the package database.
    pub remarks: Vec<Remark>,
    /// What of that was not said before, or went wrong again.
    pub new_remarks: Vec<Remark>,
    /// Names of what others have put there, and that is merged with ours.
    pub others: Vec<String>,
    /// What others have put there that systemd cannot open: it is masked where that can be.
    pub troubles: Vec<Trouble>,
    /// Names of what was not merged before.
    pub added: Vec<String>,
    /// Names of what was, as another image.
    pub changed: Vec<String>,
    /// Names of what is not any more.
    pub removed: Vec<String>,
    /// Directories that could be written before, and cannot be as long as anything is merged over them.
    pub read_only: Vec<PathBuf>,
    /// What was done besides, in words.
    pub done: Vec<String>,
    /// What of that went wrong, in words.
    pub failed: Vec<String>,
}
