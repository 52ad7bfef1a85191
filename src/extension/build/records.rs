//! What databases of packages have of the packages in an image, so that a host's database can have it while the image is merged
//! ([`crate::extension::database`]).
//!
//! Nothing of it depends on when or where the image was made: packages are said to have been installed at the image's time. A
//! file that is not in the image is one that was not installed (rpm), or none of the package's (dpkg, which has no word for
//! that). Defaults are where tmpfiles.d(5) puts them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::gather::{Fate, Gathered};
use super::naming::ExtensionName;
use super::source::Source;
use crate::extension::database::places;
use crate::package::Header;
use crate::package::archive::{self, Deb, Fault, Rpm};
use crate::package::deb822::{Document, Stanza};
use crate::package::digest::FileDigest;
use crate::package::header::{File, FileFlags, FileState, MAGIC, Value, tag};
use crate::pkgdb;
use crate::pkgdb::dpkg::{self, Entry};

/// What databases have of the packages of an image.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Headers of rpm's, each with its magic before it.
    headers: Vec<u8>,
    /// Stanzas of dpkg's `status`.
    stanzas: Vec<Stanza>,
    /// Files of dpkg's directory `info`.
    info: BTreeMap<String, Vec<u8>>,
}

impl Records {
    /// Those of all sources that are packages.
    pub(super) fn of(sources: &[Source], gathered: &[Gathered], time: u32) -> Result<Records, Error> {
        let mut records = Records::default();
        for (source, gathered) in sources.iter().zip(gathered) {
            let there = There::of(&gathered.fates);
            if let Some(rpm) = source.rpm() {
                records.headers.extend_from_slice(&MAGIC);
                records.headers.extend(header(rpm, &there, time));
            } else if let Some(deb) = source.deb() {
                records.add_deb(deb, &gathered.fates, &there).map_err(|error| archive::Error {
                    package: source.name(),
                    fault: Fault::Control(error),
                })?;
            } else if let Source::Changes(changes) = source {
                let of_changes = changes.records();
                records.headers.extend_from_slice(&of_changes.headers);
                records.stanzas.extend(of_changes.stanzas.iter().cloned());
                records.info.extend(of_changes.info.clone());
            }
        }
        Ok(records)
    }

    /// Adds a package of rpm's as another database has it, but for files that are not `there`: by their paths from the root,
    /// without a slash before.
    pub(super) fn add_installed_rpm(&mut self, blob: &[u8], there: &dyn Fn(&Path) -> bool) {
        let Ok(header) = Header::parse(blob) else { return };
        let states = header.files().map(|file| {
            let state = file.state.unwrap_or(FileState::Normal);
            let is_lost = state == FileState::Normal && !is_there(&file, there);
            if is_lost { FileState::NotInstalled.number() } else { state.number() }
        });
        let states: Vec<u8> = states.collect();
        // rpm has no entry without values.
        let adapted =
            if states.is_empty() { None } else { header.with(tag::FILE_STATES, &Value::Char(states)) };
        self.headers.extend_from_slice(&MAGIC);
        self.headers.extend(adapted.as_deref().unwrap_or(header.blob()));
    }

    /// Adds a package of dpkg's as another database has it, likewise.
    pub(super) fn add_installed_deb(
        &mut self,
        entry: &Entry,
        info: impl Fn(&str) -> Result<Option<Vec<u8>>, pkgdb::Error>,
        there: &dyn Fn(&Path) -> bool,
    ) -> Result<(), Error> {
        let stem = dpkg::stem(entry);
        for (kind, path_of) in INFO {
            let Some(text) = info(kind)? else { continue };
            let lines = text.split_inclusive(|byte| *byte == b'\n');
            let kept = lines.filter(|line| path_of(line.trim_ascii_end()).is_none_or(|path| there(&path)));
            self.info.insert(format!("{stem}.{kind}"), kept.flatten().copied().collect());
        }
        let conffiles: Vec<(PathBuf, String)> = entry
            .conffiles
            .iter()
            .map(|file| (file.path.strip_prefix("/").unwrap_or(&file.path).to_owned(), file.digest.clone()))
            .filter(|(path, _)| there(path))
            .collect();
        self.stanzas.push(stanza(&entry.stanza, &conffiles));
        Ok(())
    }

    /// Where they are in the image: a file, or a directory of them.
    pub(super) fn places(&self, name: &ExtensionName) -> Vec<PathBuf> {
        let mut found = Vec::new();
        if !self.headers.is_empty() {
            found.push(places::headers(name.as_str()));
        }
        if !self.stanzas.is_empty() {
            found.push(places::dpkg(name.as_str()));
        }
        found
    }

    /// Directories that need to be there though they are empty: dpkg-query(1) looks for it in any database.
    pub(super) fn directories(&self, name: &ExtensionName) -> Vec<PathBuf> {
        let is_there = !self.stanzas.is_empty();
        is_there.then(|| places::dpkg(name.as_str()).join("updates")).into_iter().collect()
    }

