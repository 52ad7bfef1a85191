//! `onlay run`, and what `onlay shell --live` has in common with it.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;

use super::arguments::Place;
use super::output;
use super::report::Error;
use super::shell::as_own_end;
use super::unlock::{refuse_other_root, words};
use crate::{live, shell};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Said already: it is always the live host
    #[arg(long, hide = true)]
    live: bool,
    /// Say what could be written, and stop
    #[arg(long)]
    dry_run: bool,
    /// What to run
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(super) fn run(place: &Place, arguments: Arguments) -> Result<ExitCode, Error> {
    on_live_host(place, "run", arguments.command, arguments.dry_run, true)
}

/// Runs a command, or a shell, where what is unlocked can be written.
pub(super) fn on_live_host(
    place: &Place,
    verb: &'static str,
    command: Vec<OsString>,
    dry_run: bool,
    quiet: bool,
) -> Result<ExitCode, Error> {
    refuse_other_root(place, verb)?;
    // Before the namespace changes, and with it where this process is.
    let directory = shell::current_directory();
    let record = live::enter_to_write(&place.state)?;
    if dry_run {
        // Only the namespace of this process was changed, which ends.
        let text = format!("would enter the live host, where {} can be written\n", words(&record.places));
        return output::print(&text).map(|()| ExitCode::SUCCESS);
    }
    if !quiet {
        output::say(&format!(
            "onlay: this is the live host: {} can be written here, and all of the host sees it",
            words(&record.places)
        ));
    }
    Ok(as_own_end(shell::run_here(command, directory)?))
}
