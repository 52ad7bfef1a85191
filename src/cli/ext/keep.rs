//! `onlay ext rollback`, `pin`, `unpin`, `clean` and `timer`: which versions stay.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::choose::Enable;
use super::{Place, Way, choose};
use crate::cli::output;
use crate::cli::report::Error;
use crate::extension::activate::{self, Change, Choice, Images, enabled, set_timer, timer};
use crate::fetch::Partial;
use crate::host::Host;
use crate::store::client::{Config, Pins, forget_others, pins};
use crate::sys::Root;

/// Go back to the version of an extension before the one that is enabled
///
/// It is here already, and comes at once. The extension is pinned to it, so that no
/// update brings back what was gone from, until 'onlay ext unpin'.
#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// The extension
    #[arg(id = "extensions", value_name = "NAME")]
    name: String,
    #[command(flatten)]
    way: Way,
}

/// Keep extensions as they are, whatever stores have
#[derive(Debug, Args)]
pub(super) struct Pin {
    /// The extensions; with a version, only if that is enabled [default: list those
    /// that are pinned]
    #[arg(value_name = "NAME[=VERSION]")]
    extensions: Vec<Choice>,
    /// Print those that are pinned as JSON
    #[arg(long, conflicts_with = "extensions")]
    json: bool,
    /// Say what would be done, and stop
    #[arg(long)]
    dry_run: bool,
}

/// Let updates change extensions again that were pinned
#[derive(Debug, Args)]
pub(super) struct Unpin {
    /// The extensions
    #[arg(value_name = "NAME", required = true)]
    extensions: Vec<String>,
    /// Say what would be done, and stop
    #[arg(long)]
    dry_run: bool,
}

/// Remove old versions of extensions, and what is left of downloads
///
/// What is enabled or merged, here or in another snapshot or deployment, stays, and
/// so do the newest versions of each extension. What is known of stores that are not
/// configured any more goes as well.
#[derive(Debug, Args)]
pub(super) struct Clean {
    /// How many versions of each extension stay [default: as configured, or 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Say what would be removed, and stop
    #[arg(long)]
    dry_run: bool,
}

/// Update extensions every day, or not any more
///
/// It is a timer of systemd's. Where the system is updated by tukit
/// (transactional-update), the next snapshot has extensions that fit it before it is
/// booted.
#[derive(Debug, Args)]
pub(super) struct Timer {
    /// Which [default: tell]
    #[arg(value_name = "STATE")]
    switch: Option<Switch>,
    /// Print JSON
    #[arg(long, conflicts_with = "switch")]
    json: bool,
    /// Say what would be done, and stop
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// Every day
    On,
    /// Not any more
    Off,
}

/// What is pinned, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Pinned<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

pub(super) fn rollback(place: &Place, arguments: &Rollback) -> Result<ExitCode, Error> {
    let Rollback { name, way } = arguments;
    let change = Change::of(&place.root, &place.state, !way.no_refresh, way.dry_run)?;
    change.check()?;
    let before = activate::before(&change, name)?;
    let choice = Choice { name: name.clone(), version: Some(before.version.clone()) };
    if way.dry_run {
        return choose::enable_only(&change, &Enable::of(choice, way));
    }
    // Whoever is killed in between has it pinned to what it is, and not brought back by the next update.
    let is_new = Pins::add(&change.host.root, name)?;
    let done = choose::enable_only(&change, &Enable::of(choice.clone(), way));
    let is_back =
        enabled(&change.host.root)?.iter().any(|link| link.name == *name && link.version() == before.version);
    if is_back {
        output::say(&format!(
            "onlay: '{name}' is pinned to {}; '{} ext unpin {name}' lets it be updated again",
            before.version,
            output::program()
        ));
    } else if is_new {
        Pins::remove(&change.host.root, name)?;
    }
    done
}

