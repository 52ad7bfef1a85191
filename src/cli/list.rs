//! `onlay list`.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::arguments::{DEFAULT_STATE, Place};
use super::output;
use super::report::Error;
use super::unlock::unlocked;
use crate::extension::with_stackable;
use crate::host::{Base, Host};
use crate::overlay::{
    self, Mode, Overlay, OverlayName, Overlays, Presence, RunningOverlay, Standing, User, measure,
};
use crate::sys::with_causes;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print only the names, one on each line
    #[arg(long, conflicts_with = "json")]
    names: bool,
}

/// One overlay, as `--json` shows it.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// Its name.
    name: String,
    /// `disk` or `ram`.
    storage: &'static str,
    /// `idle`, `host`, `isolated`, `booted` (the way it is in use), or `damaged`.
    state: &'static str,
    /// In use with the host in view: whether the host is guarded from what runs inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    guarded: Option<bool>,
    /// A process in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    /// What that process was started with, as an array of words.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<Vec<String>>,
    /// When it was made (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    /// When it was last entered (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<String>,
    /// How many files, directories and marks of removals its layers hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
    /// How much disk they take.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// What it lay on when it was last entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Base>,
    /// The base is another one now: when it is entered next, it follows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    behind: bool,
    /// Whether the host is unlocked over the base.
    #[serde(skip)]
    unlocked: bool,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip)]
    used_ago: String,
    #[serde(skip)]
    user: String,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    if arguments.names {
        return output::print(&names(place)?).map(|()| ExitCode::SUCCESS);
    }
    let rows = collect(place)?;
    if arguments.json {
        output::print_json(&rows)?;
    } else if rows.is_empty() {
        output::say(&format!("onlay: {}", none(place)));
    } else {
        output::print(&table(&rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for each overlay; nothing is measured.
fn names(place: &Place) -> Result<String, Error> {
    check_root()?;
    let mut names: Vec<OverlayName> =
        Presence::all_in(&place.state)?.into_iter().map(|found| found.name).collect();
    if let Some(overlays) = Overlays::open(&place.state)? {
        names.extend(overlays.list()?.into_iter().map(|listed| listed.name));
    }
    names.sort();
    names.dedup();
    Ok(names.iter().flat_map(|name| [name.as_str(), "\n"]).collect())
}

/// What to say where there is no overlay. A directory that was meant to be there may be misspelt.
pub(super) fn none(place: &Place) -> String {
    if let Some(name) = crate::shell::inside() {
        return format!("this is inside overlay '{name}', where overlays cannot be seen");
    }
    let missing = if place.state.exists() || place.state == Path::new(DEFAULT_STATE) {
        String::new()
    } else {
        format!(" (there is no directory {})", place.state.display())
    };
    format!("no overlays{missing}; '{} shell' makes one", output::program())
}

/// Every overlay: those on disk, then those in RAM.
pub(super) fn collect(place: &Place) -> Result<Vec<Row>, Error> {
    check_root()?;
    let mut running = Presence::all_in(&place.state)?;
    let mut rows = Vec::new();
    if let Some(overlays) = Overlays::open(&place.state)? {
        let host = Host::open(&place.root)?;
        // What is unlocked may have other packages; overlays are about what is below.
        let unlocked = unlocked(place);
        let is_unlocked = unlocked.is_some();
        let listed = overlays.list()?;
        let of_disk = |host: &Host| {
            let base = unlocked.map_or_else(|| host.base(), |record| record.base);
            rows_on_disk(listed, &mut running, host, &base, is_unlocked)
        };
        rows = with_stackable(&host, of_disk)?;
    }
    rows.extend(running.iter().map(row_in_ram));
    Ok(rows)
}

/// Those on disk, of whom those who are in them are taken out of `running`.
fn rows_on_disk(
    all: Vec<overlay::Listed>,
    running: &mut Vec<RunningOverlay>,
    host: &Host,
    base: &Base,
    is_unlocked: bool,
) -> Vec<Row> {
    let mut rows = Vec::with_capacity(all.len());
    for listed in all {
        // Edits are seen in what is unlocked; what is below shows none of them.
        let is_behind = |overlay: &Overlay| {
            if is_unlocked { overlay.record.base != *base } else { is_behind(overlay, host, base) }
        };
        let is_behind = listed.overlay.as_ref().is_ok_and(is_behind);
        let position = running.iter().position(|found| found.name == listed.name && !found.running.temporary);
        let user = position.map(|position| running.remove(position));
        let is_of_host =
            listed.overlay.as_ref().is_ok_and(|overlay| overlay.check_root(host.root.path()).is_ok());
        let mut row = row_on_disk(listed, user.as_ref());
        row.behind = is_of_host && is_behind;
        row.unlocked = is_of_host && is_unlocked;
        rows.push(row);
    }
    rows
}

/// Whether it follows when it is entered next. One that cannot be read must not hide the others.
fn is_behind(overlay: &Overlay, host: &Host, base: &Base) -> bool {
    overlay.record.root == host.root.path().to_string_lossy()
        && overlay::standing(overlay, host, base)
            .is_ok_and(|standing| matches!(standing, Standing::Behind | Standing::Edited(_)))
}

fn check_root() -> Result<(), Error> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Error::NotRoot) }
}

