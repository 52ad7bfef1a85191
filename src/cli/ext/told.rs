//! What came of a refresh, in words.

use super::Way;
use crate::cli::output;
use crate::extension::activate::{self, Report};
use crate::host::Host;

/// Tells what came of a refresh.
pub(super) fn report(report: &Report) {
    for (what, names) in changes(report).into_iter().filter(|(_, names)| !names.is_empty()) {
        output::say(&format!("onlay: {what} {}", words(names)));
    }
    if report.way == activate::Way::BySystemd {
        output::say("onlay: systemd merged them itself: for a moment, files of extensions were missing");
    }
    if !report.read_only.is_empty() {
        let places: Vec<String> = report.read_only.iter().map(|place| output::path(place)).collect();
        output::say(&format!(
            "onlay: {} cannot be written as long as extensions are merged: 'systemd-sysext unmerge' takes them off",
            places.join(" and ")
        ));
    }
    for held in &report.held {
        output::complain(&format!("onlay: '{}' is held back: {}", held.name, held.why));
    }
    for trouble in &report.troubles {
        let path = output::path(&trouble.path);
        output::complain(&format!(
            "onlay: '/{path}' is masked, since systemd would merge nothing: {}",
            trouble.why
        ));
    }
    for remark in &report.remarks {
        output::say(&format!("onlay: {}", output::visible(&remark.to_string())));
    }
    for done in &report.done {
        output::say(&format!("onlay: {done}"));
    }
    for failed in &report.failed {
        output::complain(&format!("onlay: not {failed}"));
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
        output::say("onlay: it takes effect at the next boot, or with 'onlay ext refresh'");
    }
}

/// Names, or that there are none.
pub(super) fn words(names: &[impl AsRef<str>]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", ")
}
