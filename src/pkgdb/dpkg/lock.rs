//! dpkg's locks. `lock-frontend` is held by apt and its like over several runs of dpkg, `lock` by whoever changes
//! the database (dpkg's own doc/frontend.txt), and `triggers/Lock` by dpkg-trigger(1) alone, which needs neither. Who waits for one of them while holding the other could wait
//! for ever, so nobody waits here.

use super::database::optional;
use crate::pkgdb::Error;
use crate::sys::{RecordLock, Root};

/// All locks, held until this is dropped.
#[derive(Debug)]
pub struct Locks {
    _frontend: RecordLock,
    _database: RecordLock,
    /// None where no package ever had a trigger.
    _triggers: Option<RecordLock>,
}

const FRONTEND: &str = "lock-frontend";
const DATABASE: &str = "lock";
const TRIGGERS: &str = "Lock";

impl Locks {
    /// Takes all locks of a database's directory; [`Error::InUse`] where somebody has one.
    pub fn take(directory: &Root) -> Result<Locks, Error> {
        // The modes that dpkg gives them.
        let take = |place: &Root, name, mode| {
            RecordLock::try_take(place, name, mode)?.ok_or_else(|| in_use(directory))
        };
        let frontend = take(directory, FRONTEND, 0o640)?;
        let database = take(directory, DATABASE, 0o640)?;
        let triggers = optional(directory.open_dir("triggers"))?;
        let triggers = triggers.map(|triggers| take(&triggers, TRIGGERS, 0o600)).transpose()?;
        Ok(Locks { _frontend: frontend, _database: database, _triggers: triggers })
    }

    /// Whether somebody has one of those that are held while packages change.
    pub fn are_held(directory: &Root) -> Result<bool, Error> {
        Ok(RecordLock::is_held(directory, FRONTEND)? || RecordLock::is_held(directory, DATABASE)?)
    }
}

pub(super) fn in_use(directory: &Root) -> Error {
    Error::InUse { path: directory.path().to_owned() }
}
