//! Advisory locks (flock(2)) on files.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
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

    /// Takes an exclusive lock on a directory itself, or `None` where somebody holds one.
    pub fn try_directory(dir: &Root) -> Result<Option<Lock>, IoError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(dir, ".", flags, Mode::empty()).context("open lock", dir.path())?;
        let is_ours = flock(&fd, FlockOperation::NonBlockingLockExclusive).context("lock", dir.path())?;
        Ok(is_ours.then_some(Lock { fd }))
    }

    /// Turns an exclusive lock into a shared one. Others may come in between.
    pub fn share(&self) -> Result<(), IoError> {
        flock(&self.fd, FlockOperation::NonBlockingLockShared).context("share", "a lock").map(|_| ())
    }

    /// Gives the lock up for all who inherited it. (Dropping only closes our copy.)
    pub fn release(self) -> Result<(), IoError> {
        flock(&self.fd, FlockOperation::Unlock).context("give up", "a lock").map(|_| ())
    }

    /// The locked file itself, for reading and writing. It stays locked for as long as it is open.
    pub fn into_file(self) -> File {
        File::from(self.fd)
    }

    fn take(dir: &Root, name: &str, operation: FlockOperation) -> Result<Option<Lock>, IoError> {
        loop {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let fd = rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o600))
                .context("open lock", dir.join(name))?;
            if !flock(&fd, operation).context("lock", dir.join(name))? {
                return Ok(None);
            }
            if is_still(dir, name, &fd)? {
                return Ok(Some(Lock { fd }));
            }
            // Who held it before removed the file: what we locked guards nothing.
        }
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn is_still(dir: &Root, name: &str, fd: &OwnedFd) -> Result<bool, IoError> {
    let locked = rustix::fs::fstat(fd).context("examine", dir.join(name))?;
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) => Ok((named.st_dev, named.st_ino) == (locked.st_dev, locked.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error).context("examine", dir.join(name)),
    }
}

/// Whether the lock was taken; `false` is "somebody else has it".
fn flock(fd: &OwnedFd, operation: FlockOperation) -> Result<bool, Errno> {
    loop {
        match rustix::fs::flock(fd, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}
