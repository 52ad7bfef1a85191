//! Locks of records (fcntl(2)) on whole files, as dpkg and apt take them; flock(2) knows nothing of these.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{Context, IoError, Root};

/// A held lock. It belongs to the open file (F_OFD_SETLK): programs that lock for their process see it, and it
/// is not lost when this process opens and closes the file elsewhere.
#[derive(Debug)]
pub struct RecordLock {
    _fd: OwnedFd,
}

impl RecordLock {
    /// Takes the lock on `name` in `dir`, or `None` where somebody holds it. The file is made when missing.
    pub fn try_take(dir: &Root, name: &str, mode: u32) -> Result<Option<RecordLock>, IoError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(mode))
            .context("open lock", dir.join(name))?;
        match ask(&fd, libc::F_OFD_SETLK) {
            Ok(_) => Ok(Some(RecordLock { _fd: fd })),
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(None),
            Err(error) => Err(error).context("lock", dir.join(name)),
        }
    }

    /// Whether somebody holds the lock. Nothing is made or locked to know.
    pub fn is_held(dir: &Root, name: &str) -> Result<bool, IoError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let fd = match rustix::fs::openat(dir, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(false),
            other => other.context("open lock", dir.join(name))?,
        };
        let found = ask(&fd, libc::F_OFD_GETLK).context("examine lock", dir.join(name))?;
        Ok(found.l_type != libc::F_UNLCK as libc::c_short)
    }
}

/// Asks for a lock on the whole file, or who is in its way.
fn ask(fd: &OwnedFd, command: libc::c_int) -> Result<libc::flock64, Errno> {
    // SAFETY: zeroes are a valid `flock64`: they mean "from the beginning to the end, whatever that is".
    let mut lock: libc::flock64 = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    loop {
        // SAFETY: `lock` lives during the call, which reads and writes that structure alone.
        if unsafe { libc::fcntl(fd.as_raw_fd(), command, &raw mut lock) } == 0 {
            return Ok(lock);
        }
        match std::io::Error::last_os_error().raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::INTR) => {}
            Some(error) => return Err(error),
            None => return Err(Errno::IO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let place = tempfile::tempdir().expect("a directory");
        let dir = Root::open(place.path()).expect("it is there");
        let take = || RecordLock::try_take(&dir, "lock", 0o640).expect("a lock");
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
