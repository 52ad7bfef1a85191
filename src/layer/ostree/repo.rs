//! A repository: its settings, its lock, its refs, and its objects as they are read.
//!
//! Only one of mode `bare`, as systems have, in which a file object is the file itself, with its owner, mode and attributes; and only one
//! that has all of its objects itself, each in a file of its own ("loose", as ostree writes no others today). What is read is
//! held against its checksum, but for files, whose content is not read here.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::checksum::{Checksum, ObjectKind, ObjectName};
use super::error::Error;
use super::integrity::{self, Sealing};
use super::keyfile::KeyFile;
use super::object::{Commit, DirTree, LARGEST, Metadata, Parsed};
use super::room::Reserve;
use crate::sys::{Context, RecordLock, Root, Verity};

/// An open repository.
#[derive(Debug)]
pub struct Repository {
    root: Root,
    settings: Settings,
}

/// Those of its settings (ostree.repo-config(5)) that count here.
#[derive(Debug)]
pub(super) struct Settings {
    /// Whether what is written is synced.
    pub(super) fsync: bool,
    /// Whether locks are taken.
    locking: bool,
    /// How long to wait for one; `None` for ever.
    patience: Option<Duration>,
    /// Whether files are to have fs-verity.
    pub(super) sealing: Sealing,
    /// What is to stay free on its disk.
    pub(super) reserve: Reserve,
    /// The collection that its refs belong to.
    pub(super) collection: Option<String>,
}

/// Where a system's repository is, from the top of its disk.
const OF_SYSROOT: &str = "ostree/repo";
/// More than any file of settings, or ref, has.
const SMALL: u64 = 1024 * 1024;
/// How long to sleep between two attempts to take a lock.
const PAUSE: Duration = Duration::from_millis(50);
/// What ostree waits (`lock-timeout-secs`).
const PATIENCE: Duration = Duration::from_secs(30);

