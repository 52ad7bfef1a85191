//! Who is in an overlay now.
//!
//! Each state directory has a [folder](super::folder) below `/run/onlay`, and in it for every overlay
//! in use:
//!
//! * `NAME.lock`: everybody who uses the overlay holds a shared lock; who removes it, an exclusive one.
//! * `NAME.json`: the mount namespace and the first process of those who use it, so that others join.
//!
//! and one `.entry.lock`, held for the moment of entering or leaving, so that two who enter at the
//! same time meet instead of mounting twice.
//!
//! Locks vanish with their holders. Where every holder was killed while commands of theirs live
//! on, the namespace in `NAME.json` still finds those: an upper directory is never mounted twice.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::path::Path;

use rustix::fs::AtFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::name::OverlayName;
use super::{Error, folder};
use crate::sys::{
    Context, IoError, Lock, MountTable, Namespace, Pid, Root, command_line, process_start_time, processes,
    replace_volatile,
};

/// No overlay's name begins with a dot.
const ENTRY_LOCK: &str = ".entry.lock";

/// How an overlay is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// With the host's processes, network and IPC in view.
    Host,
    /// In namespaces of its own.
    Isolated,
    /// Booted with its own init.
    Booted,
}

/// What is written about an overlay in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// How it was entered.
    pub mode: Mode,
    /// Whether it lives in RAM only.
    pub temporary: bool,
    /// A process in its namespaces (for a booted one: systemd-nspawn, outside them).
    pub leader: i32,
    /// When that process started, in clock ticks since boot.
    pub started: u64,
    /// Inode number of the mount namespace.
    pub namespace: u64,
    /// The source of a mount in that namespace, which no other view has.
    #[serde(default)]
    pub view: String,
    /// Whether the protections of the host are off.
    #[serde(default)]
    pub unguarded: bool,
    /// Whether it has a network of its own.
    #[serde(default)]
    pub private_network: bool,
    /// Whether /root and /home are private, too.
    #[serde(default)]
    pub private_home: bool,
    /// Whether others than the first have ever joined. One alone knows who is left of its own;
    /// of others, who may have been killed, nobody knows without looking.
    #[serde(default)]
    pub shared: bool,
}

/// The folder of one state directory below `/run/onlay`.
#[derive(Debug)]
pub struct Presence {
    dir: Root,
}

/// An overlay in use, found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningOverlay {
    /// Its name.
    pub name: OverlayName,
    /// What was written about it.
    pub running: Running,
    /// A live process in its mount namespace.
    pub member: Pid,
}

/// A process in an overlay, as people know it: shown as "12 (onlay shell web)".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub pid: Pid,
    /// What it was started with.
    pub command: Vec<String>,
}

impl RunningOverlay {
    /// The process in it.
    pub fn user(&self) -> User {
        User { pid: self.member, command: command_line(self.member) }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.command.join(" ");
        // Where the program lies says little, and takes the place of what does.
        let directory = match self.command.first() {
            Some(program) if program.starts_with('/') => program.rfind('/').map_or(0, |last| last + 1),
            _ => 0,
        };
        let mut letters = words[directory..].chars();
        let shown: String = letters.by_ref().take(LONGEST_COMMAND).collect();
        let more = if letters.next().is_some() { "…" } else { "" };
        write!(f, "{} ({shown}{more})", self.pid)
    }
}

/// How many letters of a command line are shown.
const LONGEST_COMMAND: usize = 32;

impl Presence {
    /// Opens the folder of a state directory, made when missing.
    pub fn open(state: &Path) -> Result<Presence, IoError> {
        folder::open(state).map(|dir| Presence { dir })
    }

    /// Opens the folder of a state directory to look who is in; `None` where nobody ever was.
    pub fn existing(state: &Path) -> Result<Option<Presence>, IoError> {
        Ok(folder::existing(state)?.map(|dir| Presence { dir }))
    }

    /// Whether an overlay of a state directory is in use, and by whom. Makes nothing.
    pub fn find_in(state: &Path, name: &OverlayName) -> Result<Option<RunningOverlay>, IoError> {
        Presence::existing(state)?.map_or(Ok(None), |presence| presence.find(name))
    }

    /// Every overlay of a state directory that is in use. Makes nothing.
    pub fn all_in(state: &Path) -> Result<Vec<RunningOverlay>, IoError> {
        Presence::existing(state)?.map_or(Ok(Vec::new()), |presence| presence.all())
    }

