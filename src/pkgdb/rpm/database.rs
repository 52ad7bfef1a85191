//! An open database, of either format.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::index_rows::Table;
use super::keys::Keys;
use super::{Backend, Fingerprint, Hnum, Location, Stored, Visit, lock, ndb, sqlite};
use crate::package::header::{DependencyKind, File as PackagedFile, Glance, Malformed, Tags, tag};
use crate::package::{Header, Identity};
use crate::pkgdb::{Error, Package};
use crate::sys::{Context, FileKind, RecordLock, Root};

/// How a database is opened.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// A directory for a copy, where one must be made. It has no name there when the opening has ended.
    pub scratch: &'a Path,
    /// How long to wait for who is changing the database.
    pub patience: Duration,
    /// Whether it will be replaced.
    pub access: Access,
}

/// What is going to happen to a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is read. Others may read, too.
    Read,
    /// It will be replaced by a changed copy. rpm's lock is held from now on, so nobody else can change it.
    Replace,
}

/// An open database. rpm's lock is held as long as it lives.
#[derive(Debug)]
pub struct Database {
    pub(super) dir: Root,
    pub(super) store: Store,
    pub(super) lock: Option<RecordLock>,
    path: PathBuf,
    keys: OnceCell<Box<Keys>>,
}

#[derive(Debug)]
pub(super) enum Store {
    Sqlite(sqlite::Reader),
    Ndb(ndb::Reader),
}

impl Store {
    /// Shows every header to `visit`, one after the other; only one is in memory.
    pub(super) fn each(&self, visit: Visit<'_>) -> Result<(), Error> {
        match self {
            Store::Sqlite(reader) => reader.each(visit),
            Store::Ndb(reader) => reader.each(visit),
        }
    }

    /// The file with the headers.
    pub(super) fn file(&self) -> &File {
        match self {
            Store::Sqlite(reader) => &reader.file,
            Store::Ndb(reader) => &reader.file,
        }
    }

    /// Whether names can only be looked up where they have been gathered.
    pub(super) fn has_no_tables(&self) -> bool {
        matches!(self, Store::Ndb(_))
    }

    /// The same database opened once more, for another thread; `None` where that cannot be had.
    pub(super) fn again(&self) -> Option<Store> {
        match self {
            Store::Sqlite(reader) => reader.again().map(Store::Sqlite),
            Store::Ndb(reader) => reader.again().map(Store::Ndb),
        }
    }
}

/// A package in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its header.
    pub stored: Stored,
    /// The package, or why its header cannot be read. rpm passes such headers over.
    pub package: Result<Package, Malformed>,
}

/// What is shown a file that was asked for: the place of its path in the list, and whose it is.
pub type VisitOwner<'a> = &'a mut dyn FnMut(usize, Hnum, &Header<'_>, &PackagedFile<'_>);

impl Database {
    /// Opens the database at a place below a root, following no link out of it.
    pub fn open(root: &Root, location: &Location, opening: &Opening<'_>) -> Result<Database, Error> {
        Database::open_in(root.open_dir(&location.directory)?, location.backend, opening)
    }

    /// Opens the database in a directory.
    pub fn open_in(dir: Root, backend: Backend, opening: &Opening<'_>) -> Result<Database, Error> {
        let patience = opening.patience;
        let lock = match opening.access {
            Access::Read => lock::shared(&dir, patience)?,
            Access::Replace => Some(lock::exclusive(&dir, patience)?),
        };
        let path = dir.join(backend.file_name());
        let file = open_file(&dir, backend)?;
        let store = match backend {
            Backend::Sqlite => {
                lock::await_sqlite(&dir, patience)?;
                Store::Sqlite(sqlite::Reader::open(&dir, file, opening.scratch)?)
            }
            Backend::Ndb => Store::Ndb(ndb::Reader::open(&dir, file, patience)?),
        };
        Ok(Database { dir, store, lock, path, keys: OnceCell::new() })
    }

    /// How it is stored.
    pub fn backend(&self) -> Backend {
        match self.store {
            Store::Sqlite(_) => Backend::Sqlite,
            Store::Ndb(_) => Backend::Ndb,
        }
    }

    /// The file with the headers, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Shows every header to `visit`, one after the other; only one is in memory.
    pub fn each(&self, visit: Visit<'_>) -> Result<(), Error> {
        self.store.each(visit)
    }

    /// The header with this number.
    pub fn blob(&self, number: Hnum) -> Result<Option<Vec<u8>>, Error> {
        match &self.store {
            Store::Sqlite(reader) => reader.blob(number),
            Store::Ndb(reader) => reader.blob(number),
        }
    }

