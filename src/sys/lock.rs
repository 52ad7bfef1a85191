//! Advisory locks (flock(2)) on files and directories.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{Context, IoError, Root};

/// A held lock. It belongs to the open file, so it lasts as long as any process that inherited it.
#[derive(Debug)]
pub struct Lock {
    fd: OwnedFd,
}

impl Lock {
    /// Takes an exclusive lock on `name` in `dir`, waiting for it; the file is made when missing.
    pub fn exclusive(dir: &Root, name: &str) -> Result<Lock, IoError> {
        Self::take(dir, name, FlockOperation::LockExclusive)
            .map(|lock| lock.expect("a blocking lock is taken or fails"))
    }

    /// Takes an exclusive lock, or `None` where somebody holds one.
    pub fn try_exclusive(dir: &Root, name: &str) -> Result<Option<Lock>, IoError> {
        Self::take(dir, name, FlockOperation::NonBlockingLockExclusive)
    }

    /// Takes a shared lock, or `None` where somebody holds an exclusive one.
    pub fn try_shared(dir: &Root, name: &str) -> Result<Option<Lock>, IoError> {
        Self::take(dir, name, FlockOperation::NonBlockingLockShared)
    }

    /// Turns an exclusive lock into a shared one.
    pub fn share(&self) -> Result<(), IoError> {
        flock(&self.fd, FlockOperation::NonBlockingLockShared)
            .context("share the lock on", "lock")
            .map(|_| ())
    }

    fn take(dir: &Root, name: &str, operation: FlockOperation) -> Result<Option<Lock>, IoError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o600))
            .context("open lock", dir.join(name))?;
        let taken = flock(&fd, operation).context("lock", dir.join(name))?;
        Ok(taken.then_some(Lock { fd }))
    }
}

/// Whether the lock was taken; `false` is "somebody else has it".
fn flock(fd: &OwnedFd, operation: FlockOperation) -> Result<bool, Errno> {
    loop {
        match rustix::fs::flock(fd.as_fd(), operation) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}
