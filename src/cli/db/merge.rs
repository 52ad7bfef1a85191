//! `onlay db merge`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};

use super::diff::find_like;
use super::dump::{existing, made, refuse_database};
use super::{PATIENCE, find};
use crate::cli::output;
use crate::cli::report::Error;
use crate::pkgdb::AnyDatabase;
use crate::pkgdb::merge::Side;
use crate::pkgdb::rpm::merge::{Catalog, Choice, Known, plan};
use crate::pkgdb::rpm::{Access, Opening, prepare};
use crate::sys::Root;

/// Merge two databases of rpm's that came from one, into a new one
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
    /// The directory for the new database, which must have none; it is made when missing
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output: PathBuf,
    /// Say what would be made, and stop
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let places = find(&arguments.base)?;
    let [ours, theirs] = [find_like(&places, &arguments.ours)?, find_like(&places, &arguments.theirs)?];
    let (AnyDatabase::Rpm(base), AnyDatabase::Rpm(ours), AnyDatabase::Rpm(theirs)) =
        (places.open(PATIENCE)?, ours.open(PATIENCE)?, theirs.open(PATIENCE)?)
    else {
        return Err(Error::MergedWithFiles);
    };
    let target = &arguments.output;
    if let Some(directory) = existing(target)? {
        refuse_database(&directory)?;
    }
    let known: Vec<Known> = Catalog::of(&base)?.entries().iter().map(|entry| entry.known.clone()).collect();
    let (our, their) = (Catalog::knowing(&known, &ours)?, Catalog::knowing(&known, &theirs)?);
    let plan = plan(&known, (&ours, &our), (&theirs, &their), &Choice::default())?;
    for finding in &plan.findings {
        output::say(&format!("onlay: the merge breaks something: {finding}"));
    }
    let (from, which) = match plan.from {
        Side::Ours => (&ours, "ours"),
        Side::Theirs => (&theirs, "theirs"),
    };
    let what = format!(
        "a database in {}: that of {which}, {} packages less and {} more",
        output::path(target),
        plan.delta.remove.len(),
        plan.delta.add.len()
    );
    if arguments.dry_run {
        return output::print(&format!("would make {what}\n")).map(|()| ExitCode::SUCCESS);
    }
    let directory: Root = made(target)?;
    let opening = Opening { scratch: target, patience: PATIENCE, access: Access::Replace };
    prepare(from, &plan.delta, &directory, &opening)?.commit()?;
    output::say(&format!("onlay: made {what}"));
    Ok(ExitCode::SUCCESS)
}
