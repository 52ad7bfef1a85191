//! Links, and files that may be gone: each change is one rename or removal.

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::sys::{Context, IoError, Root};

/// Makes a link, or has one say something else, by one rename. Says whether anything changed.
pub(super) fn replace_link(dir: &Root, name: &str, target: &Path) -> Result<bool, IoError> {
    let is_so = dir.read_link(OsStr::new(name)).is_ok_and(|said| Path::new(&said) == target);
    if is_so {
        return Ok(false);
    }
    let aside = format!(".#{name}.new");
    // What an earlier run has left.
    remove_file(dir, &aside)?;
    rustix::fs::symlinkat(target, dir, &aside).context("create", dir.join(&aside))?;
    rustix::fs::renameat(dir, &aside, dir, name).context("replace", dir.join(name))?;
    Ok(true)
}

/// Removes a file or link; one that is gone already is no matter.
pub(super) fn remove_file(dir: &Root, name: impl AsRef<OsStr>) -> Result<(), IoError> {
    remove(dir, name.as_ref(), AtFlags::empty())
}

/// Removes an empty directory; one that is gone already is no matter.
pub(super) fn remove_directory(dir: &Root, name: &str) -> Result<(), IoError> {
    remove(dir, OsStr::new(name), AtFlags::REMOVEDIR)
}

fn remove(dir: &Root, name: &OsStr, flags: AtFlags) -> Result<(), IoError> {
    match rustix::fs::unlinkat(dir, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error).context("remove", dir.join(name)),
    }
}