impl Repository {
    /// Opens one.
    pub fn open(path: impl Into<PathBuf>) -> Result<Repository, Error> {
        let path = path.into();
        match Root::open(&path) {
            Ok(root) => Repository::at(root),
            Err(error) if error.is_not_found() => Err(Error::NoRepository { path }),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens that of a system, given by the top of its disk (`/sysroot`, or `/`).
    pub fn of_sysroot(sysroot: &Root) -> Result<Repository, Error> {
        match sysroot.open_dir(OF_SYSROOT) {
            Ok(root) => Repository::at(root),
            Err(error) if error.is_not_found() => Err(Error::NoRepository { path: sysroot.join(OF_SYSROOT) }),
            Err(error) => Err(error.into()),
        }
    }

    fn at(root: Root) -> Result<Repository, Error> {
        if !root.is_dir("objects")? || root.lstat("config")?.is_none() {
            return Err(Error::NoRepository { path: root.path().to_owned() });
        }
        let text = String::from_utf8_lossy(&root.read("config", SMALL)?).into_owned();
        let nonsense = |what: String| Error::Nonsense { path: root.join("config"), what };
        let file = KeyFile::parse(&text).map_err(|error| nonsense(error.to_string()))?;
        if let Some(version) = file.get("core", "repo_version").filter(|version| version != "1") {
            return Err(nonsense(format!("its repo_version is '{version}', expected '1'")));
        }
        let path = || root.path().to_owned();
        match file.get("core", "mode") {
            Some(mode) if mode != "bare" => return Err(Error::Mode { path: path(), mode }),
            _ => {}
        }
        if let Some(parent) = file.get("core", "parent").filter(|parent| !parent.is_empty()) {
            return Err(Error::Parent { path: path(), parent });
        }
        Ok(Repository { settings: Settings::of(&file), root })
    }

    /// Its directory.
    pub fn root(&self) -> &Root {
        &self.root
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether files here can have fs-verity, which is asked of one that has none.
    pub(super) fn verity(&self) -> Result<Verity, Error> {
        Ok(integrity::verity(&self.root, Path::new("config"))?)
    }

    /// Whether there is such an object.
    pub fn has(&self, object: ObjectName) -> Result<bool, Error> {
        Ok(self.root.lstat(object.path())?.is_some())
    }

    /// Reads a commit that is there with all that belongs to it.
    pub fn commit(&self, checksum: Checksum) -> Result<Commit, Error> {
        if self.root.lstat(format!("state/{checksum}.commitpartial"))?.is_some() {
            return Err(Error::Partial { object: checksum.as_object(ObjectKind::Commit) });
        }
        self.read(checksum)
    }

    /// Reads the names in a directory.
    pub fn tree(&self, checksum: Checksum) -> Result<DirTree, Error> {
        self.read(checksum)
    }

    /// Reads owner, mode and attributes of a directory.
    pub fn metadata(&self, checksum: Checksum) -> Result<Metadata, Error> {
        self.read(checksum)
    }

    /// The path of a file object, from the repository. It may have many other names: nothing may ever write to it.
    pub fn file(checksum: Checksum) -> String {
        checksum.as_object(ObjectKind::File).path()
    }

    fn read<T: Parsed>(&self, checksum: Checksum) -> Result<T, Error> {
        let object = checksum.as_object(T::KIND);
        let damaged = |what: String| Error::Damaged { object, what };
        let bytes = self.bytes(object)?;
        let found = Checksum::of(&bytes);
        if found != checksum {
            return Err(damaged(format!("its checksum is {found}")));
        }
        T::parsed(&bytes).map_err(|error| damaged(error.to_string()))
    }

    fn bytes(&self, object: ObjectName) -> Result<Vec<u8>, Error> {
        let path = object.path();
        let file = match self.root.open_exact_file(&path) {
            Ok(file) => file,
            Err(error) if error.is_not_found() => return Err(Error::Missing { object }),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).context("read", self.root.join(&path))?;
        if bytes.len() as u64 > LARGEST {
            return Err(Error::Damaged { object, what: "it is larger than ostree's limit".to_owned() });
        }
        Ok(bytes)
    }

    /// Keeps anybody from pruning while objects are looked at or written. Others may do the same. ostree's program prunes whenever it deploys or
    /// cleans, and waits for this lock: it must be given up before.
    pub fn share(&self) -> Result<Option<RecordLock>, Error> {
        self.lock(RecordLock::try_shared)
    }

    /// Takes a lock as ostree takes it, on `.lock`, of the kind that belongs to an open file; no less long does it wait. `None` where
    /// the repository's settings have it without.
    fn lock(
        &self,
        take: fn(std::os::fd::OwnedFd) -> std::io::Result<Option<RecordLock>>,
    ) -> Result<Option<RecordLock>, Error> {
        if !self.settings.locking {
            return Ok(None);
        }
        let path = self.root.join(".lock");
        let begun = Instant::now();
        loop {
            let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let file = rustix::fs::openat(&self.root, ".lock", flags, Mode::from_raw_mode(0o660))
                .context("open lock", &path)?;
            if let Some(lock) = take(file).context("lock", &path)? {
                return Ok(Some(lock));
            }
            if self.settings.patience.is_some_and(|patience| begun.elapsed() >= patience) {
                return Err(Error::Busy { path });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The commit that a name leads to: a checksum, a ref (`debian`), or one of a remote (`origin:debian`).
    pub fn resolve(&self, name: &str) -> Result<Checksum, Error> {
        if let Ok(checksum) = name.parse() {
            return Ok(checksum);
        }
        let missing = || Error::NoRef { path: self.root.path().to_owned(), name: name.to_owned() };
        let places = match name.split_once(':') {
            Some((remote, name)) => vec![format!("refs/remotes/{}/{}", ref_name(remote)?, ref_name(name)?)],
            None => ["heads", "remotes"].map(|kind| format!("refs/{kind}/{name}")).to_vec(),
        };
        ref_name(name.split_once(':').map_or(name, |(_, name)| name))?;
        for place in places {
            match self.root.read(&place, SMALL) {
                Ok(content) => return checksum_in(name, &content),
                // It is the first part of others' names.
                Err(error) if error.is_not_found() || error.errno() == Some(Errno::ISDIR.raw_os_error()) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(missing())
    }

    /// All refs of this machine's own that begin with `first` as a whole part of their name (`onlay` has `onlay/a/b`), sorted.
    pub fn refs_below(&self, first: &str) -> Result<Vec<(String, Checksum)>, Error> {
        let top = format!("refs/heads/{}", ref_name(first)?);
        let mut found = Vec::new();
        let mut unread = if self.root.is_dir(&top)? { vec![first.to_owned()] } else { Vec::new() };
        while let Some(name) = unread.pop() {
            for entry in self.root.open_dir(format!("refs/heads/{name}"))?.entries()? {
                let Some(part) = entry.name.to_str().filter(|part| !part.starts_with('.')) else { continue };
                let child = format!("{name}/{part}");
                if self.root.is_dir(format!("refs/heads/{child}"))? {
                    unread.push(child);
                } else {
                    found.push((child.clone(), self.resolve(&child)?));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Lets a ref of this machine's own name a commit from now on, at once and for good.
    pub fn set_ref(&self, name: &str, commit: Checksum) -> Result<(), Error> {
        let path = PathBuf::from(format!("refs/heads/{}", ref_name(name)?));
        let (parent, last) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
        self.root.make_dirs(parent, 0o755)?;
        let dir = self.root.open_dir(parent)?;
        // Aside, where nobody takes it for a ref.
        let aside = format!("onlay-ref-{}", std::process::id());
        let tmp = self.root.open_dir("tmp")?;
        let _ = rustix::fs::unlinkat(&tmp, &aside, AtFlags::empty());
        crate::sys::write_new(&tmp, &aside, 0o644, format!("{commit}\n").as_bytes())?;
        rustix::fs::renameat(&tmp, &aside, &dir, last).context("replace", dir.join(last))?;
        crate::sys::sync_dir(&dir)?;
        self.touch()
    }

    /// Takes a ref of this machine's own away; says whether it was there. Its objects stay until somebody prunes.
    pub fn remove_ref(&self, name: &str) -> Result<bool, Error> {
        let path = format!("refs/heads/{}", ref_name(name)?);
        match rustix::fs::unlinkat(&self.root, &path, AtFlags::empty()) {
            Ok(()) => self.touch().map(|()| true),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(error) => Err(error).context("remove", self.root.join(&path)).map_err(Error::from),
        }
    }

    /// Whoever watches a repository looks at the time of its directory.
    fn touch(&self) -> Result<(), Error> {
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
        rustix::fs::utimensat(&self.root, ".", &times, AtFlags::empty())
            .context("set time of", self.root.path())
            .map_err(Error::from)
    }
}

impl Settings {
    fn of(file: &KeyFile) -> Settings {
        let patience = match file.get("core", "lock-timeout-secs").and_then(|text| text.parse::<i64>().ok()) {
            Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
            None => Some(PATIENCE),
        };
        Settings {
            fsync: file.flag("core", "fsync").unwrap_or(true),
            locking: file.flag("core", "locking").unwrap_or(true),
            patience,
            sealing: Sealing::of(file),
            reserve: Reserve::of(file),
            collection: file.get("core", "collection-id"),
        }
    }
}

/// A name, where it can be one of a ref: parts that begin with a letter, digit or underscore, and have dots and dashes besides
/// (OSTREE_REF_REGEXP).
fn ref_name(name: &str) -> Result<&str, Error> {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let is_part = |part: &str| {
        part.starts_with(is_word) && part.chars().all(|c| is_word(c) || matches!(c, '.' | '-' | '+'))
    };
    if name.split('/').all(is_part) { Ok(name) } else { Err(Error::RefName { name: name.to_owned() }) }
}

fn checksum_in(name: &str, content: &[u8]) -> Result<Checksum, Error> {
    let text = String::from_utf8_lossy(content);
    text.trim_end().parse().map_err(|_| Error::RefContent {
        name: name.to_owned(),
        content: text.trim_end().chars().take(80).collect(),
    })
}