    /// The numbers of all headers with the fingerprints of their packages, which SQLite's tables tell.
    pub(super) fn fingerprints(&self) -> Result<Vec<(Hnum, Option<Fingerprint>)>, Error> {
        match &self.store {
            Store::Sqlite(reader) => reader.fingerprints(),
            Store::Ndb(reader) => {
                let mut found = Vec::new();
                reader.each(&mut |number, blob| {
                    found.push((number, Glance::of(blob).ok().and_then(|header| Fingerprint::of(&header))));
                    Ok(())
                })?;
                Ok(found)
            }
        }
    }

    /// The highest number that a header ever had.
    pub fn highest(&self) -> Result<Hnum, Error> {
        match &self.store {
            Store::Sqlite(reader) => reader.highest(),
            Store::Ndb(reader) => {
                let used = reader.table.used.iter().map(|slot| slot.number).max().unwrap_or_default();
                Ok(Hnum(used.max(reader.table.next_number.saturating_sub(1))))
            }
        }
    }

    /// The numbers of the headers that have one of these names in SQLite's table. The other format's headers are all
    /// looked at wherever fingerprints are asked for.
    pub(super) fn named<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<BTreeSet<Hnum>, Error> {
        match &self.store {
            Store::Sqlite(_) => self.numbers("Name", names.into_iter().map(str::as_bytes)),
            Store::Ndb(_) => Ok(BTreeSet::new()),
        }
    }

    /// Shows the headers of the packages with this name.
    pub fn each_named(&self, name: &str, visit: Visit<'_>) -> Result<(), Error> {
        self.each_of(&self.numbers("Name", [name.as_bytes()])?, visit)
    }

    /// Shows the headers that require, provide (and so on) one of some names, in whatever version, each once.
    /// Requirements that only installing had are left out, as in rpm; a rich dependency is found by each of its
    /// names, with a `!` in front of those that speak against it.
    pub fn each_with<'a>(
        &self,
        kind: DependencyKind,
        names: impl IntoIterator<Item = &'a str>,
        visit: Visit<'_>,
    ) -> Result<(), Error> {
        let names = names.into_iter().map(str::as_bytes);
        self.each_of(&self.numbers(table_of(kind), names)?, visit)
    }

    /// The names of a kind that are paths.
    pub fn paths(&self, kind: DependencyKind) -> Result<Vec<String>, Error> {
        let table = Table::named(table_of(kind)).expect("all names here are in the list");
        let paths = match &self.store {
            Store::Sqlite(reader) => reader.paths(table)?,
            Store::Ndb(_) => self.keys()?.paths(table),
        };
        Ok(paths.into_iter().map(|path| String::from_utf8_lossy(&path).into_owned()).collect())
    }

    fn numbers<'a>(
        &self,
        table: &str,
        keys: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<BTreeSet<Hnum>, Error> {
        let table = Table::named(table).expect("all names here are in the list");
        match &self.store {
            Store::Sqlite(reader) => reader.numbers(table, keys),
            Store::Ndb(_) => {
                let mut found = BTreeSet::new();
                for key in keys {
                    found.extend(self.keys()?.numbers(table, key));
                }
                Ok(found)
            }
        }
    }

    /// What SQLite's tables are for the other format: made when it is first asked for.
    fn keys(&self) -> Result<&Keys, Error> {
        if let Some(keys) = self.keys.get() {
            return Ok(keys);
        }
        let mut keys = Box::<Keys>::default();
        self.each(&mut |number, blob| {
            if let Ok(header) = Glance::of(blob) {
                keys.add(number, &header);
            }
            Ok(())
        })?;
        Ok(self.keys.get_or_init(|| keys))
    }

    /// Keeps those that somebody has gathered.
    pub(super) fn keep(&self, keys: Option<Box<Keys>>) {
        if let Some(keys) = keys {
            // Older ones say the same.
            let _ = self.keys.set(keys);
        }
    }

    fn each_of(&self, numbers: &BTreeSet<Hnum>, visit: Visit<'_>) -> Result<(), Error> {
        for number in numbers {
            if let Some(blob) = self.blob(*number)? {
                visit(*number, &blob)?;
            }
        }
        Ok(())
    }

    /// Shows who lists one of these paths, exactly as it is written: the path's place in the list, and a
    /// header with its file. rpm also compares what directories are behind links; whoever wants that
    /// resolves the paths first. Few paths are looked for in SQLite's tables, many by one look at all headers.
    pub fn each_owner(&self, paths: &[&Path], visit: VisitOwner<'_>) -> Result<(), Error> {
        let wanted = Wanted::of(paths);
        let mut show = |number, blob: &[u8]| {
            wanted.show(number, blob, visit);
            Ok(())
        };
        match &self.store {
            Store::Sqlite(reader) if paths.len() <= FEW => {
                let numbers = reader.numbers_with_files(wanted.files.keys().copied())?;
                self.each_of(&numbers, &mut show)
            }
            _ => self.each(&mut show),
        }
    }

    /// The headers that list this path, and which of their files it is.
    pub fn owners(&self, path: &Path) -> Result<Vec<(Hnum, usize)>, Error> {
        let mut owners = Vec::new();
        self.each_owner(&[path], &mut |_, number, _, file| owners.push((number, file.index)))?;
        Ok(owners)
    }

    /// What all headers are: reads and hashes all of the database, on two processors.
    pub fn identities(&self) -> Result<Vec<Stored>, Error> {
        self.map(|number, blob| Stored { number, identity: Identity::of(blob) })
    }

    /// All packages.
    pub fn packages(&self) -> Result<Vec<Installed>, Error> {
        self.map(|number, blob| {
            let stored = Stored { number, identity: Identity::of(blob) };
            Installed {
                stored,
                package: Header::parse(blob).map(|header| package_of(&header, stored.identity)),
            }
        })
    }

    /// What `make` makes of every header, while this thread reads on; without another thread where there can be none
    /// (in a process that has left its PID namespace for its children).
    pub(super) fn map<T: Send>(&self, make: impl Fn(Hnum, &[u8]) -> T + Sync) -> Result<Vec<T>, Error> {
        let make = &make;
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel::<(Hnum, Vec<u8>)>(32);
            let work =
                move || receiver.into_iter().map(|(number, blob)| make(number, &blob)).collect::<Vec<T>>();
            let Ok(worker) = std::thread::Builder::new().spawn_scoped(scope, work) else {
                let mut made = Vec::new();
                self.each(&mut |number, blob| {
                    made.push(make(number, blob));
                    Ok(())
                })?;
                return Ok(made);
            };
            let read = self.each(&mut |number, blob| {
                // Should the other thread have ended, it has panicked, which is told below.
                let _ = sender.send((number, blob.to_vec()));
                Ok(())
            });
            drop(sender);
            let made = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            read.map(|()| made)
        })
    }
}

