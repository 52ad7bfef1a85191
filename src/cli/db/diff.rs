//! `onlay db diff`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};
use serde::Serialize;

use super::{PATIENCE, Side, decisions, find};
use crate::cli::output;
use crate::cli::report::Error;
use crate::event::counted;
use crate::pkgdb::compare::{Compared, Difference, compare};
use crate::pkgdb::{AnyDatabase, Place};

/// Compare two databases, or say how three would be merged
///
/// With two: what is added, removed, upgraded, downgraded, or changed (another package of
/// the same version) in the second. With three, the first is what the others came from, and
/// each package that one of them changed is listed with whose would count, and why.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The old one; of three, the base
    #[arg(value_name = "DB1", value_hint = ValueHint::AnyPath)]
    old: PathBuf,
    /// The new one; of three, ours: an overlay's
    #[arg(value_name = "DB2", value_hint = ValueHint::AnyPath)]
    new: PathBuf,
    /// Theirs: the host's as it is now
    #[arg(value_name = "DB3", value_hint = ValueHint::AnyPath)]
    theirs: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One package that differs, as `--json` shows it.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Row<'a> {
    change: Difference,
    name: &'a str,
    arch: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<Side>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<Side>,
}

impl<'a> From<&Compared<'a>> for Row<'a> {
    fn from(compared: &Compared<'a>) -> Row<'a> {
        let package = compared.package();
        Row {
            change: compared.difference,
            name: &package.name,
            arch: &package.arch,
            old: compared.old.map(Side::from),
            new: compared.new.map(Side::from),
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let old = find(&arguments.old)?;
    let new = find_like(&old, &arguments.new)?;
    match &arguments.theirs {
        None => two(&old, &new, arguments.json)?,
        Some(theirs) => {
            let theirs = find_like(&old, theirs)?;
            let [old, new, theirs] = [old.open(PATIENCE)?, new.open(PATIENCE)?, theirs.open(PATIENCE)?];
            decisions::judge(&old, &new, &theirs)?.show(arguments.json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A database that can be compared with another one.
pub(super) fn find_like(first: &Place, path: &Path) -> Result<Place, Error> {
    let found = find(path)?;
    if found.versions() == first.versions() {
        return Ok(found);
    }
    Err(Error::OtherSystem { one: first.path(), other: found.path() })
}

fn two(old: &Place, new: &Place, json: bool) -> Result<(), Error> {
    let packages = |place: &Place| place.open(PATIENCE).and_then(|database: AnyDatabase| database.packages());
    let [old_packages, new_packages] = [packages(old)?, packages(new)?];
    for (place, listed) in [(old, &old_packages), (new, &new_packages)] {
        tell_unreadable(listed.unreadable, &output::path(&place.path()));
    }
    let found = compare(&old_packages.packages, &new_packages.packages, old.versions());
    if json {
        return output::print_json(&found.iter().map(Row::from).collect::<Vec<_>>());
    }
    if found.is_empty() {
        output::say("onlay: both have the same packages");
        return Ok(());
    }
    output::print(&table(&found))
}

/// What cannot be read is compared to nothing: it could be any package.
pub(in crate::cli) fn tell_unreadable(count: usize, whose: &str) {
    let (headers, are) = (counted(count, "header"), if count == 1 { "is" } else { "are" });
    if count > 0 {
        let onlay = output::program();
        output::say(&format!(
            "onlay: {headers} in the database of {whose} cannot be read, and {are} left out: {onlay} db check"
        ));
    }
}

/// One line for each package.
pub(in crate::cli) fn table(found: &[Compared<'_>]) -> String {
    let cells = found.iter().map(|compared| {
        let package = compared.package();
        let version = match (compared.old, compared.new) {
            (Some(old), Some(new)) if old.version != new.version => {
                format!("{} -> {}", old.version, new.version)
            }
            _ => package.version.clone(),
        };
        let change = word(compared.difference).to_owned();
        vec![
            change,
            output::visible(&package.name),
            output::visible(&package.arch),
            output::visible(&version),
        ]
    });
    output::table(&cells.collect::<Vec<_>>())
}

fn word(difference: Difference) -> &'static str {
    match difference {
        Difference::Added => "added",
        Difference::Removed => "removed",
        Difference::Upgraded => "upgraded",
        Difference::Downgraded => "downgraded",
        Difference::Changed => "changed",
    }
}
