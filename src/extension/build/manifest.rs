//! What an image says of itself: what is in it, what it needs and what it was built for, as JSON. One is in the image
//! ([`place`]), and one beside it, which also says what the image's own digest is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::extension::database::places;
use crate::extension::elf::Elf;
use crate::extension::{Contents, Error, Layer, Sonames, Stack, Versions};
use crate::sys::{Context, IoError};

/// Manifests of a thousand packages have half a megabyte.
pub const LARGEST: usize = 16 << 20;

/// The manifest. Fields may be added; those that are there keep their meaning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// The version of this format: 1.
    pub format: u32,
    /// The extension's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, in systemd's words; none where it has no programs for one.
    pub architecture: Option<String>,
    /// What it was built for.
    pub base: BaseNote,
    /// The packages in it.
    pub packages: Vec<PackageNote>,
    /// Where the image has what a database of packages says of them ([`crate::extension::database`]).
    pub records: Vec<PathBuf>,
    /// Libraries that its programs need and that are not in it, with the symbol versions that they need.
    pub needs: Versions,
    /// Libraries that are in it, with the symbol versions that they define.
    pub provides: Versions,
    /// Files that are copied to /etc and /var where nothing is there yet.
    pub defaults: Vec<PathBuf>,
    /// What its packages have that is not in it, by a word for the reason.
    pub left_out: BTreeMap<String, LeftOut>,
    /// The files in it.
    pub files: Files,
    /// What it was made with: with the same, the same input gives the same bytes.
    pub made_with: MadeWith,
    /// The image; only in the manifest beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
}

/// A base, as far as an extension has to do with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BaseNote {
    /// `ID` of its os-release.
    pub id: String,
    /// `VERSION_ID` of its os-release.
    pub version_id: Option<String>,
    /// `SYSEXT_LEVEL` of its os-release.
    pub sysext_level: Option<String>,
}

/// One package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PackageNote {
    /// Its name.
    pub name: String,
    /// Its version, in its package manager's words.
    pub version: String,
    /// Its architecture, in its package manager's words.
    pub architecture: String,
    /// What it was built from.
    pub source: String,
    /// Its licence, where the package says it (RPM packages do).
    pub license: Option<String>,
    /// SHA-256 of the package file; empty where it was installed in an overlay.
    pub sha256: String,
    /// Scripts that a package manager would have run, and that were not.
    pub scripts: Vec<String>,
}

/// Files that are not in an extension.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftOut {
    /// How many.
    pub count: u64,
    /// The first of them, at most twenty.
    pub paths: Vec<PathBuf>,
}

impl LeftOut {
    /// So many are named.
    const NAMED: usize = 20;

    pub(super) fn add(&mut self, path: &Path) {
        self.count += 1;
        if self.paths.len() < LeftOut::NAMED {
            self.paths.push(path.to_owned());
        }
    }
}

/// The files of an extension.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Files {
    /// How many have contents.
    pub count: u64,
    /// Bytes of all contents.
    pub bytes: u64,
    /// SHA-256 over a line for each name of a file with contents, sorted by path: SHA-256 of its contents, two spaces, its path.
    /// What is made besides is not among them: this manifest, the release file, and lines for tmpfiles.d.
    pub sha256: String,
}

/// How an image was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MadeWith {
    /// The version of this program.
    pub onlay: String,
    /// The image's format.
    pub format: String,
    /// Algorithm and level.
    pub compression: String,
    /// Bytes of a block.
    pub block_size: u32,
    /// The policy by which files are labelled, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelsNote>,
    /// The time of the image and of what has no time of its own, in seconds since 1970.
    pub time: i64,
}

/// Labels of SELinux.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LabelsNote {
    /// The list that they are from, where it was read.
    pub file_contexts: PathBuf,
    /// SHA-256 of that list.
    pub sha256: String,
}

/// The image that a manifest is beside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Image {
    /// Its file name.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// Whether a file of an extension is none of its sources': a manifest, records of packages, a release file, lines for sysusers.d
/// and tmpfiles.d.
pub fn is_made_besides(path: &str, name: &str) -> bool {
    Path::new(path) == place(name)
        || path == format!("usr/lib/extension-release.d/extension-release.{name}")
        || path == format!("usr/lib/tmpfiles.d/zzz-onlay-{name}.conf")
        || path == format!("usr/lib/sysusers.d/000-onlay-{name}.conf")
        || Path::new(path) == places::headers(name)
        || Path::new(path).starts_with(places::dpkg(name))
}

/// Where the manifest of an extension is in its image.
pub fn place(name: &str) -> PathBuf {
    Path::new(places::DIRECTORY).join(format!("{name}.json"))
}

/// Where the manifest of an image is that is beside it.
pub fn place_beside(image: impl AsRef<Path>) -> PathBuf {
    let mut path = image.as_ref().as_os_str().to_owned();
    path.push(".json");
    path.into()
}

impl Manifest {
    /// The one beside an image; `None` where there is none, or it makes no sense.
    pub fn beside(image: &Path) -> Result<Option<Manifest>, IoError> {
        let path = place_beside(image);
        match std::fs::metadata(&path) {
            Ok(found) if !found.is_file() || found.len() > LARGEST as u64 => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.context("examine", &path)?,
        };
        let text = std::fs::read(&path).context("read", &path)?;
        Ok(serde_json::from_slice(&text).ok())
    }

    /// The one in an image, of an extension by this name; `None` likewise.
    pub fn inside(contents: &dyn Contents, name: &str) -> Result<Option<Manifest>, Error> {
        let stack = Stack::new(vec![Layer { contents, hierarchies: None }]);
        let text = stack.read(&place(name), LARGEST)?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// Notes what programs need and what they provide.
    pub(super) fn note_objects<'a>(&mut self, objects: impl IntoIterator<Item = &'a (PathBuf, Elf)>) {
        let Sonames { needs, provides, .. } = Sonames::of(objects.into_iter().map(|(_, elf)| elf));
        (self.needs, self.provides) = (needs, provides);
    }

    /// As text, to be written to a file.
    pub fn to_text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("it has nothing that JSON cannot say");
        text.push(b'\n');
        text
    }
}
