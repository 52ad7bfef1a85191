//! Copying what a file has besides its content.

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, Uid};
use rustix::io::Errno;

use crate::sys::{Context, IoError, Root, Xattrs};

/// A name in a directory that is open; `.` is the directory itself.
pub(super) type Named<'a> = (&'a Root, &'a OsStr);

/// Gives a file or directory owner and mode of another, and those of its extended attributes that are wanted. What the
/// other has not is left as it is.
pub(super) fn copy_attributes(
    from: Named<'_>,
    to: Named<'_>,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> Result<(), IoError> {
    let Some(stat) = from.0.lstat(from.1)? else { return Ok(()) };
    let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    let place = || if to.1 == "." { to.0.path().to_owned() } else { to.0.join(to.1) };
    // In this order: a new owner costs a file its setuid bit and its capabilities.
    rustix::fs::chownat(to.0, to.1, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)
        .context("set owner of", place())?;
    rustix::fs::chmodat(to.0, to.1, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())
        .context("set mode of", place())?;
    for (name, value) in Xattrs::read(from.0, Path::new(from.1))?.0 {
        if !is_wanted(&name) {
            continue;
        }
        match Xattrs::set(to.0, Path::new(to.1), &name, &value) {
            // A label where no security module reads it, or a list that the file system cannot hold.
            Err(error) if error.errno() == Some(Errno::NOTSUP.raw_os_error()) => {}
            other => other?,
        }
    }
    Ok(())
}
