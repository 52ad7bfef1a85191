//! Snapshots as places for layers.

use std::path::PathBuf;

use super::draft::Drafted;
use super::error::Error as SnapperError;
use super::fit;
use super::lock::Locked;
use super::transaction::is_described_as_begun;
use crate::host::{BaseKind, Host, OsRelease};
use crate::layer::{Backend, BaseNote, Bases, Cleanup, Deployment, Draft, Error, Lower, layers_in};
use crate::sys::{MountTable, Root, sync_file_system};
use crate::tool::btrfs::Btrfs;
use crate::tool::snapper::{Snapper, Snapshot};
use crate::tool::tukit::Tukit;

/// Where snapper has its settings for the root file system.
const SETTINGS: &str = "etc/snapper/configs/root";

/// Where it has the snapshots.
const SNAPSHOTS: &str = ".snapshots";

/// Notes of a snapshot.
pub(super) const IN_PROGRESS: &str = "transactional-update-in-progress";
pub(super) const BEGUN: (&str, &str) = ("onlay", "begun");
pub(super) const MADE_HERE: (&str, &str) = ("onlay", "layers");
pub(super) const FROM: &str = "onlay-from";
const IMPORTANT: &str = "important";
const CLEANUP_BEFORE: &str = "onlay-cleanup";

/// The rule by which old snapshots are deleted when there are many.
pub(super) const BY_NUMBER: &str = "number";

/// The snapshots of a host.
#[derive(Debug)]
pub struct Snapshots {
    root: Root,
    /// The mounts of the system that runs, and the snapshot that is its root, where it is about that.
    running: Option<(MountTable, u64)>,
    tool: Snapper,
    /// tukit knows of no other system than the one that runs.
    tukit: Option<Tukit>,
}

impl Snapshots {
    /// Those of a host. Another root is one of its snapshots, with the others below it.
    pub fn find(host: &Host) -> Result<Snapshots, Error> {
        let no = |why: &str| Error::NoBackend { why: why.to_owned() };
        let base = host.base();
        let number = base.id.parse().ok().filter(|_| base.kind == BaseKind::Snapshot);
        let number = number
            .ok_or_else(|| no("it does not boot by OSTree, and its root is no snapshot of snapper's"))?;
        if !host.root.exists(SETTINGS) {
            return Err(no("its root is a snapshot, but snapper has no configuration 'root'"));
        }
        if !host.root.exists(SNAPSHOTS) {
            return Err(no("its root is a snapshot, but there is no /.snapshots"));
        }
        let running = host.is_running.then(|| (host.mounts.clone(), number));
        let tool = Snapper::find(host.root.path())?;
        let tukit = if host.is_running { Tukit::find() } else { None };
        Ok(Snapshots { root: host.root.try_clone()?, running, tool, tukit })
    }

    pub(super) fn tool(&self) -> &Snapper {
        &self.tool
    }

    pub(super) fn tukit(&self) -> Option<&Tukit> {
        self.tukit.as_ref()
    }

    /// The directory of a snapshot.
    pub(super) fn place(&self, number: u64) -> PathBuf {
        self.root.join(SNAPSHOTS).join(number.to_string()).join("snapshot")
    }

    fn booted(&self) -> Option<u64> {
        self.running.as_ref().map(|(_, number)| *number)
    }

    /// The one that is booted next.
    fn next(&self) -> Result<Snapshot, Error> {
        let next = self.tool.list()?.into_iter().find(|snapshot| snapshot.is_default);
        Ok(next.ok_or(SnapperError::NoDefault)?)
    }

    /// The one that is booted next, which must be this one.
    pub(super) fn expect_next(&self, number: u64) -> Result<Snapshot, Error> {
        let next = self.next()?;
        if next.number != number {
            return Err(SnapperError::Moved { expected: number, found: next.number }.into());
        }
        Ok(next)
    }

    /// How a snapshot is seen, after all that would be in the way of layers was looked at.
    pub(super) fn seen(&self, snapshot: &Snapshot) -> Result<Lower, Error> {
        let tree = Root::open(self.place(snapshot.number))?;
        let mounts = self.running.as_ref().map(|(mounts, _)| mounts);
        let shape = fit::shape(&tree, mounts, self.root.join("var"))?;
        Ok(Lower { tree, above: None, keeper: None, shape })
    }

