//! `onlay unlock`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};

use super::arguments::Place;
use super::messages::Messages;
use super::output;
use super::report::Error;
use crate::live::{self, Cover, Moment, Peer, Record, Request, Storage};
use crate::overlay::OverlayName;
use crate::shell::Size;
use crate::sys::{Context, MountTable, Pid, command_line};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Unlock these directories instead
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    places: Vec<PathBuf>,
    /// Keep changes on disk, below the state directory; without it, in RAM where there is enough
    #[arg(long)]
    on_disk: bool,
    /// Keep changes in RAM, at most so much: 512m, 2g, 20%
    #[arg(long, conflicts_with = "on_disk")]
    size: Option<Size>,
    /// Begin with what an overlay holds of them; it stays as it is
    #[arg(long, value_name = "NAME")]
    from: Option<OverlayName>,
    /// Keep it over reboots: laid again at boot before services start, until 'onlay lock'; changes are on disk
    #[arg(long, conflicts_with = "size")]
    persistent: bool,
    /// Leave the host's mounts read-only: what is run by 'onlay run' or in 'onlay shell --live' alone can write there
    #[arg(long)]
    read_only: bool,
    /// Lay again what is persistent and was held back; another base is followed as far as that can be done
    #[arg(long, conflicts_with_all = ["places", "on_disk", "size", "from", "persistent", "read_only"])]
    resume: bool,
    /// With --resume: nobody can be asked, so that another base is followed only where nothing breaks
    #[arg(long, hide = true, requires = "resume")]
    at_boot: bool,
    /// Take off what is laid as the host goes down
    #[arg(long, hide = true, conflicts_with_all = ["places", "on_disk", "size", "from", "persistent", "read_only", "resume", "dry_run"])]
    suspend: bool,
    /// Say what would be unlocked, and stop
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    refuse_other_root(place, "unlock")?;
    if arguments.suspend {
        live::suspend(&place.state)?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.resume {
        return if arguments.dry_run { preview(place) } else { resume(place, arguments.at_boot) };
    }
    let absolute = |path: &PathBuf| std::path::absolute(path).context("find", path);
    let request = Request {
        places: arguments.places.iter().map(absolute).collect::<Result<_, _>>()?,
        on_disk: arguments.on_disk.then_some(true),
        size: arguments.size,
        read_only: arguments.read_only,
        from: arguments.from.clone(),
        persistent: arguments.persistent,
        state: place.state.clone(),
        dry_run: arguments.dry_run,
    };
    let unlocked = live::unlock(&request, &mut Messages)?;
    let record = &unlocked.record;
    let places = words(&record.places);
    let onlay = output::program();
    if let (Some(name), 1..) = (&arguments.from, unlocked.left_out) {
        output::say(&format!(
            "onlay: '{name}' also holds something elsewhere, which is left out: {onlay} diff {name}"
        ));
    }
    if let Some(database) = &unlocked.database {
        output::say(&format!(
            "onlay: the package database {} stays the host's own: install no package now, or it is wrong after 'lock'",
            output::path(database)
        ));
    }
    if arguments.dry_run {
        let text =
            format!("would unlock {places} {}; changes would be in {}\n", until(record), record.storage);
        return output::print(&text).map(|()| ExitCode::SUCCESS);
    }
    let how = if record.read_only { "laid read-only layers over" } else { "unlocked" };
    output::say(&format!(
        "onlay: {how} {places} {}; changes are in {}",
        until(record),
        storage(&record.storage)
    ));
    tell_unreached(&unlocked.unreached);
    if record.read_only {
        output::say(&format!(
            "onlay: it can be written by '{onlay} run' and in '{onlay} shell --live' alone"
        ));
    }
    tell_extensions(&record.places)?;
    output::say(&format!("onlay: what is changed: {onlay} diff --live; back as it was: {onlay} lock"));
    Ok(ExitCode::SUCCESS)
}

/// Lays again what is kept.
fn resume(place: &Place, at_boot: bool) -> Result<ExitCode, Error> {
    let moment = if at_boot { Moment::Boot } else { Moment::Asked };
    let Some(resumed) = live::resume(&place.state, moment)? else {
        output::say("onlay: there is nothing to lay again");
        return Ok(ExitCode::SUCCESS);
    };
    for line in &resumed.followed {
        output::say(&format!("onlay: {}", output::visible(line)));
    }
    output::say(&format!(
        "onlay: unlocked {} again, {}",
        words(&resumed.record.places),
        until(&resumed.record)
    ));
    tell_unreached(&resumed.unreached);
    Ok(ExitCode::SUCCESS)
}

/// Says what laying it again would come to.
fn preview(place: &Place) -> Result<ExitCode, Error> {
    let lines = live::preview(&place.state)?;
    let base = if lines.is_empty() { "; the base is the same\n" } else { ":\n" };
    let lines = lines.iter().map(|line| output::visible(line) + "\n");
    let text = format!("would lay it again{base}") + &lines.collect::<String>();
    output::print(&text).map(|()| ExitCode::SUCCESS)
}

fn tell_unreached(unreached: &[Pid]) {
    for pid in unreached {
        let command = command_line(*pid).join(" ");
        output::say(&format!("onlay: process {pid} ({}) does not see it", output::visible(&command)));
    }
}

/// How long it lasts.
pub(super) fn until(record: &Record) -> &'static str {
    if record.persistent { "until it is locked, over reboots" } else { "until the next boot" }
}

/// systemd does not know its own mount under ours.
fn tell_extensions(places: &[PathBuf]) -> Result<(), Error> {
    let covers = live::covers(&MountTable::read()?, places);
    let is_below = |cover: &&Cover, program: &str| match &cover.layers[..] {
        [.., Peer::Sysext { .. }, Peer::Onlay] => program == "systemd-sysext",
        [.., Peer::Confext { .. }, Peer::Onlay] => program == "systemd-confext",
        _ => false,
    };
    for program in ["systemd-sysext", "systemd-confext"] {
        let merged: Vec<PathBuf> =
            covers.iter().filter(|cover| is_below(cover, program)).map(|cover| cover.place.clone()).collect();
        if !merged.is_empty() {
            let merged = words(&merged);
            output::say(&format!(
                "onlay: extensions stay merged in {merged}; {program} can change them when the host is locked"
            ));
        }
    }
    Ok(())
}

pub(super) fn words(places: &[PathBuf]) -> String {
    places.iter().map(|place| output::path(place)).collect::<Vec<_>>().join(" ")
}

pub(super) fn storage(storage: &Storage) -> String {
    output::visible(&storage.to_string())
}

/// What is unlocked of the host that overlays lie on, as far as the caller can know.
pub(super) fn unlocked(place: &Place) -> Option<Record> {
    let is_running = place.root == Path::new("/") && crate::shell::inside().is_none();
    is_running.then(|| Record::read_here().ok().flatten()).flatten()
}

/// What is unlocked is the running host.
pub(super) fn refuse_other_root(place: &Place, verb: &'static str) -> Result<(), Error> {
    if place.root == Path::new("/") { Ok(()) } else { Err(Error::RunningOnly(verb)) }
}
