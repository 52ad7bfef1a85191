//! `onlay store`: directories of extension images that any web server can show.

mod change;
mod export;
mod key;
mod keys;
mod list;
mod publish;
mod rebuild;
mod serve;
mod sign;
mod trust;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::arguments::Place;
use super::report::Error;

pub(super) use keys::{TRUSTED, directory};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Init(change::InitArguments),
    Add(change::AddArguments),
    Remove(change::RemoveArguments),
    Prune(change::PruneArguments),
    Rebuild(rebuild::Arguments),
    Sign(sign::Arguments),
    Key(key::Arguments),
    List(list::Arguments),
    Verify(verify::Arguments),
    Export(export::Arguments),
    Serve(serve::Arguments),
    Publish(publish::Arguments),
}

pub(super) fn run(_place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    match &arguments.verb {
        Verb::Init(arguments) => change::init(arguments),
        Verb::Add(arguments) => change::add(arguments),
        Verb::Remove(arguments) => change::remove(arguments),
        Verb::Prune(arguments) => change::prune(arguments),
        Verb::Rebuild(arguments) => rebuild::run(arguments),
        Verb::Sign(arguments) => sign::run(arguments),
        Verb::Key(arguments) => key::run(arguments),
        Verb::List(arguments) => list::run(arguments),
        Verb::Verify(arguments) => verify::run(arguments),
        Verb::Export(arguments) => export::run(arguments),
        Verb::Serve(arguments) => serve::run(arguments),
        Verb::Publish(arguments) => publish::run(arguments),
    }
}
