//! systemd-sysext(8) and systemd-confext(8): lay images of extensions over /usr and /opt, and over /etc.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Error;

/// The two programs that there are.
pub const PROGRAMS: [&str; 2] = ["systemd-sysext", "systemd-confext"];

/// One of them.
#[derive(Debug)]
pub struct SystemdSysext {
    program: &'static str,
    path: PathBuf,
}

impl SystemdSysext {
    /// Finds one by its name.
    pub fn find(program: &'static str) -> Result<SystemdSysext, Error> {
        Ok(SystemdSysext { program, path: super::find(program)? })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.program
    }

    /// Takes all extensions off.
    pub fn unmerge(&self) -> Result<(), Error> {
        self.run("unmerge")
    }

    /// Lays all extensions that there are over what is visible, whatever of them is merged already.
    pub fn refresh(&self) -> Result<(), Error> {
        self.run("refresh")
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
