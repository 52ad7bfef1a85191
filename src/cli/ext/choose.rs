//! `onlay ext enable`, `disable` and `remove`.

use std::process::ExitCode;

use clap::Args;

use super::{Place, Way, told};
use crate::cli::output;
use crate::cli::report::{Error, FAILED};
use crate::extension::activate::{self, Change, Choice, Removed};

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

pub(super) fn enable(place: &Place, arguments: &Enable) -> Result<ExitCode, Error> {
    let Enable { extensions, unfit, way } = arguments;
    let change = change(place, way)?;
    let (chosen, report) = activate::enable(&change, extensions, *unfit)?;
    let would = if way.dry_run { "would be " } else { "" };
    for one in &chosen {
        let version = one.version.as_deref().unwrap_or_default();
        let what = match (&one.why, one.is_new) {
            (None, true) => format!("{would}enabled"),
            (None, false) => "is enabled already".to_owned(),
            (Some(why), true) => format!("{would}enabled, but held back: {why}"),
            (Some(why), false) => format!("{would}not enabled, since it does not fit: {why}"),
        };
        output::say(&format!("onlay: '{}' {version} {what}", one.name));
    }
    if let Some(report) = &report {
        told::report(report);
    }
    let is_held = chosen.iter().any(|one| one.why.is_some())
        || report
            .iter()
            .flat_map(|report| &report.held)
            .any(|held| chosen.iter().any(|one| one.name == held.name));
    if !way.dry_run && !is_held {
        told::later(&change.host, way, report.as_ref());
    }
    Ok(if is_held { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

pub(super) fn disable(place: &Place, arguments: &Disable) -> Result<ExitCode, Error> {
    let Disable { extensions, way } = arguments;
    let change = change(place, way)?;
    let (chosen, report) = activate::disable(&change, extensions)?;
    let would = if way.dry_run { "would be " } else { "" };
    for one in &chosen {
        let what = if one.is_new { format!("{would}disabled") } else { "is not enabled".to_owned() };
        output::say(&format!("onlay: '{}' {what}", one.name));
    }
    if let Some(report) = &report {
        told::report(report);
    } else if !way.dry_run {
        told::later(&change.host, way, None);
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn remove(place: &Place, arguments: &Remove) -> Result<ExitCode, Error> {
    let Remove { extensions, way } = arguments;
    let change = change(place, way)?;
    let (gone, report) = activate::remove(&change, extensions)?;
    let would = if way.dry_run { "would be " } else { "" };
    for Removed { image, users } in &gone {
        let users: Vec<String> = users.iter().map(|user| output::path(user)).collect();
        let what = match users.as_slice() {
            [] => format!("{would}removed"),
            users => format!("{would}disabled; its image is kept for {}", users.join(", ")),
        };
        output::say(&format!("onlay: '{}' {} {what}", image.name, image.version));
    }
    if let Some(report) = &report {
        told::report(report);
    } else if !way.dry_run {
        told::later(&change.host, way, None);
    }
    Ok(ExitCode::SUCCESS)
}