    /// Keeps others away, and clears what somebody who was killed has left.
    fn lock(&self) -> Result<Option<Locked>, Error> {
        let locked = self.running.is_some().then(Locked::take).transpose()?;
        for snapshot in self.tool.list()?.iter().filter(|snapshot| is_begun(snapshot) && is_for_us(snapshot))
        {
            if snapshot.is_default {
                // All was done but that.
                self.finish(snapshot.number)?;
            } else {
                self.tool.delete(snapshot.number)?;
            }
        }
        Ok(locked)
    }

    /// What others are making, or have left of it.
    pub(super) fn begun_by_others(&self) -> Result<Vec<u64>, Error> {
        let mut list = self.tool.list()?;
        list.retain(|snapshot| !snapshot.is_default && is_begun(snapshot) && !is_for_us(snapshot));
        Ok(list.iter().map(|snapshot| snapshot.number).collect())
    }

    /// Makes a snapshot the one that is booted next, also where the power is cut at once.
    fn boot_next(&self, number: u64) -> Result<(), Error> {
        self.tool.set_default(number, &self.place(number))?;
        self.sync(number)
    }

    /// Takes the marks from a snapshot that is booted next, also where the power is cut at once.
    pub(super) fn finish(&self, number: u64) -> Result<(), Error> {
        self.sync(number)?;
        Ok(self.tool.note(number, &[(IN_PROGRESS, ""), MADE_HERE])?)
    }

    /// snapper syncs its notes, but leaves what is booted next to the next time that the file system writes by itself.
    fn sync(&self, number: u64) -> Result<(), Error> {
        Ok(sync_file_system(&Root::open(self.place(number))?)?)
    }

    fn find_number(&self, id: &str) -> Result<Snapshot, Error> {
        let found = self.tool.list()?.into_iter().find(|snapshot| snapshot.number.to_string() == id);
        found.ok_or_else(|| Error::NoDeployment { id: id.to_owned() })
    }

    fn deployment(&self, snapshot: &Snapshot, before: Option<u64>) -> Result<Option<Deployment>, Error> {
        let tree = match Root::open(self.place(snapshot.number)) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        let version = OsRelease::read(&tree).get("VERSION_ID").map(str::to_owned);
        let (mut manifest, fault) = layers_in(&tree)?;
        // No base has a name, and others may have brought it up to date.
        let base = BaseNote { version, ..BaseNote::default() };
        if let Some(manifest) = &mut manifest {
            manifest.base = base.clone();
        }
        let is_booted = self.booted() == Some(snapshot.number);
        Ok(Some(Deployment {
            id: snapshot.number.to_string(),
            base,
            manifest,
            fault,
            is_booted,
            is_next: snapshot.is_default,
            is_pending: snapshot.is_default && self.booted().is_some() && !is_booted,
            is_rollback: before == Some(snapshot.number) && !snapshot.is_default && !is_booted,
            is_staged: false,
            is_pinned: is_pinned(snapshot),
            is_of_others: !is_made_here(snapshot),
        }))
    }
}

impl Backend for Snapshots {
    fn system(&self) -> PathBuf {
        if self.running.is_some() {
            return PathBuf::from("/");
        }
        let root = self.root.path();
        root.canonicalize().unwrap_or_else(|_| root.to_owned())
    }

    fn deployments(&self) -> Result<Vec<Deployment>, Error> {
        let mut list = self.tool.list()?;
        list.retain(|snapshot| snapshot.is_default || !is_begun(snapshot));
        let next = list.iter().find(|snapshot| snapshot.is_default).map(|snapshot| snapshot.number);
        let before = self.booted().or(next).and_then(|number| predecessor(&list, number));
        let rank = |snapshot: &Snapshot| {
            let number = Some(snapshot.number);
            [next, self.booted(), before].iter().position(|one| *one == number).unwrap_or(usize::MAX)
        };
        list.sort_by_key(|snapshot| (rank(snapshot), std::cmp::Reverse(snapshot.number)));
        list.iter().filter_map(|snapshot| self.deployment(snapshot, before).transpose()).collect()
    }

    fn bases(&self) -> Option<&dyn Bases> {
        None
    }

