//! `onlay rm`.

use std::process::ExitCode;

use clap::Args;

use super::arguments::Place;
use super::messages::Messages;
use super::output;
use super::report::{self, Error};
use crate::overlay::{self, OverlayName, Overlays, Presence};

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
    let overlays = Overlays::open(&place.state)?;
    if let Some(overlays) = overlays.as_ref().filter(|_| !arguments.dry_run) {
        overlays.clear_remains(&mut Messages)?;
    }
    let mut failures = Vec::new();
    for name in &arguments.name {
        let result = match overlays.as_ref().filter(|overlays| overlays.contains(name)) {
            None => Err(not_on_disk(place, name)),
            Some(_) if arguments.dry_run => would_remove(place, name),
            Some(overlays) => remove(place, overlays, name),
        };
        failures.extend(result.err());
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

fn would_remove(place: &Place, name: &OverlayName) -> Result<(), Error> {
    if let Some(presence) = Presence::existing(&place.state)? {
        presence.check_free(name)?;
    }
    output::print(&format!("would remove '{name}'\n"))
}

fn remove(place: &Place, overlays: &Overlays, name: &OverlayName) -> Result<(), Error> {
    let presence = Presence::open(&place.state)?;
    let entry = presence.lock_entry()?;
    let lock = presence.keep_out(name)?;
    let removed = overlays.remove(name)?;
    presence.forget(name, lock)?;
    entry.release()?;
    removed.clear()?;
    output::say(&format!("onlay: removed '{name}'"));
    Ok(())
}

/// One in RAM cannot be removed, but goes by itself.
fn not_on_disk(place: &Place, name: &OverlayName) -> Error {
    let name = name.clone();
    match Presence::find_in(&place.state, &name) {
        Ok(Some(found)) => overlay::Error::InUse { name, user: Some(found.user()) }.into(),
        Ok(None) => overlay::Error::NotFound { name }.into(),
        Err(error) => overlay::Error::from(error).into(),
    }
}
