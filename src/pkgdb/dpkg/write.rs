//! Writing a merged database, so that a crash at any instant leaves the old one or, after [`finish`], the new one.
//!
//! ```text
//! /var/lib/dpkg/onlay.new/0, 1, …     new files, each synced
//! /var/lib/dpkg/onlay.new/journal     "put FROM TO" or "remove PATH" for each step, words ended by NUL; once
//!                                     it has this name, the merge is going to happen
//! ```
//!
//! Then each file takes its place by a rename, `status` last, and the journal goes. A journal that is found is
//! carried out again: a step that was done before does nothing. Without a journal all of it is waste.
//! Only files that differ are written, so cost follows the change.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::database::{EXTENDED_STATES, optional};
use super::merge::Plan;
use super::triggers::{self, Interest};
use super::{Database, Locks, contents, diversions, statoverride, stem};
use crate::host::PackageSystem;
use crate::package::deb822::Document;
use crate::pkgdb::Error;
use crate::pkgdb::merge::{Decision, Side};
use crate::sys::{Context, IoError, Root, sync_dir, sync_file_system, write_new, write_new_unsynced};

/// Where new files wait, below the database's directory.
const ASIDE: &str = "onlay.new";

/// Where the new `extended_states` waits: it may be on another file system.
const STATES_ASIDE: &str = "/var/lib/apt/.extended_states.onlay-new";

const JOURNAL: &str = "journal";

/// From here on, one sync of all the file system takes less time than one for each file.
const MANY: usize = 64;

/// Bounds of files that are read.
const LARGE: u64 = 256 << 20;

/// A file that is to be written or removed.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    target: PathBuf,
    /// Content and mode; `None` removes it.
    new: Option<(Vec<u8>, u32)>,
}

impl Change {
    fn text(target: &str, text: Vec<u8>) -> Change {
        Change { target: target.into(), new: Some((text, 0o644)) }
    }
}

/// One step of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Put { from: PathBuf, to: PathBuf },
    Remove(PathBuf),
}

/// Writes a merged database into a root where the overlay's is seen: the overlay, mounted over the new host. Says how
/// many files were written or removed. `ours` and `theirs` are what the plan was made from; where the overlay's
/// has changed since, nothing is written.
pub fn write(plan: &Plan, ours: &Database, theirs: &Database, target: &Root) -> Result<usize, Error> {
    let directory = directory(target)?;
    let opened = target.open_dir(&directory)?;
    let _locks = Locks::take(&opened)?;
    finish_in(target, &directory)?;
    let now = Database::open(target)?.ok_or_else(|| missing(target))?;
    if now.status != ours.status {
        return Err(Error::Changed { path: opened.path().to_owned() });
    }
    let changes = changes(plan, ours, theirs, &now)?;
    if changes.is_empty() {
        return Ok(0);
    }
    let staged = stage(target, &directory, &changes);
    if staged.is_err() {
        // The error that matters is the first one; what is left is cleared before the next attempt.
        let _ = clear(target, &directory);
    }
    apply(target, &staged?)?;
    clear(target, &directory)?;
    Ok(changes.len())
}

/// Finishes what was broken off, or clears it away where it had not begun. Says whether a merge was finished.
pub fn finish(target: &Root) -> Result<bool, Error> {
    let directory = directory(target)?;
    if !target.exists(directory.join(ASIDE)) {
        return Ok(false);
    }
    let _locks = Locks::take(&target.open_dir(&directory)?)?;
    finish_in(target, &directory)
}

/// Whether a merge was broken off after it had begun.
pub(super) fn is_unfinished(root: &Root, directory: &Path) -> bool {
    root.exists(directory.join(ASIDE).join(JOURNAL))
}

fn directory(target: &Root) -> Result<PathBuf, Error> {
    match PackageSystem::find_kind(target, "dpkg") {
        Some(found) => Ok(found.database.parent().unwrap_or(Path::new("/")).to_owned()),
        None => Err(missing(target)),
    }
}

fn missing(target: &Root) -> Error {
    Error::Missing { path: target.path().to_owned() }
}

fn finish_in(target: &Root, directory: &Path) -> Result<bool, Error> {
    let journal = directory.join(ASIDE).join(JOURNAL);
    let Some(text) = optional(target.read(&journal, LARGE))? else {
        clear(target, directory)?;
        return Ok(false);
    };
    let steps = parse_journal(&text)
        .ok_or_else(|| Error::Damaged { path: target.join(&journal), what: "it is no journal".to_owned() })?;
    apply(target, &steps)?;
    clear(target, directory)?;
    Ok(true)
}

/// The files, but for those in `info/`, that say something else in a database than a plan wants, `status` last; a file
/// without content is not to be there. An order of lines that is not ours is no difference.
pub fn differing(plan: &Plan, from: &Database) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let files = differing_tables(plan, from).into_iter().chain(differing_status(plan, from));
    let below = |change: Change| (from.directory().join(change.target), change.new.map(|(text, _)| text));
    files.map(below).collect()
}

