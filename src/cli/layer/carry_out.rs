//! What all changes of layers have in common: how far they go, that they are written down, and how they are told.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;

use super::{Place, backend, backend_to_change};
use crate::cli::messages::Messages;
use crate::cli::output;
use crate::cli::report::Error;
use crate::event::counted;
use crate::host::Host;
use crate::layer::{
    self, BaseNote, Change, Changed, Edit, Initramfs, Milliseconds, Planned, Requests, Until, Workshop,
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
        let words = format!("{words}{}", asked(&change.edit));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        layer::history::note(workshop.dir(), &words, now, &changed)?;
    }
    Ok(changed)
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

/// What was asked for, as the command line has it.
fn asked(edit: &Edit) -> String {
    let (mut plain, mut taken): (Vec<&String>, Vec<&String>) =
        (edit.add.iter().chain(edit.add_files.keys()).collect(), edit.remove.iter().collect());
    // By themselves they are those of 'override remove'.
    let is_override = plain.is_empty() && taken.is_empty();
    if is_override { &mut plain } else { &mut taken }.extend(&edit.override_remove);
    plain.extend(edit.override_replace.keys().chain(&edit.override_reset));
    let plain = plain.into_iter();
    let taken = taken.into_iter().map(|name| format!(" -{name}"));
    let all = edit.remove_all.then(|| " --all".to_owned());
    plain.map(|name| format!(" {name}")).chain(taken).chain(all).collect()
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
            Initramfs::Stale => "stale",
        },
        at_once: changed.now.as_ref().map(|now| &*now.packages),
        milliseconds: changed.milliseconds,
        left_behind: left.iter().map(|path| output::path(path)).collect(),
    })
}

fn tell(way: &Way, changed: &Changed) {
    if !changed.is_needed {
        output::say("onlay: nothing to do: the next boot has that already");
        return;
    }
    if changed.base != changed.from.base {
        let (old, new) = (changed.from.base.label(), changed.base.label());
        output::say(&format!("onlay: base {old} to {new}"));
    }
    for line in changed.differences() {
        output::say(&format!("onlay: {line}"));
    }
    let replaced: Vec<String> = changed.plan.installed().filter_map(replaced).collect();
    if !replaced.is_empty() && !changed.is_upon {
        output::say(&format!("onlay: in the place of the base's: {}", replaced.join(", ")));
    }
    if !changed.manifest.inactive.is_empty() {
        let names: Vec<&str> = changed.manifest.inactive.iter().map(String::as_str).collect();
        output::say(&format!("onlay: the base has that by itself: {}", names.join(", ")));
    }
    if !changed.left_out.is_empty() {
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
    let onlay = output::program();
    if way.download_only {
        output::say(
            "onlay: all that takes is downloaded, and nothing was changed: with --cached it needs no network",
        );
    } else if changed.id.is_none() {
        output::say("onlay: nothing was changed");
    } else {
        let when = if changed.is_staged { ", once this system was shut down in order" } else { "" };
        output::say(&format!(
            "onlay: the next boot has that{when}; back to what runs: {onlay} layer rollback"
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

fn replaced(planned: &Planned) -> Option<String> {
    let old = planned.old.as_ref()?;
    Some(format!("{} {old} to {}", planned.name, planned.new.as_ref()?))
}