pub(super) fn pin(place: &Place, arguments: &Pin) -> Result<ExitCode, Error> {
    if arguments.extensions.is_empty() {
        return list_pins(place, arguments.json);
    }
    let change = Change::of(&place.root, &place.state, false, arguments.dry_run)?;
    change.check()?;
    let links = enabled(&change.host.root)?;
    for Choice { name, version: wanted } in &arguments.extensions {
        let Some(link) = links.iter().find(|link| link.name == *name) else {
            return Err(activate::Error::NotEnabled(name.clone()).into());
        };
        if let Some(wanted) = wanted.clone().filter(|wanted| *wanted != link.version()) {
            return Err(Error::OtherEnabled { name: name.clone(), wanted, enabled: link.version() });
        }
    }
    for Choice { name, .. } in &arguments.extensions {
        let is_new = if change.dry_run {
            !pins(&change.host.root)?.has(name)
        } else {
            Pins::add(&change.host.root, name)?
        };
        let version =
            links.iter().find(|link| link.name == *name).map(activate::Enabled::version).unwrap_or_default();
        let what = match (is_new, change.dry_run) {
            (true, true) => "would be pinned to",
            (true, false) => "is pinned to",
            (false, _) => "is pinned already, to",
        };
        output::say(&format!("onlay: '{name}' {what} {version}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn list_pins(place: &Place, json: bool) -> Result<ExitCode, Error> {
    let host = Host::open(&place.root)?;
    let (pins, links) = (pins(&host.root)?, enabled(&host.root)?);
    let row = |name: &'_ str| links.iter().find(|link| link.name == name).map(activate::Enabled::version);
    let rows: Vec<Pinned<'_>> = pins.names().iter().map(|name| Pinned { name, version: row(name) }).collect();
    if json {
        output::print_json(&rows)?;
    } else if rows.is_empty() {
        output::say("onlay: nothing is pinned");
    } else {
        let text = |row: &Pinned<'_>| format!("{} {}", row.name, row.version.as_deref().unwrap_or("-"));
        let lines: String = rows.iter().map(|row| output::visible(&text(row)) + "\n").collect();
        output::print(&lines)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn unpin(place: &Place, arguments: &Unpin) -> Result<ExitCode, Error> {
    let change = Change::of(&place.root, &place.state, false, arguments.dry_run)?;
    change.check()?;
    for name in &arguments.extensions {
        let was = pins(&change.host.root)?.has(name);
        let what = match (was, change.dry_run) {
            (true, true) => "would be unpinned",
            (true, false) => "is not pinned any more",
            (false, _) => "is not pinned",
        };
        if !change.dry_run {
            Pins::remove(&change.host.root, name)?;
        }
        output::say(&format!("onlay: '{name}' {what}"));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn clean(place: &Place, arguments: &Clean) -> Result<ExitCode, Error> {
    let change = Change::of(&place.root, &place.state, false, arguments.dry_run)?;
    let config = Config::read(&Root::open(&place.root)?)?;
    let keep = arguments.keep.map_or(config.keep, |keep| keep as usize);
    let would = if arguments.dry_run { "would be " } else { "" };
    let mut freed = 0;
    for gone in activate::clean(&change, keep, None)? {
        freed += gone.size;
        output::say(&format!("onlay: the image of '{}' {} {would}removed", gone.name, gone.version));
    }
    if let Some(images) = Images::open(change.state)? {
        for (path, size) in Partial::left(images.directory(), !arguments.dry_run)? {
            freed += size;
            output::say(&format!(
                "onlay: what is left of a download, {}, {would}removed",
                output::path(&path)
            ));
        }
    }
    for store in forget_others(change.state, &config, arguments.dry_run)? {
        output::say(&format!("onlay: what is known of store '{store}' {would}forgotten"));
    }
    output::say(&format!("onlay: {} {would}freed", output::size(freed)));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn set(place: &Place, arguments: &Timer) -> Result<ExitCode, Error> {
    let Some(switch) = arguments.switch else {
        let timer = timer(&Host::open(&place.root)?);
        if arguments.json {
            output::print_json(&timer)?;
        } else {
            output::print(if timer.timer { "on\n" } else { "off\n" })?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let change = Change::of(&place.root, &place.state, false, arguments.dry_run)?;
    let is_on = switch == Switch::On;
    let changed = set_timer(&change, is_on)?;
    let would = if arguments.dry_run { "would be" } else { "are" };
    output::say(
        match (is_on, changed) {
            (true, true) => format!("onlay: extensions {would} updated every day"),
            (false, true) => format!("onlay: extensions {would} not updated by themselves any more"),
            (true, false) => "onlay: extensions are updated every day already".to_owned(),
            (false, false) => "onlay: extensions are not updated by themselves".to_owned(),
        }
        .as_str(),
    );
    Ok(ExitCode::SUCCESS)
}
