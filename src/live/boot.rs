//! What systemd is told: a unit in /etc that lays again at boot what is kept, and one in /run that takes off at
//! shutdown what is laid.
//!
//! The first one comes after local file systems and before all that `sysinit.target` stands for, so that services
//! start on what was unlocked; whatever becomes of it, the boot goes on. The second one is what makes a soft-reboot
//! (systemd-soft-reboot.service(8)) the end of an unlock, as a reboot is: systemd would leave /usr and /etc as they are
//! then, and unmount what was laid over the package database.

use std::path::{Path, PathBuf};

use super::Error;
use super::kept::{SWITCH, why_fleeting};
use super::record::remove_file;
use super::units::{self, DIRECTORY, command, existing, install, program, quoted};
use crate::host::Host;
use crate::sys::{IoError, Root, replace_volatile};
use crate::tool;
use crate::tool::systemctl::Systemctl;

/// Lays again at boot what is kept.
const AT_BOOT: &str = "onlay-unlock.service";
/// Takes off at shutdown what is laid.
const AT_SHUTDOWN: &str = "onlay-unlocked.service";

/// Says what is kept, below a state directory.
const KEPT: &str = "live/kept.json";
const CONDITION: &str = "ConditionPathExists=";

/// Carries /etc over into the deployment that is booted next, as the host goes down. What starts after it stops before it:
/// so it finds the host's own /etc, and nothing that was unlocked.
const OSTREE_FINALIZE: &str = "ostree-finalize-staged.service";

/// Where systemd looks for what is of this boot alone.
const VOLATILE: &str = "/run/systemd/system";

/// What the unit at boot is made from.
#[derive(Debug)]
pub(super) struct BootUnit {
    text: String,
}

impl BootUnit {
    /// Looks whether it would do what it is for, on this host; changes nothing.
    pub(super) fn plan(host: &Host, state: &Path, places: &[PathBuf]) -> Result<BootUnit, Error> {
        if !host.runs_systemd() {
            return Err(Error::NoSystemd);
        }
        let program = program(host)?;
        for (what, path) in [
            ("the state directory", existing(host, state)),
            ("systemd's directory", existing(host, Path::new(DIRECTORY))),
        ] {
            if let Some(reason) = why_fleeting(host, &path) {
                return Err(Error::Fleeting { what, path, reason });
            }
        }
        let directory = existing(host, Path::new(DIRECTORY));
        if !host.mounts.at(&directory).is_some_and(crate::sys::Mount::is_writable) {
            return Err(Error::NotPersistent {
                path: directory,
                reason: "systemd's unit is to be there, and it is read-only",
            });
        }
        if places.iter().any(|place| existing(host, state).starts_with(place)) {
            return Err(Error::NotPersistent {
                path: state.to_owned(),
                reason: "the layers would lie below themselves",
            });
        }
        if let Some(kept) = kept_by_unit().filter(|kept| *kept != state.join(KEPT)) {
            let why = format!("it is kept in another state directory, '{}'", kept.display());
            return Err(Error::Held { why });
        }
        let text = at_boot(&program, state).ok_or_else(|| Error::NotPersistent {
            path: state.to_owned(),
            reason: "systemd takes only paths that are text on one line",
        })?;
        Ok(BootUnit { text })
    }

    /// Puts it where systemd finds it at the next boot. /etc must be the host's own: nothing of ours lies on it.
    pub(super) fn install(&self) -> Result<(), IoError> {
        install(&Root::open("/")?, AT_BOOT, &self.text).map(drop)
    }
}

/// Where the unit at boot is.
pub(super) fn unit() -> PathBuf {
    Path::new(DIRECTORY).join(AT_BOOT)
}

/// What the unit at boot is about, where that is there.
fn kept_by_unit() -> Option<PathBuf> {
    let text = std::fs::read_to_string(unit()).ok()?;
    let kept = text.lines().find_map(|line| line.strip_prefix(CONDITION))?.replace("%%", "%");
    Some(PathBuf::from(kept)).filter(|kept| kept.exists())
}

/// Whether the unit at boot is there, though nothing is kept that it could lay.
pub(super) fn is_without_use() -> bool {
    unit().exists() && kept_by_unit().is_none()
}

/// Takes the unit at boot away. Says whether there was one.
pub(super) fn uninstall() -> Result<bool, IoError> {
    units::uninstall(&Root::open("/")?, AT_BOOT)
}

/// Has systemd know that the unit at boot has come. It is not started: all is laid.
pub(super) fn tell_of_unit() -> Result<(), tool::Error> {
    Systemctl::find()?.reload()
}

/// Has systemd know that the unit at boot has gone. It may be running still, for what it did is what was taken off.
pub(super) fn tell_of_no_unit() -> Result<(), tool::Error> {
    let systemctl = Systemctl::find()?;
    systemctl.reload()?;
    systemctl.stop(&[AT_BOOT])?;
    systemctl.reset_failed(&[AT_BOOT])
}