/// The files that say something else now than the plan wants, `status` last: nothing is to be written that the host's
/// file says as well.
fn changes(plan: &Plan, ours: &Database, theirs: &Database, now: &Database) -> Result<Vec<Change>, Error> {
    let mut changes = differing_tables(plan, now);
    let untouched = untouched(plan, ours, theirs);
    for (name, side) in &plan.info {
        if name.rsplit_once('.').is_some_and(|(stem, _)| untouched.contains(stem)) {
            continue;
        }
        let source = side.map(|side| if side == Side::Ours { ours } else { theirs });
        let new = source.map(|source| info(source, name)).transpose()?.flatten();
        if info(now, name)? != new {
            changes.push(Change { target: Path::new("info").join(name), new });
        }
    }
    changes.extend(differing_status(plan, now));
    let below = |change: Change| Change { target: now.directory().join(change.target), ..change };
    Ok(changes.into_iter().map(below).collect())
}

fn differing_status(plan: &Plan, now: &Database) -> Option<Change> {
    let status = || Document::of(plan.entries.values().map(|entry| entry.stanza.clone())).to_bytes();
    (plan.entries != now.entries).then(|| Change::text("status", status()))
}

fn differing_tables(plan: &Plan, now: &Database) -> Vec<Change> {
    let mut changes = tables(plan, now);
    changes.extend(by_name("alternatives", &plan.tables.alternatives, &now.tables.alternatives, |one| {
        one.to_bytes()
    }));
    changes.extend(by_name("triggers", &plan.triggers.named, &now.triggers.named, |interests| {
        Interest::write_named(interests)
    }));
    changes
}

/// Packages that nobody has changed, by the beginning of their names in `info/`: most, and their files need no look.
fn untouched(plan: &Plan, ours: &Database, theirs: &Database) -> HashSet<String> {
    let unchanged = plan.packages.iter().filter(|one| one.outcome.decision == Decision::Unchanged);
    unchanged
        .filter_map(|one| {
            let (ours, theirs) = (ours.entries.get(&one.key)?, theirs.entries.get(&one.key)?);
            (ours.marks() == theirs.marks()).then(|| stem(ours))
        })
        .collect()
}

/// The tables of one file each.
fn tables(plan: &Plan, now: &Database) -> Vec<Change> {
    let (new, old) = (&plan.tables, &now.tables);
    let mut changes = Vec::new();
    if new.diversions != old.diversions {
        changes.push(Change::text("diversions", diversions::write(&new.diversions)));
    }
    if new.overrides != old.overrides {
        changes.push(Change::text("statoverride", statoverride::write(&new.overrides)));
    }
    if new.architectures != old.architectures {
        let text = contents::write_architectures(&new.architectures, &plan.native);
        changes.push(Change::text("arch", text));
    }
    if plan.triggers.files != now.triggers.files {
        changes.push(Change::text("triggers/File", Interest::write_files(&plan.triggers.files)));
    }
    if new.activated != old.activated {
        changes.push(Change::text("triggers/Unincorp", triggers::write_activated(&new.activated)));
    }
    if new.auto_installed != old.auto_installed {
        // An absolute path stays what it is.
        changes.push(Change::text(EXTENDED_STATES, new.auto_installed.to_bytes()));
    }
    changes
}

/// A directory with a file for each name.
fn by_name<V: PartialEq>(
    directory: &str,
    new: &BTreeMap<String, V>,
    old: &BTreeMap<String, V>,
    text: impl Fn(&V) -> Vec<u8>,
) -> Vec<Change> {
    let names: BTreeSet<&String> = new.keys().chain(old.keys()).collect();
    names
        .into_iter()
        .filter(|name| new.get(*name) != old.get(*name))
        .map(|name| Change {
            target: Path::new(directory).join(name),
            new: new.get(name).map(|value| (text(value), 0o644)),
        })
        .collect()
}

/// A file in `info/` with its mode: maintainer scripts must stay executable.
fn info(source: &Database, name: &str) -> Result<Option<(Vec<u8>, u32)>, Error> {
    let path = source.directory().join("info").join(name);
    let Some(text) = optional(source.root().read(&path, LARGE))? else { return Ok(None) };
    let mode = source.root().stat(&path)?.st_mode & 0o7777;
    Ok(Some((text, mode)))
}

