//! `onlay hooks install`.

use std::process::ExitCode;

use clap::Args;

use super::{Program, Which, tell, tell_plan};
use crate::cli::output;
use crate::cli::report::Error;
use crate::hooks::{self, State};
use crate::sys::Root;

/// Install the hooks of all package managers that are there, or of some
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    program: Program,
    /// Say what would be installed, and stop
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(root: &Root, arguments: &Arguments) -> Result<ExitCode, Error> {
    let program = arguments.program.path()?;
    let written = hooks::install(root, &program, &arguments.which.managers, arguments.dry_run)?;
    if arguments.dry_run {
        return tell_plan("install", &written);
    }
    if written.is_empty() {
        output::say("onlay: the hooks are there already");
    }
    tell("installed", &written);
    if written.iter().any(|hook| hook.temporary) {
        let onlay = output::program();
        output::say(&format!(
            "onlay: the host is unlocked there: what is said to be temporary goes with '{onlay} lock' or a reboot"
        ));
    }
    for hook in hooks::find(root, &program)? {
        if let State::Unable(reason) = hook.state {
            output::say(&format!("onlay: {} is there, but cannot have a hook: {reason}", hook.manager));
        }
    }
    Ok(ExitCode::SUCCESS)
}
