//! Which packages zypp and dnf installed for others' sake: what they noted of it goes with the packages.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{DatabaseFile, Sides};
use crate::overlay::Error;
use crate::pkgdb::dnf::{Decisions, history, state};
use crate::pkgdb::merge::Decision;
use crate::pkgdb::rpm::merge::{Decided, Known};
use crate::sys::{Context, IoError, Root, replace_file};

/// Where zypp keeps the names of packages that it installed for others' sake, a line each.
const ZYPP: &str = "/var/lib/zypp/AutoInstalled";

/// What SQLite may leave beside dnf's history.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// More than this is no such file.
const LARGEST: u64 = 256 << 20;

/// All files that are merged here.
pub(super) fn files() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from(ZYPP), PathBuf::from(history::PATH)];
    found.extend(COMPANIONS.iter().map(|ending| PathBuf::from(format!("{}{ending}", history::PATH))));
    found.extend(state::File::ALL.iter().map(|file| PathBuf::from(file.path())));
    found
}

/// Notes what a base says of groups and modules, which its packages do not tell.
pub(super) fn note(host: &Root, target: &Root) -> Result<(), IoError> {
    for file in state::File::ALL.into_iter().filter(|file| file.is_of_its_own()) {
        let text = read(host, file.path())?;
        if !text.is_empty() {
            replace_file(target, &noted_name(file), text.as_bytes())?;
        }
    }
    Ok(())
}

/// What was noted of one; nothing noted is an empty file, where anything of that base was.
fn read_noted(noted: Option<&Root>, file: state::File) -> Result<Option<String>, IoError> {
    noted.map(|noted| read(noted, noted_name(file))).transpose()
}

