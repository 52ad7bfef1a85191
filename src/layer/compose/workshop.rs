//! The directory below the state in which trees are put together: one at a time.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::install::FILES;
use super::ram;
use crate::event::{Event, Events};
use crate::layer::Error;
use crate::overlay::{Overlays, clear_tree};
use crate::sys::{Lock, MountFlags, Root, attach, detach_path, new_filesystem};

/// Below the state directory.
pub const PLACE: &str = "layers";

/// What is made anew each time: where the base is shown, its own /var, the overlay.
const BASE: &str = "base";
const VAR: &str = "var";
const STATE: &str = "overlay";

/// What is written over a base that is laid together, which is nothing.
pub(super) const OVER_BASE: [&str; 2] = ["base-upper", "base-work"];

/// What stays for the next time: lists and packages of package managers.
const CACHE: &str = "cache";

/// The name of the overlay.
pub(super) const OVERLAY: &str = "layer";

/// The directory, with a lock on it.
#[derive(Debug)]
pub struct Workshop {
    dir: Root,
    _lock: Lock,
}

/// What an overlay has beyond its base, by the part of the tree that a layer is for.
#[derive(Debug)]
pub struct Layers {
    /// All but /etc and /var.
    pub root: Option<Root>,
    /// /etc, which has its defaults in /usr/etc.
    pub etc: Option<Root>,
    /// /var.
    pub var: Option<Root>,
}

impl Workshop {
    /// Opens it, and clears what somebody who was killed has left there.
    pub fn open(state: &Path, events: &mut dyn Events) -> Result<Workshop, Error> {
        // It has the rules for who may own the state.
        Overlays::open_or_create(state, events).map_err(crate::shell::Error::from)?;
        let state = Root::open(state)?;
        state.make_dir(PLACE, 0o700)?;
        let dir = state.open_child(OsStr::new(PLACE))?;
        let Some(lock) = Lock::try_directory(&dir)? else {
            return Err(Error::Busy { path: dir.path().to_owned() });
        };
        let workshop = Workshop { dir, _lock: lock };
        for name in [VAR, STATE].into_iter().chain(OVER_BASE) {
            if workshop.dir.exists(name) {
                workshop.clear(name)?;
                events.tell(Event::Cleared { what: workshop.dir.join(name) });
            }
        }
        workshop.dir.make_dir(BASE, 0o700)?;
        workshop.dir.make_dir(VAR, 0o755)?;
        workshop.dir.make_dir(CACHE, 0o700)?;
        Ok(workshop)
    }

    /// The directory of all that is remembered of layers.
    pub fn dir(&self) -> &Root {
        &self.dir
    }

    /// Where the base is shown.
    pub(super) fn base(&self) -> PathBuf {
        self.dir.join(BASE)
    }

    /// The base's own /var: nothing but what package managers cannot do without.
    pub(super) fn var(&self) -> Result<Root, Error> {
        Ok(self.dir.open_child(OsStr::new(VAR))?)
    }

    /// The state of the overlay.
    pub(super) fn state(&self) -> PathBuf {
        self.dir.join(STATE)
    }

    /// Has the overlay be in RAM, of so many bytes at most: for this process and those that it starts from now on, until it goes back to the mount
    /// namespace that it came from.
    pub(super) fn to_ram(&self, limit: u64) -> Result<(), Error> {
        ram::leave()?;
        self.dir.make_dir(STATE, 0o700)?;
        let options = [("mode", "0700"), ("size", &limit.to_string())];
        let ram = new_filesystem("tmpfs", &options, MountFlags::default())?;
        // By its path, so that it is reached through mounts of this namespace.
        Ok(attach(&ram, Root::open(self.state())?, &self.state())?)
    }

    /// Has the overlay be on disk again, and nothing in it.
    pub(super) fn to_disk(&self) -> Result<(), Error> {
        detach_path(&self.state())?;
        self.clear(STATE)
    }

    /// Where lists and packages of package managers are.
    pub fn cache(&self) -> Result<Root, Error> {
        Ok(self.dir.open_child(OsStr::new(CACHE))?)
    }

    /// Removes lists and packages that were downloaded, and package files that were given and are not among these digests.
    pub fn forget_downloads(&self, wanted: &BTreeSet<String>) -> Result<(), Error> {
        let cache = self.cache()?;
        for entry in cache.entries()? {
            if entry.name != FILES {
                clear_tree(&cache, &entry.name)?;
                continue;
            }
            let files = cache.open_child(&entry.name)?;
            let digest =
                |name: &OsStr| Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
            for file in files.entries()? {
                if digest(&file.name).is_none_or(|digest| !wanted.contains(&digest)) {
                    clear_tree(&files, &file.name)?;
                }
            }
        }
        Ok(())
    }

    /// A directory beside these, emptied, for whoever composes.
    pub fn empty(&self, name: &str) -> Result<Root, Error> {
        self.clear(name)?;
        self.dir.make_dir(name, 0o700)?;
        Ok(self.dir.open_child(OsStr::new(name))?)
    }

    /// What was changed in the overlay.
    pub fn layers(&self) -> Result<Layers, Error> {
        let overlay = self.state().join("overlays").join(OVERLAY).join("layers");
        let upper = |name: &str| match Root::open(overlay.join(name).join("upper")) {
            Err(error) if error.is_not_found() => Ok(None),
            other => other.map(Some),
        };
        Ok(Layers { root: upper("@root")?, etc: upper("etc")?, var: upper("var")? })
    }

    fn clear(&self, name: &str) -> Result<(), Error> {
        Ok(clear_tree(&self.dir, OsStr::new(name))?)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        for name in [VAR, STATE].into_iter().chain(OVER_BASE) {
            // What resists is cleared by the next one.
            let _ = self.clear(name);
        }
    }
}
