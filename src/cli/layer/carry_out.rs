//! What all changes of layers have in common: how far they go, that they are written down, and how they are told.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::{Place, backend, backend_to_change};
use crate::cli::messages::Messages;
use crate::cli::output;
use crate::cli::report::Error;
use crate::event::counted;
use crate::host::Host;
use crate::layer::history::{self, Entry};
use crate::layer::{
    self, Backend, BaseNote, Change, Changed, Edit, Initramfs, Milliseconds, Requests, Until, Workshop,
};
use crate::resolve::Manager;
use crate::tool::systemctl::Systemctl;

/// What `--unchanged-exit-77` exits with.
const UNCHANGED: u8 = 77;

/// How long packages may take to install, in seconds.
const PATIENCE: u64 = 1800;

/// How far, and how.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Way {
    /// Say what would be done, and stop
    #[arg(long)]
    dry_run: bool,
    /// Download what it takes, and stop: with --cached it needs no network then
    #[arg(long, conflicts_with_all = ["dry_run", "cached"])]
    download_only: bool,
    /// Use what was downloaded before, and no network
    #[arg(long)]
    cached: bool,
    /// Have the new packages in the system that runs, too, until the reboot, as an extension
    #[arg(long, conflicts_with_all = ["download_only", "reboot"])]
    apply_now: bool,
    /// Exit with 77 where nothing was to be done
    #[arg(long)]
    unchanged_exit_77: bool,
    /// Reboot when it is done
    #[arg(long, conflicts_with_all = ["dry_run", "download_only"])]
    reboot: bool,
    /// Give up where packages take longer than so many seconds to install
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE)]
    timeout: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Kind {
    /// Of what is asked for.
    Change,
    /// To the newest base and packages as well.
    Upgrade,
    /// What others were asked for is asked for here.
    Import,
}

impl Way {
    /// As it is where nobody says otherwise, but for these.
    pub(in crate::cli) fn plain(dry_run: bool, cached: bool, json: bool) -> Way {
        let (unchanged_exit_77, download_only, apply_now, reboot) = (false, false, false, false);
        Way { dry_run, download_only, cached, apply_now, unchanged_exit_77, reboot, timeout: PATIENCE, json }
    }
}

/// What `--json` shows.
#[derive(Debug, Serialize)]
struct Told<'a> {
    changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<&'a str>,
    base: &'a BaseNote,
    requests: &'a Requests,
    inactive: &'a BTreeSet<String>,
    /// What is otherwise than in the deployment that this one comes after.
    differences: Vec<String>,
    left_out: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<&'a str>,
    /// `base`, `new` or `stale`.
    initramfs: &'static str,
    /// Packages that the system that runs has at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_once: Option<&'a [String]>,
    /// What people are to know of it.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    remarks: &'a [String],
    /// How long its parts took.
    milliseconds: Milliseconds,
    /// What of an overlay was not asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_behind: Vec<String>,
}

/// What `--json` shows where an image is to be derived.
#[derive(Debug, Serialize)]
struct Derived<'a> {
    image: &'a str,
    containerfile: String,
}

/// Carries a change out, and tells it.
pub(in crate::cli) fn carry_out(
    place: &Place,
    way: &Way,
    kind: Kind,
    words: &str,
    edit: impl FnOnce(&Workshop) -> Result<Edit, Error>,
) -> Result<ExitCode, Error> {
    let changed = change(place, way, kind, words, edit)?;
    finish(place, way, &changed, &[])
}

/// Carries a change out, and writes it down.
pub(in crate::cli) fn change(
    place: &Place,
    way: &Way,
    kind: Kind,
    words: &str,
    edit: impl FnOnce(&Workshop) -> Result<Edit, Error>,
) -> Result<Changed, Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let host = Host::open(&place.root)?;
    if let Some(image) = layer::image_of(&host)? {
        let workshop = Workshop::open(&place.state, &mut Messages)?;
        show_containerfile(place, way, &image, &edit(&workshop)?)?;
        return Err(layer::Error::OfImage { image }.into());
    }
    let backend = backend_to_change(place)?;
    let workshop = Workshop::open(&place.state, &mut Messages)?;
    let change = Change {
        edit: edit(&workshop)?,
        upgrade: kind == Kind::Upgrade,
        offline: way.cached,
        takes_over: kind == Kind::Import,
        at_once: way.apply_now,
        until: if way.dry_run || way.download_only { Until::Planned } else { Until::Deployed },
        patience: Some(Duration::from_secs(way.timeout)),
    };
    let changed = layer::change(&*backend, &workshop, &change)?;
    if changed.id.is_some() {
        let words = format!("{words}{}", asked(words, &change.edit));
        note(&*backend, &workshop, Entry::of(&words, &changed), &changed.words);
    }
    Ok(changed)
}

/// Writes down what was done. It is done, whether it can be written down or not.
pub(super) fn note(backend: &dyn Backend, workshop: &Workshop, entry: Entry, words: &str) {
    if let Err(error) = history::note(workshop.dir(), Entry { system: backend.system(), ..entry }, words) {
        output::say(&format!("onlay: the next boot has it, but 'onlay layer history' does not: {error}"));
    }
}

