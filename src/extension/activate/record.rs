//! What is active, `/run/onlay/extensions.json`: which images were linked for systemd, and which were held back, and why. A
//! reboot empties it with the links.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Actions, Error};
use crate::extension::database::Remark;
use crate::overlay::{RUN, run_directory};
use crate::sys::{Root, replace_volatile};

const FILE: &str = "extensions.json";
/// More than this is none of ours.
const LARGEST: u64 = 16 << 20;

/// What a file was when it was judged: another one, or another content, has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    inode: u64,
    size: u64,
    /// When it was last written, in nanoseconds since 1970.
    modified: i64,
}

/// An extension that is fit, and is linked for systemd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Active {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The name by which systemd merges it.
    pub merged_as: String,
    /// The image.
    pub path: PathBuf,
    /// What the image was.
    pub stamp: Stamp,
    /// What is to be done when it comes or goes.
    pub actions: Actions,
}

/// An extension that is enabled, and is not merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// Its name.
    pub name: String,
    /// The image.
    pub path: PathBuf,
    /// Why, in words.
    pub why: String,
    /// Whether systemd refused it, where nothing was found wrong with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_systemd: bool,
}

/// A link that was made for systemd besides those of images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generated {
    /// The name by which systemd merges it.
    pub merged_as: String,
    /// A directory, or an image, that is an extension.
    pub target: PathBuf,
    /// What tells its contents from others.
    pub stamp: String,
}

/// All that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// What is linked.
    pub active: Vec<Active>,
    /// What is made of these, and linked.
    pub generated: Option<Generated>,
    /// What there is to say of the package database with these.
    pub remarks: Vec<Remark>,
    /// What is not.
    pub held: Vec<HeldBack>,
    /// Names of others' extensions that are masked, since systemd cannot open them.
    pub masked: Vec<String>,
    /// Whether systemd has merged these links since they were made; at boot it does so after us.
    pub merged: bool,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Stamp {
        let modified = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        Stamp { inode: metadata.ino(), size: metadata.len(), modified }
    }
}

impl HeldBack {
    pub(super) fn unfit(name: &str, path: &Path, why: String) -> HeldBack {
        HeldBack { name: name.to_owned(), path: path.to_owned(), why, by_systemd: false }
    }
}

impl Record {
    /// What was written last since the host was booted; of a damaged file, nothing.
    pub fn read() -> Result<Record, Error> {
        let folder = match Root::open(Path::new(RUN)) {
            Err(error) if error.is_not_found() => return Ok(Record::default()),
            other => other?,
        };
        let text = match folder.read(FILE, LARGEST) {
            Err(error) if error.is_not_found() => return Ok(Record::default()),
            other => other?,
        };
        Ok(serde_json::from_slice(&text).unwrap_or_default())
    }

    pub(super) fn write(&self) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self).expect("it has only strings and numbers");
        Ok(replace_volatile(&run_directory()?, FILE, &text)?)
    }

    /// What is to be merged by its names: two records with the same need no merge.
    pub(super) fn is_same_set(&self, other: &Record) -> bool {
        self.active == other.active && self.generated == other.generated && self.masked == other.masked
    }
}
