//! The command line: words, exit codes, messages and JSON. The only room that prints.
//!
//! stdout carries what was asked for, stderr everything else.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_macros)]

mod arguments;
mod completion;
mod diff;
mod list;
mod messages;
mod output;
mod report;
mod rm;
mod shell;
mod status;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

pub use arguments::Cli;
use arguments::Command;

/// The definition of the command line, from which help, man pages and completions are made.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Runs the program with these arguments (the first is its name).
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed =
        Cli::command().try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        // Help and version are no errors; clap knows which stream and code each has.
        Err(error) => {
            let code = if error.use_stderr() { report::USAGE } else { 0 };
            // Nobody is left to tell where the stream is closed.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    output::remember(&cli.place);
    let result = match cli.command {
        Command::Shell(arguments) => shell::run(&cli.place, arguments),
        Command::List(arguments) => list::run(&cli.place, &arguments),
        Command::Rm(arguments) => rm::run(&cli.place, &arguments),
        Command::Diff(arguments) => diff::run(&cli.place, &arguments),
        Command::Status(arguments) => status::run(&cli.place, &arguments),
        Command::Completion(arguments) => completion::run(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => report::show(&error),
    }
}
