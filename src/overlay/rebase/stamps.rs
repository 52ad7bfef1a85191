//! Noticing that files of a base were edited, though it is the same base.
//!
//! A base is told from another by its name, or by its database of packages. But people edit files of a host by
//! themselves, and so do programs like useradd(8), dpkg-divert(1) and update-alternatives(1): in /etc, above all, which
//! can be written on most hosts. So, whenever an overlay is entered, those files are looked at that it covers: as much as
//! it has there, and only their status, as long as that is the one that was noted. What tells whether a file was edited is
//! its content in `files` (see `seen`); what is noted here saves reading it, and may be lost.
//!
//! # Format of `layers/@seen/stamps`
//! ```text
//! onlay stamps 1 LF
//! then for each name: STAMP NUL PATH NUL
//!   -                      nothing is there; what would be below it is not listed
//!   d MODE UID GID         a directory: names in it come and go
//!   INODE SIZE SECS.NANOS  anything else, with the time when it, or what is known of it, was last changed
//!   ?                      what was changed so recently that another change might have the same time
//! ```

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::Stat;

use super::seen::{self, Had, SeenFiles, changed_at};
use super::{Standing, caches, files, packages};
use crate::host::{Base, Host};
use crate::overlay::changes::place::Place;
use crate::overlay::{Error, Overlay, layers};
use crate::sys::{FileKind, IoError, Root, replace_volatile};

const FILE: &str = "stamps";
const MAGIC: &[u8] = b"onlay stamps 1\n";

/// More than this is no record of ours.
const LARGEST: u64 = 1 << 28;

/// How coarse the times of files are on any file system that can hold a base, in seconds.
const COARSE: i64 = 2;

/// Looks whether files were edited that an overlay covers, over a base that it knows, which is the host's. Where a
/// package manager is at work on the host, nobody can say yet.
pub(super) fn covered(overlay: &Root, host: &Host, base: &Base) -> Result<Standing, Error> {
    let layers = match overlay.open_child(OsStr::new(layers::DIRECTORY)) {
        Err(error) if error.is_not_found() => return Ok(Standing::Level),
        other => other?,
    };
    let stamps = Stamps::read(&layers)?;
    let mut differing = Vec::new();
    if let Some(stamps) = &stamps {
        differing = stamps.differing(&host.root)?;
        if differing.is_empty() {
            return Ok(Standing::Level);
        }
    }
    let seen = SeenFiles::read(&layers, base)?;
    if !seen.is_known() || packages::refuse_in_use(&host.root, Duration::ZERO).is_err() {
        return Ok(Standing::Level);
    }
    if stamps.is_none() {
        differing = seen.paths().into_iter().filter(|path| is_watched(path)).map(Path::to_owned).collect();
    }
    let mut edited = Vec::new();
    for path in differing {
        if is_edited(&seen, &host.root, &path)? {
            edited.push(path);
        }
    }
    Ok(if edited.is_empty() { Standing::Touched } else { Standing::Edited(edited) })
}

/// Notes how files are now that were found to be only touched.
pub fn note_touched(overlay: &Overlay, host: &Host, base: &Base) -> Result<(), Error> {
    let layers = overlay.dir.open_child(OsStr::new(layers::DIRECTORY))?;
    let seen = SeenFiles::read(&layers, base)?;
    if seen.is_known() { Ok(note(&layers, &Stamps::default(), &seen, &host.root)?) } else { Ok(()) }
}

/// Notes how files are that were noted, but those that are noted here already.
pub(super) fn note(layers: &Root, known: &Stamps, seen: &SeenFiles, host: &Root) -> Result<(), IoError> {
    let all = known.extended(seen, host)?;
    replace_volatile(&layers.open_child(OsStr::new(seen::DIRECTORY))?, FILE, &all.to_bytes())
}

/// What is noted, or nothing.
pub(super) fn noted(layers: &Root) -> Result<Stamps, IoError> {
    Ok(Stamps::read(layers)?.unwrap_or_default())
}

/// Whether a path is looked at. What is in /usr belongs to the base's identity, but for what people put there; what is in
/// /var is data, but for what belongs to the package database; and homes are their owners'.
fn is_watched(path: &Path) -> bool {
    let is_in = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
    if files::changes_by_itself(path) || caches::is_cache(path) || caches::is_memory(path) {
        return false;
    }
    packages::is_edited_alone(path) || is_in(&["/usr/local"]) || !is_in(&["/usr", "/var", "/home", "/root"])
}

