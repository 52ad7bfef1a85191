//! systemd-sysusers(8): makes users and groups that packages want.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use super::Error;

const PROGRAM: &str = "systemd-sysusers";

/// Makes users and groups by some files of sysusers.d(5), given by their names.
pub fn run(files: &[String]) -> Result<(), Error> {
    let mut command = Command::new(super::find(PROGRAM)?);
    command.arg("--").args(files).stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.output().map_err(not_started)?;
    ended(&output, &files.join(" "))
}

/// Makes users and groups by the text of such files, which need not be there yet.
pub fn run_text(text: &[u8]) -> Result<(), Error> {
    let mut command = Command::new(super::find(PROGRAM)?);
    command.arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(not_started)?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who ends without reading it says why.
        let _ = stdin.write_all(text);
    }
    ended(&child.wait_with_output().map_err(not_started)?, "-")
}

fn not_started(source: std::io::Error) -> Error {
    Error::NotStarted { program: PROGRAM, source }
}

fn ended(output: &Output, arguments: &str) -> Result<(), Error> {
    if output.status.success() {
        return Ok(());
    }
    let words = super::last_words(&output.stderr);
    Err(Error::Failed { command: format!("{PROGRAM} {arguments}"), status: output.status, words })
}