/// The table with the names of a kind.
fn table_of(kind: DependencyKind) -> &'static str {
    match kind {
        DependencyKind::Requires => "Requirename",
        DependencyKind::Provides => "Providename",
        DependencyKind::Conflicts => "Conflictname",
        DependencyKind::Obsoletes => "Obsoletename",
        DependencyKind::Recommends => "Recommendname",
        DependencyKind::Suggests => "Suggestname",
        DependencyKind::Supplements => "Supplementname",
        DependencyKind::Enhances => "Enhancename",
    }
}

/// So many paths are looked for one by one; a look at all headers takes as long as some more.
const FEW: usize = 300;

/// Paths that are looked for, as headers have them.
struct Wanted<'a> {
    /// The places in the list of each directory and name.
    files: HashMap<(&'a [u8], &'a [u8]), Vec<usize>>,
    basenames: HashSet<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    fn of(paths: &[&'a Path]) -> Wanted<'a> {
        let mut wanted = Wanted { files: HashMap::new(), basenames: HashSet::new() };
        for (index, path) in paths.iter().enumerate() {
            let path = path.as_os_str().as_bytes();
            let slash = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            let (directory, basename) = path.split_at(slash);
            wanted.files.entry((directory, basename)).or_default().push(index);
            wanted.basenames.insert(basename);
        }
        wanted
    }

    /// Shows which of them a header has.
    fn show(&self, number: Hnum, blob: &[u8], visit: VisitOwner<'_>) {
        // Most headers have none, and their names are soon looked through.
        let Ok(glance) = Glance::of(blob) else { return };
        if !glance.strings(tag::BASENAMES).any(|name| self.basenames.contains(name)) {
            return;
        }
        let Ok(header) = Header::parse(blob) else { return };
        for file in header.files() {
            let own = (file.directory.as_os_str().as_bytes(), file.basename.as_bytes());
            for index in self.files.get(&own).into_iter().flatten() {
                visit(*index, number, &header, &file);
            }
        }
    }
}

/// What any database can tell of a package.
pub(super) fn package_of(header: &Header<'_>, identity: Identity) -> Package {
    Package {
        name: header.name().into_owned(),
        arch: header.arch().into_owned(),
        version: header.evr().to_string(),
        identity,
    }
}

/// Opens the file with the headers, which must be one.
fn open_file(dir: &Root, backend: Backend) -> Result<File, Error> {
    let name = backend.file_name();
    let file = match dir.open_child_file(OsStr::new(name)) {
        Err(error) if error.is_not_found() => return Err(Error::Missing { path: dir.join(name) }),
        other => other?,
    };
    let stat = rustix::fs::fstat(&file).context("examine", dir.join(name))?;
    if FileKind::of(&stat) != FileKind::File {
        return Err(Error::Damaged { path: dir.join(name), what: "it is no regular file".to_owned() });
    }
    Ok(file)
}
