//! What came of a refresh, as `--json` shows it.

use std::path::Path;

use serde::Serialize;

use crate::extension::activate::{HeldBack, Report, Trouble, Way};

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Refreshed<'a> {
    /// How extensions were merged.
    way: Way,
    /// What is merged of ours.
    active: Vec<&'a str>,
    /// What is merged of others.
    others: &'a [String],
    added: &'a [String],
    changed: &'a [String],
    removed: &'a [String],
    held_back: &'a [HeldBack],
    /// What there is to say of the package database.
    remarks: Vec<String>,
    /// What others have put there that systemd cannot open, and that is masked.
    masked: Vec<Masked<'a>>,
    done: &'a [String],
    failed: &'a [String],
}

/// One of those.
#[derive(Debug, Serialize)]
struct Masked<'a> {
    name: &'a str,
    path: String,
    why: &'a str,
}

impl<'a> Masked<'a> {
    fn of(trouble: &'a Trouble) -> Masked<'a> {
        let path = Path::new("/").join(&trouble.path).display().to_string();
        Masked { name: &trouble.name, path, why: &trouble.why }
    }
}

impl<'a> Refreshed<'a> {
    pub(super) fn of(report: &'a Report) -> Refreshed<'a> {
        Refreshed {
            way: report.way,
            active: report.active.iter().map(|active| &*active.name).collect(),
            others: &report.others,
            added: &report.added,
            changed: &report.changed,
            removed: &report.removed,
            held_back: &report.held,
            remarks: report.remarks.iter().map(ToString::to_string).collect(),
            masked: report.troubles.iter().map(Masked::of).collect(),
            done: &report.done,
            failed: &report.failed,
        }
    }
}
