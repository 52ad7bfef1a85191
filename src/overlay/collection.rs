//! Named overlays on disk: making, finding, listing and removing them.
//!
//! An overlay appears by one rename and disappears by one rename, so a crash leaves it whole or
//! not there. Names that begin with a dot are no overlays:
//!
//! * `.lock` is held for the moment in which something here appears, disappears or is renamed;
//! * `.new-NAME` is an overlay that is being made, while that lock is held;
//! * `.removed-INODE` was one. Who clears it holds a lock on the directory itself, and nobody waits.
//!
//! What a crash leaves of those has no holder, and is cleared by the next command that makes or
//! removes an overlay.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::clear::clear;
use super::name::OverlayName;
use super::record::Record;
use super::{Error, layers};
use crate::event::{Event, Events};
use crate::host::Base;
use crate::sys::{Context, FileKind, IoError, Lock, Root, replace_file, sync_dir, unsuitable_upper};

pub(super) const RECORD: &str = "overlay.toml";
const LOCK: &str = ".lock";

/// All named overlays of a state directory.
#[derive(Debug)]
pub struct Overlays {
    dir: Root,
}

/// One named overlay.
#[derive(Debug)]
pub struct Overlay {
    /// Its name.
    pub name: OverlayName,
    /// Its directory.
    pub dir: Root,
    /// What is known of it.
    pub record: Record,
}

/// A line of a listing: a name, and the overlay unless it cannot be read.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub name: OverlayName,
    /// The overlay, or why it cannot be used.
    pub overlay: Result<Overlay, Error>,
}

