//! `onlay db`: databases of installed packages, of any root, by themselves. Plumbing: what other commands do by
//! the way, for who wants to see it or to help oneself.

mod check;
mod decisions;
mod diff;
mod dump;
mod list;
mod merge;

pub(super) use diff::{Row, table as packages_table, tell_unreadable};

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};
use serde::Serialize;

use super::arguments::Place as Where;
use super::report::Error;
use crate::package::Identity;
use crate::pkgdb::{Package, Place};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::Arguments),
    Check(check::Arguments),
    Diff(diff::Arguments),
    Merge(merge::Arguments),
    Export(dump::Export),
    Import(dump::Import),
}

/// A database that may be left out.
#[derive(Debug, Args)]
struct Database {
    /// The database, or a root that has one [default: the root of --root]
    #[arg(value_hint = ValueHint::AnyPath)]
    db: Option<PathBuf>,
}

/// How long to wait for who changes a database.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn run(place: &Where, arguments: &Arguments) -> Result<ExitCode, Error> {
    match &arguments.verb {
        Verb::List(arguments) => list::run(place, arguments),
        Verb::Check(arguments) => check::run(place, arguments),
        Verb::Diff(arguments) => diff::run(arguments),
        Verb::Merge(arguments) => merge::run(arguments),
        Verb::Export(arguments) => dump::export(place, arguments),
        Verb::Import(arguments) => dump::import(arguments),
    }
}

impl Database {
    fn find(&self, place: &Where) -> Result<Place, Error> {
        find(self.db.as_deref().unwrap_or(&place.root))
    }
}

fn find(path: &Path) -> Result<Place, Error> {
    Ok(Place::of(path)?)
}

/// As much of an identity as people need.
fn short(identity: Identity) -> String {
    identity.to_string()[..12].to_owned()
}

/// One of the packages that are compared, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Side {
    version: String,
    identity: String,
}

impl From<&Package> for Side {
    fn from(package: &Package) -> Side {
        Side { version: package.version.clone(), identity: package.identity.to_string() }
    }
}
