//! `onlay hooks remove`.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::{Which, tell, tell_plan};
use crate::cli::output;
use crate::cli::report::Error;
use crate::hooks;
use crate::sys::Root;

/// Remove the hooks of all package managers, or of some
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Say what would be removed, and stop
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(root: &Root, arguments: &Arguments) -> Result<ExitCode, Error> {
    // Whichever program they call.
    let removed = hooks::remove(root, Path::new("/onlay"), &arguments.which.managers, arguments.dry_run)?;
    if arguments.dry_run {
        return tell_plan("remove", &removed);
    }
    if removed.is_empty() {
        output::say("onlay: there are no hooks");
    }
    tell("removed", &removed);
    Ok(ExitCode::SUCCESS)
}