impl Overlays {
    /// Opens the collection below a state directory; `None` where none was ever made.
    pub fn open(state: &Path) -> Result<Option<Overlays>, Error> {
        match Root::open(state) {
            Ok(state) => {
                check_safe(&state)?;
                match state.open_child(OsStr::new("overlays")) {
                    Ok(dir) => Ok(Some(Overlays { dir })),
                    Err(error) if error.is_not_found() => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the collection, or makes an empty one.
    pub fn open_or_create(state: &Path, events: &mut dyn Events) -> Result<Overlays, Error> {
        let state = make_state(state, events)?;
        check_safe(&state)?;
        if state.make_dir("overlays", 0o700)? {
            check_suitable(&state)?;
            sync_dir(&state)?;
        }
        Ok(Overlays { dir: state.open_child(OsStr::new("overlays"))? })
    }

    /// Finds an overlay.
    pub fn get(&self, name: &OverlayName) -> Result<Overlay, Error> {
        let dir = match self.dir.open_child(OsStr::new(name.as_str())) {
            Err(error) if error.is_not_found() => return Err(Error::NotFound { name: name.clone() }),
            other => other?,
        };
        Overlay::read(name, dir)
    }

    /// Whether something of that name is there, usable or not.
    pub fn contains(&self, name: &OverlayName) -> bool {
        self.dir.lstat(name.as_str()).is_ok_and(|stat| stat.is_some())
    }

    /// Makes an overlay, ready to be mounted over a base.
    pub fn create(&self, name: &OverlayName, root: &Path, base: Base) -> Result<Overlay, Error> {
        self.create_filled(name, root, base, |_| Ok(()))
    }

    /// Makes an overlay, and fills its layers before it is seen. Nothing of that name must be there.
    pub fn create_filled<E: From<Error> + From<IoError>>(
        &self,
        name: &OverlayName,
        root: &Path,
        base: Base,
        fill: impl FnOnce(&Root) -> Result<(), E>,
    ) -> Result<Overlay, E> {
        let _lock = Lock::exclusive(&self.dir, LOCK)?;
        let aside = format!(".new-{name}");
        // What somebody was making who was killed.
        clear(&self.dir, OsStr::new(&aside))?;
        if let Err(error) = self.make_aside(&aside, &Record::new(root, base), fill) {
            // The error that matters is the first one; what resists is cleared with the next remains.
            let _ = clear(&self.dir, OsStr::new(&aside));
            return Err(error);
        }
        rustix::fs::renameat(&self.dir, &aside, &self.dir, name.as_str())
            .context("create overlay", self.dir.join(name.as_str()))?;
        sync_dir(&self.dir)?;
        Ok(self.get(name)?)
    }

    fn make_aside<E: From<Error> + From<IoError>>(
        &self,
        aside: &str,
        record: &Record,
        fill: impl FnOnce(&Root) -> Result<(), E>,
    ) -> Result<(), E> {
        self.dir.make_dir(aside, 0o700)?;
        let dir = self.dir.open_child(OsStr::new(aside))?;
        dir.make_dir(layers::DIRECTORY, 0o700)?;
        replace_file(&dir, RECORD, record.to_text().as_bytes())?;
        fill(&dir)
    }

    /// Every overlay, by name.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let mut names: Vec<OverlayName> =
            self.dir.entries()?.iter().filter_map(|entry| entry.name.to_str()?.parse().ok()).collect();
        names.sort();
        Ok(names.into_iter().map(|name| Listed { overlay: self.get(&name), name }).collect())
    }

    /// Removes an overlay that nobody uses; the caller has made sure of that. What is left to do is
    /// to clear its files, which may take long.
    pub fn remove(&self, name: &OverlayName) -> Result<Removed<'_>, Error> {
        let _lock = Lock::exclusive(&self.dir, LOCK)?;
        let removed = self.set_aside(OsStr::new(name.as_str()))?;
        let removed = removed.ok_or_else(|| Error::NotFound { name: name.clone() })?;
        sync_dir(&self.dir)?;
        Ok(removed)
    }

    /// Clears what a crash left. That may take long, so the caller should hold no lock.
    pub fn clear_remains(&self, events: &mut dyn Events) -> Result<(), Error> {
        if self.remains()?.is_empty() {
            return Ok(());
        }
        let lock = Lock::exclusive(&self.dir, LOCK)?;
        // Whoever made an overlay until this moment has nothing aside any more.
        let remains: Vec<_> =
            self.remains()?.into_iter().map(|name| (self.set_aside(&name).transpose(), name)).collect();
        lock.release()?;
        for (removed, name) in remains {
            let (what, result) = match removed {
                None => continue,
                Some(Ok(removed)) => (self.dir.join(&removed.name), removed.clear()),
                Some(Err(error)) => (self.dir.join(name), Err(error)),
            };
            // What resists (an immutable file, a bad disk) is in nobody's way.
            events.tell(match result {
                Ok(()) => Event::Cleared { what },
                Err(error) => Event::NotCleared { what, reason: error.cause() },
            });
        }
        Ok(())
    }

    fn remains(&self) -> Result<Vec<OsString>, IoError> {
        let is_remains = |name: &OsString| name.as_bytes().starts_with(b".") && name != LOCK;
        Ok(self.dir.entries()?.into_iter().map(|entry| entry.name).filter(is_remains).collect())
    }

    /// Gives something here a name that no overlay can have, nor anything else that is there at the
    /// same time; `None` where it has gone, or somebody clears it already. [`LOCK`] must be held.
    fn set_aside(&self, name: &OsStr) -> Result<Option<Removed<'_>>, IoError> {
        match self.try_set_aside(name) {
            Err(error) if error.is_not_found() => Ok(None),
            other => other,
        }
    }

    fn try_set_aside(&self, name: &OsStr) -> Result<Option<Removed<'_>>, IoError> {
        let Some(stat) = self.dir.lstat(name)? else { return Ok(None) };
        let mut lock = None;
        if FileKind::of(&stat) == FileKind::Directory {
            lock = Lock::try_directory(&self.dir.open_child(name)?)?;
            if lock.is_none() {
                return Ok(None);
            }
        }
        let aside = OsString::from(format!(".removed-{}", stat.st_ino));
        rustix::fs::renameat(&self.dir, name, &self.dir, &aside).context("remove", self.dir.join(name))?;
        Ok(Some(Removed { parent: &self.dir, name: aside, _lock: lock }))
    }
}

/// What was an overlay, or would have become one: nobody finds it any more.
#[derive(Debug)]
pub struct Removed<'a> {
    parent: &'a Root,
    name: OsString,
    /// Nobody else clears it. A stray file needs no lock.
    _lock: Option<Lock>,
}

impl Removed<'_> {
    /// Clears its files.
    pub fn clear(self) -> Result<(), IoError> {
        clear(self.parent, &self.name)
    }
}

impl Overlay {
    /// Reads what is known of the overlay in a directory.
    pub fn read(name: &OverlayName, dir: Root) -> Result<Overlay, Error> {
        let text = match dir.read(RECORD, 64 * 1024) {
            Err(error) if error.is_not_found() => {
                return Err(Error::Damaged { name: name.clone(), what: format!("{RECORD} is missing") });
            }
            other => other?,
        };
        let record = Record::parse(name, &text)?;
        Ok(Overlay { name: name.clone(), dir, record })
    }