/// Has what is new there at once where that was wanted, tells a change, with files that were left behind in an overlay, and reboots.
pub(in crate::cli) fn finish(
    place: &Place,
    way: &Way,
    changed: &Changed,
    left: &[PathBuf],
) -> Result<ExitCode, Error> {
    let now = changed.now.as_ref().filter(|now| !way.dry_run && !now.packages.is_empty());
    let applied = now.map_or(Ok(()), |now| layer::apply_now(&place.state, now).map(drop));
    if way.json {
        as_json(changed, left)?;
    } else {
        tell(way, changed);
    }
    // The next boot has it all the same.
    applied?;
    if !way.json {
        tell_now(way, changed);
    }
    if changed.id.is_some() && way.reboot {
        Systemctl::find().map_err(layer::Error::from)?.reboot().map_err(layer::Error::from)?;
    }
    let is_idle = !changed.is_needed && way.unchanged_exit_77;
    Ok(if is_idle { ExitCode::from(UNCHANGED) } else { ExitCode::SUCCESS })
}

/// Prints what makes an image like the host's with what was asked for.
fn show_containerfile(place: &Place, way: &Way, image: &str, edit: &Edit) -> Result<(), Error> {
    let base = match backend(place) {
        Ok(backend) => Host::open(backend.lower(&layer::next(&*backend)?.base)?.tree.path())?,
        // Without deployments, there is the host alone.
        Err(Error::Layer(layer::Error::OfImage { .. })) => Host::open(&place.root)?,
        Err(error) => return Err(error),
    };
    let manager = Manager::of(&base).ok_or(layer::Error::NoManager)?;
    let requests = Requests::default().edited(edit).unwrap_or_default();
    let containerfile = layer::containerfile(image, manager, &requests, base.root.exists("usr/bin/bootc"));
    if way.json {
        return output::print_json(&Derived { image, containerfile });
    }
    output::print(&containerfile)
}

/// What was asked for, as the command line of a verb has it.
fn asked(verb: &str, edit: &Edit) -> String {
    let with = |option: &str, names: Vec<&String>| -> String {
        names.into_iter().flat_map(|name| [" ", option, name]).collect()
    };
    let added = edit.add.iter().chain(edit.add_files.keys()).collect();
    let (add, remove) = match verb {
        "remove" => ("--add ", ""),
        "upgrade" => ("", "--drop "),
        _ if verb.starts_with("override") => ("--add ", "--remove "),
        _ => ("", "--remove "),
    };
    let without = if verb.starts_with("override") { "" } else { "-" };
    let removed = with(without, edit.override_remove.iter().collect());
    let others = with("", edit.override_replace.keys().chain(&edit.override_reset).collect());
    let all = if edit.remove_all { " --all" } else { "" };
    // What was meant comes first, and then what else was done in the same step.
    let [first, then] = if verb == "remove" {
        [with(remove, edit.remove.iter().collect()), with(add, added)]
    } else {
        [with(add, added), with(remove, edit.remove.iter().collect())]
    };
    match without {
        "" => format!("{removed}{others}{all}{first}{then}"),
        _ => format!("{all}{first}{then}{others}{removed}"),
    }
}

fn as_json(changed: &Changed, left: &[PathBuf]) -> Result<(), Error> {
    output::print_json(&Told {
        changed: changed.is_needed,
        deployment: changed.id.as_deref(),
        base: &changed.base,
        requests: &changed.manifest.requests,
        inactive: &changed.manifest.inactive,
        differences: changed.differences(),
        left_out: changed.left_out.iter().map(|path| output::path(path)).collect(),
        kernel: changed.boot.kernel.as_deref(),
        initramfs: match changed.boot.initramfs {
            Initramfs::Base => "base",
            Initramfs::New => "new",
            Initramfs::Stale | Initramfs::Apart => "stale",
        },
        at_once: changed.now.as_ref().map(|now| &*now.packages),
        remarks: &changed.remarks,
        milliseconds: changed.milliseconds,
        left_behind: left.iter().map(|path| output::path(path)).collect(),
    })
}

fn tell(way: &Way, changed: &Changed) {
    if !changed.is_needed {
        output::say("onlay: nothing to do: the next boot has that already");
        return;
    }
    let is_planned = changed.id.is_none();
    if changed.base != changed.from.base {
        let (old, new) = (changed.from.base.label(), changed.base.label());
        say(is_planned, &format!("changed base {old} to {new}"));
    }
    let differences = changed.differences();
    for line in &differences {
        say(is_planned, line);
    }
    tell_requests(changed, &differences);
    let comes = |line: &String| line.starts_with("added ") || line.starts_with("changed ");
    if !changed.left_out.is_empty() && differences.iter().any(comes) {
        let few: Vec<String> = changed.left_out.iter().take(5).map(|path| output::path(path)).collect();
        let place = if changed.is_upon {
            "other file systems are there"
        } else {
            "/var and /boot are the machine's own"
        };
        output::say(&format!(
            "onlay: left out {}, since {place}: {}",
            counted(changed.left_out.len(), "file"),
            few.join(", ")
        ));
    }
    tell_boot(changed);
    for remark in &changed.remarks {
        output::say(&format!("onlay: {remark}"));
    }
    let onlay = output::program();
    if way.download_only {
        output::say(
            "onlay: all that takes is downloaded, and nothing was changed: with --cached it needs no network",
        );
    } else if is_planned {
        output::say("onlay: nothing was changed");
    } else {
        let when = if changed.is_staged { ", once this system was shut down in order" } else { "" };
        output::say(&format!(
            "onlay: the next boot has that{when}; back to what runs: {onlay} layer rollback"
        ));
    }
}

