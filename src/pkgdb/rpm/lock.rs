//! The lock that rpm holds while it changes a database: a record lock on `.rpm.lock` beside it (rpm's
//! rpmlock.cc), which readers share. rpm reads without it; we take it, since we read without SQLite's.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::pkgdb::Error;
use crate::sys::{Context, RecordLock, Root, is_write_locked};

const NAME: &str = ".rpm.lock";

/// How often a lock is tried.
const STEP: Duration = Duration::from_millis(20);

/// SQLite's locks for writing in its `-shm` file (walformat.html: WAL_WRITE_LOCK, WAL_CKPT_LOCK, WAL_RECOVER_LOCK), and
/// in a database without a log (`PENDING_BYTE` and behind).
const SQLITE_LOCKS: [(&str, i32, i32); 2] =
    [("rpmdb.sqlite-shm", 120, 3), ("rpmdb.sqlite", 0x4000_0000, 512)];

/// Takes the lock to read; `None` where there is no such file: then nobody writes with one, and it is not
/// made, since the place may be read-only.
pub(super) fn shared(dir: &Root, patience: Duration) -> Result<Option<RecordLock>, Error> {
    let fd = match open(dir, OFlags::RDWR)? {
        Some(fd) => Some(fd),
        None => open(dir, OFlags::RDONLY)?,
    };
    let Some(fd) = fd else { return Ok(None) };
    until(patience, || {
        let fd = fd.try_clone().context("duplicate", dir.join(NAME))?;
        RecordLock::try_shared(fd).context("lock", dir.join(NAME)).map_err(Error::from)
    })?
    .map(Some)
    .ok_or_else(|| in_use(dir))
}

/// Whether rpm is changing the database in a directory.
pub fn is_locked(dir: &Root) -> Result<bool, Error> {
    Ok(RecordLock::is_held(dir, NAME)?)
}

/// Takes the lock to write. The file is made as rpm makes it.
pub(super) fn exclusive(dir: &Root, patience: Duration) -> Result<RecordLock, Error> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, NAME, flags, Mode::from_raw_mode(0o644));
    let fd = fd.context("open lock", dir.join(NAME))?;
    until(patience, || {
        let fd = fd.try_clone().context("duplicate", dir.join(NAME))?;
        RecordLock::try_exclusive(fd).context("lock", dir.join(NAME)).map_err(Error::from)
    })?
    .ok_or_else(|| in_use(dir))
}

/// Makes a lock to read one to write.
pub(super) fn upgrade(lock: &RecordLock, dir: &Root, patience: Duration) -> Result<(), Error> {
    let upgraded = || lock.try_upgrade().context("lock", dir.join(NAME)).map(|is_ours| is_ours.then_some(()));
    until(patience, || upgraded().map_err(Error::from))?.ok_or_else(|| in_use(dir))
}

/// Waits until no program writes through SQLite alone, without rpm's lock.
pub(super) fn await_sqlite(dir: &Root, patience: Duration) -> Result<(), Error> {
    until(patience, || {
        for (name, start, length) in SQLITE_LOCKS {
            let Some(file) = open_named(dir, name, OFlags::RDONLY)? else { continue };
            if is_write_locked(file.as_fd(), start, length).context("examine locks of", dir.join(name))? {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })?
    .ok_or_else(|| in_use(dir))
}

/// Takes the lock that rpm takes on an ndb database while it changes it (flock(2)), to read.
pub(super) fn share_ndb(file: &File, dir: &Root, patience: Duration) -> Result<(), Error> {
    let operation = rustix::fs::FlockOperation::NonBlockingLockShared;
    until(patience, || match rustix::fs::flock(file, operation) {
        Ok(()) => Ok(Some(())),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
        Err(error) => Err(error).context("lock", dir.path()).map_err(Error::from),
    })?
    .ok_or_else(|| in_use(dir))
}

fn in_use(dir: &Root) -> Error {
    Error::InUse { path: dir.path().to_owned() }
}

fn open(dir: &Root, access: OFlags) -> Result<Option<OwnedFd>, Error> {
    open_named(dir, NAME, access)
}

fn open_named(dir: &Root, name: &str, access: OFlags) -> Result<Option<OwnedFd>, Error> {
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        // A lock that cannot be written can still be read.
        Err(Errno::NOENT | Errno::ROFS) => Ok(None),
        Err(Errno::ACCESS | Errno::PERM) if access == OFlags::RDWR => Ok(None),
        Err(error) => Err(error).context("open lock", dir.join(name)).map_err(Error::from),
    }
}

/// Tries until there is an answer, or there is no more patience.
fn until<T>(
    patience: Duration,
    mut attempt: impl FnMut() -> Result<Option<T>, Error>,
) -> Result<Option<T>, Error> {
    let end = Instant::now() + patience;
    loop {
        let found = attempt()?;
        if found.is_some() || Instant::now() >= end {
            return Ok(found);
        }
        std::thread::sleep(STEP);
    }
}
