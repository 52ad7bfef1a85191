//! `onlay ext add`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};
use serde::Serialize;

use super::progress::Bar;
use super::stores::Opened;
use super::{Place, Way, stores, told};
use crate::cli::output::{self, JsonPath};
use crate::cli::report::{Error, FAILED};
use crate::extension::activate::{
    self, Added, Change, Choice, Enabled, Images, Incoming, Outcome, Report, Request, enabled,
};
use crate::store::client::{self, Brought, Candidate, Catalog, Chooser, bring, pins};
use crate::sys::Context;

/// Add extensions from images or from stores, enable them, and merge them at once
///
/// An image is copied to STATE/images, read to its end and judged before it is
/// enabled; a newer one takes an older one's place. One that does not fit this host
/// is not added, the others are. Where one cannot be used at all, none is.
/// NAME is downloaded from a store: the newest version that fits, or VERSION.
/// With --root, extensions are enabled for that root, when it is booted.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Images (squashfs or erofs, or a disk image with one), or directories, of which
    /// images are made; or names of extensions in stores
    #[arg(value_name = "FILE|NAME[=VERSION]", required = true, value_hint = ValueHint::AnyPath)]
    images_or_names: Vec<PathBuf>,
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
        Arguments { images_or_names: vec![image.to_owned()], disabled: false, unfit: false, way }
    }
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    let Arguments { images_or_names, disabled, unfit, way } = arguments;
    let (mut paths, choices) = divided(images_or_names)?;
    let change = Change::of(&place.root, &place.state, !way.no_refresh, way.dry_run)?;
    let (mut incoming, mut would) = (Vec::new(), Vec::new());
    if !choices.is_empty() {
        change.check_for_more()?;
        let config = stores::config(place)?;
        let Opened { catalogs, .. } = stores::open(&config, place, false)?;
        let found = choose(&change, &catalogs, &choices, *unfit)?;
        if !disabled {
            refuse_pinned(&change, &choices, &found)?;
        }
        if way.dry_run {
            would = found.iter().map(|one| would_add(*one, &change, *disabled)).collect();
        } else {
            incoming = bring_all(&change, &found, &mut paths)?;
        }
    }
    let request = Request { files: &paths, disabled: *disabled, unfit: *unfit, others_all_the_same: false };
    let (mut added, report) = activate::add(&change, &request, incoming)?;
    added.extend(would);
    if way.json {
        told::as_json(&added.iter().map(Row::of).collect::<Vec<_>>(), report.as_ref(), None)?;
    } else {
        tell(&added, &change, arguments, report.as_ref());
    }
    let enabled = added.iter().filter(|one| one.is_enabled);
    told::pins_moved(&change, enabled.map(|one| (&*one.name, &*one.version)))?;
    let names: Vec<&str> = added.iter().map(|one| &*one.name).collect();
    let is_held =
        !disabled && report.iter().flat_map(|report| &report.held).any(|held| names.contains(&&*held.name));
    let is_unfit = added.iter().any(|one| one.outcome == Outcome::Unfit);
    if !way.dry_run && !way.json && !is_unfit && !is_held {
        told::later(&change.host, way, report.as_ref());
    }
    Ok(if is_unfit || is_held { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// Paths, and extensions in stores: what has a slash, or is there, is a path.
fn divided(words: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<Choice>), Error> {
    let (mut paths, mut choices) = (Vec::new(), Vec::new());
    for word in words {
        let is_image = word.extension().is_some_and(|end| end == "raw");
        let is_path = is_image || std::fs::symlink_metadata(word).is_ok();
        match word.to_str().filter(|text| !is_path && !text.contains('/')) {
            Some(text) => {
                let choice = text.parse().map_err(|why: &str| Error::Words(format!("'{text}': {why}")))?;
                choices.push(choice);
            }
            None => paths.push(std::path::absolute(word).context("find", word)?),
        }
    }
    Ok((paths, choices))
}

/// Chooses what is to come; all of it, or nothing.
fn choose<'c>(
    change: &Change<'_>,
    catalogs: &'c [Catalog<'c>],
    choices: &[Choice],
    unfit: bool,
) -> Result<Vec<Candidate<'c>>, client::Error> {
    let is_wanted = |name: &str| choices.iter().any(|choice| choice.name == name);
    // What they need may be in what comes with them.
    let beside = catalogs.iter().flat_map(|catalog| &catalog.entries).filter(|entry| is_wanted(&entry.name));
    let beside = if choices.len() > 1 { beside.cloned().collect() } else { Vec::new() };
    Chooser::with(&change.host, beside, |chooser| {
        let chosen = choices.iter().map(|Choice { name, version }| {
            let found = chooser.choose(catalogs, name, version.as_deref(), unfit)?;
            found.map_err(|nothing| client::Error::Nothing { name: name.clone(), nothing: Box::new(nothing) })
        });
        chosen.collect()
    })
}

/// Refuses to make another version of what is pinned, where nobody has named that.
fn refuse_pinned(change: &Change<'_>, choices: &[Choice], found: &[Candidate<'_>]) -> Result<(), Error> {
    let (pins, links) = (pins(&change.host.root)?, enabled(&change.host.root)?);
    for (choice, candidate) in choices.iter().zip(found) {
        let link = links.iter().find(|link| link.name == choice.name);
        let Some(version) = link.map(Enabled::version).filter(|_| pins.has(&choice.name)) else { continue };
        if choice.version.is_none() && version != candidate.entry.version {
            let (name, newest) = (choice.name.clone(), candidate.entry.version.clone());
            return Err(Error::Pinned { name, version, newest });
        }
    }
    Ok(())
}

/// What would come of an image that would be downloaded.
fn would_add(Candidate { catalog, entry }: Candidate<'_>, change: &Change<'_>, disabled: bool) -> Added {
    let size = if catalog.is_told { format!(", {}", output::size(entry.size)) } else { String::new() };
    let (name, version, store) = (&entry.name, &entry.version, &catalog.store.name);
    output::say(&format!("onlay: '{name}' {version} of store '{store}'{size} would be downloaded"));
    Added {
        source: PathBuf::from(&entry.file),
        name: name.clone(),
        version: version.clone(),
        path: Images::place(change.state).join(&entry.file),
        outcome: Outcome::Added,
        is_enabled: !disabled,
        replaces: None,
        why: None,
    }
}

/// Has all come that was chosen. What is here already is a path.
fn bring_all(
    change: &Change<'_>,
    found: &[Candidate<'_>],
    paths: &mut Vec<PathBuf>,
) -> Result<Vec<Incoming>, Error> {
    let images = Images::make(change.state)?;
    let mut incoming = Vec::new();
    for candidate in found {
        let mut bar = Bar::new();
        match bring(*candidate, &images, &mut |progress| bar.show(progress))? {
            Brought::Stored(path) => paths.push(path),
            Brought::Incoming(image, fetched) => {
                drop(bar);
                told::fetched(*candidate, fetched);
                incoming.push(image);
            }
        }
    }
    Ok(incoming)
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
        (Outcome::Unusable, why) => {
            format!("'{name}' {version} cannot be used: {}", why.as_deref().unwrap_or_default())
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
