//! Locking: overlays are taken off the host's directories while processes use them.

use std::path::{Path, PathBuf};

use super::holders::{Holder, Marks};
use super::namespace::{go_to_host, in_namespace_of, others};
use super::record::Live;
use super::unlock::{check_caller, clear};
use super::{Error, LABEL, Record};
use crate::sys::{MountTable, detach_path};

/// What was locked.
#[derive(Debug)]
pub struct Locked {
    /// What was unlocked until now.
    pub record: Record,
    /// Who still uses what was taken off.
    pub holders: Vec<Holder>,
}

/// Takes all off, and discards what was changed.
pub fn lock(live: &Live, record: Record) -> Result<Locked, Error> {
    check_caller()?;
    go_to_host()?;
    let table = MountTable::read()?;
    for place in &record.places {
        refuse_covered(&table, place)?;
    }
    let holders = Marks::of(&record.places, &table).holders();
    take_off(&record)?;
    clear(&record)?;
    live.forget()?;
    Ok(Locked { record, holders })
}

/// What lies on ours must go first.
fn refuse_covered(table: &MountTable, place: &Path) -> Result<(), Error> {
    let on_place = table.all().iter().filter(|mount| mount.point == place);
    let is_laid = on_place.clone().any(|mount| mount.source == LABEL);
    match table.at(place).filter(|mount| is_laid && mount.source != LABEL) {
        Some(mount) => {
            let whose = format!(
                "'{}' ({}), which lies on what is to be taken off",
                mount.source.display(),
                mount.kind
            );
            Err(Error::Covered { path: place.to_owned(), whose })
        }
        None => Ok(()),
    }
}

/// Detaches our overlays, in this namespace and all that have them of their own.
pub(super) fn take_off(record: &Record) -> Result<(), Error> {
    detach_all(&record.places)?;
    for pid in others()? {
        let has_ours = MountTable::seen_by(pid)
            .is_ok_and(|table| record.places.iter().any(|place| is_ours(&table, place)));
        if has_ours {
            in_namespace_of(pid, || detach_all(&record.places))?.transpose()?;
        }
    }
    Ok(())
}

pub(super) fn detach_all(places: &[PathBuf]) -> Result<(), Error> {
    for place in places.iter().rev() {
        while is_ours(&MountTable::read()?, place) {
            detach_path(place)?;
        }
    }
    Ok(())
}

fn is_ours(table: &MountTable, place: &Path) -> bool {
    table.at(place).is_some_and(|mount| mount.point == place && mount.source == LABEL)
}
