//! A directory below the state for what is downloaded, and gone afterwards.
//!
//! Who uses one holds a lock on it; one without was left by somebody who was killed, and is cleared by the next.

use std::ffi::OsStr;
use std::path::Path;

use crate::event::{Event, Events};
use crate::overlay::{Overlays, clear_tree};
use crate::sys::{IoError, Lock, Root};

/// The directory, with a lock on it.
#[derive(Debug)]
pub(super) struct Scratch {
    above: Root,
    name: String,
    dir: Root,
    _lock: Lock,
}

/// Below the state directory.
const PLACE: &str = "packages";

impl Scratch {
    /// Makes one, after clearing what is left of others.
    pub(super) fn make(state: &Path, events: &mut dyn Events) -> Result<Scratch, super::Error> {
        // It has the rules for who may own the state.
        Overlays::open_or_create(state, events).map_err(crate::shell::Error::from)?;
        let state = Root::open(state)?;
        state.make_dir(PLACE, 0o700)?;
        let above = state.open_child(OsStr::new(PLACE))?;
        clear_left(&above, events)?;
        let mut number = std::process::id();
        loop {
            let name = format!("run-{number}");
            if above.make_dir(&name, 0o700)? {
                let dir = above.open_child(OsStr::new(&name))?;
                if let Some(lock) = Lock::try_directory(&dir)? {
                    return Ok(Scratch { above, name, dir, _lock: lock });
                }
            }
            number = number.wrapping_add(1);
        }
    }

    /// The directory.
    pub(super) fn dir(&self) -> &Root {
        &self.dir
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What resists is cleared by the next one.
        let _ = clear_tree(&self.above, OsStr::new(&self.name));
    }
}

fn clear_left(above: &Root, events: &mut dyn Events) -> Result<(), IoError> {
    for entry in above.entries()? {
        let Ok(dir) = above.open_own_child(&entry.name) else { continue };
        if let Some(_lock) = Lock::try_directory(&dir)? {
            clear_tree(above, &entry.name)?;
            events.tell(Event::Cleared { what: above.join(&entry.name) });
        }
    }
    Ok(())
}
