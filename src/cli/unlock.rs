//! `onlay unlock`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};

use super::arguments::Place;
use super::output;
use super::report::Error;
use crate::live::{self, Cover, Peer, Request, Storage};
use crate::overlay::OverlayName;
use crate::shell::Size;
use crate::sys::{Context, MountTable, command_line};

/// Make /usr of the running host writable, for all its processes, until it is locked or rebooted
///
/// Changes go to a layer that 'onlay lock' takes off again. What belongs together is
/// unlocked together, so that the package database stays true: /usr, /etc, /opt, the
/// database, and what package managers know. Services that systemd keeps from
/// writing there (ProtectSystem=, ReadOnlyPaths=) are still kept from it.
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
    /// Leave the host's mounts read-only: each can be made writable in a private namespace alone
    #[arg(long)]
    read_only: bool,
    /// Say what would be unlocked, and stop
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    refuse_other_root(place, "unlock")?;
    let absolute = |path: &PathBuf| std::path::absolute(path).context("find", path);
    let request = Request {
        places: arguments.places.iter().map(absolute).collect::<Result<_, _>>()?,
        on_disk: arguments.on_disk.then_some(true),
        size: arguments.size,
        read_only: arguments.read_only,
        from: arguments.from.clone(),
        state: place.state.clone(),
        dry_run: arguments.dry_run,
    };
    let unlocked = live::unlock(&request)?;
    let record = &unlocked.record;
    let places = words(&record.places);
    if arguments.dry_run {
        let text =
            format!("would unlock {places} until the next boot; changes would be in {}\n", record.storage);
        return output::print(&text).map(|()| ExitCode::SUCCESS);
    }
    let onlay = output::program();
    let how = if record.read_only { "laid read-only layers over" } else { "unlocked" };
    output::say(&format!(
        "onlay: {how} {places} until the next boot; changes are in {}",
        storage(&record.storage)
    ));
    if let (Some(name), 1..) = (&arguments.from, unlocked.left_out) {
        let left = output::names(unlocked.left_out);
        output::say(&format!(
            "onlay: '{name}' holds {left} elsewhere, which are left out: {onlay} diff {name}"
        ));
    }
    for pid in &unlocked.unreached {
        let command = command_line(*pid).join(" ");
        output::say(&format!("onlay: process {pid} ({}) does not see it", output::visible(&command)));
    }
    tell_extensions(&record.places)?;
    output::say(&format!("onlay: what is changed: {onlay} diff --live; back as it was: {onlay} lock"));
    Ok(ExitCode::SUCCESS)
}

/// systemd does not know its own mount under ours.
fn tell_extensions(places: &[PathBuf]) -> Result<(), Error> {
    for Cover { place, layers } in live::covers(&MountTable::read()?, places) {
        let program = match &layers[..] {
            [.., Peer::Sysext { .. }, Peer::Onlay] => "systemd-sysext",
            [.., Peer::Confext { .. }, Peer::Onlay] => "systemd-confext",
            _ => continue,
        };
        let place = output::path(&place);
        output::say(&format!(
            "onlay: extensions stay merged in {place}; {program} can change them when the host is locked"
        ));
    }
    Ok(())
}

pub(super) fn words(places: &[PathBuf]) -> String {
    places.iter().map(|place| output::path(place)).collect::<Vec<_>>().join(" ")
}

pub(super) fn storage(storage: &Storage) -> String {
    output::visible(&storage.to_string())
}

/// What is unlocked is the running host.
pub(super) fn refuse_other_root(place: &Place, verb: &'static str) -> Result<(), Error> {
    if place.root == Path::new("/") { Ok(()) } else { Err(Error::RunningOnly(verb)) }
}