    /// Waits until nobody else is entering or leaving, and keeps others waiting. Clears the traces
    /// of those who were killed.
    pub fn lock_entry(&self) -> Result<Lock, IoError> {
        let entry = Lock::exclusive(&self.dir, ENTRY_LOCK)?;
        let traces = self.dir.entries()?;
        let names: BTreeSet<OverlayName> =
            traces.iter().filter_map(|trace| trace.name.to_str()?.rsplit_once('.')?.0.parse().ok()).collect();
        for name in names {
            // Most are in use, which their locks tell sooner than a search for processes does.
            if let Some(alone) = Lock::try_exclusive(&self.dir, &lock_name(&name))?
                && !self.is_held(&name)?
            {
                self.forget(&name, alone)?;
            }
        }
        Ok(entry)
    }

    /// Joins those who use an overlay; `None` where somebody is removing it.
    pub fn use_overlay(&self, name: &OverlayName) -> Result<Option<Lock>, IoError> {
        Lock::try_shared(&self.dir, &lock_name(name))
    }

    /// Begins to use an overlay in which nobody was found; `None` where a session of it is about to
    /// leave, and has not taken the view down yet.
    pub fn use_alone(&self, name: &OverlayName) -> Result<Option<Lock>, IoError> {
        let Some(lock) = Lock::try_exclusive(&self.dir, &lock_name(name))? else { return Ok(None) };
        if self.is_held(name)? {
            return Ok(None);
        }
        lock.share()?;
        Ok(Some(lock))
    }

    /// Keeps everybody out of an overlay; an error where somebody is in it.
    pub fn keep_out(&self, name: &OverlayName) -> Result<Lock, Error> {
        self.check_free(name)?;
        Lock::try_exclusive(&self.dir, &lock_name(name))?
            .ok_or_else(|| Error::InUse { name: name.clone(), user: None })
    }

    /// Refuses an overlay that somebody is in.
    pub fn check_free(&self, name: &OverlayName) -> Result<(), Error> {
        if let Some(found) = self.find(name)? {
            return Err(Error::InUse { name: name.clone(), user: Some(found.user()) });
        }
        if self.is_held(name)? {
            return Err(Error::InUse { name: name.clone(), user: None });
        }
        Ok(())
    }

    /// Writes down who uses an overlay.
    pub fn announce(&self, name: &OverlayName, running: &Running) -> Result<(), IoError> {
        let text = serde_json::to_vec(running).expect("a record has only numbers and words");
        replace_volatile(&self.dir, &record_name(name), &text)
    }

    /// Whether an overlay is in use, and by whom.
    pub fn find(&self, name: &OverlayName) -> Result<Option<RunningOverlay>, IoError> {
        let Some(running) = self.read(name)? else { return Ok(None) };
        Ok(running.member().map(|member| RunningOverlay { name: name.clone(), running, member }))
    }