/// Has systemd know that what the unit at boot could not do has been done by hand.
pub(super) fn tell_of_resumption() -> Result<(), tool::Error> {
    Systemctl::find()?.reset_failed(&[AT_BOOT])
}

/// Has systemd take off at shutdown what is laid now. Where that cannot be, a reboot still does it.
pub(super) fn take_off_at_shutdown(host: &Host, state: &Path) {
    if !host.runs_systemd() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let Some(text) = at_shutdown(&program, state) else { return };
    let written = || -> Result<bool, Error> {
        let directory = Root::open(VOLATILE)?;
        let was = directory.lstat(AT_SHUTDOWN)?.is_some();
        replace_volatile(&directory, AT_SHUTDOWN, text.as_bytes())?;
        Ok(was)
    };
    // Once started, it is on duty until the shutdown.
    if matches!(written(), Ok(false)) {
        let _ = Systemctl::find().and_then(|systemctl| systemctl.start(&[AT_SHUTDOWN]));
    }
}

/// Nothing is left to take off: after a soft-reboot, /run is what it was.
pub(super) fn off_duty() -> Result<(), IoError> {
    match Root::open(VOLATILE) {
        Ok(directory) => remove_file(&directory, AT_SHUTDOWN),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

/// What both units have in the middle: each is there until the shutdown, and nothing else ends it.
const ON_DUTY: &str = "\
Conflicts=shutdown.target
Before=shutdown.target
IgnoreOnIsolate=yes
RefuseManualStop=yes

[Service]
Type=oneshot
RemainAfterExit=yes
";

/// The text of the unit at boot; `None` for paths that it cannot name.
fn at_boot(program: &Path, state: &Path) -> Option<String> {
    let (command, mounts) = (command(program, state)?, format!("{} {}", quoted(state)?, quoted(program)?));
    let kept = state.join(KEPT);
    let kept = kept.to_str()?.replace('%', "%%");
    Some(format!(
        "# Made by 'onlay unlock --persistent', removed by 'onlay lock'.
[Unit]
Description=Lay again what was unlocked of the host
Documentation=man:onlay-unlock(8)
DefaultDependencies=no
ConditionKernelCommandLine=!{SWITCH}
{CONDITION}{kept}
RequiresMountsFor={mounts}
After=local-fs.target {OSTREE_FINALIZE}
# Not before systemd-sysusers.service and systemd-hwdb-update.service: local file systems come after those.
Before=sysinit.target systemd-tmpfiles-setup.service systemd-sysext.service systemd-confext.service
Before=ldconfig.service systemd-update-done.service
{ON_DUTY}ExecStart={command} unlock --resume --at-boot
# Also where it did not come to an end.
ExecStopPost={command} unlock --suspend
TimeoutStartSec=5min

[Install]
WantedBy=sysinit.target
"
    ))
}

/// The text of the unit at shutdown.
fn at_shutdown(program: &Path, state: &Path) -> Option<String> {
    let (command, mounts) = (command(program, state)?, quoted(state)?);
    Some(format!(
        "# Made by 'onlay unlock', for this boot.
[Unit]
Description=Take off at shutdown what is unlocked of the host
Documentation=man:onlay-unlock(8)
DefaultDependencies=no
RequiresMountsFor={mounts}
After=local-fs.target {OSTREE_FINALIZE}
Before=sysinit.target
{ON_DUTY}ExecStop={command} unlock --suspend
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_systemd_nothing_comes_back() {
        let mounts = crate::sys::MountTable::parse("1 0 8:1 / / rw - ext4 /dev/sda rw\n");
        let host = Host { root: Root::open("/").expect("it opens"), is_running: false, mounts };
        let planned = BootUnit::plan(&host, Path::new("/var/lib/onlay"), &["/usr".into()]);
        assert!(matches!(planned, Err(Error::NoSystemd)));
    }

    #[test]
    fn units_name_paths_as_systemd_reads_them() {
        let state = Path::new("/var/a b/50%/\"$x\"");
        let text = at_boot(Path::new("/usr/bin/onlay"), state).expect("text");
        for line in [
            "ExecStart=\"/usr/bin/onlay\" --state \"/var/a b/50%%/\\\"$$x\\\"\" unlock --resume --at-boot",
            "RequiresMountsFor=\"/var/a b/50%%/\\\"$x\\\"\" \"/usr/bin/onlay\"",
            "ConditionPathExists=/var/a b/50%%/\"$x\"/live/kept.json",
            "ConditionKernelCommandLine=!onlay.unlock=no",
            "After=local-fs.target ostree-finalize-staged.service",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert_eq!(at_boot(Path::new("/usr/bin/onlay"), Path::new("/a\nExecStart=/b")), None);
        let text = at_shutdown(Path::new("/usr/bin/onlay"), state).expect("text");
        assert!(text.contains("\nAfter=local-fs.target ostree-finalize-staged.service\n"), "{text}");
    }
}