    fn lower(&self, _: &BaseNote) -> Result<Lower, Error> {
        let next = self.next()?;
        if !Btrfs::find()?.is_read_only(&self.place(next.number))? {
            return Err(SnapperError::Writable { number: next.number }.into());
        }
        self.seen(&next)
    }

    fn begin(&self, from: &Deployment, _: &BaseNote, _: Lower) -> Result<Box<dyn Draft + '_>, Error> {
        let locked = self.lock()?;
        let next = self.expect_next(self.find_number(&from.id)?.number)?;
        Ok(Box::new(Drafted::begin(self, &next, locked)?))
    }

    fn make_next(&self, id: &str) -> Result<(), Error> {
        let _locked = self.lock()?;
        self.boot_next(self.find_number(id)?.number)
    }

    fn pin(&self, id: &str, is_pinned_now: bool) -> Result<(), Error> {
        let snapshot = self.find_number(id)?;
        if is_pinned(&snapshot) == is_pinned_now {
            return Ok(());
        }
        let tool = &self.tool;
        if is_pinned_now {
            // By number, it would keep even what is important only until there is enough of it.
            let notes = [(IMPORTANT, "yes"), (CLEANUP_BEFORE, &*snapshot.cleanup)];
            return Ok(tool.note_with_cleanup(snapshot.number, "", &notes)?);
        }
        let before = snapshot.userdata.get(CLEANUP_BEFORE).map_or(BY_NUMBER, String::as_str);
        Ok(tool.note_with_cleanup(snapshot.number, before, &[(IMPORTANT, ""), (CLEANUP_BEFORE, "")])?)
    }

    fn clean_up(&self, what: Cleanup) -> Result<(), Error> {
        let _locked = self.lock()?;
        let deployments = self.deployments()?;
        if let Some(other) = deployments.iter().find(|one| what.names(one) && one.is_of_others) {
            return Err(SnapperError::OfOthers { number: other.id.clone() }.into());
        }
        for deployment in deployments.iter().filter(|one| what.removes(one)) {
            if let (true, Some(booted)) = (deployment.is_next, self.booted()) {
                self.boot_next(booted)?;
            }
            self.tool.delete(self.find_number(&deployment.id)?.number)?;
        }
        Ok(())
    }
}

fn is_begun(snapshot: &Snapshot) -> bool {
    has_note(snapshot, (IN_PROGRESS, "yes")) || has_note(snapshot, BEGUN)
}

fn is_made_here(snapshot: &Snapshot) -> bool {
    has_note(snapshot, BEGUN) || has_note(snapshot, MADE_HERE)
}

/// Whether a snapshot that is being made is to be one of those.
fn is_for_us(snapshot: &Snapshot) -> bool {
    is_made_here(snapshot) || is_described_as_begun(snapshot)
}

fn has_note(snapshot: &Snapshot, (key, value): (&str, &str)) -> bool {
    snapshot.userdata.get(key).is_some_and(|noted| noted == value)
}

fn is_pinned(snapshot: &Snapshot) -> bool {
    snapshot.cleanup.is_empty() && has_note(snapshot, (IMPORTANT, "yes"))
}

/// The one that a snapshot was made from, as far as it is known and there; else the one whose number comes before.
fn predecessor(list: &[Snapshot], number: u64) -> Option<u64> {
    let noted = list.iter().find(|snapshot| snapshot.number == number)?.userdata.get(FROM);
    let noted = noted.and_then(|from| from.parse().ok());
    let is_there = |wanted: &u64| list.iter().any(|snapshot| snapshot.number == *wanted);
    let lower = list.iter().map(|snapshot| snapshot.number).filter(|other| *other < number).max();
    noted.filter(is_there).or(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_a_snapshot_is_what_it_was_made_from() {
        let snapshot = |number, from: Option<&str>| Snapshot {
            number,
            is_default: false,
            cleanup: String::new(),
            description: String::new(),
            userdata: from.map(|from| (FROM.to_owned(), from.to_owned())).into_iter().collect(),
        };
        let list = [snapshot(1, None), snapshot(3, None), snapshot(5, Some("1")), snapshot(6, Some("4"))];
        assert_eq!(
            [1, 3, 5, 6, 7].map(|number| predecessor(&list, number)),
            [None, Some(1), Some(1), Some(5), None]
        );
    }
}
