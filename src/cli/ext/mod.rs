//! `onlay ext`: extensions of the host (systemd-sysext(8), systemd-confext(8)).

mod add;
mod base;
mod check;
mod choose;
mod keep;
mod list;
mod owner;
mod progress;
mod refresh;
mod refreshed;
mod search;
mod stores;
mod told;
mod update;

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::arguments::Place;
use super::report::Error;

pub(super) use list::Row;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Add(add::Arguments),
    Remove(choose::Remove),
    Enable(choose::Enable),
    Disable(choose::Disable),
    List(list::Arguments),
    Search(search::Search),
    Info(search::Info),
    Update(update::Arguments),
    Rollback(keep::Rollback),
    Pin(keep::Pin),
    Unpin(keep::Unpin),
    Clean(keep::Clean),
    Timer(keep::Timer),
    Stores(stores::Arguments),
    Refresh(refresh::Arguments),
    Check(check::Arguments),
    Base(base::Arguments),
    Owner(owner::Arguments),
}

/// How a change of what is enabled is made.
#[derive(Debug, Clone, Args)]
struct Way {
    /// Leave what is merged as it is; 'onlay ext refresh', or the next boot,
    /// merges what is enabled
    #[arg(long)]
    no_refresh: bool,
    /// Say what would be done, and stop
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    match &arguments.verb {
        Verb::Add(arguments) => add::run(place, arguments),
        Verb::Remove(arguments) => choose::remove(place, arguments),
        Verb::Enable(arguments) => choose::enable(place, arguments),
        Verb::Disable(arguments) => choose::disable(place, arguments),
        Verb::List(arguments) => list::run(place, arguments),
        Verb::Search(arguments) => search::search(place, arguments),
        Verb::Info(arguments) => search::info(place, arguments),
        Verb::Update(arguments) => update::run(place, arguments),
        Verb::Rollback(arguments) => keep::rollback(place, arguments),
        Verb::Pin(arguments) => keep::pin(place, arguments),
        Verb::Unpin(arguments) => keep::unpin(place, arguments),
        Verb::Clean(arguments) => keep::clean(place, arguments),
        Verb::Timer(arguments) => keep::set(place, arguments),
        Verb::Stores(arguments) => stores::run(place, arguments),
        Verb::Refresh(arguments) => refresh::run(place, arguments),
        Verb::Check(arguments) => check::run(place, arguments),
        Verb::Owner(arguments) => owner::run(place, arguments),
        Verb::Base(arguments) => base::run(place, arguments),
    }
}

/// Adds an image, and has it merged.
pub(super) fn add(place: &Place, image: &Path) -> Result<ExitCode, Error> {
    add::run(place, &add::Arguments::of(image))
}

/// The extensions of a host, for 'onlay status'.
pub(super) fn rows(place: &Place) -> Result<Vec<Row>, Error> {
    list::rows(place)
}

/// Refuses to tell of extensions of the host who may not look at their images: they would seem not to be there.
fn refuse_blind(place: &Place) -> Result<(), Error> {
    let is_denied = |error: &std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
    match std::fs::read_dir(place.state.join("images")) {
        Err(error) if is_denied(&error) => Err(Error::NotRoot),
        _ => Ok(()),
    }
}
