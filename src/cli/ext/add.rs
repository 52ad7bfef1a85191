//! `onlay ext add`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};

use super::{Place, Way, told};
use crate::cli::output;
use crate::cli::report::{Error, FAILED};
use crate::extension::activate::{self, Added, Change, Outcome, Request};
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
        let way = Way { no_refresh: false, dry_run: false };
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
    for one in &added {
        output::say(&format!("onlay: {}", in_words(one, arguments)));
    }
    if let Some(report) = &report {
        told::report(report);
    }
    let names: Vec<&str> = added.iter().map(|one| &*one.name).collect();
    let is_held =
        !disabled && report.iter().flat_map(|report| &report.held).any(|held| names.contains(&&*held.name));
    let is_unfit = added.iter().any(|one| one.outcome == Outcome::Unfit);
    if !way.dry_run && !is_unfit && !is_held {
        told::later(&change.host, way, report.as_ref());
    }
    Ok(if is_unfit || is_held { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn in_words(added: &Added, arguments: &Arguments) -> String {
    let would = if arguments.way.dry_run { "would be " } else { "" };
    let Added { name, version, why, .. } = added;
    let enabled = if added.is_enabled { " and enabled" } else { "" };
    match (added.outcome, why) {
        (Outcome::Unfit, why) => {
            let why = why.as_deref().unwrap_or_default();
            format!(
                "'{name}' {version} {would}not added, since it does not fit: {why} (--unfit adds it all the same)"
            )
        }
        (Outcome::Added, None) => format!("'{name}' {version} {would}added{enabled}"),
        (Outcome::Added, Some(why)) => {
            format!("'{name}' {version} {would}added{enabled}, but held back: {why}")
        }
        (Outcome::Known, None) if added.is_enabled => {
            format!("'{name}' {version} is there already, {would}enabled")
        }
        (Outcome::Known, None) => format!("'{name}' {version} is there already"),
        (Outcome::Known, Some(why)) => format!("'{name}' {version} is there already, and held back: {why}"),
    }
}
