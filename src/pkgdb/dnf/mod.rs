//! What dnf knows of packages besides rpm's database: which of them it installed for others' sake.
//!
//! dnf 5 (libdnf5) keeps that in TOML files, one row for each package. Its predecessor has a history of transactions in
//! a SQLite database, and takes the reason of a package's last one.

pub mod history;
pub mod state;

use std::collections::HashMap;

use super::merge::Decision;

/// What was decided on packages: by name and architecture, and by name, version and architecture for those that can be
/// there in several versions.
#[derive(Debug, Default)]
pub struct Decisions(HashMap<String, Decision>);

/// Whose word counts for a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The overlay's.
    Ours,
    /// The host's.
    Theirs,
    /// Both have the package: for others' sake alone it is there where both say so.
    Both,
    /// Nobody's: it is not there.
    Nobodys,
}

impl Decisions {
    /// Adds what was decided on `NAME.ARCH`. Of several versions one that is there counts.
    pub fn add(&mut self, name: &str, arch: &str, decision: Decision) {
        let is_gone = matches!(decision, Decision::Remove | Decision::StayRemoved);
        let entry = self.0.entry(format!("{name}.{arch}")).or_insert(decision);
        if !is_gone {
            *entry = decision;
        }
    }

    /// Whose word counts for `NAME.ARCH`.
    pub fn word(&self, package: &str) -> Word {
        match self.0.get(package) {
            Some(Decision::KeepOurs) => Word::Ours,
            Some(Decision::TakeTheirs) => Word::Theirs,
            Some(Decision::Unchanged | Decision::BothSame) => Word::Both,
            Some(Decision::Remove | Decision::StayRemoved) | None => Word::Nobodys,
        }
    }
}
