//! systemd-sysusers(8): makes users and groups that packages want.

use std::process::{Command, Stdio};

use super::Error;

const PROGRAM: &str = "systemd-sysusers";

/// Makes users and groups by some files of sysusers.d(5), given by their names.
pub fn run(files: &[String]) -> Result<(), Error> {
    let mut command = Command::new(super::find(PROGRAM)?);
    command.arg("--").args(files).stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.output().map_err(|source| Error::NotStarted { program: PROGRAM, source })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        command: format!("{PROGRAM} {}", files.join(" ")),
        status: output.status,
        words: super::last_words(&output.stderr),
    })
}