    /// Every overlay in use.
    fn all(&self) -> Result<Vec<RunningOverlay>, IoError> {
        let mut found = Vec::new();
        for entry in self.dir.entries()? {
            let name = entry.name.to_str().and_then(|name| name.strip_suffix(".json")?.parse().ok());
            if let Some(name) = name {
                found.extend(self.find(&name)?);
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Gives up the use of an overlay, and clears its traces where nobody else uses it. The entry
    /// lock must be held.
    pub fn leave(&self, name: &OverlayName, lock: Lock) -> Result<Left, IoError> {
        drop(lock);
        match Lock::try_exclusive(&self.dir, &lock_name(name))? {
            Some(_) if self.read(name)?.is_some_and(|running| running.has_orphans()) => Ok(Left::Others),
            Some(alone) => self.forget(name, alone).map(|()| Left::Last),
            None => Ok(Left::Others),
        }
    }

    /// Clears the traces of an overlay that is no more; the lock shows that nobody uses it.
    pub fn forget(&self, name: &OverlayName, _alone: Lock) -> Result<(), IoError> {
        for name in [record_name(name), lock_name(name)] {
            match rustix::fs::unlinkat(&self.dir, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error).context("remove", self.dir.join(&name)),
            }
        }
        Ok(())
    }

    /// Whether anybody keeps the view of an overlay mounted, also those who cannot be joined.
    fn is_held(&self, name: &OverlayName) -> Result<bool, IoError> {
        Ok(self.read(name)?.is_some_and(|running| running.member().is_some() || running.is_seen_elsewhere()))
    }

    fn read(&self, name: &OverlayName) -> Result<Option<Running>, IoError> {
        match self.dir.read(record_name(name), 64 * 1024) {
            // Written at once by a rename; anything else was left by a version that is no more.
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether others stayed behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The overlay is not in use any more.
    Last,
    /// It still is.
    Others,
}

impl Running {
    /// A live process in the mount namespace: the leader, or whoever is left.
    fn member(&self) -> Option<Pid> {
        let leader = Pid::from_raw(self.leader)?;
        let proc = Root::open("/proc").ok()?;
        // One that has ended, but that nobody has waited for, has a start time and no namespaces.
        if process_start_time(&proc, leader) == Some(self.started) && mount_namespace(leader).is_some() {
            return Some(leader);
        }
        // Nothing outlives the first process of the others but their session, which is outside.
        if self.mode == Mode::Host { self.members().next() } else { None }
    }

    /// Whether the view is mounted in a namespace that was made from its own: by unshare(1), by a
    /// container that was started inside.
    fn is_seen_elsewhere(&self) -> bool {
        let mut known = HashSet::new();
        processes()
            .filter(|&pid| mount_namespace(pid).is_some_and(|namespace| known.insert(namespace)))
            .filter_map(|pid| MountTable::seen_by(pid).ok())
            .any(|table| table.all().iter().any(|mount| mount.source == *self.view))
    }

    /// Every process that is in the mount namespace and sees the view.
    fn members(&self) -> impl Iterator<Item = Pid> {
        processes().filter(|&pid| mount_namespace(pid) == Some(self.namespace) && self.is_seen_by(pid))
    }

    /// Whether somebody is left whose session was killed, and who so holds no lock. In an isolated
    /// or booted overlay nobody outlives the first process.
    fn has_orphans(&self) -> bool {
        // A session that has given up its lock is on its way out, as is who has no program any more.
        let program = |pid: &str| rustix::fs::stat(format!("/proc/{pid}/exe")).map(|s| (s.st_dev, s.st_ino));
        let own = program("self");
        let is_orphan = |pid: Pid| program(&pid.to_string()).is_ok_and(|found| Ok(found) != own);
        self.mode == Mode::Host && self.shared && (self.members().any(is_orphan) || self.is_seen_elsewhere())
    }

    /// Whether a process sees the view. The kernel gives the number of a namespace that has gone to
    /// the next one, which may be anybody's. Who sees no root has changed it, and counts: better an
    /// overlay in use for too long than an upper directory mounted twice.
    fn is_seen_by(&self, pid: Pid) -> bool {
        let Ok(table) = MountTable::seen_by(pid) else { return false };
        let has_root = table.all().iter().any(|mount| mount.point == Path::new("/"));
        !has_root || table.all().iter().any(|mount| mount.source == *self.view)
    }
}

/// A name for a view of this process that no other has until the next boot: for its mount.
pub fn view_label(name: &OverlayName) -> Result<String, IoError> {
    let started = process_start_time(&Root::open("/proc")?, Pid::own()).unwrap_or_default();
    Ok(format!("onlay:{name}:{}-{started}", Pid::own()))
}

fn mount_namespace(pid: Pid) -> Option<u64> {
    Namespace::mount_of(pid).ok()?.identity().ok()
}

fn lock_name(name: &OverlayName) -> String {
    format!("{name}.lock")
}

fn record_name(name: &OverlayName) -> String {
    format!("{name}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_shown_by_number_and_command() {
        let long = "x".repeat(40);
        for (command, shown) in [
            (&["/usr/bin/onlay", "shell", "web"][..], "7 (onlay shell web)".to_owned()),
            (&["sh"], "7 (sh)".to_owned()),
            (&["[kworker/0:1]"], "7 ([kworker/0:1])".to_owned()),
            (&["/ä/ö", &long], format!("7 (ö {}…)", &long[..30])),
            (&[], "7 ()".to_owned()),
        ] {
            let command = command.iter().map(|&word| word.to_owned()).collect();
            let user = User { pid: Pid::from_raw(7).expect("positive"), command };
            assert_eq!(user.to_string(), shown);
        }
    }
}
