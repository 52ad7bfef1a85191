//! `onlay db merge`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};

use super::decisions::{Plan, judge};
use super::diff::find_like;
use super::dump::{existing, made, refuse_database};
use super::{PATIENCE, find};
use crate::cli::output;
use crate::cli::report::Error;
use crate::event::counted;
use crate::pkgdb::dpkg::{self, merge as dpkg_merge};
use crate::pkgdb::merge::Side;
use crate::pkgdb::rpm::{self, Access, Ahead, Opening, merge as rpm_merge, prepare_from};
use crate::pkgdb::{AnyDatabase, Place};
use crate::sys::Root;

/// Merge two databases that came from one, into a new one
///
/// No file of a package is looked at: 'onlay rebase' merges those as well, and is what
/// overlays need. What is decided is what 'onlay db diff BASE OURS THEIRS' shows.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What the two came from
    #[arg(value_hint = ValueHint::AnyPath)]
    base: PathBuf,
    /// The one whose packages stay where only it changed them: an overlay's
    #[arg(value_hint = ValueHint::AnyPath)]
    ours: PathBuf,
    /// The other one: the host's as it is now
    #[arg(value_hint = ValueHint::AnyPath)]
    theirs: PathBuf,
    /// The directory for the new database, which is made when missing: of rpm's, its own, which
    /// must have none yet; of dpkg's, an empty one that it is in as below a root
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output: PathBuf,
    /// Say what would be made, and stop
    #[arg(long)]
    dry_run: bool,
    /// Print what is decided as JSON, like 'onlay db diff'
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let base = find(&arguments.base)?;
    let [ours, theirs] = [find_like(&base, &arguments.ours)?, find_like(&base, &arguments.theirs)?];
    let target = &arguments.output;
    refuse_used(&base, target)?;
    let [base, ours, theirs] = [base.open(PATIENCE)?, ours.open(PATIENCE)?, theirs.open(PATIENCE)?];
    let ahead = if arguments.dry_run { None } else { copy_ahead(&theirs, target) };
    let judged = judge(&base, &ours, &theirs)?;
    judged.tell_findings();
    let what = match &judged.plan {
        Plan::Rpm(plan) => of_rpm(plan, target),
        Plan::Dpkg(plan) => of_dpkg(plan, target),
    };
    if arguments.json {
        output::print_json(&judged.rows)?;
    }
    if arguments.dry_run {
        if !arguments.json {
            output::print(&format!("would make {what}\n"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    match (&judged.plan, &ours, &theirs) {
        (Plan::Rpm(plan), AnyDatabase::Rpm(ours), AnyDatabase::Rpm(theirs)) => {
            write_rpm(plan, (ours, theirs), ahead, target)?;
        }
        (Plan::Dpkg(plan), AnyDatabase::Dpkg(ours), AnyDatabase::Dpkg(theirs)) => {
            write_dpkg(plan, ours, theirs, target)?;
        }
        _ => unreachable!("a plan is of the kind of its databases"),
    }
    output::say(&format!("onlay: made {what}"));
    Ok(ExitCode::SUCCESS)
}

/// Begins to copy the one that will likely be changed: an overlay has seldom changed more than its host.
fn copy_ahead(theirs: &AnyDatabase, target: &Path) -> Option<Ahead> {
    let AnyDatabase::Rpm(theirs) = theirs else { return None };
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    let near =
        [target, parent.unwrap_or(Path::new("."))].into_iter().find_map(|path| Root::open(path).ok())?;
    Ahead::begin(theirs, &near)
}

/// Another database there would be read in place of the new one, or the new one in place of that.
fn refuse_used(place: &Place, target: &Path) -> Result<(), Error> {
    let Some(directory) = existing(target)? else { return Ok(()) };
    match place {
        Place::Rpm { .. } => refuse_database(&directory),
        Place::Dpkg { .. } if directory.is_empty()? => Ok(()),
        Place::Dpkg { .. } => Err(Error::NotEmpty(target.to_owned())),
    }
}

fn of_rpm(plan: &rpm_merge::Plan, target: &Path) -> String {
    let which = match plan.from {
        Side::Ours => "ours",
        Side::Theirs => "theirs",
    };
    let (less, more) = (plan.delta.remove.len(), plan.delta.add.len());
    let less = counted(less, "package");
    format!("a database in {}: that of {which}, {less} less and {more} more", output::path(target))
}

fn of_dpkg(plan: &dpkg_merge::Plan, target: &Path) -> String {
    let count = plan.entries.values().filter(|entry| entry.is_present()).count();
    format!("a database of {} below {}", counted(count, "package"), output::path(target))
}

fn write_rpm(
    plan: &rpm_merge::Plan,
    (ours, theirs): (&rpm::Database, &rpm::Database),
    ahead: Option<Ahead>,
    target: &Path,
) -> Result<(), Error> {
    let from = if plan.from == Side::Ours { ours } else { theirs };
    let directory = made(target)?;
    let opening = Opening { scratch: target, patience: PATIENCE, access: Access::Replace };
    Ok(prepare_from(from, ahead, &plan.delta, &directory, &opening)?.commit()?)
}

fn write_dpkg(
    plan: &dpkg_merge::Plan,
    ours: &dpkg::Database,
    theirs: &dpkg::Database,
    target: &Path,
) -> Result<(), Error> {
    let written = dpkg::write(plan, ours, theirs, &made(target)?);
    if written.is_err() {
        // The error that matters is the first one. All that is in there is ours.
        for entry in fs::read_dir(target).into_iter().flatten().flatten() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(written?)
}
