//! What came of a change or a refresh, in words and as JSON.

use serde::Serialize;

use super::Way;
use super::refreshed::Refreshed;
use crate::cli::output;
use crate::cli::report::Error;
use crate::extension::activate::{self, Change, Report, Without};
use crate::host::Host;
use crate::store::client::{Candidate, Fetched, pins};

/// What `--json` shows of a change.
#[derive(Debug, Serialize)]
struct Changed<'a, T> {
    extensions: &'a [T],
    /// Nothing where nothing was to be merged.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<Refreshed<'a>>,
    /// What would be held back without them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    would_hold_back: Vec<activate::HeldBack>,
}

/// Prints what became of extensions, as JSON.
pub(super) fn as_json<T: Serialize>(
    extensions: &[T],
    report: Option<&Report>,
    without: Option<Without>,
) -> Result<(), Error> {
    let refresh = report.map(Refreshed::of);
    let would_hold_back = without.map(|without| without.held).unwrap_or_default();
    output::print_json(&Changed { extensions, refresh, would_hold_back })
}

/// Tells what came of a refresh, but for what was said already: names of what is held back, and why.
pub(super) fn report(report: &Report, told: &[(&str, &str)]) {
    for (what, names) in changes(report).into_iter().filter(|(_, names)| !names.is_empty()) {
        output::say(&format!("onlay: {what} {}", words(names)));
    }
    if report.way == activate::Way::BySystemd {
        output::say("onlay: systemd merged them itself: for a moment, files of extensions were missing");
    }
    if !report.read_only.is_empty() {
        let places: Vec<String> = report.read_only.iter().map(|place| output::path(place)).collect();
        output::say(&format!(
            "onlay: {} cannot be written as long as extensions are merged: 'systemd-sysext unmerge' takes them off, \
             '{} ext refresh' merges them again",
            places.join(" and "),
            output::program()
        ));
    }
    let is_told = |name: &str, why: &str| told.contains(&(name, why));
    for held in report.held.iter().filter(|held| !is_told(&held.name, &held.why)) {
        output::complain(&format!("onlay: '{}' is held back: {}", held.name, output::as_typed(&held.why)));
    }
    for trouble in &report.troubles {
        let path = output::path(&trouble.path);
        output::complain(&format!(
            "onlay: '/{path}' is masked, since systemd would merge nothing: {}",
            trouble.why
        ));
    }
    for remark in &report.new_remarks {
        output::say(&format!("onlay: {}", output::visible(&remark.to_string())));
    }
    for done in &report.done {
        output::say(&format!("onlay: {done}"));
    }
    for failed in &report.failed {
        output::complain(&format!("onlay: not {failed}"));
    }
}

/// Tells how much of an image came.
pub(super) fn fetched(candidate: Candidate<'_>, came: Fetched) {
    let Candidate { catalog, entry } = candidate;
    let reused = match came.reused {
        0 => String::new(),
        reused => format!(", {} was here", output::size(reused)),
    };
    let (name, version, store) = (&entry.name, &entry.version, &catalog.store.name);
    let size = output::size(came.fetched);
    output::say(&format!("onlay: fetched '{name}' {version} from store '{store}': {size}{reused}"));
}

/// Tells of extensions that are other versions now than those that they were pinned to. Pins are on names.
pub(super) fn pins_moved<'a>(
    change: &Change<'_>,
    changed: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Error> {
    let pins = pins(&change.host.root)?;
    for (name, version) in changed.filter(|(name, _)| pins.has(name)) {
        let stays = if change.dry_run { "would stay pinned, then" } else { "stays pinned, now" };
        output::say(&format!("onlay: '{name}' {stays} to {version}"));
    }
    Ok(())
}

/// Tells all that is merged, and whose.
pub(super) fn all(report: &Report) {
    let ours: Vec<&str> = report.active.iter().map(|active| &*active.name).collect();
    let others = match report.others.as_slice() {
        [] => String::new(),
        others => format!("; of others: {}", output::visible(&others.join(", "))),
    };
    let what =
        if report.way == activate::Way::Unchanged { "all is merged that is to be" } else { "merged now" };
    output::say(&format!("onlay: {what}: {}{others}", words(&ours)));
}

/// Tells what would follow from extensions being merged for the first time.
pub(super) fn would_make_read_only(change: &Change<'_>) {
    if change.makes_read_only() {
        output::say(
            "onlay: /usr could not be written any more as long as extensions are merged \
             ('systemd-sysext unmerge' takes them off)",
        );
    }
}

/// Tells what would follow from extensions being merged no more.
pub(super) fn without(without: &Without) {
    for held in &without.held {
        output::say(&format!("onlay: '{}' would be held back then: {}", held.name, held.why));
    }
    if !without.units.is_empty() {
        let units = without.units.join(", ");
        output::say(&format!("onlay: would be restarted, or stopped where their files go: {units}"));
    }
}

fn changes(report: &Report) -> [(&'static str, &[String]); 3] {
    let linked = report.way == activate::Way::Linked;
    let [added, changed, removed] = if linked {
        ["to be merged:", "to be merged anew:", "not to be merged any more:"]
    } else {
        ["merged:", "merged anew:", "not merged any more:"]
    };
    [(added, &report.added), (changed, &report.changed), (removed, &report.removed)]
        .map(|(what, names)| (what, names.as_slice()))
}

/// What a refresh would do.
pub(super) fn would(report: &Report) -> String {
    let mut text = String::new();
    for (what, names) in [
        ("would merge", &report.added),
        ("would merge anew", &report.changed),
        ("would take off", &report.removed),
    ] {
        if !names.is_empty() {
            text.push_str(&format!("{what} {}\n", words(names)));
        }
    }
    for held in &report.held {
        text.push_str(&output::visible(&format!("'{}' is held back: {}", held.name, held.why)));
        text.push('\n');
    }
    if report.way == activate::Way::Unchanged {
        text.push_str("all is merged that is to be\n");
    } else if text.is_empty() {
        text.push_str("would merge again what is merged\n");
    }
    text
}

/// Says when what is enabled comes, where nothing was merged.
pub(super) fn later(host: &Host, way: &Way, report: Option<&Report>) {
    if report.is_some() {
        return;
    }
    if !host.is_running {
        output::say("onlay: it takes effect when that root is booted");
    } else if way.no_refresh {
        let program = output::program();
        output::say(&format!("onlay: it takes effect at the next boot, or with '{program} ext refresh'"));
    }
}

/// Names, or that there are none.
pub(super) fn words(names: &[impl AsRef<str>]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", ")
}