    /// Records that the overlay was entered over this base, and now.
    pub fn touch(&mut self, base: &Base) -> Result<(), IoError> {
        if self.record.base != *base {
            self.record.base = base.clone();
            return replace_file(&self.dir, RECORD, self.record.to_text().as_bytes());
        }
        let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        rustix::fs::utimensat(&self.dir, RECORD, &times, AtFlags::SYMLINK_NOFOLLOW)
            .context("set the time of", self.dir.join(RECORD))
    }

    /// Refuses a root other than the one that it was made over: its files would make no sense there.
    pub fn check_root(&self, given: &Path) -> Result<(), Error> {
        if self.record.root == given.to_string_lossy() {
            return Ok(());
        }
        let (name, root) = (self.name.clone(), self.record.root.clone());
        Err(Error::OtherRoot { name, root, given: given.to_owned() })
    }

    /// A second handle on the same overlay.
    pub fn try_clone(&self) -> Result<Overlay, IoError> {
        Ok(Overlay { name: self.name.clone(), dir: self.dir.try_clone()?, record: self.record.clone() })
    }

    /// When it was last entered.
    pub fn last_used(&self) -> Option<SystemTime> {
        let stat = self.dir.lstat(RECORD).ok()??;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(stat.st_mtime).ok()?))
    }
}

/// Opens the state directory, or makes it, which is told.
fn make_state(state: &Path, events: &mut dyn Events) -> Result<Root, IoError> {
    let absolute = std::path::absolute(state).context("resolve", state)?;
    if !absolute.exists() {
        let above = absolute.parent().unwrap_or(Path::new("/"));
        Root::open("/")?.make_dirs(above, 0o755)?;
        if Root::open(above)?.make_dir(absolute.file_name().unwrap_or_default(), 0o700)? {
            events.tell(Event::StateMade { path: absolute.clone() });
        }
    }
    Root::open(absolute)
}

/// Whoever can write the state could plant programs that root runs.
fn check_safe(state: &Root) -> Result<(), Error> {
    let stat = rustix::fs::fstat(state).context("examine", state.path())?;
    let reason = if stat.st_uid != rustix::process::geteuid().as_raw() {
        "it belongs to another user"
    } else if stat.st_mode & 0o022 != 0 {
        "others than its owner may write it"
    } else {
        return Ok(());
    };
    Err(Error::UnsafeState { path: state.path().to_owned(), reason })
}

/// Tries what an upper directory needs, before anything is kept here: the kernel mounts some
/// uppers that lack it, and fails much later, in the middle of an installation.
fn check_suitable(state: &Root) -> Result<(), Error> {
    let unsuitable =
        |reason: &str| Error::UnsuitableState { path: state.path().to_owned(), reason: reason.into() };
    if let Some(reason) = unsuitable_upper(state) {
        rustix::fs::unlinkat(state, "overlays", AtFlags::REMOVEDIR)
            .context("remove", state.join("overlays"))?;
        return Err(unsuitable(reason));
    }
    let probe = ".probe";
    state.make_file(probe, 0o600)?;
    let has_attributes = {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file =
            rustix::fs::openat(state, probe, flags, Mode::empty()).context("open", state.join(probe))?;
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::fsetxattr(file, "trusted.overlay.probe", b"y", flags)
    };
    rustix::fs::unlinkat(state, probe, AtFlags::empty()).context("remove", state.join(probe))?;
    let kind = rustix::fs::FileType::CharacterDevice;
    let has_whiteouts = rustix::fs::mknodat(state, probe, kind, Mode::empty(), 0);
    let _ = rustix::fs::unlinkat(state, probe, AtFlags::empty());
    match (has_attributes, has_whiteouts) {
        (Ok(()), Ok(())) => Ok(()),
        (Err(Errno::NOTSUP), _) => Err(unsuitable("its file system has no 'trusted' extended attributes")),
        (Err(errno), _) => Err(errno).context("set an attribute in", state.path()).map_err(Error::from),
        (Ok(()), Err(Errno::PERM | Errno::NOTSUP)) => Err(unsuitable("whiteouts cannot be made on it")),
        (Ok(()), Err(errno)) => Err(errno).context("make a whiteout in", state.path()).map_err(Error::from),
    }
}
