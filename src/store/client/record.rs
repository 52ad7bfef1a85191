//! What is known of a store from before, `STATE/stores/NAME`: what it listed, as it was signed; by what that is told from a
//! newer one; and the highest serial that was seen.

use std::path::Path;

use rustix::fs::{AtFlags, unlinkat};
use serde::{Deserialize, Serialize};

use super::Config;
use crate::fetch::Validator;
use crate::sys::{Context, IoError, Lock, Root, replace_file};

const FOLDER: &str = "stores";
const FILE: &str = "record.json";
const LOCK: &str = ".lock";
const LARGEST: u64 = 64 << 10;

/// A store's directory, which nobody else changes meanwhile.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) dir: Root,
    _lock: Lock,
}

/// What is known besides the list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    /// Its first address: what is known of a store is nothing to another one that has its name later.
    pub(super) address: String,
    /// Which list it has: `index.json` or `SHA256SUMS`.
    pub(super) list: String,
    /// By what that is told from a newer one.
    pub(super) validator: Option<Validator>,
    /// The highest serial of an index that was seen.
    pub(super) serial: u64,
    /// When the newest `SHA256SUMS` that was seen was signed, in seconds since 1970: such a list has no serial.
    pub(super) signed: Option<u64>,
}

impl Kept {
    /// That of a store below a state directory, made when missing.
    pub(super) fn open(state: &Path, name: &str) -> Result<Kept, IoError> {
        Root::open("/")?.make_dirs(state, 0o700)?;
        let state = Root::open(state)?;
        state.make_dir(FOLDER, 0o700)?;
        let stores = state.open_dir(FOLDER)?;
        stores.make_dir(name, 0o700)?;
        let dir = stores.open_dir(name)?;
        let lock = Lock::exclusive(&dir, LOCK)?;
        Ok(Kept { dir, _lock: lock })
    }

    /// What is known of the store at an address.
    pub(super) fn record(&self, address: &str) -> Record {
        let text = self.dir.read(FILE, LARGEST).ok();
        let record: Option<Record> = text.and_then(|text| serde_json::from_slice(&text).ok());
        let fresh = || Record { address: address.to_owned(), ..Record::default() };
        record.filter(|record| record.address == address).unwrap_or_else(fresh)
    }

    /// Keeps it. What is listed was written before: after a crash, it is asked for once more.
    pub(super) fn write(&self, record: &Record) -> Result<(), IoError> {
        let text = serde_json::to_vec_pretty(record).expect("it has only strings and numbers");
        replace_file(&self.dir, FILE, &text)
    }

    pub(super) fn read(&self, file: &str, limit: u64) -> Option<Vec<u8>> {
        self.dir.read(file, limit).ok()
    }

    pub(super) fn put(&self, file: &str, bytes: &[u8]) -> Result<(), IoError> {
        replace_file(&self.dir, file, bytes)
    }
}

/// Forgets what is known of stores that are not configured any more. Says which those are.
pub fn forget_others(state: &Path, config: &Config, dry_run: bool) -> Result<Vec<String>, IoError> {
    let stores = match Root::open(state.join(FOLDER)) {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        other => other?,
    };
    let mut gone = Vec::new();
    for entry in stores.entries()? {
        let Some(name) = entry.name.to_str().filter(|name| config.store(name).is_none()) else { continue };
        gone.push(name.to_owned());
        if dry_run {
            continue;
        }
        let dir = stores.open_child(&entry.name)?;
        for file in dir.entries()? {
            unlinkat(&dir, &file.name, AtFlags::empty()).context("remove", dir.join(&file.name))?;
        }
        unlinkat(&stores, name, AtFlags::REMOVEDIR).context("remove", dir.path())?;
    }
    Ok(gone)
}
