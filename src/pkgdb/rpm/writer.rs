//! Writing a database: a changed copy is made beside the place where it will be, and takes that place by a
//! rename.
//!
//! Of a SQLite database, the copy is *parked*: all is in one file, and bytes 18 and 19 of it say that it has
//! no log (journal_mode=DELETE). Such a file can be read without `-wal` and `-shm` beside it, also on
//! read-only media and by who may not write; rpm turns the log on again when it first opens it to write.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::database::Store;
use super::locations::{JOURNAL, LOG};
use super::{Ahead, Backend, Database, Hnum, Opening, Stored, lock, ndb, sqlite};
use crate::pkgdb::Error;
use crate::sys::{Context, FileKind, RecordLock, Root, copy_content_to_sync, sync_dir};

/// How a database is to be changed.
#[derive(Debug, Default, Clone)]
pub struct Delta {
    /// Headers to remove.
    pub remove: Vec<Stored>,
    /// Headers to replace, which keep their numbers.
    pub replace: Vec<(Stored, Vec<u8>)>,
    /// Headers to add, in this order.
    pub add: Vec<Vec<u8>>,
    /// The headers that are added get higher numbers than this: the highest of all databases that are
    /// merged, or caches that know a database by its names and numbers (`rpmdbCookie`) could take it for
    /// one of those.
    pub above: Hnum,
}

impl Delta {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.replace.is_empty() && self.add.is_empty()
    }
}

/// A delta as the formats take it: what is added may be read on the way.
pub(super) struct Changes<'a> {
    pub(super) remove: &'a [Stored],
    pub(super) replace: &'a [(Stored, Vec<u8>)],
    pub(super) add: &'a mut dyn Iterator<Item = Result<Cow<'a, [u8]>, Error>>,
    pub(super) above: Hnum,
}

/// A database that is complete and on disk, but not yet in its place. Dropped, it is as if it had never
/// been.
#[derive(Debug)]
pub struct Prepared {
    dir: Root,
    backend: Backend,
    /// Held until the end.
    _lock: Option<RecordLock>,
    is_committed: bool,
    is_over_another: bool,
}

impl Prepared {
    fn new(backend: Backend, dir: &Root, lock: Option<RecordLock>) -> Result<Prepared, Error> {
        let dir = dir.try_clone()?;
        Ok(Prepared { dir, backend, _lock: lock, is_committed: false, is_over_another: false })
    }
}

/// Makes a copy of `base` with changes, to take the place of the database in `target` (which may have
/// none). rpm's lock on that is held until the result is dropped; where `base` itself is there, `base`
/// holds it and must live as long, and should have been opened for that ([`super::Access::Replace`]).
pub fn prepare(
    base: &Database,
    delta: &Delta,
    target: &Root,
    opening: &Opening<'_>,
) -> Result<Prepared, Error> {
    prepare_from(base, None, delta, target, opening)
}

/// The same from a copy of `base` that was begun ahead, where there is one.
pub fn prepare_from(
    base: &Database,
    ahead: Option<Ahead>,
    delta: &Delta,
    target: &Root,
    opening: &Opening<'_>,
) -> Result<Prepared, Error> {
    let mut add = delta.add.iter().map(|blob| Ok(Cow::Borrowed(&**blob)));
    let changes =
        Changes { remove: &delta.remove, replace: &delta.replace, add: &mut add, above: delta.above };
    let lock = if base.dir.is_same(target)? {
        hold(base, opening.patience)?;
        None
    } else {
        Some(lock::exclusive(target, opening.patience)?)
    };
    let mut prepared = Prepared::new(base.backend(), target, lock)?;
    prepared.write_changed(base, ahead, changes)?;
    Ok(prepared)
}

/// Makes a database with these headers, to take the place of the one in `target` (which may have none).
pub fn create<'a>(
    backend: Backend,
    headers: &'a mut dyn Iterator<Item = Result<Cow<'a, [u8]>, Error>>,
    target: &Root,
    patience: Duration,
) -> Result<Prepared, Error> {
    let changes = Changes { remove: &[], replace: &[], add: headers, above: Hnum(0) };
    let lock = lock::exclusive(target, patience)?;
    let mut prepared = Prepared::new(backend, target, Some(lock))?;
    prepared.write_new(changes)?;
    Ok(prepared)
}

