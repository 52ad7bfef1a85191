//! `onlay status`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::arguments::Place;
use super::lock::held_by;
use super::report::Error;
use super::unlock::{storage, until, words};
use super::{ext, list, output};
use crate::event::counted;
use crate::host::{Base, Host};
use crate::live::{self, Cover, Held, Holder, Left, Peer, Record};
use crate::sys::{MountTable, with_causes};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` shows.
#[derive(Debug, Serialize)]
struct Status {
    /// What overlays lie on.
    base: Base,
    /// `ID` and `VERSION_ID` of os-release(5).
    os_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    os_version: Option<String>,
    /// In systemd's words: `x86-64`, `arm64`, `arm`.
    architecture: &'static str,
    /// Kind, format and database of the package system.
    #[serde(skip_serializing_if = "Option::is_none")]
    packages: Option<Packages>,
    /// Directory to whether it can be written.
    writable: BTreeMap<String, bool>,
    /// Whether whoever asks may not see overlays and what is unlocked: only root may.
    #[serde(rename = "partial", skip_serializing_if = "std::ops::Not::not")]
    is_partial: bool,
    /// The overlay that this very process is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    inside: Option<String>,
    /// Overlays that lie on directories which are unlocked together, whose they are, the lowest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    covers: Vec<Cover>,
    /// What is unlocked of the running host.
    #[serde(skip_serializing_if = "Option::is_none")]
    unlocked: Option<Unlocked>,
    /// What was unlocked persistently, but is not laid.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_back: Option<HeldBack>,
    /// Directories that unlocks have left that ended without 'onlay lock'.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remains: Vec<String>,
    /// What packages have left in /var that went with an unlock as the host went down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left: Vec<Left>,
    /// Extensions, as 'onlay ext list --json' shows them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extensions: Vec<ext::Row>,
    /// Why extensions could not be looked at, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    extensions_unknown: Option<String>,
    overlays: Vec<list::Row>,
}

/// What is unlocked of the running host.
#[derive(Debug, Serialize)]
struct Unlocked {
    #[serde(flatten)]
    record: Record,
    /// Whether all of it is there: not where somebody was killed while he unlocked or locked.
    whole: bool,
    /// How many entries of the host are changed, as 'onlay diff --live' lists them; nothing where that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<usize>,
    /// Names that the layers hold, those of directories on the way among them.
    entries: u64,
    /// Bytes that they take.
    bytes: u64,
    /// Who uses files of them.
    holders: Vec<Holder>,
}

/// What was unlocked persistently, but is not laid.
#[derive(Debug, Serialize)]
struct HeldBack {
    /// Why, in words.
    why: String,
    /// What is known of it; nothing where that is damaged.
    #[serde(flatten)]
    record: Option<Record>,
    /// Names that the layers hold.
    entries: u64,
    /// Bytes that they take.
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Packages {
    kind: &'static str,
    format: &'static str,
    database: String,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    let status = collect(place)?;
    if arguments.json {
        output::print_json(&status)?;
    } else {
        output::print(&in_words(&status, place))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn collect(place: &Place) -> Result<Status, Error> {
    let is_root = rustix::process::geteuid().is_root();
    let overlays = if is_root { list::collect(place)? } else { Vec::new() };
    let host = Host::open(&place.root)?;
    let release = host.os_release();
    let packages = host.package_system().map(|system| Packages {
        kind: system.kind,
        format: system.format,
        database: system.database.display().to_string(),
    });
    let (extensions, extensions_unknown) = extensions(place, is_root);
    let live = if host.is_running { live_state(place)? } else { LiveState::default() };
    Ok(Status {
        base: host.base(),
        os_id: release.id().to_owned(),
        os_version: release.get("VERSION_ID").map(str::to_owned),
        architecture: Host::architecture(),
        packages,
        writable: host.writable().into_iter().map(|(path, is)| (path.display().to_string(), is)).collect(),
        is_partial: !is_root,
        inside: crate::shell::inside(),
        covers: covers(&host),
        unlocked: live.unlocked,
        held_back: live.held_back,
        remains: live.remains,
        left: live.left,
        extensions,
        extensions_unknown,
        overlays,
    })
}

/// What others have put where systemd looks may be anything, and must not keep all else from being shown.
fn extensions(place: &Place, is_root: bool) -> (Vec<ext::Row>, Option<String>) {
    if !is_root || crate::shell::inside().is_some() {
        return (Vec::new(), None);
    }
    match ext::rows(place) {
        Ok(rows) => (rows, None),
        Err(error) => (Vec::new(), Some(with_causes(&error))),
    }
}

/// What there is of unlocks on the running host.
#[derive(Default)]
struct LiveState {
    unlocked: Option<Unlocked>,
    held_back: Option<HeldBack>,
    remains: Vec<String>,
    left: Vec<Left>,
}

/// In an overlay, nothing is what it is on the host.
fn covers(host: &Host) -> Vec<Cover> {
    if !host.is_running || crate::shell::inside().is_some() {
        return Vec::new();
    }
    live::covers(&host.mounts, &live::default_places(host))
}

/// What is unlocked is told with more words.
fn is_ours_alone(cover: &Cover) -> bool {
    matches!(cover.layers[..], [Peer::Onlay])
}

fn cover_in_words(cover: &Cover) -> Vec<String> {
    let layers: Vec<String> = cover.layers.iter().map(|layer| output::visible(&layer.to_string())).collect();
    vec![format!("Over {}:", output::path(&cover.place)), layers.join(", and on it ")]
}

/// Only root can look; others are told nothing.
fn live_state(place: &Place) -> Result<LiveState, Error> {
    if !rustix::process::geteuid().is_root() || crate::shell::inside().is_some() {
        return Ok(LiveState::default());
    }
    let record = match Record::read() {
        // In a container that shows us no process 1.
        Err(live::Error::NoHost(_) | live::Error::NotTheHost) => return Ok(LiveState::default()),
        other => other?,
    };
    let remains = live::remains(&place.state, record.as_ref())?;
    let remains = remains.iter().map(|path| path.display().to_string()).collect();
    let left = live::left(&place.state)?;
    let Some(record) = record else {
        return Ok(LiveState { unlocked: None, held_back: held_back(place)?, remains, left });
    };
    let whole = record.is_whole(&MountTable::read()?);
    // Where it was broken off, there may be nothing to measure.
    let measured = if whole { live::measure(&record)? } else { live::measure(&record).unwrap_or_default() };
    let changed = if measured.entries == 0 { Some(0) } else { live::count(&record).ok() };
    let holders = live::holders(&record)?;
    let (entries, bytes) = (measured.entries, measured.bytes);
    let unlocked = Unlocked { record, whole, changed, entries, bytes, holders };
    Ok(LiveState { unlocked: Some(unlocked), held_back: None, remains, left })
}

fn held_back(place: &Place) -> Result<Option<HeldBack>, Error> {
    let Some(Held { record, why }) = live::held(&place.state)? else { return Ok(None) };
    let measured = record.as_ref().and_then(|record| live::measure(record).ok()).unwrap_or_default();
    Ok(Some(HeldBack { why, record, entries: measured.entries, bytes: measured.bytes }))
}

fn held_back_in_words(held: &HeldBack) -> Vec<Vec<String>> {
    let onlay = output::program();
    let places = held.record.as_ref().map_or("what was unlocked".to_owned(), |record| words(&record.places));
    let mut rows =
        vec![vec!["Held back:".to_owned(), places], vec![String::new(), output::visible(&held.why)]];
    if let Some(record) = &held.record {
        let holds = format!("{} in {}", output::size(held.bytes), storage(&record.storage));
        rows.push(vec![String::new(), holds]);
    }
    let again = held.record.as_ref().map(|_| format!("unlock again: {onlay} unlock --resume; "));
    let ways = format!(
        "{}make it an overlay: {onlay} lock --save NAME; discard: {onlay} lock --discard",
        again.unwrap_or_default()
    );
    rows.push(vec![String::new(), ways]);
    rows
}

fn unlocked_in_words(unlocked: &Unlocked) -> Vec<Vec<String>> {
    let record = &unlocked.record;
    let since = humantime::parse_rfc3339(&record.since).map_or(record.since.clone(), output::ago);
    let how = if record.read_only { "read-only, " } else { "" };
    let changed = unlocked.changed.map(|count| counted(count, "entry") + " changed, ").unwrap_or_default();
    let holds = format!("{changed}{} in {}", output::size(unlocked.bytes), storage(&record.storage));
    let mut rows = vec![
        vec!["Unlocked:".to_owned(), words(&record.places)],
        vec![
            String::new(),
            format!("{how}{}; since {since}, by {}", until(record), output::visible(&record.by)),
        ],
        vec![String::new(), holds],
    ];
    if !unlocked.whole {
        let what = format!("broken off: '{} lock' takes off what is there of it", output::program());
        rows.push(vec![String::new(), what]);
    }
    if !unlocked.holders.is_empty() {
        let (count, s) = (unlocked.holders.len(), if unlocked.holders.len() == 1 { "s" } else { "" });
        rows.push(vec![String::new(), format!("{} use{s} files of it", counted(count, "process"))]);
    }
    rows
}

/// In short: 'onlay ext list' says more.
fn extensions_in_words(extensions: &[ext::Row]) -> Vec<Vec<String>> {
    let row = |(number, extension): (usize, &ext::Row)| {
        let head = if number == 0 { "Extensions:" } else { "" };
        let version = extension.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        let whose = if extension.is_ours() { "" } else { ", of others" };
        let why = extension.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let words = format!("{}{version}, {}{whose}{why}", extension.name, extension.state());
        vec![head.to_owned(), output::visible(&words)]
    };
    extensions.iter().enumerate().map(row).collect()
}

fn in_words(status: &Status, place: &Place) -> String {
    let places = |wanted: bool| {
        let found: Vec<&str> =
            status.writable.iter().filter(|(_, is)| **is == wanted).map(|(path, _)| path.as_str()).collect();
        if found.is_empty() { "nothing".to_owned() } else { found.join(" ") }
    };
    let mut rows = vec![
        vec!["Base:".to_owned(), status.base.to_string()],
        vec!["Architecture:".to_owned(), status.architecture.to_owned()],
    ];
    if let Some(packages) = &status.packages {
        let words = format!("{} ({}) in {}", packages.kind, packages.format, packages.database);
        rows.push(vec!["Packages:".to_owned(), words]);
    }
    rows.push(vec!["Writable:".to_owned(), places(true)]);
    rows.push(vec!["Read-only:".to_owned(), places(false)]);
    rows.extend(status.covers.iter().filter(|cover| !is_ours_alone(cover)).map(cover_in_words));
    rows.extend(extensions_in_words(&status.extensions));
    let unknown = status.extensions_unknown.iter();
    rows.extend(
        unknown
            .map(|why| vec!["Extensions:".to_owned(), format!("cannot be told: {}", output::visible(why))]),
    );
    rows.extend(status.unlocked.iter().flat_map(unlocked_in_words));
    rows.extend(status.held_back.iter().flat_map(held_back_in_words));
    for path in &status.remains {
        let what = format!(
            "{}, of an unlock that has ended: cleared by the next one, or 'onlay lock'",
            output::visible(path)
        );
        rows.push(vec!["Remains:".to_owned(), what]);
    }
    for (number, left) in status.left.iter().enumerate() {
        let head = if number == 0 { "Left in /var:" } else { "" };
        let of = output::visible(&left.of);
        let what = format!(
            "{}, {}, of {of}, which went as the host went down",
            output::path(&left.path),
            held_by(left)
        );
        rows.push(vec![head.to_owned(), what]);
    }
    if let Some(name) = &status.inside {
        rows.push(vec!["Inside:".to_owned(), format!("overlay '{name}'")]);
    }
    let mut text = output::table(&rows);
    if status.is_partial {
        text.push_str("Overlays, and what is unlocked, are shown to root alone.\n");
    } else if status.inside.is_some() {
        text.push_str("Overlays cannot be seen from inside one.\n");
    } else if status.overlays.is_empty() {
        text.push_str(&format!("There are {}.\n", output::visible(&list::none(place))));
    } else {
        text.push('\n');
        text.push_str(&list::table(&status.overlays));
    }
    text
}
