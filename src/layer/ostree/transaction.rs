//! New objects on their way into a repository.
//!
//! They are written into a directory of their own in the repository's `tmp`, which ostree clears of what is older than a day, and we when we
//! begin again. When all are there they are synced, renamed to their places, commits last, synced again; and only then refs name
//! them. So whatever happens, a repository has whole objects, commits have all that they need, and refs name the old commit or the new one.

use std::collections::HashSet;
use std::ffi::OsStr;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::checksum::{Checksum, ObjectKind, ObjectName};
use super::error::Error;
use super::integrity::{Demand, Sealing};
use super::object::{Commit, DirTree, Metadata, Value};
use super::repo::Repository;
use super::room::Room;
use crate::sys::{self, Context, IoError, Lock, RecordLock, Root, Verity};

/// Objects that are being written. Whatever is not finished is gone.
#[derive(Debug)]
pub struct Transaction<'r> {
    pub(super) repository: &'r Repository,
    pub(super) staging: Root,
    staged: Vec<ObjectName>,
    known: HashSet<ObjectName>,
    written: Written,
    pub(super) room: Room,
    /// Whether files get fs-verity.
    pub(super) sealing: Sealing,
    /// Nobody prunes meanwhile.
    _shared: Option<RecordLock>,
    /// Nobody else of us writes meanwhile.
    _own: Lock,
}

/// What was written that was not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Objects of all kinds.
    pub objects: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// We wrote it: no limit of others' counts.
const LARGEST_TREE: u64 = 1 << 30;
const STAGING: &str = "tmp/onlay-staging";

impl Repository {
    /// Begins to write objects. While somebody else of us does, the repository is [`Error::Busy`]; ostree may write as well. On a host that runs, /sysroot is
    /// mostly mounted read-only: whoever begins has it writable, in a mount namespace of his own.
    pub fn begin(&self) -> Result<Transaction<'_>, Error> {
        self.begin_sealing(self.settings().sealing)
    }

    /// The same, for a base that may demand more of its files than the repository.
    pub(super) fn begin_sealing(&self, wanted: Sealing) -> Result<Transaction<'_>, Error> {
        let sealing = match wanted {
            Sealing::No => Sealing::No,
            _ if self.verity()? != Verity::Impossible => wanted,
            Sealing::Maybe => Sealing::No,
            Sealing::Yes => return Err(Error::Demanding { demand: Demand::VerityOfObjects }),
        };
        let shared = self.share()?;
        self.root().make_dirs(STAGING, 0o700)?;
        let staging = self.root().open_dir(STAGING)?;
        let own =
            Lock::try_directory(&staging)?.ok_or_else(|| Error::Busy { path: staging.path().to_owned() })?;
        clear(&staging)?;
        Ok(Transaction {
            repository: self,
            staging,
            staged: Vec::new(),
            known: HashSet::new(),
            written: Written::default(),
            room: Room::on(self.root(), self.settings().reserve)?,
            sealing,
            _shared: shared,
            _own: own,
        })
    }
}

impl Transaction<'_> {
    /// What was written until now.
    pub fn written(&self) -> Written {
        self.written
    }

    /// Reads the names in a directory, of the repository or of what is being written.
    pub(super) fn tree(&self, checksum: Checksum) -> Result<DirTree, Error> {
        let object = checksum.as_object(ObjectKind::DirTree);
        if !self.staged.contains(&object) {
            return self.repository.tree(checksum);
        }
        let bytes = self.staging.read(object.to_string(), LARGEST_TREE)?;
        DirTree::parse(&bytes).map_err(|error| Error::Damaged { object, what: error.to_string() })
    }

    /// Writes the names in a directory.
    pub fn write_tree(&mut self, tree: &DirTree) -> Result<Checksum, Error> {
        self.write(ObjectKind::DirTree, &tree.to_bytes())
    }

    /// Writes owner, mode and attributes of a directory.
    pub fn write_metadata(&mut self, metadata: &Metadata) -> Result<Checksum, Error> {
        self.write(ObjectKind::DirMeta, &metadata.to_bytes())
    }

    /// Writes a commit, which says itself which ref of this repository it is for, as ostree has it.
    pub fn write_commit(&mut self, mut commit: Commit, name: &str) -> Result<Checksum, Error> {
        commit.metadata.insert("ostree.ref-binding".to_owned(), Value::texts([name]));
        if let Some(collection) = &self.repository.settings().collection {
            commit.metadata.insert("ostree.collection-binding".to_owned(), Value::text(collection));
        }
        self.write(ObjectKind::Commit, &commit.to_bytes())
    }

    fn write(&mut self, kind: ObjectKind, bytes: &[u8]) -> Result<Checksum, Error> {
        let object = Checksum::of(bytes).as_object(kind);
        if !self.has(object)? {
            sys::write_new_unsynced(&self.staging, &object.to_string(), 0o644, bytes)?;
            self.add(object, bytes.len() as u64);
        }
        Ok(object.checksum)
    }

    /// Whether an object is in the repository, or will be.
    pub(super) fn has(&mut self, object: ObjectName) -> Result<bool, Error> {
        if self.known.contains(&object) {
            return Ok(true);
        }
        let is_there = self.repository.has(object)?;
        if is_there {
            self.known.insert(object);
        }
        Ok(is_there)
    }

    /// Takes note of an object that is in the staging directory now, under its own name.
    pub(super) fn add(&mut self, object: ObjectName, size: u64) {
        self.staged.push(object);
        self.known.insert(object);
        self.written.objects += 1;
        self.written.bytes += size;
    }

    /// Puts all into the repository, and lets a ref name a commit.
    pub fn finish(mut self, name: &str, commit: Checksum) -> Result<(), Error> {
        self.room.check(self.repository.root())?;
        let (commits, others) = std::mem::take(&mut self.staged)
            .into_iter()
            .partition::<Vec<_>, _>(|object| object.kind == ObjectKind::Commit);
        for objects in [others, commits] {
            self.sync()?;
            objects.into_iter().try_for_each(|object| self.place(object))?;
        }
        self.sync()?;
        self.repository.set_ref(name, commit)
    }

    fn sync(&self) -> Result<(), IoError> {
        if self.repository.settings().fsync { sys::sync_file_system(self.repository.root()) } else { Ok(()) }
    }

    fn place(&self, object: ObjectName) -> Result<(), Error> {
        let root = self.repository.root();
        let path = object.path();
        let (parent, _) = path.rsplit_once('/').unwrap_or(("", &path));
        root.make_dir(parent, 0o755)?;
        // Where ostree was faster, its object stays: checkouts have it already.
        match rustix::fs::linkat(&self.staging, object.to_string(), root, &path, AtFlags::empty()) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error).context("create", root.join(&path)).map_err(Error::from),
        }
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // What stays is cleared next time.
        let _ = clear(&self.staging);
    }
}

fn clear(staging: &Root) -> Result<(), IoError> {
    for entry in staging.entries()? {
        remove(staging, &entry.name)?;
    }
    Ok(())
}

/// Removes a file of the staging directory.
pub(super) fn remove(staging: &Root, name: &OsStr) -> Result<(), IoError> {
    match rustix::fs::unlinkat(staging, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error).context("remove", staging.join(name)),
    }
}