fn row_on_disk(listed: overlay::Listed, user: Option<&RunningOverlay>) -> Row {
    let mut row = row(&listed.name, "disk", user);
    match listed.overlay {
        Ok(overlay) => {
            // One that cannot be measured, or is being removed, must not hide the others.
            let measured = measure(&overlay.dir);
            let last_used = overlay.last_used();
            row.used_ago = last_used.map(output::ago).unwrap_or_default();
            row.last_used = last_used.map(|time| humantime::format_rfc3339_seconds(time).to_string());
            row.created = Some(overlay.record.created);
            match measured {
                Ok(measured) => {
                    row.entries = Some(measured.entries);
                    row.bytes = Some(measured.bytes);
                }
                Err(error) => row.problem = Some(with_causes(&error)),
            }
            row.base = Some(overlay.record.base);
        }
        Err(error) => {
            row.state = "damaged";
            row.problem = Some(with_causes(&error));
        }
    }
    row
}

fn row_in_ram(found: &RunningOverlay) -> Row {
    Row { used_ago: "now".to_owned(), ..row(&found.name, "ram", Some(found)) }
}

/// What is known of any overlay.
fn row(name: &OverlayName, storage: &'static str, found: Option<&RunningOverlay>) -> Row {
    let user = found.map(RunningOverlay::user);
    Row {
        name: name.to_string(),
        storage,
        state: state(found),
        guarded: found.filter(|found| found.running.mode == Mode::Host).map(|found| !found.running.unguarded),
        pid: user.as_ref().map(|user| user.pid.as_raw()),
        user: user.as_ref().map(User::to_string).unwrap_or_default(),
        command: user.map(|user| user.command),
        created: None,
        last_used: None,
        entries: None,
        bytes: None,
        base: None,
        behind: false,
        unlocked: false,
        problem: None,
        used_ago: String::new(),
    }
}

fn state(user: Option<&RunningOverlay>) -> &'static str {
    match user.map(|found| found.running.mode) {
        None => "idle",
        Some(Mode::Host) => "host",
        Some(Mode::Isolated) => "isolated",
        Some(Mode::Booted) => "booted",
    }
}

/// The rows for people. Who is in is a column only where somebody is.
pub(super) fn table(rows: &[Row]) -> String {
    let in_use = rows.iter().any(|row| !row.user.is_empty());
    let mut cells = vec![["NAME", "STATE", "USED", "ON DISK", "BASE"].map(str::to_owned).to_vec()];
    for row in rows {
        let base = match (&row.base, &row.problem) {
            (_, Some(problem)) => problem.clone(),
            (Some(base), None) if row.behind => format!("{base}, which has changed"),
            (Some(base), None) if row.unlocked => format!("{base}, unlocked"),
            (Some(base), None) => base.to_string(),
            (None, None) => String::new(),
        };
        let state = state_in_words(row).to_owned();
        cells.push(vec![row.name.clone(), state, row.used_ago.clone(), holds(row), output::visible(&base)]);
    }
    if in_use {
        let users = rows.iter().map(|row| output::visible(&row.user));
        for (line, user) in cells.iter_mut().zip(["PROCESS".to_owned()].into_iter().chain(users)) {
            line.insert(2, user);
        }
    }
    output::table(&cells)
}

fn state_in_words(row: &Row) -> &'static str {
    match row.guarded {
        Some(true) => "host, guarded",
        Some(false) => "host, UNGUARDED",
        None => row.state,
    }
}

fn holds(row: &Row) -> String {
    match row.bytes {
        Some(bytes) => output::size(bytes),
        None if row.storage == "ram" => "in RAM".to_owned(),
        None => String::new(),
    }
}
