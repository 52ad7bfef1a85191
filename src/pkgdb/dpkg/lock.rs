//! dpkg's locks. `lock-frontend` is held by apt and its like over several runs of dpkg, and `lock` by whoever changes
//! the database (dpkg's own doc/frontend.txt). Nobody waits here, and nobody takes them: what is merged is never
//! written in place.

use crate::pkgdb::Error;
use crate::sys::{RecordLock, Root};

const FRONTEND: &str = "lock-frontend";
const DATABASE: &str = "lock";

/// Whether somebody has one of those that are held while packages change.
pub fn is_locked(directory: &Root) -> Result<bool, Error> {
    Ok(RecordLock::is_held(directory, FRONTEND)? || RecordLock::is_held(directory, DATABASE)?)
}

pub(super) fn in_use(directory: &Root) -> Error {
    Error::InUse { path: directory.path().to_owned() }
}
