//! `onlay ext update`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::progress::Bar;
use super::stores::Opened;
use super::{Place, Way, stores, told};
use crate::cli::output;
use crate::cli::report::{Error, FAILED};
use crate::extension::activate::{self, Added, Change, Images, Incoming, Outcome, Report, Request, lasting};
use crate::store::client::{
    self, Because, Brought, Candidate, Chooser, Config, Fate, Fetched, Move, Nothing, Standing, Stay, bring,
    fates, pins,
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
    extensions: Vec<String>,
    /// Exit with 77 where nothing was to be done
    #[arg(long)]
    unchanged_exit_77: bool,
    #[command(flatten)]
    way: Way,
}

/// One extension, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// The version that is, or was, enabled.
    from: String,
    /// The version that it is to be; nothing where it is to stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    /// Whether it is, or would be, another version by that.
    changed: bool,
    /// Why it stays, or cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// What came for it.
    #[serde(flatten)]
    fetched: Option<Fetched>,
    /// Whether something is not as it should be.
    #[serde(skip)]
    is_wrong: bool,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    let way = &arguments.way;
    let change = Change::of(&place.root, &place.state, !way.no_refresh, way.dry_run)?;
    let standing = standing(&change, &arguments.extensions)?;
    change.check()?;
    let config = stores::config(place)?;
    if standing.is_empty() {
        return nothing_enabled(arguments);
    }
    let Opened { catalogs, has_failed, is_stale } = stores::open(&config, place, false)?;
    let pins = pins(&change.host.root)?;
    let fates =
        Chooser::with(&change.host, Vec::new(), |chooser| fates(chooser, &catalogs, standing, &pins))?;
    let (mut moves, mut rows) = (Vec::new(), Vec::new());
    for fate in fates {
        match fate {
            Fate::Move(one) => moves.push(one),
            Fate::Stay(standing, stay) => rows.push(stays(standing, &stay, !arguments.extensions.is_empty())),
        }
    }
    if !way.json {
        rows.iter().for_each(tell_stay);
    }
    let mut report = None;
    if !moves.is_empty() {
        change.check_for_more()?;
    }
    if way.dry_run {
        rows.extend(moves.iter().map(|one| would(one, way)));
    } else if !moves.is_empty() {
        let (moved, merged) = carry_out(&change, &config, &moves, way)?;
        rows.extend(moved);
        report = merged;
    }
    if way.json {
        told::as_json(&rows, report.as_ref(), None)?;
    }
    let changed = rows.iter().any(|row| row.changed);
    let has_failed = has_failed || is_stale || rows.iter().any(|row| row.is_wrong);
    if !changed && !has_failed && !way.json {
        tell_unchanged(&rows);
    }
    Ok(match (has_failed, changed, arguments.unchanged_exit_77) {
        (true, ..) => ExitCode::from(FAILED),
        (false, false, true) => ExitCode::from(UNCHANGED),
        _ => ExitCode::SUCCESS,
    })
}

/// Says that nothing was to be done, unless that was said of each.
fn tell_unchanged(rows: &[Row]) {
    let told = rows.iter().filter(|row| row.why.is_some()).count();
    if told == 0 {
        output::say("onlay: all extensions are the newest that fit");
    } else if told < rows.len() {
        output::say("onlay: the others are the newest that fit");
    }
}

fn nothing_enabled(arguments: &Arguments) -> Result<ExitCode, Error> {
    if arguments.way.json {
        told::as_json(&Vec::<Row>::new(), None, None)?;
    }
    output::say("onlay: no extension is enabled: there is nothing to update");
    Ok(if arguments.unchanged_exit_77 { ExitCode::from(UNCHANGED) } else { ExitCode::SUCCESS })
}

/// What is enabled, all or by its names.
fn standing(change: &Change<'_>, names: &[String]) -> Result<Vec<Standing>, Error> {
    let all: Vec<Standing> = lasting(&change.host.root)?
        .into_iter()
        .map(|link| Standing { version: link.version(), is_gone: is_gone(&link.image), name: link.name })
        .collect();
    if let Some(missing) = names.iter().find(|name| !all.iter().any(|one| one.name == **name)) {
        return Err(activate::Error::NotEnabled(missing.clone()).into());
    }
    Ok(all.into_iter().filter(|one| names.is_empty() || names.contains(&one.name)).collect())
}

