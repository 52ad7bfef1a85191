//! Who uses what was laid over the host's directories.
//!
//! Files of an overlay have device numbers of their own, or those of the file system below; what tells the overlay
//! itself is its id in statfs(2), and for mapped files its device in proc_pid_maps(5) (of the lowest one, where it lies
//! on another). Both work in every mount
//! namespace. Only files whose names begin with one of the directories are looked at: a look at a file of a network
//! file system whose server is gone would not come back.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::StatFs;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::lock::{bare, covered_among};
use super::namespace::in_workshop;
use super::peers::laid;
use super::process_files::{Buffers, ProcessFiles, Wanted};
use super::{Error, Record};
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
    /// What it uses: `exe`, `root`, `cwd`, `files`, `maps`.
    pub uses: Vec<&'static str>,
}

/// Who uses what is laid over the host's directories now.
pub fn holders(record: &Record) -> Result<Vec<Holder>, Error> {
    let table = MountTable::read()?;
    if covered_among(&table, &record.places).is_none() {
        return Ok(Marks::of(&record.places, &table).holders());
    }
    let marks = in_workshop(|| {
        bare(&record.places)?;
        Ok(Marks::of(&record.places, &MountTable::read()?))
    })?;
    Ok(marks.holders())
}

/// The overlays, by what tells their files.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Marks {
    places: Vec<PathBuf>,
    /// `f_type` and `f_fsid`.
    ids: Vec<(u64, String)>,
    /// "major:minor", as maps has it.
    devices: BTreeSet<String>,
    /// Places where ours lie on another overlay, with its device.
    upon: Vec<(String, PathBuf)>,
}

impl Marks {
    /// Of what is mounted now.
    pub(super) fn of(places: &[PathBuf], table: &MountTable) -> Marks {
        let mut marks =
            Marks { places: places.to_vec(), ids: Vec::new(), devices: BTreeSet::new(), upon: Vec::new() };
        for place in places {
            let Some(mount) = laid(table, place) else { continue };
            marks.devices.insert(as_in_maps(&mount.device));
            if let Some(below) =
                table.at_among(place, |other| other.id != mount.id).filter(|below| below.kind == "overlay")
            {
                marks.upon.push((as_in_maps(&below.device), place.clone()));
            }
            if let Ok(status) = rustix::fs::statfs(place) {
                marks.ids.push(id(&status));
            }
        }
        marks
    }

    /// Who uses them, in the order of their numbers.
    pub(super) fn holders(&self) -> Vec<Holder> {
        let own = Pid::own();
        let others: Vec<Pid> = processes().filter(|pid| *pid != own).collect();
        let mut found = self.holders_among(&others);
        found.sort_by_key(|holder| holder.pid);
        found
    }

    /// Which of these still use them, also after they were taken off: then names say nothing of the directories any more.
    pub(super) fn still(mut self, holders: &[Holder]) -> Vec<Holder> {
        self.places = vec![PathBuf::from("/")];
        let pids: Vec<Pid> = holders.iter().filter_map(|holder| Pid::from_raw(holder.pid)).collect();
        self.holders_among(&pids)
    }

    /// Who uses them at all, though they were taken off: as long as somebody does, they live.
    pub(super) fn survivors(mut self) -> Vec<Holder> {
        self.places = vec![PathBuf::from("/")];
        self.holders()
    }

    /// Who of them uses them. The kernel takes its time for each: every processor asks for some.
    fn holders_among(&self, pids: &[Pid]) -> Vec<Holder> {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let look_at = |part: &[Pid]| {
            let mut buffers = Buffers::new();
            part.iter().filter_map(|pid| self.look_at(*pid, &mut buffers)).collect::<Vec<_>>()
        };
        std::thread::scope(|scope| {
            let parts = pids.chunks(pids.len().div_ceil(threads).max(FEW));
            let started: Vec<_> = parts.map(|part| scope.spawn(move || look_at(part))).collect();
            started.into_iter().flat_map(|thread| thread.join().expect("it does not panic")).collect()
        })
    }

    fn look_at(&self, pid: Pid, buffers: &mut Buffers) -> Option<Holder> {
        let files = ProcessFiles::open(pid)?;
        let is_below = |target: &[u8]| {
            let target = Path::new(OsStr::from_bytes(target));
            self.places.iter().any(|place| target.starts_with(place))
        };
        let is_on_ours = |status: &StatFs| self.ids.contains(&id(status));
        let wanted = Wanted { name: &is_below, file_system: &is_on_ours };
        let mut uses = Vec::new();
        for (name, link) in [("exe", c"exe"), ("root", c"root"), ("cwd", c"cwd")] {
            match files.leads_to(link, &wanted, buffers) {
                Ok(true) => uses.push(name),
                // A thread of the kernel, or one that has ended: those have nothing open and nothing mapped.
                Err(Errno::NOENT) if name == "exe" => return None,
                Ok(false) | Err(_) => {}
            }
        }
        if files.has_open(&wanted, buffers) {
            uses.push("files");
        }
        if files.has_mapped(|line| self.is_mapped(line), buffers) {
            uses.push("maps");
        }
        (!uses.is_empty()).then(|| Holder {
            pid: pid.as_raw(),
            command: command_line(pid).join(" "),
            unit: unit(&PathBuf::from(format!("/proc/{pid}"))),
            uses,
        })
    }

    /// Whether a line of maps is of a file of theirs: ADDRESSES MODE OFFSET DEVICE INODE PATH.
    fn is_mapped(&self, line: &[u8]) -> bool {
        let mut fields = line.splitn(6, |byte| *byte == b' ');
        let Some(device) = fields.nth(3).and_then(|device| std::str::from_utf8(device).ok()) else {
            return false;
        };
        let mut path = || Path::new(OsStr::from_bytes(fields.nth(1).unwrap_or_default().trim_ascii_start()));
        self.devices.contains(device) || (!self.upon.is_empty() && self.is_mapped_through(device, path()))
    }

    /// What is mapped through two overlays has the device of the lower one. Then its path, too, is that in the mount of
    /// its own by which ours reaches what it lies on: without the place.
    fn is_mapped_through(&self, device: &str, path: &Path) -> bool {
        let is_below = |place: &PathBuf| {
            let inside = path.strip_prefix("/").unwrap_or(path);
            !path.starts_with(place) && place.join(inside).symlink_metadata().is_ok()
        };
        self.upon.iter().any(|(lower, place)| lower == device && is_below(place))
    }
}

/// So many are looked at sooner than a thread is started.
const FEW: usize = 32;

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
    let path = Path::new(OsStr::from_bytes(&line[3..]));
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
