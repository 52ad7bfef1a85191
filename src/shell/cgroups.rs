//! The control groups of a booted overlay: systemd-nspawn has its container held to few devices by the
//! groups that it is in (cgroups(7)), so who joins it must be in them, too.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Error;
use crate::sys::{Context, IoError, Mount, MountTable, Pid};

/// Groups to enter.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    /// Each one's `cgroup.procs`. The kernel asks what whoever opened it may do, not who writes.
    doors: Vec<(PathBuf, File)>,
}

impl Cgroups {
    /// The groups of a process that decide about devices, where they are not those of this process.
    pub(super) fn of(pid: Pid) -> Result<Cgroups, Error> {
        let (own, theirs) = (groups("self")?, groups(&pid.to_string())?);
        let mounts = MountTable::read()?;
        let mut doors = Vec::new();
        for (hierarchy, path) in theirs.into_iter().filter(|group| !own.contains(group)) {
            let is_its_mount = |mount: &&Mount| match hierarchy {
                Hierarchy::Unified => mount.kind == "cgroup2",
                Hierarchy::Devices => {
                    mount.kind == "cgroup" && mount.super_options.split(',').any(|option| option == "devices")
                }
            };
            if let Some(mount) = mounts.all().iter().find(is_its_mount) {
                let door = mount.point.join(path.strip_prefix("/").unwrap_or(&path)).join("cgroup.procs");
                let file = File::options().write(true).open(&door).context("open", &door)?;
                doors.push((door, file));
            }
        }
        Ok(Cgroups { doors })
    }

    /// Moves this process into them.
    pub(super) fn enter(&self) -> Result<(), IoError> {
        // 0 is who writes.
        self.doors.iter().try_for_each(|(path, file)| (&*file).write_all(b"0").context("enter", path))
    }
}

/// The hierarchies in which a group can be held to certain devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hierarchy {
    /// cgroup2: by a program attached to the group.
    Unified,
    /// Version 1: by its controller.
    Devices,
}

fn groups(process: &str) -> Result<Vec<(Hierarchy, PathBuf)>, IoError> {
    let file = format!("/proc/{process}/cgroup");
    std::fs::read_to_string(&file).map(|text| parse(&text)).context("read", Path::new(&file))
}

/// Lines are `number:controllers:path`; cgroup2 has the number 0 and no controllers.
fn parse(text: &str) -> Vec<(Hierarchy, PathBuf)> {
    let group = |line: &str| {
        let (number, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let hierarchy = match (number, controllers) {
            ("0", "") => Hierarchy::Unified,
            (_, names) if names.split(',').any(|name| name == "devices") => Hierarchy::Devices,
            _ => return None,
        };
        Some((hierarchy, PathBuf::from(path)))
    };
    text.lines().filter_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_decide_about_devices_are_found() {
        let text =
            "13:blkio:/\n5:devices,freezer:/machine/x:y\n1:name=systemd:/a\n0::/machine.slice/b\nodd\n";
        let expected = vec![
            (Hierarchy::Devices, PathBuf::from("/machine/x:y")),
            (Hierarchy::Unified, PathBuf::from("/machine.slice/b")),
        ];
        assert_eq!(parse(text), expected);
    }
}