fn noted_name(file: state::File) -> String {
    let path = file.path();
    Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Merges those of them that the overlay has; `noted` is where [`note`] has written, if it has. Copies are made in
/// `scratch`.
pub(super) fn merge(
    sides: &Sides<'_>,
    noted: Option<&Root>,
    packages: &[Decided],
    scratch: &Path,
) -> Result<Vec<(PathBuf, DatabaseFile)>, Error> {
    let mut found = Vec::new();
    if sides.names.contains(Path::new(ZYPP)) {
        let (ours, theirs) = (read(sides.view, ZYPP)?, read(sides.host, ZYPP)?);
        let content = merge_zypp(&ours, &theirs, packages).into_bytes();
        found.push((PathBuf::from(ZYPP), DatabaseFile::Content(content)));
    }
    let mut decisions = Decisions::default();
    for Decided { key, outcome, .. } in packages {
        decisions.add(&key.name, &key.arch, outcome.decision);
    }
    for file in state::File::ALL {
        let path = file.path();
        if sides.names.contains(Path::new(&path)) {
            let (ours, theirs) = (read(sides.view, &path)?, read(sides.host, &path)?);
            let base = read_noted(noted, file)?;
            let merged = file.merge(base.as_deref(), &ours, &theirs, &decisions);
            found.extend(merged.map(|text| (PathBuf::from(path), DatabaseFile::Content(text.into_bytes()))));
        }
    }
    if sides.names.contains(Path::new(history::PATH)) {
        found.extend(merge_history(sides, packages, &decisions, scratch)?);
    }
    Ok(found)
}

fn read(root: &Root, path: impl AsRef<Path>) -> Result<String, IoError> {
    match root.read(path, LARGEST) {
        Err(error) if error.is_not_found() => Ok(String::new()),
        other => other.map(|text| String::from_utf8_lossy(&text).into_owned()),
    }
}

/// A name goes with the side that its package is from; what is on both sides was installed for others' sake alone where
/// both say so.
fn merge_zypp(ours: &str, theirs: &str, packages: &[Decided]) -> String {
    let decisions: HashMap<&str, Decision> =
        packages.iter().map(|decided| (&*decided.key.name, decided.outcome.decision)).collect();
    let is_listed = |text: &str, name: &str| text.lines().any(|line| line == name);
    let is_auto = |name: &str| match decisions.get(name) {
        Some(Decision::KeepOurs) => is_listed(ours, name),
        Some(Decision::TakeTheirs) => is_listed(theirs, name),
        Some(Decision::Unchanged | Decision::BothSame) => is_listed(ours, name) && is_listed(theirs, name),
        Some(Decision::Remove | Decision::StayRemoved) | None => false,
    };
    let names: BTreeSet<&str> = ours.lines().chain(theirs.lines()).collect();
    // What zypp writes above the names.
    let is_kept = |name: &&&str| name.starts_with('#') || is_auto(name);
    let lines: Vec<&str> = names.iter().filter(is_kept).copied().chain([""]).collect();
    lines.join("\n")
}

/// The overlay's history with one transaction more, where it needs one; in one file then, without a log.
fn merge_history(
    sides: &Sides<'_>,
    packages: &[Decided],
    decisions: &Decisions,
    scratch: &Path,
) -> Result<Vec<(PathBuf, DatabaseFile)>, Error> {
    let place = tempdir(scratch)?;
    let result = merge_copies(sides, packages, decisions, &place);
    // What stays of it is in a directory that goes with the rebase.
    let _ = fs::remove_dir_all(&place);
    let Some(content) = result? else { return Ok(Vec::new()) };
    let gone = COMPANIONS.iter().map(|ending| PathBuf::from(format!("{}{ending}", history::PATH)));
    let mut found: Vec<(PathBuf, DatabaseFile)> = gone.map(|path| (path, DatabaseFile::Gone)).collect();
    found.push((PathBuf::from(history::PATH), DatabaseFile::Content(content)));
    Ok(found)
}

fn tempdir(scratch: &Path) -> Result<PathBuf, IoError> {
    let place = scratch.join(format!(".dnf-{}", std::process::id()));
    let _ = fs::remove_dir_all(&place);
    fs::create_dir(&place).context("create directory", &place)?;
    Ok(place)
}

fn merge_copies(
    sides: &Sides<'_>,
    packages: &[Decided],
    decisions: &Decisions,
    place: &Path,
) -> Result<Option<Vec<u8>>, Error> {
    let (ours, theirs) = (place.join("ours"), place.join("theirs"));
    if !copy(sides.view, &ours)? || !copy(sides.host, &theirs)? {
        return Ok(None);
    }
    let known = packages.iter().filter_map(|decided| {
        let entry = match decided.outcome.decision {
            Decision::KeepOurs => &decided.ours,
            _ => &decided.theirs,
        };
        entry.as_ref().map(|entry| installed(&entry.known))
    });
    let known: Vec<history::Installed> = known.collect();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if !history::merge(&ours, &theirs, &known, decisions, now)? {
        return Ok(None);
    }
    Ok(Some(fs::read(&ours).context("read", &ours)?))
}

/// Copies a history with what may be in its log; `false` where there is none.
fn copy(root: &Root, target: &Path) -> Result<bool, IoError> {
    for ending in ["", "-wal", "-journal"] {
        let content = match root.read(format!("{}{ending}", history::PATH), LARGEST) {
            Err(error) if error.is_not_found() && ending.is_empty() => return Ok(false),
            Err(error) if error.is_not_found() => continue,
            other => other?,
        };
        let mut name = target.as_os_str().to_owned();
        name.push(ending);
        fs::write(&name, content).context("write", &name)?;
    }
    Ok(true)
}

fn installed(known: &Known) -> history::Installed {
    let epoch = known.evr.epoch.as_deref().and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
    history::Installed {
        name: known.name.to_string(),
        epoch,
        version: known.evr.version.clone().into_owned(),
        release: known.evr.release.clone().unwrap_or_default().into_owned(),
        arch: known.arch.to_string(),
    }
}
