//! What was done to the layers of a host: one line of JSON for each change, and beside it what packages said while they were installed.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Changed, Deployment, Error, Milliseconds, Requests, differences, seconds_now};
use crate::sys::{Context, Root, replace_volatile};

/// Below the directory of layers.
const PLACE: &str = "history.json-lines";
const LOGS: &str = "logs";

/// More than ten thousand changes have.
const LARGEST: u64 = 64 << 20;

/// One change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// Counted from 1.
    pub number: u64,
    /// When, in seconds since 1970.
    pub time: u64,
    /// The system that was changed ([`Backend::system`](super::Backend::system)); of earlier versions, which wrote none down, the one that runs.
    #[serde(default = "running")]
    pub system: PathBuf,
    /// What was asked for, in the words of the command line.
    pub command: String,
    /// The deployment that it began with, and the one that it made.
    pub from: String,
    /// The one that it made.
    pub to: String,
    /// What was asked for before.
    pub before: Requests,
    /// What was asked for since.
    pub after: Requests,
    /// Packages that came, went or changed, each in words.
    pub packages: Vec<String>,
    /// How long its parts took; zeros of a change of earlier versions.
    pub milliseconds: Milliseconds,
}

/// The changes of one system, the oldest first.
pub fn of(layers: &Root, system: &Path) -> Result<Vec<Entry>, Error> {
    let mut entries = read(layers)?;
    entries.retain(|entry| entry.system == system);
    Ok(entries)
}

/// What was asked for last in other systems.
pub fn requests_elsewhere(layers: &Root, system: &Path) -> Result<Vec<Requests>, Error> {
    let entries = read(layers)?.into_iter().filter(|entry| entry.system != system);
    let last: BTreeMap<PathBuf, Requests> = entries.map(|entry| (entry.system, entry.after)).collect();
    Ok(last.into_values().collect())
}

fn running() -> PathBuf {
    PathBuf::from("/")
}

/// All changes, the oldest first. A line that was cut off by a power cut is passed over.
fn read(layers: &Root) -> Result<Vec<Entry>, Error> {
    let bytes = match layers.read(PLACE, LARGEST) {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        bytes => bytes?,
    };
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

impl Entry {
    /// A change of now, in the words of the command line.
    pub fn of(command: &str, changed: &Changed) -> Entry {
        Entry {
            time: seconds_now(),
            command: command.to_owned(),
            from: changed.from.id.clone(),
            to: changed.id.clone().unwrap_or_default(),
            before: changed.from.requests(),
            after: changed.manifest.requests.clone(),
            packages: changed.differences(),
            milliseconds: changed.milliseconds,
            ..Entry::default()
        }
    }

    /// The way from one deployment to another one that was there.
    pub fn between(command: &str, from: &Deployment, to: &Deployment) -> Entry {
        let manifest = |deployment: &Deployment| deployment.manifest.clone().unwrap_or_default();
        Entry {
            time: seconds_now(),
            command: command.to_owned(),
            from: from.id.clone(),
            to: to.id.clone(),
            before: from.requests(),
            after: to.requests(),
            packages: differences(&manifest(from), &manifest(to)),
            ..Entry::default()
        }
    }
}

/// Writes one more, with the next number, and what packages said.
pub fn note(layers: &Root, entry: Entry, words: &str) -> Result<(), Error> {
    let number = read(layers)?.last().map_or(1, |entry| entry.number + 1);
    if !words.is_empty() {
        layers.make_dir(LOGS, 0o700)?;
        let logs = layers.open_child(LOGS.as_ref())?;
        // Whoever was killed before the line was written has left one of that number.
        replace_volatile(&logs, &log_name(number), words.as_bytes())?;
    }
    let entry = Entry { number, ..entry };
    let mut line = serde_json::to_vec(&entry).expect("strings and numbers");
    line.push(b'\n');
    let path = layers.join(PLACE);
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).context("open", &path)?;
    // What was cut off must not become the beginning of this one.
    let is_whole = layers.read(PLACE, LARGEST)?.last().is_none_or(|&byte| byte == b'\n');
    let begin: &[u8] = if is_whole { b"" } else { b"\n" };
    (&file).write_all(&[begin, &line].concat()).and_then(|()| file.sync_all()).context("write", &path)?;
    Ok(())
}

/// What packages said in a change; nothing where none was installed.
pub fn words(layers: &Root, number: u64) -> Result<Option<String>, Error> {
    match layers.read(Path::new(LOGS).join(log_name(number)), LARGEST) {
        Err(error) if error.is_not_found() => Ok(None),
        bytes => Ok(Some(String::from_utf8_lossy(&bytes?).into_owned())),
    }
}

fn log_name(number: u64) -> String {
    format!("{number}.log")
}
