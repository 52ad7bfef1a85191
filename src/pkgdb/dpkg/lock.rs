//! dpkg's locks. `lock-frontend` is held by apt and its like over several runs of dpkg, `lock` by whoever changes
//! the database (dpkg's own doc/frontend.txt). Who waits for one of them while holding the other could wait
//! for ever, so nobody waits here.

use crate::pkgdb::Error;
use crate::sys::{RecordLock, Root};

/// Both locks, held until this is dropped.
#[derive(Debug)]
pub struct Locks {
    _frontend: RecordLock,
    _database: RecordLock,
}

const FRONTEND: &str = "lock-frontend";
const DATABASE: &str = "lock";

impl Locks {
    /// Takes both locks of a database's directory; [`Error::InUse`] where somebody has one.
    pub fn take(directory: &Root) -> Result<Locks, Error> {
        // The mode that dpkg gives them.
        let take = |name| RecordLock::try_take(directory, name, 0o640)?.ok_or_else(|| in_use(directory));
        Ok(Locks { _frontend: take(FRONTEND)?, _database: take(DATABASE)? })
    }

    /// Whether somebody has one of them.
    pub fn are_held(directory: &Root) -> Result<bool, Error> {
        Ok(RecordLock::is_held(directory, FRONTEND)? || RecordLock::is_held(directory, DATABASE)?)
    }
}

pub(super) fn in_use(directory: &Root) -> Error {
    Error::InUse { path: directory.path().to_owned() }
}
