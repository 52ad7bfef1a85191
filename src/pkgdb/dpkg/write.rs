//! Writing a merged database: wholly, into a root that has none; or the files that an overlay must have as its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::database::{EXTENDED_STATES, LARGE, optional};
use super::merge::Plan;
use super::triggers::{self, Interest};
use super::{Contents, Database, contents, diversions, statoverride};
use crate::package::deb822::Document;
use crate::pkgdb::Error;
use crate::pkgdb::merge::Side;
use crate::sys::{Context, Root, sync_dir, sync_file_system, write_new, write_new_unsynced};

/// A file below the database's directory, or anywhere by an absolute path: what it is to say; `None` removes it.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    target: PathBuf,
    new: Option<Vec<u8>>,
}

impl Change {
    fn text(target: &str, text: Vec<u8>) -> Change {
        Change { target: target.into(), new: Some(text) }
    }
}

/// Directories that dpkg expects.
const DIRECTORIES: &[&str] = &["alternatives", "info", "triggers", "updates"];

/// Files that no merge changes: how names in `info/` are made, and the system's own architecture.
const CONSTANT: &[&str] = &["arch-native", "info/format"];

const STATUS: &str = "status";
/// dpkg's own name for one that it writes.
const STATUS_ASIDE: &str = "status-new";

/// Writes a merged database below a root that has none. `ours` and `theirs` are what the plan was made from. `status`
/// comes last, when all else is on disk: without it, there is no database.
pub fn write(plan: &Plan, ours: &Database, theirs: &Database, target: &Root) -> Result<(), Error> {
    let directory = ours.directory();
    for name in DIRECTORIES {
        target.make_dirs(directory.join(name), 0o755)?;
    }
    for name in CONSTANT {
        copy(ours, Path::new(name), directory, target)?;
    }
    for (name, side) in &plan.info {
        let source = side.map(|side| if side == Side::Ours { ours } else { theirs });
        if let Some(source) = source {
            copy(source, &Path::new("info").join(name), directory, target)?;
        }
    }
    for Change { target: path, new } in differing_tables(plan, &Contents::default()) {
        let (parent, name) = split(directory, &path);
        target.make_dirs(&parent, 0o755)?;
        write_new_unsynced(&target.open_dir(parent)?, &name, 0o644, &new.unwrap_or_default())?;
    }
    let opened = target.open_dir(directory)?;
    sync_file_system(&opened)?;
    write_new(&opened, STATUS_ASIDE, 0o644, &status(plan))?;
    rustix::fs::renameat(&opened, STATUS_ASIDE, &opened, STATUS).context("replace", opened.join(STATUS))?;
    Ok(sync_dir(&opened)?)
}

/// Copies a file below a database's directory with its mode: maintainer scripts must stay executable.
fn copy(source: &Database, name: &Path, directory: &Path, target: &Root) -> Result<(), Error> {
    let path = source.directory().join(name);
    let Some(text) = optional(source.root().read(&path, LARGE))? else { return Ok(()) };
    let mode = source.root().stat(&path)?.st_mode & 0o7777;
    let (parent, name) = split(directory, name);
    Ok(write_new_unsynced(&target.open_dir(parent)?, &name, mode, &text)?)
}

fn split(directory: &Path, path: &Path) -> (PathBuf, String) {
    // An absolute path stays what it is.
    let whole = directory.join(path);
    let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
    (whole.parent().unwrap_or(Path::new("/")).to_owned(), name)
}

/// The files, but for those in `info/`, that say something else in a database than a plan wants, `status` last; a file
/// without content is not to be there. An order of lines that is not ours is no difference.
pub fn differing(plan: &Plan, from: &Database) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let files = differing_tables(plan, from).into_iter().chain(differing_status(plan, from));
    let below = |change: Change| (from.directory().join(change.target), change.new);
    files.map(below).collect()
}

fn status(plan: &Plan) -> Vec<u8> {
    Document::of(plan.entries.values().map(|entry| entry.stanza.clone())).to_bytes()
}

fn differing_status(plan: &Plan, now: &Contents) -> Option<Change> {
    (plan.entries != now.entries).then(|| Change::text(STATUS, status(plan)))
}

fn differing_tables(plan: &Plan, now: &Contents) -> Vec<Change> {
    let mut changes = tables(plan, now);
    changes.extend(by_name("alternatives", &plan.tables.alternatives, &now.tables.alternatives, |one| {
        one.to_bytes()
    }));
    changes.extend(by_name("triggers", &plan.triggers.named, &now.triggers.named, |interests| {
        Interest::write_named(interests)
    }));
    changes
}

/// The tables of one file each.
fn tables(plan: &Plan, now: &Contents) -> Vec<Change> {
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
        .map(|name| Change { target: Path::new(directory).join(name), new: new.get(name).map(&text) })
        .collect()
}

#[cfg(test)]
mod tests;
