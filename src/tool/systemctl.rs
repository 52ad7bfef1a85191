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
        self.run(&["try-restart"], units)
    }

    /// Has it read all units again.
    pub fn reload(&self) -> Result<(), Error> {
        self.run(&["daemon-reload"], &[]).map(drop)
    }

    /// Has it read units again that have come while it boots, and start what the targets want of them that it is about to reach:
    /// it asked before.
    pub fn take_in_new_units(&self) -> Result<(), Error> {
        self.reload()?;
        let targets = self.targets_ahead()?;
        if targets.is_empty() {
            return Ok(());
        }
        self.start(&targets.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Restarts units, or starts them. Says whether all of them run then; what went wrong is in the journal.
    pub fn restart(&self, units: &[&str]) -> Result<bool, Error> {
        self.run(&["restart"], units)
    }

    /// Reloads units; those that cannot be, or do not run, are restarted.
    pub fn reload_or_restart(&self, units: &[&str]) -> Result<bool, Error> {
        self.run(&["reload-or-restart"], units)
    }

    /// Whether systemd finds a unit's file.
    pub fn has(&self, unit: &str) -> Result<bool, Error> {
        let mut command = self.command();
        command.args(["show", "--property=LoadState", "--value", "--", unit]).stderr(Stdio::null());
        let output = command.output().map_err(|source| Error::NotStarted { program: PROGRAM, source })?;
        Ok(output.status.success() && output.stdout.trim_ascii() != b"not-found")
    }

    /// Has it start units, with what they want, and does not wait for that.
    pub fn start(&self, units: &[&str]) -> Result<(), Error> {
        self.run(&["--no-block", "start"], units).map(drop)
    }

    /// Has it stop units, and does not wait for that.
    pub fn stop(&self, units: &[&str]) -> Result<(), Error> {
        self.run(&["--no-block", "stop"], units).map(drop)
    }

    /// Has it stop units, and waits for that.
    pub fn stop_wholly(&self, units: &[&str]) -> Result<(), Error> {
        self.run(&["stop"], units).map(drop)
    }

    /// The units that are active though their files are gone.
    pub fn without_files(&self) -> Result<Vec<String>, Error> {
        let mut command = self.command();
        command.args(["list-units", "--all", "--state=not-found", "--plain", "--no-legend", "--full"]);
        let output = command.stderr(Stdio::null()).output();
        let output = output.map_err(|source| Error::NotStarted { program: PROGRAM, source })?;
        Ok(active_without_files(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Has it forget that units have failed.
    pub fn reset_failed(&self, units: &[&str]) -> Result<(), Error> {
        self.run(&["reset-failed"], units).map(drop)
    }

    /// The targets that it is about to reach.
    pub fn targets_ahead(&self) -> Result<Vec<String>, Error> {
        let mut command = self.command();
        command.args(["list-jobs", "--plain", "--no-legend", "--full"]).stderr(Stdio::null());
        let output = command.output().map_err(|source| Error::NotStarted { program: PROGRAM, source })?;
        Ok(targets_ahead(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Has the machine reboot, after all has been stopped in order.
    pub fn reboot(&self) -> Result<bool, Error> {
        self.run(&["reboot"], &[])
    }

    fn run(&self, verb: &[&str], units: &[&str]) -> Result<bool, Error> {
        let mut command = self.command();
        command.arg("--quiet").args(verb);
        if !units.is_empty() {
            command.arg("--").args(units);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().map_err(|source| Error::NotStarted { program: PROGRAM, source })?;
        Ok(status.success())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        // Colours and pagers are for people.
        command.env("SYSTEMD_COLORS", "0").env("SYSTEMD_PAGER", "").stdin(Stdio::null());
        command
    }
}

/// Of a list of jobs (ID UNIT TYPE STATE), the targets that are to be started.
fn targets_ahead(jobs: &str) -> Vec<String> {
    let target = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (unit, job) = (words.next()?, words.next()?);
        (job == "start" && unit.ends_with(".target")).then(|| unit.to_owned())
    };
    jobs.lines().filter_map(target).collect()
}

/// Of a list of units (UNIT LOAD ACTIVE SUB DESCRIPTION), those that are active though there is nothing to load.
fn active_without_files(units: &str) -> Vec<String> {
    let unit = |line: &str| {
        let mut words = line.split_whitespace();
        let (unit, load, active) = (words.next()?, words.next()?, words.next()?);
        (load == "not-found" && active == "active").then(|| unit.to_owned())
    };
    units.lines().filter_map(unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_without_files_are_those_that_are_active() {
        let units = "auditd.service not-found inactive dead auditd.service\n\
                     probe.service  not-found active   running probe.service\n\
                     cron.service   loaded    active   running Regular jobs\n\
                     probe.socket   not-found active   listening probe.socket\n";
        assert_eq!(active_without_files(units), ["probe.service", "probe.socket"]);
        assert!(active_without_files("").is_empty());
    }

    #[test]
    fn targets_are_found_among_jobs() {
        let jobs = "  1 multi-user.target   start waiting\n 55 cron.service start waiting\n\
                    71 emergency.target stop waiting\n  2 sysinit.target start waiting\nno jobs\n";
        assert_eq!(targets_ahead(jobs), ["multi-user.target", "sysinit.target"]);
        assert!(targets_ahead("").is_empty());
    }
}
