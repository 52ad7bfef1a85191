//! `onlay layer`: packages in the host's next boot.

pub(super) mod carry_out;
pub(super) mod change;
mod deployments;
mod history;
mod import;
mod list;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::arguments::Place;
use super::report::Error;
use crate::host::Host;
use crate::layer::{self, Backend, Deployment};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Add(change::Add),
    Remove(change::Remove),
    Upgrade(change::Upgrade),
    Override(change::Override),
    Import(import::Arguments),
    List(list::Arguments),
    Status(deployments::Status),
    Rollback(deployments::Rollback),
    History(history::History),
    Undo(history::Undo),
    Diff(deployments::Diff),
    Pin(deployments::Pin),
    Cleanup(deployments::Cleanup),
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    match &arguments.verb {
        Verb::Add(arguments) => change::add(place, arguments),
        Verb::Remove(arguments) => change::remove(place, arguments),
        Verb::Upgrade(arguments) => change::upgrade(place, arguments),
        Verb::Override(arguments) => change::overrides(place, arguments),
        Verb::Import(arguments) => import::run(place, arguments),
        Verb::List(arguments) => list::run(place, arguments),
        Verb::Status(arguments) => deployments::status(place, arguments),
        Verb::Rollback(arguments) => deployments::rollback(place, arguments),
        Verb::History(arguments) => history::history(place, arguments),
        Verb::Undo(arguments) => history::undo(place, arguments),
        Verb::Diff(arguments) => deployments::diff(place, arguments),
        Verb::Pin(arguments) => deployments::pin(place, arguments),
        Verb::Cleanup(arguments) => deployments::clean_up(place, arguments),
    }
}

/// What keeps deployments on this host.
pub(super) fn backend(place: &Place) -> Result<Box<dyn Backend>, Error> {
    Ok(layer::backend_of(&Host::open(&place.root)?)?)
}

/// The same, to change something.
fn backend_to_change(place: &Place) -> Result<Box<dyn Backend>, Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    backend(place)
}

/// The deployment of that name, or whose name begins so: `CHECKSUM`, or with more of one commit, `CHECKSUM.SERIAL`.
fn find(deployments: &[Deployment], id: &str) -> Result<Deployment, Error> {
    if let Some(deployment) = deployments.iter().find(|deployment| deployment.id == id) {
        return Ok(deployment.clone());
    }
    let (checksum, serial) = id.split_once('.').unwrap_or((id, ""));
    let is_meant = |deployment: &&Deployment| {
        let (known, number) = deployment.id.split_once('.').unwrap_or((&deployment.id, ""));
        known.starts_with(checksum) && (serial.is_empty() || number == serial)
    };
    let found: Vec<&Deployment> = deployments.iter().filter(is_meant).collect();
    match found[..] {
        [deployment] => Ok(deployment.clone()),
        [] => Err(layer::Error::NoDeployment { id: id.to_owned() }.into()),
        // As it is shown, the first one of a commit has no number.
        [first, ..] if serial.is_empty() && first.id.ends_with(".0") && is_one_commit(&found) => {
            Ok(first.clone())
        }
        _ => Err(layer::Error::Ambiguous { id: id.to_owned() }.into()),
    }
}

fn is_one_commit(deployments: &[&Deployment]) -> bool {
    let commit = |deployment: &Deployment| deployment.id.split('.').next().map(str::to_owned);
    deployments.windows(2).all(|pair| commit(pair[0]) == commit(pair[1]))
}
