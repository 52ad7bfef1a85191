//! Keeping transactional-update away, and being kept away by it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::error::Error;
use crate::sys::{Context as _, RecordLock, Root};

/// What tukit locks as long as it runs (lockf(3)), unless its settings say otherwise.
const TUKIT: &str = "/run/tukit.lock";

/// In /run: the number of the process that the script transactional-update is, as long as it runs.
const SCRIPT: &str = "transactional-update.pid";

/// More than a number has.
const LARGEST: u64 = 4096;

/// As long as this is kept, nobody else of those who keep to it changes which snapshots there are.
#[derive(Debug)]
pub(super) struct Locked {
    _tukit: RecordLock,
}

impl Locked {
    /// Takes the lock of the running system.
    pub(super) fn take() -> Result<Locked, Error> {
        let run = Root::open("/run")?;
        let is_there = |process: u32| Path::new("/proc").join(process.to_string()).exists();
        if number(&run)?.is_some_and(is_there) {
            return Err(Error::Busy { path: run.join(SCRIPT) });
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(TUKIT);
        let file = file.context("open", TUKIT)?;
        let lock = RecordLock::try_exclusive(file.into()).context("lock", TUKIT)?;
        Ok(Locked { _tukit: lock.ok_or_else(|| Error::Busy { path: TUKIT.into() })? })
    }
}

fn number(run: &Root) -> Result<Option<u32>, Error> {
    match run.read(SCRIPT, LARGEST) {
        Err(error) if error.is_not_found() => Ok(None),
        bytes => Ok(String::from_utf8_lossy(&bytes?).trim().parse().ok()),
    }
}
