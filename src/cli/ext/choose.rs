//! `onlay ext enable`, `disable` and `remove`.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{Place, Way, told};
use crate::cli::output::{self, JsonPath};
use crate::cli::report::{Error, FAILED};
use crate::extension::activate::{self, Change, Choice, Chosen, Removed, Report, Without};
use crate::store::client::Pins;

/// Enable extensions whose images are there
#[derive(Debug, Args)]
pub(super) struct Enable {
    /// The extensions: NAME is the newest image, NAME=VERSION another one
    #[arg(value_name = "EXTENSION", required = true)]
    extensions: Vec<Choice>,
    /// Also enable what does not fit: it is held back until it does
    #[arg(long)]
    unfit: bool,
    #[command(flatten)]
    way: Way,
}

impl Enable {
    /// One version of one extension.
    pub(super) fn of(choice: Choice, way: &Way) -> Enable {
        Enable { extensions: vec![choice], unfit: false, way: way.clone() }
    }
}

/// Disable extensions; their images stay
#[derive(Debug, Args)]
pub(super) struct Disable {
    /// The extensions
    #[arg(value_name = "EXTENSION", required = true)]
    extensions: Vec<Choice>,
    #[command(flatten)]
    way: Way,
}

/// Disable extensions and remove their images
///
/// An image that another snapshot or deployment has enabled is kept for that.
#[derive(Debug, Args)]
pub(super) struct Remove {
    /// The extensions: NAME is all its images, NAME=VERSION one of them
    #[arg(value_name = "EXTENSION", required = true)]
    extensions: Vec<Choice>,
    #[command(flatten)]
    way: Way,
}

fn change<'a>(place: &'a Place, way: &Way) -> Result<Change<'a>, Error> {
    Ok(Change::of(&place.root, &place.state, !way.no_refresh, way.dry_run)?)
}

/// One extension that was chosen, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    /// Whether anything changed.
    changed: bool,
    /// Whether it is enabled then.
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(chosen: &'a Chosen) -> Row<'a> {
        Row {
            name: &chosen.name,
            version: chosen.version.as_deref(),
            changed: chosen.is_new,
            enabled: chosen.is_enabled,
            why: chosen.why.as_deref(),
        }
    }
}

/// One image that was removed, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Gone<'a> {
    name: &'a str,
    version: &'a str,
    path: JsonPath<'a>,
    /// Whether the image is kept, for those who use it.
    kept_for: Vec<JsonPath<'a>>,
}

