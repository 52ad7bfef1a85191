//! What was changed since the host was unlocked.

use std::path::Path;

use super::lock::uncover;
use super::namespace::in_workshop;
use super::unlock::check_caller;
use super::{Error, Record};
use crate::host::Host;
use crate::overlay::changes::{Change, Measure};
use crate::overlay::{self, Packages, diff, packages_of_view};
use crate::sys::Root;

/// What was changed: files, and packages where the host has a database.
pub struct Changes {
    /// By path.
    pub files: Vec<Change>,
    /// `None` where the host has no database of packages.
    pub packages: Option<Packages>,
    /// Whether they are compared with another base than that which they were made over: what an update brought is then
    /// among them, the wrong way round.
    pub is_behind: bool,
}

/// How much was changed.
pub fn measure(record: &Record) -> Result<Measure, Error> {
    Ok(overlay::measure(&Root::open(record.directory())?)?)
}

/// How many entries are changed: as many as [`changes`] finds.
pub fn count(record: &Record) -> Result<usize, Error> {
    below(record, || Ok(diff(&record.overlay()?, &Host::open(Path::new("/"))?)?.len()))?
}

/// Does something in a mount namespace of its own in which nothing of what is unlocked is seen: there the host is as it is
/// below.
pub fn below<T>(record: &Record, work: impl FnOnce() -> T) -> Result<T, Error> {
    check_caller()?;
    in_workshop(|| {
        uncover(&record.places)?;
        Ok(work())
    })
}

/// Compares the host as it is with what it is unlocked over.
pub fn changes(record: &Record) -> Result<Changes, Error> {
    with_changes(record, |_, _, changes| changes)
}

/// The same, and shows the host as it is, and as it is below, to `work`.
pub fn with_changes<T>(record: &Record, work: impl FnOnce(&Root, &Host, Changes) -> T) -> Result<T, Error> {
    check_caller()?;
    // It stays the host's, also where we see what lies below.
    let seen = Root::open("/")?;
    in_workshop(|| {
        let layers = record.overlay()?;
        uncover(&record.places)?;
        let host = Host::open(Path::new("/"))?;
        let files = diff(&layers, &host)?;
        let packages = packages_of_view(&seen, &host, &files)?;
        Ok(work(&seen, &host, Changes { files, packages, is_behind: false }))
    })
}
