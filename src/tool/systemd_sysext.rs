//! systemd-sysext(8) and systemd-confext(8): lay images of extensions over /usr and /opt, and over /etc.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Error;

/// One of the two programs.
#[derive(Debug)]
pub struct SystemdSysext {
    program: &'static str,
    path: PathBuf,
}

impl SystemdSysext {
    /// Finds the one for programs (`sysext`) or the one for settings (`confext`).
    pub fn find(is_for_settings: bool) -> Result<SystemdSysext, Error> {
        let program = if is_for_settings { "systemd-confext" } else { "systemd-sysext" };
        Ok(SystemdSysext { program, path: super::find(program)? })
    }

    /// Takes all extensions off.
    pub fn unmerge(&self) -> Result<(), Error> {
        self.run("unmerge")
    }

    /// Lays all extensions that there are over what is visible.
    pub fn merge(&self) -> Result<(), Error> {
        self.run("merge")
    }

    fn run(&self, verb: &str) -> Result<(), Error> {
        let mut command = Command::new(&self.path);
        command.arg(verb).stdin(Stdio::null()).stdout(Stdio::null());
        let started = |source| Error::NotStarted { program: self.program, source };
        let output = command.output().map_err(started)?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Failed {
            command: format!("{} {verb}", self.program),
            status: output.status,
            words: super::last_words(&output.stderr),
        })
    }
}
