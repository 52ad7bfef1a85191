//! `onlay ext update`.

use std::process::ExitCode;

use clap::Args;

use super::progress::Bar;
use super::{Place, Way, stores, told};
use crate::cli::output;
use crate::cli::report::{Error, FAILED};
use crate::extension::activate::{self, Added, Change, Images, Incoming, Outcome, Report, Request, enabled};
use crate::store::client::{
    self, Brought, Candidate, Chooser, Config, Fate, Move, Nothing, Standing, Stay, bring, fates, pins,
};
use crate::sys::with_causes;

/// What `--unchanged-exit-77` exits with.
const UNCHANGED: u8 = 77;

/// Update extensions from stores
///
/// Each extension that is enabled becomes the newest version that fits this host, as
/// stores tell before anything is downloaded; what is pinned, and what no store has,
/// stays. Older versions are kept for 'onlay ext rollback', as many as are configured.
/// With --root, extensions of another root are updated, to what fits that.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The extensions [default: all that are enabled]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Exit with 77 where nothing was to be done
    #[arg(long)]
    unchanged_exit_77: bool,
    #[command(flatten)]
    way: Way,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    let way = &arguments.way;
    let change = Change::of(&place.root, &place.state, !way.no_refresh, way.dry_run)?;
    let standing = standing(&change, &arguments.names)?;
    change.check()?;
    let config = stores::config(place)?;
    let (catalogs, mut has_failed) = stores::open(&config, place, false)?;
    let pins = pins(&change.host.root)?;
    let fates =
        Chooser::with(&change.host, Vec::new(), |chooser| fates(chooser, &catalogs, standing, &pins))?;
    let mut moves = Vec::new();
    for fate in fates {
        match fate {
            Fate::Move(one) => moves.push(one),
            Fate::Stay(standing, stay) => {
                has_failed |= !tell_stay(&standing, &stay, !arguments.names.is_empty());
            }
        }
    }
    let changed = if moves.is_empty() || way.dry_run {
        moves.iter().for_each(tell_move);
        !moves.is_empty()
    } else {
        let (changed, is_whole) = carry_out(&change, &config, &moves, way)?;
        has_failed |= !is_whole;
        changed
    };
    if !changed && !has_failed {
        output::say("onlay: all extensions are the newest that fit");
    }
    Ok(match (has_failed, changed, arguments.unchanged_exit_77) {
        (true, ..) => ExitCode::from(FAILED),
        (false, false, true) => ExitCode::from(UNCHANGED),
        _ => ExitCode::SUCCESS,
    })
}

/// What is enabled, all or by its names.
fn standing(change: &Change<'_>, names: &[String]) -> Result<Vec<Standing>, Error> {
    let all: Vec<Standing> = enabled(&change.host.root)?
        .into_iter()
        .map(|link| Standing { version: link.version(), name: link.name })
        .collect();
    if let Some(missing) = names.iter().find(|name| !all.iter().any(|one| one.name == **name)) {
        return Err(activate::Error::NotEnabled(missing.clone()).into());
    }
    Ok(all.into_iter().filter(|one| names.is_empty() || names.contains(&one.name)).collect())
}

/// Tells why one stays, where that is worth it; whether it is as it should be.
fn tell_stay(Standing { name, version }: &Standing, stay: &Stay, is_named: bool) -> bool {
    match stay {
        Stay::Nothing(nothing @ Nothing::Unfit { .. }) => {
            output::complain(&format!("onlay: '{name}' stays {version}: {nothing}"));
            false
        }
        _ if !is_named => true,
        Stay::Nothing(nothing) => {
            output::complain(&format!("onlay: '{name}' stays {version}: {nothing}"));
            false
        }
        Stay::Pinned => {
            output::say(&format!("onlay: '{name}' stays {version}: it is pinned"));
            true
        }
        Stay::Newer => {
            output::say(&format!(
                "onlay: '{name}' stays {version}, which is newer than all that stores have"
            ));
            true
        }
        Stay::Newest => {
            output::say(&format!("onlay: '{name}' {version} is the newest that fits"));
            true
        }
    }
}

fn tell_move(one: &Move<'_>) {
    let Move { standing, candidate, because } = one;
    let Candidate { catalog, entry } = candidate;
    let why = because.as_ref().map(|misfit| format!("; it cannot stay: {misfit}")).unwrap_or_default();
    let size = if catalog.is_told { format!(", {}", output::size(entry.size)) } else { String::new() };
    output::say(&format!(
        "onlay: '{}' {} would become {} of store '{}'{size}{why}",
        standing.name, standing.version, entry.version, catalog.store.name
    ));
}

/// Downloads and adds; whether anything changed, and whether all that was to.
fn carry_out(
    change: &Change<'_>,
    config: &Config,
    moves: &[Move<'_>],
    way: &Way,
) -> Result<(bool, bool), Error> {
    let images = Images::make(change.state)?;
    let (mut files, mut incoming, mut is_whole) = (Vec::new(), Vec::<Incoming>::new(), true);
    for one in moves {
        let mut bar = Bar::new();
        let brought = bring(one.candidate, &images, &mut |progress| bar.show(progress));
        drop(bar);
        match brought {
            Ok(Brought::Stored(path)) => files.push(path),
            Ok(Brought::Incoming(image)) => incoming.push(image),
            // Others can be updated all the same.
            Err(error @ client::Error::Store { .. }) => {
                output::complain(&format!("onlay: '{}' stays: {}", one.standing.name, with_causes(&error)));
                is_whole = false;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if files.is_empty() && incoming.is_empty() {
        return Ok((false, false));
    }
    let request = Request { files: &files, disabled: false, unfit: false, others_all_the_same: true };
    let (added, report) = activate::add(change, &request, incoming)?;
    let mut changed = Vec::new();
    for one in &added {
        let was =
            moves.iter().find(|other| other.standing.name == one.name).map(|other| &*other.standing.version);
        is_whole &= tell_added(one, was.unwrap_or_default());
        changed.extend(one.is_enabled.then(|| one.name.clone()));
    }
    is_whole &= tell_report(change, way, report.as_ref(), &changed);
    for gone in activate::clean(change, config.keep, Some(&changed))? {
        output::say(&format!("onlay: removed the image of '{}' {}, which is old", gone.name, gone.version));
    }
    Ok((!changed.is_empty(), is_whole))
}

/// Tells what became of one; whether it was what was to become of it.
fn tell_added(Added { name, version, why, outcome, .. }: &Added, was: &str) -> bool {
    let why = why.as_deref().unwrap_or_default();
    match outcome {
        Outcome::Added | Outcome::Known => {
            output::say(&format!("onlay: '{name}' is {version} now, and was {was}"));
            true
        }
        Outcome::Unfit => {
            output::complain(&format!("onlay: '{name}' stays {was}: {version} does not fit: {why}"));
            false
        }
        Outcome::Unusable => {
            output::complain(&format!("onlay: '{name}' stays {was}: {version} cannot be used: {why}"));
            false
        }
    }
}

/// Tells what was merged; whether all that was to be is.
fn tell_report(change: &Change<'_>, way: &Way, report: Option<&Report>, names: &[String]) -> bool {
    let Some(report) = report else {
        if !names.is_empty() {
            told::later(&change.host, way, None);
        }
        return true;
    };
    told::report(report);
    !report.held.iter().any(|held| names.contains(&held.name))
}