/// Writes all new files aside, and the journal.
fn stage(target: &Root, directory: &Path, changes: &[Change]) -> Result<Vec<Step>, Error> {
    let aside = directory.join(ASIDE);
    target.make_dir(&aside, 0o700)?;
    let opened = target.open_dir(&aside)?;
    let mut steps = Vec::new();
    let are_many = changes.len() > MANY;
    let write_one = if are_many { write_new_unsynced } else { write_new };
    for (number, change) in changes.iter().enumerate() {
        let Some((text, mode)) = &change.new else {
            steps.push(Step::Remove(change.target.clone()));
            continue;
        };
        let from = if change.target == Path::new(EXTENDED_STATES) {
            let (parent, name) = split(Path::new(STATES_ASIDE));
            target.make_dirs(parent, 0o755)?;
            write_new(&target.open_dir(parent)?, &name.to_string_lossy(), *mode, text)?;
            sync_dir(&target.open_dir(parent)?)?;
            PathBuf::from(STATES_ASIDE)
        } else {
            let name = number.to_string();
            write_one(&opened, &name, *mode, text)?;
            aside.join(name)
        };
        steps.push(Step::Put { from, to: change.target.clone() });
    }
    if are_many {
        sync_file_system(&opened)?;
    }
    let text = write_journal(&steps);
    write_new(&opened, "journal.tmp", 0o600, &text)?;
    sync_dir(&opened)?;
    rustix::fs::renameat(&opened, "journal.tmp", &opened, JOURNAL)
        .context("replace", opened.join(JOURNAL))?;
    sync_dir(&opened)?;
    sync_dir(&target.open_dir(directory)?)?;
    Ok(steps)
}

/// Carries steps out; those that were are left out.
fn apply(target: &Root, steps: &[Step]) -> Result<(), Error> {
    for step in steps {
        take(target, step)?;
    }
    let mut parents: Vec<&Path> = steps
        .iter()
        .map(|step| match step {
            Step::Put { to, .. } => split(to).0,
            Step::Remove(path) => split(path).0,
        })
        .collect();
    parents.sort_unstable();
    parents.dedup();
    for parent in parents {
        if let Some(parent) = optional(target.open_dir(parent))? {
            sync_dir(&parent)?;
        }
    }
    Ok(())
}

fn take(target: &Root, step: &Step) -> Result<(), Error> {
    match step {
        Step::Put { from, to } => {
            let (from_parent, from_name) = split(from);
            let (to_parent, to_name) = split(to);
            target.make_dirs(to_parent, 0o755)?;
            let [from_parent, to_parent] = [target.open_dir(from_parent)?, target.open_dir(to_parent)?];
            done_or_done_before(rustix::fs::renameat(&from_parent, from_name, &to_parent, to_name))
                .context("replace", target.join(to))?;
        }
        Step::Remove(path) => remove(target, path)?,
    }
    Ok(())
}

fn remove(target: &Root, path: &Path) -> Result<(), IoError> {
    let (parent, name) = split(path);
    let Some(parent) = optional(target.open_dir(parent))? else { return Ok(()) };
    done_or_done_before(rustix::fs::unlinkat(&parent, name, AtFlags::empty()))
        .context("remove", target.join(path))
}

fn done_or_done_before(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// Takes away the journal first, then the rest.
fn clear(target: &Root, directory: &Path) -> Result<(), Error> {
    let aside = directory.join(ASIDE);
    let Some(opened) = optional(target.open_dir(&aside))? else { return Ok(()) };
    remove(target, &aside.join(JOURNAL))?;
    sync_dir(&opened)?;
    for entry in opened.entries()? {
        remove(target, &aside.join(entry.name))?;
    }
    remove(target, Path::new(STATES_ASIDE))?;
    let parent = target.open_dir(directory)?;
    done_or_done_before(rustix::fs::unlinkat(&parent, ASIDE, AtFlags::REMOVEDIR))
        .context("remove", target.join(&aside))?;
    Ok(())
}

fn split(path: &Path) -> (&Path, &OsStr) {
    (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default())
}

/// Steps as words, each with a NUL after it, which no path has.
fn write_journal(steps: &[Step]) -> Vec<u8> {
    let mut text = Vec::new();
    for step in steps {
        let words: &[&OsStr] = match step {
            Step::Put { from, to } => &[OsStr::new("put"), from.as_os_str(), to.as_os_str()],
            Step::Remove(path) => &[OsStr::new("remove"), path.as_os_str()],
        };
        for word in words {
            text.extend_from_slice(word.as_bytes());
            text.push(0);
        }
    }
    text
}

fn parse_journal(text: &[u8]) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let Some(text) = text.strip_suffix(b"\0") else { return text.is_empty().then_some(steps) };
    let mut words = text.split(|byte| *byte == 0);
    while let Some(word) = words.next() {
        let mut path = || {
            let path = PathBuf::from(OsString::from_vec(words.next()?.to_vec()));
            path.is_absolute().then_some(path)
        };
        steps.push(match word {
            b"put" => Step::Put { from: path()?, to: path()? },
            b"remove" => Step::Remove(path()?),
            _ => return None,
        });
    }
    Some(steps)
}

#[cfg(test)]
mod tests;
