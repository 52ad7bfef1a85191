//! The command line: words, exit codes, messages and JSON. The only room that prints.
//!
//! stdout carries what was asked for, stderr everything else.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_macros)]

mod arguments;
mod build;
mod completion;
mod db;
mod diff;
mod ext;
mod finding_row;
mod hints;
mod hooks;
mod image_options;
mod inspect;
mod layer;
mod list;
mod lock;
mod messages;
mod output;
mod rebase;
mod report;
mod rm;
mod run;
mod save;
mod shell;
mod status;
mod store;
mod unlock;
mod usage;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

pub use arguments::Cli;
use arguments::{Command, Place};

/// The definition of the command line, from which help, man pages and completions are made.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Runs the program with these arguments (the first is its name).
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = arguments.into_iter().collect();
    let parsed =
        Cli::command().try_get_matches_from(&words).and_then(|matches| Cli::from_arg_matches(&matches));
    let result = match parsed {
        Ok(cli) => cli.place.resolved().and_then(|place| run_command(&place, cli.command)),
        Err(error) => return usage::show(&error, &words),
    };
    match result {
        Ok(code) => code,
        Err(error) => report::show(&error),
    }
}

fn run_command(place: &Place, command: Command) -> Result<ExitCode, report::Error> {
    output::remember(place);
    match command {
        Command::Shell(arguments) => shell::run(place, arguments),
        Command::Build(arguments) => build::run(place, &arguments),
        Command::List(arguments) => list::run(place, &arguments),
        Command::Rm(arguments) => rm::run(place, &arguments),
        Command::Diff(arguments) => diff::run(place, &arguments),
        Command::Save(arguments) => save::run(place, &arguments),
        Command::Rebase(arguments) => rebase::run(place, &arguments),
        Command::Unlock(arguments) => unlock::run(place, &arguments),
        Command::Run(arguments) => run::run(place, arguments),
        Command::Lock(arguments) => lock::run(place, &arguments),
        Command::Hooks(arguments) => hooks::run(place, &arguments),
        Command::Status(arguments) => status::run(place, &arguments),
        Command::Inspect(arguments) => inspect::run(place, &arguments),
        Command::Db(arguments) => db::run(place, &arguments),
        Command::Ext(arguments) => ext::run(place, &arguments),
        Command::Layer(arguments) => layer::run(place, &arguments),
        Command::Store(arguments) => store::run(place, &arguments),
        Command::Completion(arguments) => completion::run(&arguments),
    }
}
