//! Extensions that an update leaves as they are: `/etc/onlay/pins/NAME`, so each deployment has its own.

use std::ffi::OsStr;

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use super::Error;
use crate::sys::{Context, Root, replace_public, sync_dir};

const PLACE: &str = "etc/onlay/pins";

/// The pins of a root.
#[derive(Debug)]
pub struct Pins {
    names: Vec<String>,
}

/// Reads the pins of a root.
pub fn pins(root: &Root) -> Result<Pins, Error> {
    let dir = match root.open_dir(PLACE) {
        Err(error) if error.is_not_found() => return Ok(Pins { names: Vec::new() }),
        other => other?,
    };
    let name = |name: &OsStr| name.to_str().filter(|name| !name.starts_with('.')).map(str::to_owned);
    let mut names: Vec<String> = dir.entries()?.iter().filter_map(|entry| name(&entry.name)).collect();
    names.sort();
    Ok(Pins { names })
}

impl Pins {
    /// Whether an extension is pinned.
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|pinned| pinned == name)
    }

    /// Their names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Pins an extension. Says whether it was not.
    pub fn add(root: &Root, name: &str) -> Result<bool, Error> {
        if pins(root)?.has(name) {
            return Ok(false);
        }
        root.make_dirs(PLACE, 0o755)?;
        replace_public(&root.open_dir(PLACE)?, name, 0o644, b"")?;
        Ok(true)
    }

    /// Unpins one. Says whether it was pinned.
    pub fn remove(root: &Root, name: &str) -> Result<bool, Error> {
        if !pins(root)?.has(name) {
            return Ok(false);
        }
        let dir = root.open_dir(PLACE)?;
        match unlinkat(&dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error).context("remove", dir.join(name)).map_err(Error::from),
        }
        sync_dir(&dir)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_come_and_go() {
        let top = tempfile::tempdir().expect("a directory");
        let root = Root::open(top.path()).expect("ours");
        assert!(pins(&root).expect("none").names().is_empty());
        for (is_new, left) in [(true, 1), (false, 1)] {
            assert_eq!(Pins::add(&root, "gdb").expect("there is room"), is_new);
            assert_eq!(pins(&root).expect("readable").names().len(), left);
        }
        assert!(pins(&root).expect("readable").has("gdb"));
        assert!(Pins::remove(&root, "gdb").expect("ours") && !Pins::remove(&root, "gdb").expect("ours"));
    }
}