impl<'a> Gone<'a> {
    fn of(Removed { image, users }: &'a Removed) -> Gone<'a> {
        Gone {
            name: &image.name,
            version: &image.version,
            path: image.path.as_path().into(),
            kept_for: users.iter().map(|user| user.as_path().into()).collect(),
        }
    }
}

pub(super) fn enable(place: &Place, arguments: &Enable) -> Result<ExitCode, Error> {
    let change = change(place, &arguments.way)?;
    let before: Vec<String> =
        activate::enabled(&change.host.root)?.into_iter().map(|link| link.name).collect();
    let (code, chosen) = enable_and_tell(&change, arguments)?;
    let is_moved = |one: &&Chosen| one.is_new && before.contains(&one.name);
    let moved = chosen.iter().filter(is_moved);
    told::pins_moved(&change, moved.filter_map(|one| Some((&*one.name, one.version.as_deref()?))))?;
    Ok(code)
}

/// Enables what is to be pinned.
pub(super) fn enable_only(change: &Change<'_>, arguments: &Enable) -> Result<ExitCode, Error> {
    enable_and_tell(change, arguments).map(|(code, _)| code)
}

fn enable_and_tell(change: &Change<'_>, arguments: &Enable) -> Result<(ExitCode, Vec<Chosen>), Error> {
    let Enable { extensions, unfit, way } = arguments;
    let (chosen, report) = activate::enable(change, extensions, *unfit)?;
    let is_held = chosen.iter().any(|one| one.why.is_some())
        || report
            .iter()
            .flat_map(|report| &report.held)
            .any(|held| chosen.iter().any(|one| one.name == held.name));
    let code = if is_held { ExitCode::from(FAILED) } else { ExitCode::SUCCESS };
    if way.json {
        let rows: Vec<Row<'_>> = chosen.iter().map(Row::of).collect();
        told::as_json(&rows, report.as_ref(), None)?;
        return Ok((code, chosen));
    }
    for one in &chosen {
        output::say(&format!("onlay: {}", enabled_in_words(one, way)));
    }
    if way.dry_run && chosen.iter().any(|one| one.is_new && one.why.is_none()) {
        told::would_make_read_only(change);
    }
    if let Some(report) = &report {
        let told: Vec<(&str, &str)> =
            chosen.iter().filter_map(|one| Some((&*one.name, one.why.as_deref()?))).collect();
        told::report(report, &told);
    }
    if !way.dry_run && !is_held {
        told::later(&change.host, way, report.as_ref());
    }
    Ok((code, chosen))
}

fn enabled_in_words(chosen: &Chosen, way: &Way) -> String {
    let would = if way.dry_run { "would be " } else { "" };
    let version = chosen.version.as_deref().unwrap_or_default();
    let what = match (&chosen.why, chosen.is_new, chosen.is_enabled) {
        (None, true, _) => format!("{would}enabled"),
        (None, false, _) => "is enabled already".to_owned(),
        (Some(why), true, _) => format!("{would}enabled, but held back: {why}"),
        (Some(why), false, true) => format!("is enabled already, and held back: {why}"),
        (Some(why), false, false) => format!(
            "{would}not enabled, since it does not fit: {why} (--unfit enables it all the same, to be merged when it fits)"
        ),
    };
    format!("'{}' {version} {what}", chosen.name)
}

pub(super) fn disable(place: &Place, arguments: &Disable) -> Result<ExitCode, Error> {
    let Disable { extensions, way } = arguments;
    let change = change(place, way)?;
    let without = way.dry_run.then(|| activate::without(&change, extensions)).transpose()?;
    let (chosen, report) = activate::disable(&change, extensions)?;
    if way.json {
        let rows: Vec<Row<'_>> = chosen.iter().map(Row::of).collect();
        told::as_json(&rows, report.as_ref(), without)?;
        return Ok(ExitCode::SUCCESS);
    }
    let would = if way.dry_run { "would be " } else { "" };
    for one in &chosen {
        let what = if one.is_new { format!("{would}disabled") } else { "is not enabled".to_owned() };
        output::say(&format!("onlay: '{}' {what}", one.name));
    }
    tell_gone(&change, way, without.as_ref(), report.as_ref());
    Ok(ExitCode::SUCCESS)
}

/// What follows where extensions are merged no more.
fn tell_gone(change: &Change<'_>, way: &Way, without: Option<&Without>, report: Option<&Report>) {
    match (report, without) {
        (Some(report), _) => told::report(report, &[]),
        (None, Some(without)) => told::without(without),
        (None, None) => told::later(&change.host, way, None),
    }
}

/// Unpins what is not enabled any more, for it would be pinned to whatever comes later. Says what that is.
fn unpin<'a>(change: &Change<'_>, gone: &'a [Choice]) -> Result<Vec<&'a str>, Error> {
    let links = activate::enabled(&change.host.root)?;
    let mut names = Vec::new();
    for Choice { name, .. } in gone.iter().filter(|gone| !links.iter().any(|link| link.name == gone.name)) {
        if Pins::remove(&change.host.root, name)? {
            names.push(&**name);
        }
    }
    Ok(names)
}

pub(super) fn remove(place: &Place, arguments: &Remove) -> Result<ExitCode, Error> {
    let Remove { extensions, way } = arguments;
    let change = change(place, way)?;
    let without = way.dry_run.then(|| activate::without(&change, extensions)).transpose()?;
    let (gone, report) = activate::remove(&change, extensions)?;
    let unpinned = if way.dry_run { Vec::new() } else { unpin(&change, extensions)? };
    if way.json {
        let rows: Vec<Gone<'_>> = gone.iter().map(Gone::of).collect();
        told::as_json(&rows, report.as_ref(), without)?;
        return Ok(ExitCode::SUCCESS);
    }
    let would = if way.dry_run { "would be " } else { "" };
    for Removed { image, users } in &gone {
        let users: Vec<String> = users.iter().map(|user| output::path(user)).collect();
        let what = match users.as_slice() {
            [] => format!("{would}removed"),
            users => format!("{would}disabled; its image is kept for {}", users.join(", ")),
        };
        output::say(&format!("onlay: '{}' {} {what}", image.name, image.version));
    }
    for name in unpinned {
        output::say(&format!("onlay: '{name}' is not pinned any more"));
    }
    tell_gone(&change, way, without.as_ref(), report.as_ref());
    Ok(ExitCode::SUCCESS)
}