fn is_edited(seen: &SeenFiles, host: &Root, path: &Path) -> Result<bool, IoError> {
    let (Some(had), Some(name)) = (seen.get(path), path.file_name()) else { return Ok(false) };
    if matches!(had, Had::BesideExtension(_)) {
        return Ok(false);
    }
    let mut place = Place::at(host, below(path.parent()));
    let has =
        if place.exists()? { Had::look(place.dir()?, name, *had == Had::Hidden)? } else { Had::Nothing };
    Ok(has != *had)
}

fn below(path: Option<&Path>) -> &Path {
    path.and_then(|path| path.strip_prefix("/").ok()).unwrap_or(Path::new(""))
}

/// How files of a base were when they were noted, by their paths in the view.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stamps(BTreeMap<PathBuf, Vec<u8>>);

impl Stamps {
    /// `None` where nothing is noted that could be read.
    fn read(layers: &Root) -> Result<Option<Stamps>, IoError> {
        let found = layers.open_child(OsStr::new(seen::DIRECTORY)).and_then(|dir| dir.read(FILE, LARGEST));
        match found {
            Err(error) if error.is_not_found() => Ok(None),
            other => Ok(parse(&other?)),
        }
    }

    /// The paths that are not as they were noted.
    fn differing(&self, host: &Root) -> Result<Vec<PathBuf>, IoError> {
        let mut place = Place::top(host);
        let mut found = Vec::new();
        for (path, noted) in &self.0 {
            if stamp(&mut place, path, 0)? != *noted {
                found.push(path.clone());
            }
        }
        Ok(found)
    }

    fn extended(&self, seen: &SeenFiles, host: &Root) -> Result<Stamps, IoError> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let mut place = Place::top(host);
        let mut all = Stamps(self.0.clone());
        let mut missing: Option<&Path> = None;
        // What comes and goes with extensions is known by those.
        let is_of_host = |path: &Path| !matches!(seen.get(path), Some(Had::BesideExtension(_)));
        for path in seen.paths().into_iter().filter(|path| is_watched(path) && is_of_host(path)) {
            if missing.is_some_and(|above| path.starts_with(above)) {
                continue;
            }
            if !all.0.contains_key(path) {
                let mut stamp = stamp(&mut place, path, now)?;
                if (stamp == b"-") != (seen.get(path) == Some(&Had::Nothing)) {
                    // It came or went just now.
                    stamp = b"?".to_vec();
                }
                all.0.insert(path.to_owned(), stamp);
            }
            missing = all.0.get(path).is_some_and(|noted| noted == b"-").then_some(path);
        }
        Ok(all)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (path, stamp) in &self.0 {
            bytes.extend([stamp, &b"\0"[..], path.as_os_str().as_bytes(), b"\0"].concat());
        }
        bytes
    }
}

/// What a path is like now; `now` is the time, where it is to be noted.
fn stamp(place: &mut Place<'_>, path: &Path, now: i64) -> Result<Vec<u8>, IoError> {
    place.move_to(below(path.parent()));
    let stat = match path.file_name() {
        Some(name) if place.exists()? => place.dir()?.lstat(name)?,
        _ => None,
    };
    Ok(stat.map_or(b"-".to_vec(), |stat| stamp_of(&stat, now)))
}

fn stamp_of(stat: &Stat, now: i64) -> Vec<u8> {
    if FileKind::of(stat) == FileKind::Directory {
        return format!("d {:o} {} {}", stat.st_mode & 0o7777, stat.st_uid, stat.st_gid).into_bytes();
    }
    let (secs, nanos) = changed_at(stat);
    // A time to come tells as little.
    if secs.saturating_add(COARSE) > now && now != 0 {
        return b"?".to_vec();
    }
    format!("{} {} {secs}.{nanos}", stat.st_ino, stat.st_size).into_bytes()
}