fn is_gone(image: &Path) -> bool {
    matches!(std::fs::metadata(image), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
}

/// One that stays what it is. Of what nobody has asked for, no more is told than what is not as it should be.
fn stays(standing: Standing, stay: &Stay, is_named: bool) -> Row {
    let (why, is_told, is_wrong) = match stay {
        Stay::Newest => ("it is the newest that fits".to_owned(), false, false),
        Stay::Newer => ("it is newer than all that stores have".to_owned(), false, false),
        Stay::Pinned { newer: None } => ("it is pinned".to_owned(), false, false),
        Stay::Pinned { newer: Some((version, store)) } => {
            (format!("it is pinned; store '{store}' has {version}"), true, false)
        }
        Stay::Nothing(nothing) => {
            let is_wrong = is_named || matches!(nothing, Nothing::Unfit { .. });
            (nothing.to_string(), is_wrong, is_wrong)
        }
        Stay::Gone(nothing) => (format!("its image is gone, and {nothing}"), true, true),
    };
    let why = Some(why).filter(|_| is_named || is_told);
    let Standing { name, version, .. } = standing;
    Row { name, from: version, to: None, store: None, changed: false, why, fetched: None, is_wrong }
}

fn tell_stay(row: &Row) {
    let Some(why) = &row.why else { return };
    let words = format!("onlay: '{}' stays {}: {why}", row.name, row.from);
    if row.is_wrong { output::complain(&words) } else { output::say(&words) }
}

/// One that is to move.
fn moves_to(one: &Move<'_>) -> Row {
    let Move { standing, candidate: Candidate { catalog, entry }, because } = one;
    Row {
        name: standing.name.clone(),
        from: standing.version.clone(),
        to: Some(entry.version.clone()),
        store: Some(catalog.store.name.clone()),
        changed: false,
        why: match because {
            Because::Newer => None,
            Because::Unfit(misfit) => Some(format!("it cannot stay: {misfit}")),
            Because::Gone => Some("its image is gone".to_owned()),
        },
        fetched: None,
        is_wrong: false,
    }
}

fn would(one: &Move<'_>, way: &Way) -> Row {
    let row = Row { changed: true, ..moves_to(one) };
    let Candidate { catalog, entry } = one.candidate;
    if !way.json {
        let why = row.why.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
        let size = if catalog.is_told { format!(", {}", output::size(entry.size)) } else { String::new() };
        let (name, from, to, store) = (&row.name, &row.from, &entry.version, &catalog.store.name);
        let what = if from == to { "come again from".to_owned() } else { format!("become {to} of") };
        output::say(&format!("onlay: '{name}' {from} would {what} store '{store}'{size}{why}"));
    }
    row
}

/// Downloads and adds; what became of each, and what was merged.
fn carry_out(
    change: &Change<'_>,
    config: &Config,
    moves: &[Move<'_>],
    way: &Way,
) -> Result<(Vec<Row>, Option<Report>), Error> {
    let mut rows: Vec<Row> = moves.iter().map(moves_to).collect();
    let (files, incoming) = bring_all(change, moves, &mut rows)?;
    if files.is_empty() && incoming.is_empty() {
        return Ok((rows, None));
    }
    let request = Request { files: &files, disabled: false, unfit: false, others_all_the_same: true };
    let (added, report) = activate::add(change, &request, incoming)?;
    for one in &added {
        if let Some(row) = rows.iter_mut().find(|row| row.name == one.name) {
            became(row, one);
        }
    }
    let changed: Vec<String> = rows.iter().filter(|row| row.changed).map(|row| row.name.clone()).collect();
    for held in report.iter().flat_map(|report| &report.held) {
        rows.iter_mut().filter(|row| row.name == held.name).for_each(|row| row.is_wrong = true);
    }
    if !way.json {
        match &report {
            Some(report) => told::report(report, &[]),
            None if changed.is_empty() => {}
            None => told::later(&change.host, way, None),
        }
    }
    for gone in activate::clean(change, config.keep, Some(&changed))? {
        output::say(&format!("onlay: removed the image of '{}' {}, which is old", gone.name, gone.version));
    }
    Ok((rows, report))
}

/// Has all come that can; what cannot keeps the others from nothing.
fn bring_all(
    change: &Change<'_>,
    moves: &[Move<'_>],
    rows: &mut [Row],
) -> Result<(Vec<PathBuf>, Vec<Incoming>), Error> {
    let images = Images::make(change.state)?;
    let (mut files, mut incoming) = (Vec::new(), Vec::new());
    for (one, row) in moves.iter().zip(rows) {
        let mut bar = Bar::new();
        let brought = bring(one.candidate, &images, &mut |progress| bar.show(progress));
        drop(bar);
        match brought {
            Ok(Brought::Stored(path)) => files.push(path),
            Ok(Brought::Incoming(image, fetched)) => {
                told::fetched(one.candidate, fetched);
                row.fetched = Some(fetched);
                incoming.push(image);
            }
            Err(error @ client::Error::Store { .. }) => wrong(row, with_causes(&error)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok((files, incoming))
}

/// Notes and tells what became of one that was added.
fn became(row: &mut Row, added: &Added) {
    let why = added.why.as_deref().unwrap_or_default();
    match added.outcome {
        Outcome::Added | Outcome::Known => {
            row.changed = added.is_enabled || added.outcome == Outcome::Added;
            let (name, from, to) = (&row.name, &row.from, &added.version);
            let was =
                if from == to { "is there again".to_owned() } else { format!("is {to} now, and was {from}") };
            let name = if from == to { format!("'{name}' {to}") } else { format!("'{name}'") };
            output::say(&format!("onlay: {name} {was}"));
        }
        Outcome::Unfit => wrong(row, format!("{} does not fit: {why}", added.version)),
        Outcome::Unusable => wrong(row, format!("{} cannot be used: {why}", added.version)),
    }
}

fn wrong(row: &mut Row, why: String) {
    output::complain(&format!("onlay: '{}' stays {}: {why}", row.name, row.from));
    row.why = Some(why);
    row.is_wrong = true;
}