fn say(is_planned: bool, difference: &str) {
    let line = if is_planned { planned(difference) } else { difference.to_owned() };
    output::say(&format!("onlay: {line}"));
}

/// A difference that is not there yet: `added x` would be to add it.
fn planned(line: &str) -> String {
    let (done, rest) = line.split_once(' ').unwrap_or((line, ""));
    let verb = match done {
        "added" => "add",
        "changed" => "change",
        "removed" => "remove",
        "restored" => "restore",
        _ => return line.to_owned(),
    };
    format!("would {verb} {rest}")
}

/// What is asked for, as far as packages do not show it.
fn tell_requests(changed: &Changed, differences: &[String]) {
    let old = changed.from.manifest.clone().unwrap_or_default();
    let requests = &changed.manifest.requests;
    let (lacks, has): (Vec<&String>, Vec<&String>) = changed
        .manifest
        .inactive
        .difference(&old.inactive)
        .partition(|name| requests.removed.contains(*name));
    for (idle, verb) in [(&has, "has"), (&lacks, "lacks")].into_iter().filter(|(idle, _)| !idle.is_empty()) {
        let names: Vec<&str> = idle.iter().map(|name| name.as_str()).collect();
        output::say(&format!("onlay: the base {verb} that by itself: {}", names.join(", ")));
    }
    if has.is_empty() && lacks.is_empty() && differences.is_empty() && changed.base == changed.from.base {
        output::say("onlay: no package changes, only what is asked for");
    }
    let kept: Vec<&str> =
        requests.removed.iter().chain(requests.replaced.keys()).map(String::as_str).collect();
    let ends = requests.packages.is_empty() && requests.files.is_empty();
    let had = !old.requests.packages.is_empty() || !old.requests.files.is_empty();
    if ends && had && !kept.is_empty() {
        output::say(&format!(
            "onlay: packages of the base stay as they were overridden: '{} layer override reset {}' has them back",
            output::program(),
            kept.join(" ")
        ));
    }
}

/// What becomes of the kernel and its initramfs.
fn tell_boot(changed: &Changed) {
    if let Some(kernel) = &changed.boot.kernel {
        output::say(&format!("onlay: the kernel is {kernel}"));
    }
    match changed.boot.initramfs {
        Initramfs::Base => {}
        Initramfs::New => output::say("onlay: the initramfs was made anew"),
        Initramfs::Apart => output::say(
            "onlay: the initramfs is as it was, though packages change what is in it: what this host boots with is made by others",
        ),
        Initramfs::Stale => output::say(
            "onlay: the initramfs is the base's, though packages change what is in it: there is no dracut or mkinitramfs here",
        ),
    }
}

/// What is there at once, and what is not.
fn tell_now(way: &Way, changed: &Changed) {
    let Some(now) = &changed.now else { return };
    if now.packages.is_empty() {
        output::say("onlay: the system that runs has all of it already");
        return;
    }
    let (is, onlay) = (if way.dry_run { "would be" } else { "is" }, output::program());
    output::say(&format!(
        "onlay: {is} there at once, until the reboot: {}; '{onlay} ext disable {}' takes it off",
        now.packages.join(", "),
        layer::EXTENSION_NOW
    ));
    if !now.later.is_empty() {
        output::say(&format!("onlay: only the reboot brings: {}", now.later.join("; ")));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn what_was_asked_for_is_noted_as_it_was_typed() {
        let edit = Edit { add: names(&["a"]), remove: names(&["b"]), ..Edit::default() };
        assert_eq!(asked("add", &edit), " a --remove b");
        assert_eq!(asked("remove", &edit), " b --add a");
        let tried = Edit { override_remove: names(&["c"]), ..edit.clone() };
        assert_eq!(asked("save x --layer", &tried), " a --remove b -c");
        assert_eq!(
            asked("override remove", &Edit { override_remove: names(&["c"]), ..edit }),
            " c --add a --remove b"
        );
        let edit = Edit { remove: names(&["b"]), ..Edit::default() };
        assert_eq!(asked("upgrade", &edit), " --drop b");
        assert_eq!(asked("remove", &Edit { remove_all: true, ..Edit::default() }), " --all");
    }

    #[test]
    fn what_is_planned_is_not_told_as_done() {
        assert_eq!(planned("added x 1"), "would add x 1");
        assert_eq!(planned("changed x 2 back to the base's 1"), "would change x 2 back to the base's 1");
    }
}