fn parse(bytes: &[u8]) -> Option<Stamps> {
    let mut fields = match bytes.strip_prefix(MAGIC)? {
        b"" => return Some(Stamps::default()),
        rest => rest.strip_suffix(b"\0")?.split(|&byte| byte == 0),
    };
    let mut found = BTreeMap::new();
    while let Some(stamp) = fields.next() {
        found.insert(PathBuf::from(OsStr::from_bytes(fields.next()?)), stamp.to_vec());
    }
    Some(Stamps(found))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::overlay::changes::marks::Prefix;
    use crate::overlay::changes::upper::Upper;

    const LATER: i64 = i64::MAX;

    fn stamps(files: &[(&str, &str)]) -> Stamps {
        let stamp = |&(path, stamp): &(&str, &str)| (PathBuf::from(path), stamp.as_bytes().to_vec());
        Stamps(files.iter().map(stamp).collect())
    }

    #[test]
    fn stamps_come_back_as_written_and_damage_tells_nothing() {
        let all = stamps(&[("/etc", "d 755 0 0"), ("/etc/a\nb", "1 2 3.4"), ("/etc/none", "-")]);
        let bytes = all.to_bytes();
        assert_eq!(parse(&bytes), Some(all));
        assert_eq!(parse(MAGIC), Some(Stamps::default()));
        let all = parse(&bytes).expect("it is as it was written");
        for length in 0..bytes.len() {
            let Some(found) = parse(&bytes[..length]) else { continue };
            assert!(found.0.iter().all(|(path, stamp)| all.0.get(path) == Some(stamp)), "cut at {length}");
        }
        assert_eq!(parse(b"something else"), None);
    }

    #[test]
    fn each_change_gives_another_stamp() {
        let dir = tempfile::tempdir().expect("a directory");
        let host = Root::open(dir.path()).expect("it opens");
        fs::create_dir_all(dir.path().join("etc/below")).expect("directories");
        fs::write(dir.path().join("etc/file"), "1").expect("a file");
        let of = |path: &str, now| {
            let bytes = stamp(&mut Place::top(&host), Path::new(path), now).expect("readable");
            String::from_utf8(bytes).expect("text")
        };
        assert_eq!((of("/etc/none", 0), of("/none/at/all", 0)), ("-".into(), "-".into()));
        let (file, below) = (of("/etc/file", LATER), of("/etc/below", LATER));
        assert_eq!((of("/etc/file", 0), of("/etc/below", 0)), (file.clone(), below.clone()));
        fs::write(dir.path().join("etc/aside"), "1").expect("a file");
        fs::rename(dir.path().join("etc/aside"), dir.path().join("etc/file")).expect("ours");
        fs::write(dir.path().join("etc/below/new"), "").expect("a file");
        assert_ne!(of("/etc/file", 0), file);
        assert_eq!(of("/etc/below", 0), below, "names come and go in it");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later").as_secs();
        assert_eq!(of("/etc/file", now.try_into().expect("it is not so late")), "?");
    }

    #[test]
    fn what_is_below_nothing_is_not_looked_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = |name: &str| Root::open(dir.path().join(name)).expect("it opens");
        for name in ["upper/opt/big/many", "upper/usr/bin", "upper/var/lib/dpkg", "lower/opt"] {
            fs::create_dir_all(dir.path().join(name)).expect("directories");
        }
        for name in ["opt/big/many/a", "opt/big/b", "opt/c", "usr/bin/d", "var/lib/dpkg/diversions"] {
            fs::write(dir.path().join("upper").join(name), "").expect("a file");
        }
        let mut seen = SeenFiles::default();
        seen.note(
            &Upper::read(&open("upper"), Prefix::Trusted).expect("readable"),
            &open("lower"),
            Path::new("/"),
            None,
        )
        .expect("readable");
        let all = Stamps::default().extended(&seen, &open("lower")).expect("readable");
        let paths: Vec<&str> = all.0.keys().filter_map(|path| path.to_str()).collect();
        assert_eq!(paths, ["/opt", "/opt/big", "/opt/c", "/var/lib/dpkg/diversions"]);
    }

    #[test]
    fn what_people_and_their_programs_edit_is_looked_at() {
        for path in ["/etc/passwd", "/usr/local/bin/tool", "/srv/x", "/var/lib/dpkg/alternatives/editor"] {
            assert!(is_watched(Path::new(path)), "{path}");
        }
        for path in
            ["/usr/bin/env", "/var/lib/dpkg/status", "/etc/ld.so.cache", "/root/.profile", "/var/log/x"]
        {
            assert!(!is_watched(Path::new(path)), "{path}");
        }
    }
}
