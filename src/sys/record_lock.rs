//! Record locks (fcntl(2), "open file description locks"), which conflict with the traditional ones that
//! rpm, dpkg, apt and SQLite take, but belong to the open file: closing another descriptor of it does not drop them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{Context, IoError, Root};

/// A held lock on all of a file.
#[derive(Debug)]
pub struct RecordLock {
    fd: OwnedFd,
}

impl RecordLock {
    /// Whether somebody has a lock on `name` in `dir` that nobody shares. Nothing is made or locked to know.
    pub fn is_held(dir: &Root, name: &str) -> Result<bool, IoError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        match rustix::fs::openat(dir, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => Ok(false),
            // A length of 0 is all of the file.
            other => is_write_locked(other.context("open lock", dir.join(name))?.as_fd(), 0, 0)
                .context("examine lock", dir.join(name)),
        }
    }

    /// Takes a lock that others may share; `None` where somebody has it to himself. The file must be open
    /// for reading.
    pub fn try_shared(fd: OwnedFd) -> io::Result<Option<RecordLock>> {
        Ok(set(&fd, libc::F_RDLCK)?.then_some(RecordLock { fd }))
    }

    /// Takes a lock that nobody shares; `None` where somebody has one. The file must be open for writing.
    pub fn try_exclusive(fd: OwnedFd) -> io::Result<Option<RecordLock>> {
        Ok(set(&fd, libc::F_WRLCK)?.then_some(RecordLock { fd }))
    }

    /// Makes a shared lock an exclusive one, at once or not at all; says whether it is one now.
    pub fn try_upgrade(&self) -> io::Result<bool> {
        set(&self.fd, libc::F_WRLCK)
    }
}

impl AsFd for RecordLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether another has an exclusive lock on some of these bytes.
pub fn is_write_locked(fd: BorrowedFd<'_>, start: i32, length: i32) -> io::Result<bool> {
    let mut lock = whole_file(libc::F_RDLCK);
    lock.l_start = start.into();
    lock.l_len = length.into();
    // SAFETY: the lock is valid for reading and writing as long as the call lasts.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) } {
        0 => Ok(lock.l_type != libc::F_UNLCK as libc::c_short),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set(fd: &OwnedFd, kind: libc::c_int) -> io::Result<bool> {
    let lock = whole_file(kind);
    loop {
        // SAFETY: the lock is valid for reading as long as the call lasts.
        if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } == 0 {
            return Ok(true);
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => return Ok(false),
            error => return Err(error),
        }
    }
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    // SAFETY: all zeros is a lock from the beginning to the end of a file, by nobody (`l_pid` must be 0).
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_exclude_each_other_as_they_say() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let open = || -> OwnedFd {
            std::fs::File::options().read(true).write(true).open(file.path()).expect("it is there").into()
        };
        let locked = || is_write_locked(open().as_fd(), 0, 10).expect("an answer");
        let one = RecordLock::try_shared(open()).expect("it works").expect("it is free");
        let two = RecordLock::try_shared(open()).expect("it works").expect("it is shared");
        assert!(RecordLock::try_exclusive(open()).expect("it works").is_none());
        assert!(!one.try_upgrade().expect("it works") && !locked());
        drop(two);
        assert!(one.try_upgrade().expect("it works") && locked());
        assert!(RecordLock::try_shared(open()).expect("it works").is_none());
        drop(one);
        assert!(RecordLock::try_exclusive(open()).expect("it works").is_some());
    }

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let place = tempfile::tempdir().expect("a directory");
        let dir = Root::open(place.path()).expect("it is there");
        let take = || {
            let mut file = std::fs::File::options();
            let file = file.create(true).truncate(false).write(true).open(place.path().join("lock"));
            RecordLock::try_exclusive(file.expect("a file").into()).expect("a lock")
        };
        let is_held = || RecordLock::is_held(&dir, "lock").expect("a lock");
        assert!(!is_held(), "there is no file");
        let lock = take();
        assert!(lock.is_some() && take().is_none());
        assert!(is_held());
        // Having looked does not give the lock up.
        assert!(is_held() && take().is_none());
        drop(lock);
        assert!(!is_held() && take().is_some());
    }
}