/// Makes sure that a database is ours to replace.
fn hold(base: &Database, patience: Duration) -> Result<(), Error> {
    match &base.lock {
        Some(lock) => lock::upgrade(lock, &base.dir, patience),
        // Opened to read where nobody had ever locked: it may have changed since.
        None => Err(Error::Changed { path: base.path().to_owned() }),
    }
}

impl Prepared {
    /// Makes the index of an ndb database, too, which rpm could not make where the directory will be
    /// read-only; and which takes rpm a moment at its first question elsewhere. SQLite's has its indexes.
    pub fn with_index(self) -> Result<Prepared, Error> {
        if self.backend == Backend::Ndb {
            let database = aside(Backend::Ndb);
            let own = self.dir.open_child_file(OsStr::new(database))?;
            let reader = ndb::Reader::read(own, self.dir.join(database))?;
            let _ = rustix::fs::unlinkat(&self.dir, ASIDE_INDEX, AtFlags::empty());
            let file = self.create(ASIDE_INDEX)?;
            let shown = self.dir.join(ASIDE_INDEX);
            ndb::write_index(&reader, &file, &shown)?;
            take_owner(&reader.file, &file, &shown)?;
            file.sync_all().context("sync", &shown)?;
        }
        Ok(self)
    }

    /// The directory is a layer over another one that may have a database, too: what lies beside that one
    /// would show through beside ours, and a log of it would be taken for ours. So empty files hide it,
    /// which mean as much as none to SQLite; an ndb database gets its index.
    #[must_use]
    pub fn over_another(mut self) -> Prepared {
        self.is_over_another = true;
        self
    }

    /// Puts the database in its place. What was there is the old database at any moment before, and the new
    /// one at any after; no file of the old one is left beside the new one.
    pub fn commit(mut self) -> Result<(), Error> {
        match self.backend {
            Backend::Sqlite => self.finish_old()?,
            Backend::Ndb if self.is_over_another && self.dir.lstat(ASIDE_INDEX)?.is_none() => {
                self = self.with_index()?;
            }
            Backend::Ndb => {}
        }
        // An old log beside the new file would be taken for its own: it must be gone for good first.
        let mut is_clean = true;
        for name in self.backend.companions() {
            is_clean &= self.clear(name)?;
        }
        if !is_clean {
            sync_dir(&self.dir)?;
        }
        let name = self.backend.file_name();
        rustix::fs::renameat(&self.dir, aside(self.backend), &self.dir, name)
            .context("replace", self.dir.join(name))?;
        self.is_committed = true;
        match rustix::fs::renameat(&self.dir, ASIDE_INDEX, &self.dir, "Index.db") {
            Ok(()) | Err(Errno::NOENT) => Ok(sync_dir(&self.dir)?),
            Err(error) => Err(error).context("replace", self.dir.join("Index.db")).map_err(Error::from),
        }
    }

