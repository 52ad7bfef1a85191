//! What is unlocked: `/run/onlay/live/record.json`, written before anything is mounted and removed when all is off.
//! A reboot takes it with the mounts. What is really mounted is seen from mountinfo(5); the record says what for.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::holders::{Holder, Marks};
use super::namespace::go_to_host;
use super::{Error, LABEL};
use crate::host::Base;
use crate::overlay::{self, Overlay, RUN, run_directory};
use crate::sys::{IoError, Lock, MountTable, Root, replace_volatile};

const FOLDER: &str = "live";
const RECORD: &str = "record.json";
const LOCK: &str = "lock";
/// By which programs extensions are to be merged again.
const UNMERGED: &str = "unmerged";
/// Where layers in RAM are mounted.
const RAM: &str = "ram";
/// Why what is kept is not laid, in words.
const HELD: &str = "held";
/// What tells the files of overlays that were taken off, and whose layers are kept.
const FORMER: &str = "former.json";

/// A bound of what is read.
const LARGEST: u64 = 1 << 20;

/// The newest format that this program reads, and the one that it writes.
const FORMAT: u64 = 1;

/// What is unlocked, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub(super) format: u64,
    /// When it was unlocked (RFC 3339).
    pub since: String,
    /// Who did it.
    pub by: String,
    /// Where changes are kept.
    pub storage: Storage,
    /// Whether it can only be written in private namespaces.
    pub read_only: bool,
    /// Whether it is laid again at every boot, until it is locked.
    #[serde(default)]
    pub persistent: bool,
    /// The directories.
    pub places: Vec<PathBuf>,
    /// What lies below them.
    pub base: Base,
}

/// Where changes are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    /// In a tmpfs of at most so many bytes.
    Ram {
        /// Its bound, in bytes.
        size: u64,
    },
    /// In a directory, which is worth nothing after a reboot unless it is persistent.
    Disk {
        /// Which.
        path: PathBuf,
    },
}

/// The folder that holds the record, with its lock.
pub struct Live {
    folder: Root,
    _lock: Lock,
}

impl Record {
    pub(super) fn new(storage: Storage, read_only: bool, places: Vec<PathBuf>, base: Base) -> Record {
        let now = std::time::SystemTime::now();
        let since = humantime::format_rfc3339_seconds(now).to_string();
        Record { format: FORMAT, since, by: caller(), storage, read_only, persistent: false, places, base }
    }

    /// The directory that holds the layers.
    pub fn directory(&self) -> PathBuf {
        match &self.storage {
            Storage::Ram { .. } => ram_path(),
            Storage::Disk { path } => path.clone(),
        }
    }

    pub(super) fn to_text(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a record has only strings and numbers")
    }

    /// Its layers, as those of an overlay that has no name.
    pub(super) fn overlay(&self) -> Result<Overlay, IoError> {
        let dir = Root::open(self.directory())?;
        let record = overlay::Record::new(Path::new("/"), self.base.clone());
        Ok(Overlay { name: "live".parse().expect("a good name"), dir, record })
    }

    /// Whether all of it is there, by the host's mounts: whoever was killed while he unlocked or locked leaves less.
    pub fn is_whole(&self, mounts: &MountTable) -> bool {
        let is_laid = |place: &PathBuf| {
            let laid = mounts.all().iter().filter(|mount| mount.point == *place && mount.source == LABEL);
            laid.into_iter().any(|mount| self.read_only || !mount.flags().read_only)
        };
        self.places.iter().all(is_laid)
    }

    /// What is unlocked now; `None` where nothing is. Goes to the host's mount namespace.
    pub fn read() -> Result<Option<Record>, Error> {
        refuse_inside()?;
        go_to_host()?;
        Record::read_here()
    }

    /// The same, by what the caller's mount namespace has in /run: it stays where it is.
    pub fn read_here() -> Result<Option<Record>, Error> {
        let folder = match Root::open(Path::new(RUN).join(FOLDER)) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        read(&folder)
    }
}

/// From inside an overlay the host is not to be reached: its mount namespace is that of process 1, which is seen there.
pub(super) fn refuse_inside() -> Result<(), Error> {
    crate::shell::inside().map_or(Ok(()), |name| Err(Error::Inside { name }))
}

/// By whose hand: sudo(8) and run0(1) tell who is behind root.
fn caller() -> String {
    let name = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "root".to_owned())
}

fn read(folder: &Root) -> Result<Option<Record>, Error> {
    read_file(folder, RECORD)
}

