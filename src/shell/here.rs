//! Running a command where this process is, with nothing between it and the system.

use std::ffi::OsString;
use std::path::PathBuf;

use super::Error;
use super::child::spawn;
use super::command::{Command, Confinement, become_command};
use crate::sys::Ended;

/// Runs a command (none is the caller's shell) in the namespaces of this process, and returns when it has ended. Signals and
/// the terminal are the command's, as in an overlay; what it leaves running is nobody's business.
pub fn run_here(arguments: Vec<OsString>, directory: PathBuf) -> Result<Ended, Error> {
    let environment = std::env::vars_os().collect();
    let confinement = Confinement::none();
    let command = Command { arguments, environment, directory, before: Vec::new(), confinement };
    let child = spawn(None, |_, channel| become_command(&command, channel))?;
    let finished = child.run(None, None, false)?;
    match finished.failure.and_then(|failure| failure.into_error(command.name())) {
        Some(error) => Err(error),
        None => Ok(finished.ended),
    }
}
