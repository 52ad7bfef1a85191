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
        self.run(&["unmerge"])
    }

    /// Lays all extensions that there are over what is visible, whatever of them is merged already.
    pub fn refresh(&self) -> Result<(), Error> {
        self.run(&["refresh"])
    }

    /// Takes all extensions off in this mount namespace, and lays those that there are. Nobody is told of it, and no unit is
    /// reloaded or restarted; `knows_reload` is whether it would do that (since 255).
    pub fn merge_anew(&self, knows_reload: bool) -> Result<(), Error> {
        for verb in ["unmerge", "merge"] {
            let words = if knows_reload { &["--no-reload", verb][..] } else { &[verb][..] };
            self.run(words)?;
        }
        Ok(())
    }

    /// The same as [`SystemdSysext::refresh`], and telling nobody of it.
    pub fn refresh_silently(&self, knows_reload: bool) -> Result<(), Error> {
        if knows_reload { self.run(&["--no-reload", "refresh"]) } else { self.refresh() }
    }

    fn run(&self, words: &[&str]) -> Result<(), Error> {
        let mut command = Command::new(&self.path);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
        let started = |source| Error::NotStarted { program: self.program, source };
        let output = command.output().map_err(started)?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Failed {
            command: format!("{} {}", self.program, words.join(" ")),
            status: output.status,
            words: super::last_words(&output.stderr),
        })
    }
}