    fn create(&self, name: &str) -> Result<File, Error> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.dir, name, flags, Mode::from_raw_mode(0o600));
        Ok(File::from(file.context("create", self.dir.join(name))?))
    }

    /// Makes a file beside the old database mean nothing; says whether it was so already.
    fn clear(&self, name: &str) -> Result<bool, Error> {
        let shown = self.dir.join(name);
        let there = self.dir.lstat(name)?.map(|stat| (FileKind::of(&stat), stat.st_size));
        if !self.is_over_another || ![LOG, JOURNAL].contains(&name) {
            return match rustix::fs::unlinkat(&self.dir, name, AtFlags::empty()) {
                Ok(()) => Ok(false),
                Err(Errno::NOENT) => Ok(true),
                Err(error) => Err(error).context("remove", shown).map_err(Error::from),
            };
        }
        // What hides another has to stay all the time.
        match there {
            Some((FileKind::File, 0) | (FileKind::CharDevice, _)) => return Ok(true),
            Some((FileKind::File, _)) => {
                let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&self.dir, name, flags, Mode::empty());
                let file = File::from(file.context("open", &shown)?);
                file.set_len(0).and_then(|()| file.sync_all()).context("truncate", &shown)?;
            }
            _ => {
                let mode = Permissions::from_mode(0o644);
                self.create(name)?.set_permissions(mode).context("set mode of", &shown)?;
            }
        }
        Ok(false)
    }

    /// Brings what an old database has in a log into its file, since the log is removed before the file is
    /// replaced.
    fn finish_old(&self) -> Result<(), Error> {
        let has_content = |name: &str| -> Result<bool, Error> {
            Ok(self.dir.lstat(name)?.is_some_and(|stat| stat.st_size > 0))
        };
        let is_unfinished = has_content(LOG)? || has_content(JOURNAL)?;
        if is_unfinished && self.dir.lstat(Backend::Sqlite.file_name())?.is_some() {
            return sqlite::finish(&self.dir);
        }
        Ok(())
    }

    /// Writes a changed copy beside the place where it will be.
    fn write_changed(
        &mut self,
        base: &Database,
        ahead: Option<Ahead>,
        changes: Changes<'_>,
    ) -> Result<(), Error> {
        let name = aside(self.backend);
        let shown = self.dir.join(name);
        self.remove_aside();
        let from = base.store.file();
        let copy = ahead.and_then(|ahead| ahead.finish(from, &self.dir, name));
        let file = if let Some(copy) = copy {
            copy
        } else {
            let file = self.create(name)?;
            copy_content_to_sync(from, &file).context("write", &shown)?;
            file
        };
        take_owner(from, &file, &shown)?;
        match &base.store {
            Store::Sqlite(_) => {
                park(&file).context("write", &shown)?;
                sqlite::write(&self.dir, name, false, changes)?;
            }
            Store::Ndb(reader) => ndb::write(&file, &shown, Some(reader), changes)?,
        }
        file.sync_all().context("sync", &shown).map_err(Error::from)
    }

    fn write_new(&mut self, changes: Changes<'_>) -> Result<(), Error> {
        let name = aside(self.backend);
        let shown = self.dir.join(name);
        self.remove_aside();
        let file = self.create(name)?;
        file.set_permissions(Permissions::from_mode(0o644)).context("set mode of", &shown)?;
        match self.backend {
            Backend::Sqlite => sqlite::write(&self.dir, name, true, changes)?,
            Backend::Ndb => ndb::write(&file, &shown, None, changes)?,
        }
        file.sync_all().context("sync", &shown).map_err(Error::from)
    }

    fn remove_aside(&self) {
        let name = aside(self.backend);
        for ending in ["", "-journal", "-wal", "-shm"] {
            // What cannot be removed is in the way of making it, which is told.
            let _ = rustix::fs::unlinkat(&self.dir, format!("{name}{ending}"), AtFlags::empty());
        }
        let _ = rustix::fs::unlinkat(&self.dir, ASIDE_INDEX, AtFlags::empty());
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if !self.is_committed {
            self.remove_aside();
        }
    }
}

/// The name of a database in the making. Always the same, so that what a crash left is overwritten.
fn aside(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => ".onlay-rpmdb.sqlite",
        Backend::Ndb => ".onlay-Packages.db",
    }
}

/// The name of an index in the making.
const ASIDE_INDEX: &str = ".onlay-Index.db";

/// Says in the file that there is no log (fileformat2.html, 1.3.3): there is nothing in one.
fn park(file: &File) -> std::io::Result<()> {
    let mut versions = [0; 2];
    file.read_exact_at(&mut versions, 18)?;
    if versions == [2, 2] { file.write_all_at(&[1, 1], 18) } else { Ok(()) }
}

/// Gives the copy the owner and the permissions of what it will replace.
fn take_owner(from: &File, to: &File, shown: &Path) -> Result<(), Error> {
    let (wanted, own) =
        (from.metadata().context("examine", shown)?, to.metadata().context("examine", shown)?);
    if (wanted.uid(), wanted.gid()) != (own.uid(), own.gid()) {
        let (user, group) = (Uid::from_raw(wanted.uid()), Gid::from_raw(wanted.gid()));
        rustix::fs::fchown(to, Some(user), Some(group)).context("set owner of", shown)?;
    }
    to.set_permissions(wanted.permissions()).context("set mode of", shown).map_err(Error::from)
}
