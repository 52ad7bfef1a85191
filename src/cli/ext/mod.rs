//! `onlay ext`: extensions of the host (systemd-sysext(8), systemd-confext(8)).

mod base;
mod check;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::arguments::Place;
use super::report::Error;

/// Look whether extensions fit the host
///
/// An extension is what systemd-sysext merges over /usr and /opt, and
/// systemd-confext over /etc: programs that a host has without being changed.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(check::Arguments),
    Base(base::Arguments),
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    match &arguments.verb {
        Verb::Check(arguments) => check::run(place, arguments),
        Verb::Base(arguments) => base::run(place, arguments),
    }
}
