//! systemd-tmpfiles(8): makes files and directories that packages want outside of /usr.

use std::process::{Command, Stdio};

use super::Error;

const PROGRAM: &str = "systemd-tmpfiles";

/// Makes what some files of tmpfiles.d(5) say, given by their names.
pub fn run(files: &[String]) -> Result<(), Error> {
    let mut command = Command::new(super::find(PROGRAM)?);
    command.arg("--create");
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
