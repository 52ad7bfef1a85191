//! `onlay rm`.

use std::process::ExitCode;

use clap::Args;

use super::arguments::Place;
use super::messages::Messages;
use super::output;
use super::report::{self, Error};
use crate::overlay::{self, OverlayName, Overlays, Presence};

/// Remove overlays and all that was changed in them
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The overlays to remove
    #[arg(required = true)]
    name: Vec<OverlayName>,
    /// Say what would be removed, and stop
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let first = arguments.name.first().cloned();
    let missing = |name: OverlayName| Error::Overlay(overlay::Error::NotFound { name });
    let Some(mut overlays) = Overlays::open(&place.state)? else {
        return first.map_or(Ok(ExitCode::SUCCESS), |name| Err(missing(name)));
    };
    if !arguments.dry_run {
        // Clears what an interrupted removal left.
        overlays = Overlays::open_or_create(&place.state, &mut Messages { quiet: false })?;
    }
    let presence = Presence::open(&place.state)?;
    let mut failures = Vec::new();
    for name in &arguments.name {
        if let Err(error) = remove(&overlays, &presence, name, arguments.dry_run) {
            failures.push(error);
        }
    }
    match (failures.len(), arguments.name.len()) {
        (0, _) => Ok(ExitCode::SUCCESS),
        (1, 1) => Err(failures.remove(0)),
        (failed, all) => {
            for failure in &failures {
                report::show(failure);
            }
            Err(Error::Some { failed, all })
        }
    }
}

fn remove(overlays: &Overlays, presence: &Presence, name: &OverlayName, dry_run: bool) -> Result<(), Error> {
    if !overlays.contains(name) {
        return Err(overlay::Error::NotFound { name: name.clone() }.into());
    }
    let _entry = presence.lock_entry()?;
    let lock = presence.keep_out(name)?;
    if dry_run {
        return output::print(&format!("would remove '{name}'\n"));
    }
    overlays.remove(name)?;
    presence.forget(name, lock)?;
    output::say(&format!("onlay: removed '{name}'"));
    Ok(())
}
