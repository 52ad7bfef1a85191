//! Deleting a tree that anybody may have made. What somebody has mounted in it is not a part of it: there it stops.

use std::ffi::OsStr;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::sys::{Context, IoError, Root};

/// Deletes a tree of any depth with two open directories: what lies deeper is first moved up.
pub fn clear(parent: &Root, name: &OsStr) -> Result<(), IoError> {
    let top = match parent.open_own_child(name) {
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) if error.errno() == Some(Errno::XDEV.raw_os_error()) => return Err(error),
        // A stray file of that name.
        Err(_) => {
            return rustix::fs::unlinkat(parent, name, AtFlags::empty()).context("remove", parent.join(name));
        }
        Ok(top) => top,
    };
    let mut moved = 0u64;
    loop {
        let mut entries = top.entries()?.into_iter().peekable();
        if entries.peek().is_none() {
            break;
        }
        for entry in entries {
            clear_one(&top, &entry.name, &mut moved)?;
        }
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR).context("remove", parent.join(name))
}

/// Deletes one entry of `top`, after moving directories in it that are not empty up into `top`.
fn clear_one(top: &Root, name: &OsStr, moved: &mut u64) -> Result<(), IoError> {
    if !top.is_dir(name)? {
        return rustix::fs::unlinkat(top, name, AtFlags::empty()).context("remove", top.join(name));
    }
    let dir = top.open_own_child(name)?;
    for entry in dir.entries()? {
        if !dir.is_dir(&entry.name)? {
            rustix::fs::unlinkat(&dir, &entry.name, AtFlags::empty())
                .context("remove", dir.join(&entry.name))?;
            continue;
        }
        match rustix::fs::unlinkat(&dir, &entry.name, AtFlags::REMOVEDIR) {
            Ok(()) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                let unused = loop {
                    *moved += 1;
                    let candidate = format!(".{moved}");
                    if top.lstat(&candidate)?.is_none() {
                        break candidate;
                    }
                };
                rustix::fs::renameat(&dir, &entry.name, top, &unused)
                    .context("move", dir.join(&entry.name))?;
            }
            Err(error) => return Err(error).context("remove", dir.join(&entry.name)),
        }
    }
    rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR).context("remove", top.join(name))
}
