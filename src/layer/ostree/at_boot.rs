//! The unit of systemd's that, at boot, has `ostree admin upgrade` work again ([`super::waiting`]), where the layers that it was to wait for have
//! come, or were lost with the power.

use std::path::Path;

use crate::host::Host;
use crate::layer::Error;
use crate::live::units;

const UNIT: &str = "onlay-layers.service";

/// Has it be there, or not. Where it cannot be, `ostree admin upgrade` goes on refusing until the next change of ours.
pub(super) fn keep(host: &Host, is_wanted: bool) -> Result<(), Error> {
    if !is_wanted {
        units::uninstall(&host.root, UNIT)?;
    } else if host.runs_systemd()
        && let Some(text) = units::program(host).ok().and_then(|program| text(&program))
    {
        units::install(&host.root, UNIT, &text)?;
    }
    Ok(())
}

/// Its text; `None` for a path that it cannot name.
fn text(program: &Path) -> Option<String> {
    let program = units::quoted(program)?;
    Some(format!(
        "# Made by 'onlay layer', removed by itself.
[Unit]
Description=Have ostree upgrade again where layers have come, or were lost
Documentation=man:onlay-layer(8)
DefaultDependencies=no
ConditionPathExists=/run/ostree-booted
RequiresMountsFor=/sysroot {program}
After=local-fs.target
Before=sysinit.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
ExecStart={command} layer cleanup --at-boot
TimeoutStartSec=2min

[Install]
WantedBy=sysinit.target
",
        command = program.replace('$', "$$"),
    ))
}