    /// The files that they are.
    pub(super) fn files(&self, name: &ExtensionName) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        if !self.headers.is_empty() {
            files.push((places::headers(name.as_str()), self.headers.clone()));
        }
        if !self.stanzas.is_empty() {
            let directory = places::dpkg(name.as_str());
            files.push((directory.join("status"), Document::of(self.stanzas.iter().cloned()).to_bytes()));
            files.push((directory.join("info/format"), b"1\n".to_vec()));
            files.extend(
                self.info.iter().map(|(file, text)| (directory.join("info").join(file), text.clone())),
            );
        }
        files
    }

    fn add_deb(&mut self, deb: &Deb, fates: &[Fate], there: &There<'_>) -> Result<(), crate::package::Error> {
        let digests = digests(deb, fates);
        let conffiles: Vec<PathBuf> = deb.conffiles().filter(|path| there.has(path)).collect();
        let noted = conffiles.iter().map(|path| {
            let digest = digests.get(&**path).map_or_else(|| "newconffile".to_owned(), FileDigest::to_string);
            (path.clone(), digest)
        });
        let entry = Entry::parse(stanza(deb.stanza(), &noted.collect::<Vec<_>>()))?;
        let stem = dpkg::stem(&entry);
        let mut add = |kind: &str, text: Vec<u8>| {
            self.info.insert(format!("{stem}.{kind}"), text);
        };
        add("list", list(fates, there));
        add("md5sums", md5sums(deb, fates));
        if !conffiles.is_empty() {
            add("conffiles", conffiles.iter().flat_map(|path| line(&[b"/", bytes(path)])).collect());
        }
        self.stanzas.push(entry.stanza);
        Ok(())
    }
}

/// The paths of a package's files that are in the image, and those of the directories above them.
struct There<'a>(HashSet<&'a Path>);

impl<'a> There<'a> {
    fn of(fates: &'a [Fate]) -> There<'a> {
        let there = fates.iter().filter(|fate| fate.is_there);
        There(there.flat_map(|fate| fate.path.ancestors()).collect())
    }

    fn has(&self, path: &Path) -> bool {
        self.0.contains(path)
    }
}

fn header(rpm: &Rpm, there: &There<'_>, time: u32) -> Vec<u8> {
    let header = rpm.header();
    let states = header
        .files()
        .map(|file| {
            let is_there = is_there(&file, &|path| there.has(path));
            if is_there { FileState::Normal } else { FileState::NotInstalled }
        })
        .collect::<Vec<_>>();
    rpm.installed_header(time, &states)
}

/// Whether a file of a header is there. What is only made at its place is in no package.
fn is_there(file: &File<'_>, there: &dyn Fn(&Path) -> bool) -> bool {
    let path = file.path();
    file.flags.contains(FileFlags::GHOST) || there(path.strip_prefix("/").unwrap_or(&path))
}

/// What a line of a file in `info/` is about: a path from the root, without a slash before.
type PathOf = fn(&[u8]) -> Option<PathBuf>;

/// Files in `info/` that are recorded.
const INFO: [(&str, PathOf); 3] =
    [("list", absolute_path), ("conffiles", absolute_path), ("md5sums", path_behind_digest)];

fn absolute_path(line: &[u8]) -> Option<PathBuf> {
    let path = line.strip_prefix(b"/").filter(|path| *path != b".")?;
    Some(OsStr::from_bytes(path).into())
}

fn path_behind_digest(line: &[u8]) -> Option<PathBuf> {
    let (_, path) = line.split_at_checked(34)?;
    Some(OsStr::from_bytes(path).into())
}

/// A package's stanza in `status`: its control file, and what dpkg adds.
fn stanza(control: &Stanza, conffiles: &[(PathBuf, String)]) -> Stanza {
    let mut stanza = Stanza::of([]);
    for (name, value) in control.fields() {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let is_systems_own =
            ["Status", "Conffiles", "Config-Version", "Triggers-Pending", "Triggers-Awaited"]
                .iter()
                .any(|own| name.eq_ignore_ascii_case(own));
        if !is_systems_own {
            stanza.set(name, value);
        }
        if name.eq_ignore_ascii_case("Package") {
            stanza.set("Status", b"install ok installed");
        }
    }
    if !conffiles.is_empty() {
        let lines =
            conffiles.iter().map(|(path, digest)| [b"\n /", bytes(path), b" ", digest.as_bytes()].concat());
        stanza.set("Conffiles", &lines.collect::<Vec<_>>().concat());
    }
    stanza
}

/// `info/PKG.list`: all paths, as the package has them.
fn list(fates: &[Fate], there: &There<'_>) -> Vec<u8> {
    let mut text = b"/.\n".to_vec();
    let mut seen = HashSet::new();
    for fate in fates.iter().filter(|fate| there.has(&fate.path)) {
        // A directory can come twice.
        if seen.insert(&fate.path) {
            text.extend(line(&[b"/", bytes(&fate.path)]));
        }
    }
    text
}

/// `info/PKG.md5sums`: as the package has it, but for what is not there; of all regular files where it has none, as dpkg makes it.
fn md5sums(deb: &Deb, fates: &[Fate]) -> Vec<u8> {
    let lines = fates.iter().filter(|fate| fate.is_there).filter_map(|fate| {
        let digest = if deb.has_md5sums() { deb.md5(&fate.path) } else { fate.md5 };
        let digest = digest?.to_string();
        Some(line(&[digest.as_bytes(), b"  ", bytes(&fate.path)]))
    });
    lines.flatten().collect()
}

/// MD5 of each file of which it is known: by the package, or since it was made.
fn digests<'a>(deb: &Deb, fates: &'a [Fate]) -> HashMap<&'a Path, FileDigest> {
    fates.iter().filter_map(|fate| Some((&*fate.path, deb.md5(&fate.path).or(fate.md5)?))).collect()
}

fn bytes(path: &Path) -> &[u8] {
    OsStr::as_bytes(path.as_os_str())
}

/// A line of parts; none where a newline in a name would make two of it (dpkg installs no such file).
fn line(parts: &[&[u8]]) -> Vec<u8> {
    let mut line = parts.concat();
    if line.contains(&b'\n') {
        return Vec::new();
    }
    line.push(b'\n');
    line
}