/// Reads a record of any name.
pub(super) fn read_file(folder: &Root, name: &str) -> Result<Option<Record>, Error> {
    let text = match folder.read(name, LARGEST) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    let record = serde_json::from_slice::<Record>(&text).ok().filter(|record| record.format <= FORMAT);
    record.map(Some).ok_or_else(|| Error::Damaged { path: folder.join(name) })
}

impl Live {
    /// Opens the folder, made when missing, and keeps all others out. Goes to the host's mount namespace.
    pub fn open() -> Result<Live, Error> {
        refuse_inside()?;
        go_to_host()?;
        let run = run_directory()?;
        run.make_dir(FOLDER, 0o700)?;
        let folder = run.open_child(OsStr::new(FOLDER))?;
        Ok(Live { _lock: Lock::exclusive(&folder, LOCK)?, folder })
    }

    /// What is unlocked, or was when somebody was killed.
    pub fn record(&self) -> Result<Option<Record>, Error> {
        read(&self.folder)
    }

    pub(super) fn write(&self, record: &Record) -> Result<(), IoError> {
        replace_volatile(&self.folder, RECORD, &record.to_text())
    }

    /// Forgets what is unlocked, and why something was held back.
    pub(super) fn forget(&self) -> Result<(), IoError> {
        remove_file(&self.folder, HELD)?;
        remove_file(&self.folder, RECORD)
    }

    /// What was held back is laid, or ended.
    pub(super) fn forget_hold(&self) -> Result<(), IoError> {
        remove_file(&self.folder, FORMER)?;
        remove_file(&self.folder, HELD)
    }

    /// Writes down what tells the files of overlays that are about to be taken off, and whose layers are kept.
    pub(super) fn write_former(&self, marks: &Marks) -> Result<(), IoError> {
        let text = serde_json::to_vec(marks).expect("marks are strings and numbers");
        replace_volatile(&self.folder, FORMER, &text)
    }

    /// Who uses files of overlays that were taken off, and whose layers are kept: the kernel would mount those a second
    /// time, and two mounts that write one layer ruin it.
    pub(super) fn survivors(&self) -> Vec<Holder> {
        let marks = self.folder.read(FORMER, LARGEST).ok();
        let marks = marks.and_then(|text| serde_json::from_slice::<Marks>(&text).ok());
        marks.map(Marks::survivors).unwrap_or_default()
    }

    /// Writes down why what is kept is not laid, until the next boot or until it is.
    pub(super) fn hold_back(&self, why: &str) -> Result<(), IoError> {
        replace_volatile(&self.folder, HELD, why.as_bytes())
    }

    /// Notes whose extensions are taken off for a while. Who is killed then leaves that to the next one.
    pub(super) fn note_unmerged(&self, programs: &[&str]) -> Result<(), IoError> {
        replace_volatile(&self.folder, UNMERGED, programs.join("\n").as_bytes())
    }

    /// What was noted.
    pub(super) fn unmerged(&self) -> Result<Vec<String>, IoError> {
        match self.folder.read(UNMERGED, LARGEST) {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            other => other.map(|text| String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()),
        }
    }

    pub(super) fn forget_unmerged(&self) -> Result<(), IoError> {
        remove_file(&self.folder, UNMERGED)
    }

    /// Where layers in RAM are mounted; the directory is made when missing.
    pub(super) fn ram(&self) -> Result<Root, IoError> {
        self.folder.make_dir(RAM, 0o700)?;
        self.folder.open_child(OsStr::new(RAM))
    }
}

/// Why what is kept was not laid at this boot, where it was tried.
pub(super) fn why_held() -> Option<String> {
    let folder = Root::open(Path::new(RUN).join(FOLDER)).ok()?;
    String::from_utf8(folder.read(HELD, LARGEST).ok()?).ok()
}

/// Removes a file, which may be gone.
pub(super) fn remove_file(folder: &Root, name: &str) -> Result<(), IoError> {
    match rustix::fs::unlinkat(folder, name, rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(crate::sys::io_error("remove", folder.join(name), error)),
    }
}

/// Where layers in RAM are mounted.
pub(super) fn ram_path() -> PathBuf {
    Path::new(RUN).join(FOLDER).join(RAM)
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Storage::Ram { size } => write!(f, "RAM, at most {}", crate::shell::Size::Bytes(*size)),
            Storage::Disk { path } => write!(f, "{}", path.display()),
        }
    }
}
