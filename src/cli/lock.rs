//! `onlay lock`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::arguments::Place;
use super::diff::wrong_way_round;
use super::messages::Messages;
use super::output::{self, JsonPath};
use super::report::Error;
use super::unlock::{refuse_other_root, words};
use crate::event::counted;
use crate::live::{self, Changes, Ending, Holder, Left, Live, Record, Traces};
use crate::overlay::{OverlayName, Packages};
use crate::sys::with_causes;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Discard what was changed without being asked
    #[arg(long, conflicts_with = "save")]
    discard: bool,
    /// Make what was changed an overlay of this name, for 'onlay shell'
    #[arg(long, value_name = "NAME")]
    save: Option<OverlayName>,
    /// Restart the services whose processes use files of it, and stop those whose units go with it; not the message bus,
    /// users' managers and the service that this runs in
    #[arg(long)]
    restart: bool,
    /// Say what would be done, and stop
    #[arg(long, conflicts_with = "json")]
    dry_run: bool,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` shows.
#[derive(Debug, Serialize)]
struct Done<'a> {
    /// The directories.
    places: &'a [PathBuf],
    /// The overlay that what was changed is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<String>,
    /// Who still uses files of it.
    holders: &'a [Holder],
    /// Units that went with it, and were stopped.
    stopped: &'a [String],
    /// What packages that are gone have left in /var.
    left: Vec<LeftRow<'a>>,
}

/// One of what was left, in JSON.
#[derive(Debug, Serialize)]
struct LeftRow<'a> {
    path: JsonPath<'a>,
    /// The package, or the user, whose it was.
    of: &'a str,
    entries: u64,
    bytes: u64,
}

impl<'a> From<&'a Left> for LeftRow<'a> {
    fn from(left: &'a Left) -> LeftRow<'a> {
        let Left { path, of, entries, bytes } = left;
        LeftRow { path: path.as_path().into(), of, entries: *entries, bytes: *bytes }
    }
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    refuse_other_root(place, "lock")?;
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let Some(record) = Record::read()? else { return lock_what_is_not_laid(place, arguments) };
    let mut is_changed = live::measure(&record).is_ok_and(|measured| measured.entries > 0);
    if arguments.dry_run {
        return dry_run(&record, is_changed, arguments);
    }
    if is_changed && !arguments.discard && arguments.save.is_none() {
        // What the layers hold may be all as it was below.
        is_changed = live::count(&record).map_or(true, |count| count > 0);
        if is_changed && !is_agreed(&record)? {
            return Err(Error::NotAgreed);
        }
    }
    let traces = if is_changed { traces(&record) } else { None };
    let live = Live::open()?;
    let Some(record) = live.record()? else { return Err(live::Error::NotUnlocked.into()) };
    let ending = ending(place, arguments);
    let locked = live::lock(&live, record, &ending, &mut Messages)?;
    let what = match &arguments.save {
        None if !is_changed => "; nothing was changed".to_owned(),
        _ => format!("; what was changed {}", what_became(arguments, is_changed)),
    };
    output::say(&format!("onlay: locked {}{what}", words(&locked.record.places)));
    if !locked.stopped.is_empty() {
        let units = output::visible(&locked.stopped.join(" "));
        output::say(&format!("onlay: stopped {units}: what was taken off had the unit files"));
    }
    tell_holders(&locked.holders);
    let left = traces.map(|traces| traces.left()).unwrap_or_default();
    tell_left(&left);
    if arguments.json {
        let saved = arguments.save.as_ref().map(ToString::to_string);
        let left = left.iter().map(LeftRow::from).collect();
        let live::Locked { record, holders, stopped } = &locked;
        let done = Done { places: &record.places, saved, holders, stopped, left };
        output::print_json(&done)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends what is kept but was not laid at this boot; where nothing is, clears what an unlock left that ended without us.
fn lock_what_is_not_laid(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    let mut messages = Messages;
    let Some(held) = live::held(&place.state)? else {
        let is_done = !arguments.dry_run && live::clear_remains(&Live::open()?, &place.state, &mut messages)?;
        return if is_done { Ok(ExitCode::SUCCESS) } else { Err(live::Error::NotUnlocked.into()) };
    };
    if arguments.dry_run {
        let verb =
            arguments.save.as_ref().map_or("discard".to_owned(), |name| format!("make overlay '{name}' of"));
        let (sum, note) = sum_held(place);
        let note = note.map(|note| note + "\n").unwrap_or_default();
        let text = format!("would {verb} what is held back: {sum}\n{note}");
        return output::print(&text).map(|()| ExitCode::SUCCESS);
    }
    let measured = held.record.as_ref().and_then(|record| live::measure(record).ok());
    let is_changed = measured.is_none_or(|measured| measured.entries > 0);
    let mut is_agreed = !is_changed || arguments.discard || arguments.save.is_some();
    if !is_agreed && is_person_there() {
        let (sum, note) = sum_held(place);
        if let Some(note) = note {
            output::complain(&format!("onlay: {note}"));
        }
        is_agreed = ask(&format!("held back: {sum}"))?;
    }
    if !is_agreed {
        return Err(Error::NotAgreed);
    }
    let ending = ending(place, arguments);
    live::lock_held(&Live::open()?, &place.state, &ending, &mut messages)?;
    output::say(&format!("onlay: what was held back {}", what_became(arguments, is_changed)));
    Ok(ExitCode::SUCCESS)
}

/// What is held back, in words, and what is to be known of that; what is damaged cannot be looked into.
fn sum_held(place: &Place) -> (String, Option<String>) {
    match live::changes_held(&place.state) {
        Ok(changes) => (sum(&changes), changes.is_behind.then(wrong_way_round)),
        Err(_) => ("all of it".to_owned(), None),
    }
}

fn ending(place: &Place, arguments: &Arguments) -> Ending {
    let save = arguments.save.as_ref().map(|name| (name.clone(), place.state.clone()));
    Ending { save, restart: arguments.restart }
}

fn what_became(arguments: &Arguments, is_changed: bool) -> String {
    let onlay = output::program();
    match &arguments.save {
        Some(name) => format!("is overlay '{name}': {onlay} shell {name}"),
        None if is_changed => "is gone".to_owned(),
        None => "held nothing".to_owned(),
    }
}

/// Where packages may leave something. That this cannot be found out is no reason not to lock.
fn traces(record: &Record) -> Option<Traces> {
    match live::traces(record) {
        Ok(traces) => Some(traces),
        Err(error) => {
            let reason = with_causes(&error);
            output::say(&format!("onlay: what packages leave in /var cannot be told: {reason}"));
            None
        }
    }
}

/// So much of what was left is listed.
const LISTED: usize = 20;

fn tell_left(left: &[Left]) {
    if left.is_empty() {
        return;
    }
    output::say("onlay: packages that are gone have left this in /var:");
    output::say_lines(&left_table(left));
    if left.len() > LISTED {
        output::say(&format!("onlay: and {} more, which --json lists", left.len() - LISTED));
    }
}

fn left_table(left: &[Left]) -> String {
    let row = |left: &Left| vec![output::path(&left.path), output::visible(&left.of), held_by(left)];
    let head = ["PATH", "OF", "HOLDS"].map(str::to_owned).to_vec();
    let rows: Vec<_> = std::iter::once(head).chain(left.iter().take(LISTED).map(row)).collect();
    output::table(&rows)
}

/// What one of them takes.
pub(super) fn held_by(left: &Left) -> String {
    let more = if left.entries >= live::MOST { " or more" } else { "" };
    format!("{}{more}", output::holds(left.entries, left.bytes))
}

fn dry_run(record: &Record, is_changed: bool, arguments: &Arguments) -> Result<ExitCode, Error> {
    let mut text = format!("would lock {}\n", words(&record.places));
    let changes = is_changed.then(|| live::changes(record)).transpose()?;
    if let Some(changes) = changes.filter(|changes| !changes.files.is_empty()) {
        let save = arguments.save.as_ref();
        let verb = save.map_or("discard".to_owned(), |name| format!("make overlay '{name}' of"));
        text.push_str(&format!("would {verb} {}\n", sum(&changes)));
    }
    let holders = live::holders(record)?;
    let units = live::restartable(&holders).join(" ");
    if arguments.restart && !units.is_empty() {
        let units = output::visible(&units);
        text.push_str(&format!("would restart, or stop where the unit file goes: {units}\n"));
    }
    text.push_str(&table(&holders));
    let left = live::traces(record)?.left();
    if !left.is_empty() {
        text.push_str(&format!("would leave in /var:\n{}", left_table(&left)));
    }
    output::print(&text).map(|()| ExitCode::SUCCESS)
}

/// Asks, with what would be lost; nobody can be asked without a terminal.
fn is_agreed(record: &Record) -> Result<bool, Error> {
    if !is_person_there() {
        return Ok(false);
    }
    ask(&format!("changed since {}: {}", record.since, sum(&live::changes(record)?)))
}

fn is_person_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks whoever is there.
fn ask(about: &str) -> Result<bool, Error> {
    output::complain(&format!("onlay: {about}"));
    output::ask("Discard that? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(Error::Output)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn sum(changes: &Changes) -> String {
    let packages = changes.packages.as_ref().map(Packages::changes).unwrap_or_default();
    let names: Vec<&str> = packages.iter().map(|compared| &*compared.package().name).collect();
    let packages = match names.len() {
        0 => String::new(),
        count => format!(", {} ({})", counted(count, "package"), output::visible(&names.join(", "))),
    };
    format!("{}{packages}", counted(changes.files.len(), "entry"))
}

fn tell_holders(holders: &[Holder]) {
    if holders.is_empty() {
        return;
    }
    output::say("onlay: these still use files of it, until they end or are restarted:");
    output::say_lines(&table(holders));
}

pub(super) fn table(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return String::new();
    }
    let head = ["PID", "UNIT", "USES", "COMMAND"].map(str::to_owned).to_vec();
    let row = |holder: &Holder| {
        vec![
            holder.pid.to_string(),
            holder.unit.as_deref().map_or("-".to_owned(), output::visible),
            holder.uses.join(","),
            output::visible(&holder.command),
        ]
    };
    output::table(&std::iter::once(head).chain(holders.iter().map(row)).collect::<Vec<_>>())
}
