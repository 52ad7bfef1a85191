//! Which names of a store's directory are shown, and their files.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::store::Error;
use crate::store::directory::{LARGEST_INDEX, read_index, sums_of};
use crate::store::export::is_page;
use crate::store::index::INDEX;
use crate::store::signing::{KEYRING, KEYS, SIGNATURES};
use crate::store::sums::{SUMS, Sums};
use crate::sys::Root;

/// A store that is shown.
#[derive(Debug)]
pub(super) struct Names {
    dir: Root,
    /// What it lists, and the state of the list from which that is known.
    listed: Mutex<(Option<State>, Sums)>,
}

/// A file as it is now.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) file: File,
    pub(super) size: u64,
    /// By which one sees whether it is still the same.
    pub(super) tag: String,
    pub(super) changed: SystemTime,
    /// Whether it stays what it is under its name.
    pub(super) is_final: bool,
}

/// By what a file is another one: inode, size, seconds and nanoseconds of its change.
type State = (u64, u64, i64, i64);

impl Names {
    /// Of a store: ours, or one that others made.
    pub(super) fn of(dir: Root) -> Result<Names, Error> {
        if !dir.exists(INDEX) && !dir.exists(SUMS) {
            return Err(Error::None(dir.path().to_owned()));
        }
        Ok(Names { dir, listed: Mutex::default() })
    }

    /// The file with a name that is shown.
    pub(super) fn open(&self, name: &str) -> Option<Shown> {
        let name = if name.is_empty() { "index.html" } else { name };
        let is_list = [INDEX, SUMS, KEYS, KEYRING].contains(&name)
            || SIGNATURES.iter().any(|(other, _)| *other == name);
        let is_page = is_page(name);
        if !is_list && !is_page && !self.is_listed(name) {
            return None;
        }
        let file = self.dir.open_exact_file(name).ok()?;
        let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let (inode, size, seconds, nanos) = state_of(&metadata);
        let changed = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let tag = format!("\"{inode:x}-{size:x}-{seconds:x}-{nanos:x}\"");
        Some(Shown { file, size, tag, changed, is_final: !is_list && !is_page })
    }

    /// Whether a list of the store has a name; lists are read again when they have changed.
    fn is_listed(&self, name: &str) -> bool {
        let list = if self.dir.exists(INDEX) { INDEX } else { SUMS };
        let state =
            self.dir.open_exact_file(list).ok().and_then(|file| file.metadata().ok()).map(|it| state_of(&it));
        let mut listed = self.listed.lock().expect("nobody panics with it");
        if state.is_none() || listed.0 != state {
            let read = if list == INDEX {
                read_index(&self.dir).ok().map(|signed| sums_of(&signed.index))
            } else {
                self.dir.read(SUMS, LARGEST_INDEX).ok().and_then(|text| Sums::parse(&text).ok())
            };
            *listed = (state, read.unwrap_or_default());
        }
        listed.1.0.contains_key(name)
    }
}

fn state_of(metadata: &std::fs::Metadata) -> State {
    (metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec())
}
