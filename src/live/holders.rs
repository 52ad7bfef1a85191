//! Who uses what was laid over the host's directories.
//!
//! Files of an overlay have device numbers of their own, or those of the file system below; what tells the overlay
//! itself is its id in statfs(2), and for mapped files its device in proc_pid_maps(5). Both work in every mount
//! namespace. Only files whose names begin with one of the directories are looked at: a look at a file of a network
//! file system whose server is gone would not come back.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::StatFs;
use serde::{Deserialize, Serialize};

use super::{Error, LABEL, Record};
use crate::sys::{MountTable, Pid, command_line, processes};

/// A process that uses files or directories of an overlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Its number.
    pub pid: i32,
    /// What it was started with.
    pub command: String,
    /// Its unit or scope of systemd's, where it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What it uses: `root`, `cwd`, `exe`, `files`, `maps`.
    pub uses: Vec<&'static str>,
}

/// Who uses what is laid over the host's directories now.
pub fn holders(record: &Record) -> Result<Vec<Holder>, Error> {
    Ok(Marks::of(&record.places, &MountTable::read()?).holders())
}

/// The overlays, by what tells their files.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Marks {
    places: Vec<PathBuf>,
    /// `f_type` and `f_fsid`.
    ids: Vec<(u64, String)>,
    /// "major:minor", as maps has it.
    devices: BTreeSet<String>,
}

impl Marks {
    /// Of what is mounted now.
    pub(super) fn of(places: &[PathBuf], table: &MountTable) -> Marks {
        let mut marks = Marks { places: places.to_vec(), ids: Vec::new(), devices: BTreeSet::new() };
        for place in places {
            let Some(mount) = table.at(place).filter(|mount| mount.point == *place && mount.source == LABEL)
            else {
                continue;
            };
            marks.devices.insert(as_in_maps(&mount.device));
            if let Ok(status) = rustix::fs::statfs(place) {
                marks.ids.push(id(&status));
            }
        }
        marks
    }

    /// Who uses them, in the order of their numbers.
    pub(super) fn holders(&self) -> Vec<Holder> {
        let own = Pid::own();
        let mut found: Vec<Holder> =
            processes().filter(|pid| *pid != own).filter_map(|pid| self.look_at(pid)).collect();
        found.sort_by_key(|holder| holder.pid);
        found
    }

    /// Which of these still use them, also after they were taken off: then names say nothing of the directories any more.
    pub(super) fn still(mut self, holders: &[Holder]) -> Vec<Holder> {
        self.places = vec![PathBuf::from("/")];
        holders.iter().filter_map(|holder| self.look_at(Pid::from_raw(holder.pid)?)).collect()
    }

    /// Who uses them at all, though they were taken off: as long as somebody does, they live.
    pub(super) fn survivors(mut self) -> Vec<Holder> {
        self.places = vec![PathBuf::from("/")];
        self.holders()
    }

    fn look_at(&self, pid: Pid) -> Option<Holder> {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let mut uses = Vec::new();
        for name in ["root", "cwd", "exe"] {
            if self.is_ours(&proc.join(name)) {
                uses.push(name);
            }
        }
        let files = std::fs::read_dir(proc.join("fd")).into_iter().flatten().flatten();
        if files.into_iter().any(|file| self.is_ours(&file.path())) {
            uses.push("files");
        }
        if self.is_mapped(&proc) {
            uses.push("maps");
        }
        (!uses.is_empty()).then(|| Holder {
            pid: pid.as_raw(),
            command: command_line(pid).join(" "),
            unit: unit(&proc),
            uses,
        })
    }

    fn is_ours(&self, link: &Path) -> bool {
        let is_below = |target: PathBuf| self.places.iter().any(|place| target.starts_with(place));
        std::fs::read_link(link).is_ok_and(is_below)
            && rustix::fs::statfs(link).is_ok_and(|status| self.ids.contains(&id(&status)))
    }

    fn is_mapped(&self, proc: &Path) -> bool {
        let Ok(text) = std::fs::read(proc.join("maps")) else { return false };
        // ADDRESSES MODE OFFSET DEVICE INODE PATH
        text.split(|byte| *byte == b'\n').any(|line| {
            let device = line.split(|byte| *byte == b' ').nth(3).unwrap_or_default();
            std::str::from_utf8(device).is_ok_and(|device| self.devices.contains(device))
        })
    }
}

/// mountinfo has device numbers as decimal, maps as hexadecimal.
fn as_in_maps(device: &str) -> String {
    let (major, minor) = device.split_once(':').unwrap_or_default();
    let number = |text: &str| text.parse::<u32>().unwrap_or_default();
    format!("{:02x}:{:02x}", number(major), number(minor))
}

fn id(status: &StatFs) -> (u64, String) {
    (u64::from(status.f_type as u32), format!("{:?}", status.f_fsid))
}

/// How the names of units end that hold what systemd did not start.
pub(super) const SCOPE: &str = ".scope";

/// The unit that a process is in: the innermost of its control group that is one.
pub(super) fn unit(proc: &Path) -> Option<String> {
    let text = std::fs::read(proc.join("cgroup")).ok()?;
    let line = text.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"0::"))?;
    let path = Path::new(std::ffi::OsStr::from_bytes(&line[3..]));
    let is_unit = |name: &str| [".service", SCOPE].iter().any(|ending| name.ends_with(ending));
    path.iter().rev().filter_map(|part| part.to_str()).find(|name| is_unit(name)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_are_those_of_maps() {
        assert_eq!(as_in_maps("0:45"), "00:2d");
        assert_eq!(as_in_maps("254:1"), "fe:01");
    }

    #[test]
    fn nobody_holds_what_is_not_mounted() {
        let table = MountTable::parse("1 0 8:1 / / rw - ext4 /dev/sda rw\n");
        let marks = Marks::of(&[PathBuf::from("/usr")], &table);
        assert_eq!(marks.holders(), []);
    }
}
