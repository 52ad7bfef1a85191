//! `onlay ext add`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};
use serde::Serialize;

use super::{Place, Way, told};
use crate::cli::output::{self, JsonPath};
use crate::cli::report::{Error, FAILED};
use crate::extension::activate::{self, Added, Change, Outcome, Report, Request};
use crate::sys::Context;

/// Add extensions from images, enable them, and merge them at once
///
/// An image is copied to STATE/images, read to its end and judged before it is
/// enabled; a newer one takes an older one's place. One that does not fit this host
/// is not added, the others are. Where one cannot be used at all, none is.
/// With --root, extensions are enabled for that root, when it is booted.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The images (squashfs, or a disk image with one), or directories, of which
    /// images are made
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// Add them, and enable none
    #[arg(long)]
    disabled: bool,
    /// Also add what does not fit: it is held back until it does, as after an
    /// update of the host
    #[arg(long)]
    unfit: bool,
    #[command(flatten)]
    way: Way,
}

impl Arguments {
    /// To add one image, and have it merged.
    pub(super) fn of(image: &Path) -> Arguments {
        let way = Way { no_refresh: false, dry_run: false, json: false };
        Arguments { files: vec![image.to_owned()], disabled: false, unfit: false, way }
    }
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    let Arguments { files, disabled, unfit, way } = arguments;
    let absolute = |file: &PathBuf| std::path::absolute(file).context("find", file);
    let files = files.iter().map(absolute).collect::<Result<Vec<_>, _>>()?;
    let change = Change::of(&place.root, &place.state, !way.no_refresh, way.dry_run)?;
    let request = Request { files: &files, disabled: *disabled, unfit: *unfit };
    let (added, report) = activate::add(&change, &request)?;
    if way.json {
        told::as_json(&added.iter().map(Row::of).collect::<Vec<_>>(), report.as_ref(), None)?;
    } else {
        tell(&added, &change, arguments, report.as_ref());
    }
    let names: Vec<&str> = added.iter().map(|one| &*one.name).collect();
    let is_held =
        !disabled && report.iter().flat_map(|report| &report.held).any(|held| names.contains(&&*held.name));
    let is_unfit = added.iter().any(|one| one.outcome == Outcome::Unfit);
    if !way.dry_run && !way.json && !is_unfit && !is_held {
        told::later(&change.host, way, report.as_ref());
    }
    Ok(if is_unfit || is_held { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// One image, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    file: JsonPath<'a>,
    name: &'a str,
    version: &'a str,
    path: JsonPath<'a>,
    outcome: Outcome,
    /// Whether it was enabled by that.
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(added: &'a Added) -> Row<'a> {
        Row {
            file: added.source.as_path().into(),
            name: &added.name,
            version: &added.version,
            path: added.path.as_path().into(),
            outcome: added.outcome,
            enabled: added.is_enabled,
            replaces: added.replaces.as_deref(),
            why: added.why.as_deref(),
        }
    }
}

fn tell(added: &[Added], change: &Change<'_>, arguments: &Arguments, report: Option<&Report>) {
    for one in added {
        output::say(&format!("onlay: {}", in_words(one, arguments)));
    }
    if arguments.way.dry_run && added.iter().any(|one| one.is_enabled && one.why.is_none()) {
        told::would_make_read_only(change);
    }
    if let Some(report) = report {
        let told: Vec<(&str, &str)> =
            added.iter().filter_map(|one| Some((&*one.name, one.why.as_deref()?))).collect();
        told::report(report, &told);
    }
}

fn in_words(added: &Added, arguments: &Arguments) -> String {
    let would = if arguments.way.dry_run { "would be " } else { "" };
    let Added { name, version, why, .. } = added;
    let enabled = if added.is_enabled { " and enabled" } else { "" };
    let back = match &added.replaces {
        Some(old) => {
            format!(" in place of {old}: '{} ext enable {name}={old}' goes back to that", output::program())
        }
        None => String::new(),
    };
    match (added.outcome, why) {
        (Outcome::Unfit, why) => {
            let why = why.as_deref().unwrap_or_default();
            format!(
                "'{name}' {version} {would}not added, since it does not fit: {why} (--unfit adds it all the same)"
            )
        }
        (Outcome::Added, None) => format!("'{name}' {version} {would}added{enabled}{back}"),
        (Outcome::Added, Some(why)) => {
            format!("'{name}' {version} {would}added{enabled}, but held back: {why}")
        }
        (Outcome::Known, None) if added.is_enabled => {
            format!("'{name}' {version} is there already, {would}enabled{back}")
        }
        (Outcome::Known, None) => format!("'{name}' {version} is there already"),
        (Outcome::Known, Some(why)) => format!("'{name}' {version} is there already, and held back: {why}"),
    }
}
