//! systemctl(1): asks systemd to do something with units.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Error;

const PROGRAM: &str = "systemctl";

/// The installed program.
#[derive(Debug)]
pub struct Systemctl {
    path: PathBuf,
}

impl Systemctl {
    /// Finds it.
    pub fn find() -> Result<Systemctl, Error> {
        super::find(PROGRAM).map(|path| Systemctl { path })
    }

    /// Restarts units that run, and waits for that. Says whether all of them came back; what went wrong is in the journal.
    pub fn try_restart(&self, units: &[&str]) -> Result<bool, Error> {
        let mut command = Command::new(&self.path);
        command.args(["--quiet", "try-restart", "--"]).args(units);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().map_err(|source| Error::NotStarted { program: PROGRAM, source })?;
        Ok(status.success())
    }
}
