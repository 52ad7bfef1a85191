//! The unit that links extensions at boot, before systemd-sysext merges them. It is wanted, and nothing waits for it in vain:
//! where it fails, nothing is linked, and the host comes up without extensions.
//!
//! Before 255, systemd does not read its units again when it has merged at boot: a second unit has it do so.

use std::path::{Path, PathBuf};

use super::Error;
use super::enabled::PLACE;
use crate::extension::SystemdVersion;
use crate::host::Host;
use crate::live::{self, units};
use crate::tool::systemctl::Systemctl;

const UNIT: &str = "onlay-extensions.service";
const RELOAD: &str = "onlay-extensions-reload.service";
/// Since this release, systemd reads its units again by itself when it has merged some.
const RELOADS: u32 = 255;
/// More than any unit of ours has.
const LARGEST: u64 = 64 << 10;
/// What tells the kernel's command line that none are to be linked at this boot.
const SWITCH: &str = "onlay.extensions=no";

/// The unit of a root, as it is to be.
#[derive(Debug)]
pub(super) struct BootUnit {
    text: String,
    /// The second one, where it is needed.
    reload: Option<String>,
}

impl BootUnit {
    /// Looks whether it would do what it is for. That must be before anything is merged: then, the file that runs is another
    /// one than that of its path.
    pub(super) fn plan(host: &Host, state: &Path, systemd: SystemdVersion) -> Result<BootUnit, Error> {
        let program = program_of(host)?;
        let text = text(&program, state).ok_or_else(|| no_text(state))?;
        let reload =
            (systemd.major < RELOADS).then(|| reload_text(&program, state).ok_or_else(|| no_text(state)));
        Ok(BootUnit { text, reload: reload.transpose()? })
    }

    /// Has a root link at boot what it has enabled.
    pub(super) fn install(&self, host: &Host) -> Result<(), Error> {
        let is_changed = match &self.reload {
            Some(text) => units::install(&host.root, RELOAD, text)?,
            None => units::uninstall(&host.root, RELOAD)?,
        };
        if units::install(&host.root, UNIT, &self.text)? || is_changed {
            reload(host);
        }
        Ok(())
    }
}

/// This program, as a unit of a root can start it.
pub(super) fn program_of(host: &Host) -> Result<PathBuf, Error> {
    let program = match units::program(&Host::open(Path::new("/"))?) {
        Ok(program) => program,
        // Where somebody else has merged since this program was started, its own path is not known any more.
        Err(error) => installed_program(host).ok_or_else(|| exposed(error))?,
    };
    if !host.is_running && !host.root.exists(&program) {
        let reason = "the other root has no file there";
        return Err(live::Error::Fleeting { what: "this program", path: program, reason }.into());
    }
    Ok(program)
}

/// What is in the way is said of the program, and not of what would be made persistent.
fn exposed(error: live::Error) -> Error {
    match (error, std::env::current_exe()) {
        (live::Error::NotPersistent { path, reason }, Ok(program)) => {
            Error::Exposed { program, path, reason }
        }
        (error, _) => error.into(),
    }
}

/// A path has letters that no unit can have.
pub(super) fn no_text(path: &Path) -> live::Error {
    live::Error::NotPersistent {
        path: path.to_owned(),
        reason: "systemd takes only paths that are text on one line",
    }
}

/// The program that the installed unit starts, where it is there.
fn installed_program(host: &Host) -> Option<PathBuf> {
    let text = host.root.read(Path::new(units::DIRECTORY).join(UNIT), LARGEST).ok()?;
    let text = String::from_utf8(text).ok()?;
    let command = text.lines().find_map(|line| line.strip_prefix("ExecStart=\""))?;
    let program = PathBuf::from(command.split('"').next()?);
    host.root.exists(&program).then_some(program)
}

/// Nothing is to be linked any more.
pub(super) fn uninstall(host: &Host) -> Result<(), Error> {
    if units::uninstall(&host.root, UNIT)? | units::uninstall(&host.root, RELOAD)? {
        reload(host);
    }
    Ok(())
}

/// Where it cannot be told, systemd finds it at the next boot.
pub(super) fn reload(host: &Host) {
    if host.runs_systemd() {
        let _ = Systemctl::find().and_then(|systemctl| systemctl.reload());
    }
}

fn text(program: &Path, state: &Path) -> Option<String> {
    let command = units::command(program, state)?;
    let mounts = format!("{} {}", units::quoted(state)?, units::quoted(program)?);
    Some(format!(
        "# Made by 'onlay ext', removed with the last extension.
[Unit]
Description=Link the extensions that fit this base
Documentation=man:onlay-ext(8)
DefaultDependencies=no
ConditionKernelCommandLine=!{SWITCH}
ConditionDirectoryNotEmpty=/{PLACE}
RequiresMountsFor={mounts}
After=local-fs.target onlay-unlock.service
Before=sysinit.target systemd-sysext.service shutdown.target
Conflicts=shutdown.target
# By itself, systemd may not merge any.
Wants=systemd-sysext.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={command} ext refresh --at-boot
TimeoutStartSec=2min

[Install]
WantedBy=sysinit.target
"
    ))
}

/// Targets are started again, since what they want may have come with the new units.
fn reload_text(program: &Path, state: &Path) -> Option<String> {
    let command = units::command(program, state)?;
    Some(format!(
        "# Made by 'onlay ext', removed with the last extension: systemd {RELOADS} does this by itself.
[Unit]
Description=Have systemd read the units of extensions
Documentation=man:onlay-ext(8)
DefaultDependencies=no
ConditionKernelCommandLine=!{SWITCH}
ConditionDirectoryNotEmpty=/run/extensions
After=onlay-extensions.service systemd-sysext.service
Before=sysinit.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={command} ext refresh --merged-at-boot
TimeoutStartSec=2min

[Install]
WantedBy=sysinit.target
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_extensions_are_read_before_services_start() {
        let text = reload_text(Path::new("/usr/bin/onlay"), Path::new("/var/lib/onlay")).expect("text");
        for line in [
            "ExecStart=\"/usr/bin/onlay\" --state \"/var/lib/onlay\" ext refresh --merged-at-boot",
            "After=onlay-extensions.service systemd-sysext.service",
            "Before=sysinit.target shutdown.target",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn the_unit_comes_before_systemd_merges() {
        let text = text(Path::new("/usr/bin/onlay"), Path::new("/var/lib/on lay")).expect("text");
        for line in [
            "ExecStart=\"/usr/bin/onlay\" --state \"/var/lib/on lay\" ext refresh --at-boot",
            "ConditionDirectoryNotEmpty=/etc/onlay/extensions",
            "Before=sysinit.target systemd-sysext.service shutdown.target",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
