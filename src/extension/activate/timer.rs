//! Updates that nobody asks for: a timer of systemd's, and on hosts whose system is updated by tukit (transactional-update) a
//! plugin, by which the next snapshot has extensions that fit it before it is booted.

use std::path::Path;

use super::Error;
use super::change::Change;
use super::unit::{no_text, program_of, reload};
use crate::host::Host;
use crate::live::units;
use crate::sys::{IoError, Root, replace_public};
use crate::tool::systemctl::Systemctl;

const SERVICE: &str = "onlay-update.service";
const TIMER: &str = "onlay-update.timer";
const WANTED: &str = "timers.target.wants";
/// Where an administrator's plugins of tukit are; those of packages are in the second one.
const PLUGINS: [&str; 2] = ["etc/tukit/plugins", "usr/lib/tukit/plugins"];
const PLUGIN: &str = "onlay";
/// tukit itself.
const TUKIT: &str = "usr/sbin/tukit";

/// What of it a root has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Timer {
    /// Whether the timer is there.
    pub timer: bool,
    /// Whether the plugin is.
    pub plugin: bool,
}

/// What of it a root has.
pub fn timer(host: &Host) -> Timer {
    let has = |path: &str| host.root.exists(path);
    Timer {
        timer: has(&format!("{}/{WANTED}/{TIMER}", units::DIRECTORY)),
        plugin: has(&format!("{}/{PLUGIN}", PLUGINS[0])),
    }
}

/// Has a root update by itself, or not any more. Says whether anything changed.
pub fn set_timer(change: &Change<'_>, is_on: bool) -> Result<bool, Error> {
    change.check()?;
    let host = &change.host;
    let program = program_of(host)?;
    let command = units::command(&program, change.state).ok_or_else(|| no_text(change.state))?;
    if change.dry_run {
        return Ok(timer(host).timer != is_on);
    }
    let systemctl = if host.runs_systemd() { Systemctl::find().ok() } else { None };
    if is_on {
        let changed = install(host, &command, &program, change.state)?;
        if let (true, Some(systemctl)) = (changed, &systemctl) {
            reload(host);
            systemctl.start(&[TIMER])?;
        }
        return Ok(changed);
    }
    // A timer whose unit goes while it runs has failed.
    if let Some(systemctl) = &systemctl {
        systemctl.stop_wholly(&[TIMER])?;
    }
    let changed = uninstall(host)?;
    if let (true, Some(systemctl)) = (changed, &systemctl) {
        reload(host);
        systemctl.reset_failed(&[TIMER, SERVICE])?;
    }
    Ok(changed)
}

fn install(host: &Host, command: &str, program: &Path, state: &Path) -> Result<bool, Error> {
    let root = &host.root;
    let mut changed = units::put(root, SERVICE, &service(command))?;
    changed |= units::put(root, TIMER, TIMER_TEXT)?;
    changed |= units::want(root, TIMER, WANTED)?;
    if root.exists(TUKIT) || PLUGINS.iter().any(|place| root.exists(place)) {
        changed |= put_plugin(root, &plugin(program, state).ok_or_else(|| no_text(state))?)?;
    }
    Ok(changed)
}

fn uninstall(host: &Host) -> Result<bool, Error> {
    let root = &host.root;
    let mut changed = units::remove(root, TIMER, WANTED)?;
    changed |= units::remove(root, SERVICE, WANTED)?;
    if let Ok(plugins) = root.open_dir(PLUGINS[0]) {
        changed |= plugins.lstat(PLUGIN)?.is_some();
        super::links::remove_file(&plugins, PLUGIN)?;
    }
    Ok(changed)
}

fn put_plugin(root: &Root, text: &str) -> Result<bool, IoError> {
    root.make_dirs(PLUGINS[0], 0o755)?;
    let plugins = root.open_dir(PLUGINS[0])?;
    if plugins.read(PLUGIN, 1 << 20).ok().as_deref() == Some(text.as_bytes()) {
        return Ok(false);
    }
    replace_public(&plugins, PLUGIN, 0o755, text.as_bytes())?;
    Ok(true)
}

fn service(command: &str) -> String {
    format!(
        "# Made by 'onlay ext timer on', removed by 'onlay ext timer off'.
[Unit]
Description=Update extensions from their stores
Documentation=man:onlay-ext(8)
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={command} ext update
Nice=10
IOSchedulingClass=idle
TimeoutStartSec=2h
"
    )
}

/// Not all hosts of a fleet ask at once.
const TIMER_TEXT: &str = "# Made by 'onlay ext timer on', removed by 'onlay ext timer off'.
[Unit]
Description=Update extensions from their stores every day

[Timer]
OnCalendar=daily
RandomizedDelaySec=6h
Persistent=true

[Install]
WantedBy=timers.target
";

/// tukit calls it with what it does, the snapshot's path and its number (tukit-plugins.md of transactional-update). It never fails: newer versions give
/// the whole snapshot up then (`--keep` of tukit), and an extension that cannot be updated is no reason for that.
fn plugin(program: &Path, state: &Path) -> Option<String> {
    let quoted = |path: &Path| Some(format!("'{}'", path.to_str()?.replace('\'', r"'\''")));
    let (program, state) = (quoted(program)?, quoted(state)?);
    Some(format!(
        "#!/bin/sh
# Made by 'onlay ext timer on', removed by 'onlay ext timer off': extensions of the next snapshot, before it is booted.
if [ \"$1\" = finalize-pre ] && [ -d \"$2\" ]; then
    {program} --state {state} --root \"$2\" ext update || echo \"not all extensions of the next snapshot are up to date\"
fi
exit 0
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_names_paths_as_a_shell_takes_them() {
        let text = plugin(Path::new("/usr/local/bin/onlay"), Path::new("/var/lib/it's")).expect("text");
        assert!(
            text.contains(
                r#"    '/usr/local/bin/onlay' --state '/var/lib/it'\''s' --root "$2" ext update || "#
            ),
            "{text}"
        );
        assert!(text.ends_with("\nexit 0\n"), "{text}");
    }
}
