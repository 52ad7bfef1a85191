//! Owner, mode, attributes and time of what is made of an object, or becomes one.

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid};

use super::object::Metadata;
use crate::sys::{Context, FileKind, IoError, Root, Xattrs};

/// Reads them of a name in a directory.
pub(super) fn read(dir: &Root, name: &OsStr) -> Result<Option<Metadata>, IoError> {
    let Some(stat) = dir.lstat(name)? else { return Ok(None) };
    let xattrs = Xattrs::read(dir, Path::new(name))?;
    Ok(Some(Metadata { uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode, xattrs }))
}

/// Gives them to a name in a directory that is new, with the time that ostree gives to everything: objects have none of their own.
pub(super) fn give(dir: &Root, name: &OsStr, metadata: &Metadata) -> Result<(), IoError> {
    let path = || dir.join(name);
    let (owner, group) = (Uid::from_raw(metadata.uid), Gid::from_raw(metadata.gid));
    let itself = AtFlags::SYMLINK_NOFOLLOW;
    // In this order: a new owner costs a file its setuid bit and its capabilities.
    rustix::fs::chownat(dir, name, Some(owner), Some(group), itself).context("set owner of", path())?;
    if !metadata.is_link() {
        let mode = Mode::from_raw_mode(metadata.mode & 0o7777);
        rustix::fs::chmodat(dir, name, mode, AtFlags::empty()).context("set mode of", path())?;
    }
    for (attribute, value) in &metadata.xattrs.0 {
        Xattrs::set(dir, Path::new(name), attribute, value)?;
    }
    let epoch = Timespec { tv_sec: 0, tv_nsec: 0 };
    let times = Timestamps { last_access: epoch, last_modification: epoch };
    rustix::fs::utimensat(dir, name, &times, itself).context("set time of", path())
}

/// Makes a copy of a file or link, with all that it has.
pub(super) fn copy(from: &Root, old: &OsStr, to: &Root, new: &OsStr) -> Result<(), IoError> {
    let metadata = read(from, old)?.ok_or(rustix::io::Errno::NOENT).context("examine", from.join(old))?;
    if metadata.is_link() {
        let target = from.read_link(old)?;
        rustix::fs::symlinkat(&target, to, new).context("create link", to.join(new))?;
    } else {
        let source = from.open_child_file(old)?;
        let file = to.make_file(new, 0o600)?;
        crate::sys::copy_content(&source, &file.into()).context("copy to", to.join(new))?;
    }
    give(to, new, &metadata)
}

/// Whether a status is one that a file object can have.
pub(super) fn is_object(kind: FileKind) -> bool {
    matches!(kind, FileKind::File | FileKind::Symlink)
}
