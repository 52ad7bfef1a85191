//! Reading an `rpmdb.sqlite` without writing anything beside it.
//!
//! SQLite in WAL mode, which rpm uses, cannot read without making `-wal` and `-shm` files, unless it is told
//! that the file is *immutable*: then it locks nothing and looks at no log. So that is how we read where the
//! log is empty, under rpm's own lock. Where a log with content was left behind, its content counts: file
//! and log are copied, and SQLite finishes the copy.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use rustix::fs::{AtFlags, Mode, OFlags};

use super::schema::PACKAGES;
use super::{Key, connect, failed, pages, path_of};
use crate::package::header::tag;
use crate::pkgdb::Error;
use crate::pkgdb::rpm::index_rows::{TABLES, Table};
use crate::pkgdb::rpm::locations::{JOURNAL, LOG};
use crate::pkgdb::rpm::{Backend, Fingerprint, Hnum, Visit};
use crate::sys::{Context, Root, copy_content};

/// An open database.
#[derive(Debug)]
pub(in crate::pkgdb::rpm) struct Reader {
    connection: Connection,
    /// All of the database: there is nothing in a log.
    pub(in crate::pkgdb::rpm) file: File,
    path: PathBuf,
    /// Where SQLite has found the file, if it has a name.
    reachable: Option<PathBuf>,
}

impl Reader {
    /// Opens the database in `dir`, whose file is open already. Copies, where there must be one, are made
    /// in `scratch`, and have no name any more when this returns.
    pub(in crate::pkgdb::rpm) fn open(dir: &Root, file: File, scratch: &Path) -> Result<Reader, Error> {
        let name = Backend::Sqlite.file_name();
        let path = dir.join(name);
        // SQLite takes an empty file for a database without tables.
        if file.metadata().context("examine", &path)?.len() == 0 && !has_content(dir, LOG)? {
            return Err(Error::Damaged { path, what: "the file is empty".to_owned() });
        }
        let is_plain = !has_content(dir, LOG)? && !has_content(dir, JOURNAL)?;
        let reachable = if is_plain { path_of(dir, name)? } else { None };
        let (connection, file) = match &reachable {
            Some(reachable) => (connect_as_is(reachable).map_err(|error| failed(&path, error))?, file),
            None => copied(dir, &file, scratch)?,
        };
        let reader = Reader { connection, file, path, reachable };
        // The first look at the file: is it a database, and rpm's?
        reader.run(|connection| connection.prepare("SELECT hnum, blob FROM Packages").map(drop))?;
        Ok(reader)
    }

    /// The same opened once more, for another thread; `None` where the file has no name, or that is another's now.
    pub(in crate::pkgdb::rpm) fn again(&self) -> Option<Reader> {
        let reachable = self.reachable.as_ref()?;
        let connection = connect_as_is(reachable).ok()?;
        let (found, own) = (rustix::fs::lstat(reachable).ok()?, rustix::fs::fstat(&self.file).ok()?);
        let is_same = (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino);
        let file = self.file.try_clone().ok().filter(|_| is_same)?;
        Some(Reader { connection, file, path: self.path.clone(), reachable: Some(reachable.clone()) })
    }

    /// All headers, by their numbers.
    pub(in crate::pkgdb::rpm) fn each(&self, visit: Visit<'_>) -> Result<(), Error> {
        let Some(root) = self.root()? else { return self.each_by_sqlite(visit) };
        pages::each_row(&self.file, &self.path, root, &mut |number, blob| visit(self.hnum(number)?, blob))
    }

    /// The first page of the table of headers, where that is as rpm makes it.
    fn root(&self) -> Result<Option<u32>, Error> {
        let sql =
            "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = 'Packages' AND sql = ?1";
        self.run(|connection| connection.query_row(sql, [PACKAGES], |row| row.get(0)).optional())
    }

    fn each_by_sqlite(&self, visit: Visit<'_>) -> Result<(), Error> {
        let fail = |error| failed(&self.path, error);
        let sql = "SELECT hnum, blob FROM Packages ORDER BY hnum";
        let mut statement = self.connection.prepare(sql).map_err(fail)?;
        let mut rows = statement.query([]).map_err(fail)?;
        while let Some(row) = rows.next().map_err(fail)? {
            let number = self.number(row)?;
            let blob = row.get_ref(1).and_then(|value| value.as_blob().map_err(rusqlite::Error::from));
            visit(number, blob.map_err(fail)?)?;
        }
        Ok(())
    }

    /// The numbers of all headers, with the fingerprints that the tables have.
    pub(in crate::pkgdb::rpm) fn fingerprints(&self) -> Result<Vec<(Hnum, Option<Fingerprint>)>, Error> {
        let table = |tag| TABLES.iter().find(|table| table.tag == tag).expect("there are tables of both");
        let mut sha1 = HashMap::new();
        self.rows(table(tag::SHA1_HEADER), &mut |key, number, _| drop(sha1.insert(number, key.to_vec())))?;
        let mut fingerprints = HashMap::new();
        self.rows(table(tag::SIG_MD5), &mut |md5, number, _| {
            let fingerprint = sha1.get(&number).and_then(|sha1| Fingerprint::new(sha1, md5));
            fingerprints.extend(fingerprint.map(|fingerprint| (number, fingerprint)));
        })?;
        let fail = |error| failed(&self.path, error);
        let mut statement = self.connection.prepare("SELECT hnum FROM Packages").map_err(fail)?;
        let mut rows = statement.query([]).map_err(fail)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(fail)? {
            let number = self.number(row)?;
            found.push((number, fingerprints.get(&number.0.into()).copied()));
        }
        Ok(found)
    }

    /// The numbers of the headers with one of these keys in a table.
    pub(in crate::pkgdb::rpm) fn numbers<'a>(
        &self,
        table: &Table,
        keys: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<BTreeSet<Hnum>, Error> {
        let sql = format!("SELECT hnum FROM \"{}\" WHERE key = ?1", table.name);
        self.find(&sql, keys.into_iter().map(|key| [Key::of(table, key)]))
    }

    /// The numbers of the headers that have a file of one of these names, and the directory with it.
    pub(in crate::pkgdb::rpm) fn numbers_with_files<'a>(
        &self,
        files: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<BTreeSet<Hnum>, Error> {
        // The '+' keeps SQLite from looking through all that is in a popular directory.
        let sql = "SELECT b.hnum FROM Basenames AS b WHERE b.key = ?1 AND EXISTS \
                   (SELECT 1 FROM Dirnames AS d WHERE d.hnum = b.hnum AND +d.key = ?2)";
        let files = files.into_iter();
        self.find(sql, files.map(|(directory, basename)| [Key(basename, true), Key(directory, true)]))
    }

    /// The keys of a table that are paths.
    pub(in crate::pkgdb::rpm) fn paths(&self, table: &Table) -> Result<Vec<Vec<u8>>, Error> {
        // The character behind '/' is '0'.
        let sql = format!("SELECT DISTINCT key FROM \"{}\" WHERE key >= '/' AND key < '0'", table.name);
        self.run(|connection| {
            let mut statement = connection.prepare(&sql)?;
            let keys = statement.query_map([], |row| Ok(row.get_ref(0)?.as_bytes()?.to_vec()))?;
            keys.collect()
        })
    }

    fn find<'a, const N: usize>(
        &self,
        sql: &str,
        keys: impl IntoIterator<Item = [Key<'a>; N]>,
    ) -> Result<BTreeSet<Hnum>, Error> {
        let fail = |error| failed(&self.path, error);
        let mut statement = self.connection.prepare(sql).map_err(fail)?;
        let mut found = BTreeSet::new();
        for keys in keys {
            let mut rows = statement.query(rusqlite::params_from_iter(keys)).map_err(fail)?;
            while let Some(row) = rows.next().map_err(fail)? {
                found.insert(self.number(row)?);
            }
        }
        Ok(found)
    }

    /// One header.
    pub(in crate::pkgdb::rpm) fn blob(&self, number: Hnum) -> Result<Option<Vec<u8>>, Error> {
        self.run(|connection| {
            let sql = "SELECT blob FROM Packages WHERE hnum = ?1";
            connection.query_row(sql, [number.0], |row| row.get(0)).optional()
        })
    }

    /// The highest number that a header ever had.
    pub(in crate::pkgdb::rpm) fn highest(&self) -> Result<Hnum, Error> {
        let sequence: Option<i64> = self.run(|connection| {
            let sql = "SELECT max(seq) FROM sqlite_sequence WHERE name = 'Packages'";
            connection.query_row(sql, [], |row| row.get(0))
        })?;
        let number: Option<i64> = self
            .run(|connection| connection.query_row("SELECT max(hnum) FROM Packages", [], |row| row.get(0)))?;
        self.hnum(sequence.max(number).unwrap_or_default())
    }

    /// The rows of an index table, in its order: key, header's number, index.
    pub(in crate::pkgdb::rpm) fn rows(
        &self,
        table: &Table,
        visit: &mut dyn FnMut(&[u8], i64, i64),
    ) -> Result<(), Error> {
        self.run(|connection| {
            let mut statement = connection
                .prepare(&format!("SELECT key, hnum, idx FROM \"{}\" ORDER BY rowid", table.name))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                visit(row.get_ref(0)?.as_bytes()?, row.get(1)?, row.get(2)?);
            }
            Ok(())
        })
    }

    /// What SQLite itself finds wrong.
    pub(in crate::pkgdb::rpm) fn integrity(&self) -> Result<Vec<String>, Error> {
        self.run(|connection| {
            let mut statement = connection.prepare("PRAGMA integrity_check")?;
            let found = statement.query_map([], |row| row.get::<_, String>(0))?;
            found.filter(|text| text.as_deref() != Ok("ok")).collect()
        })
    }

    fn run<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        read(&self.connection).map_err(|error| failed(&self.path, error))
    }

    fn number(&self, row: &Row<'_>) -> Result<Hnum, Error> {
        self.hnum(row.get(0).map_err(|error| failed(&self.path, error))?)
    }

    fn hnum(&self, number: i64) -> Result<Hnum, Error> {
        u32::try_from(number).map(Hnum).map_err(|_| Error::Damaged {
            path: self.path.clone(),
            what: format!("a header has the number {number}"),
        })
    }
}

/// Opens a file of which nobody changes anything meanwhile, and that has no log.
fn connect_as_is(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, "?immutable=1")?;
    // Headers that differ are looked at several times: those of twenty packages with many files fit in.
    connection.execute_batch("PRAGMA cache_size = -6144;")?;
    Ok(connection)
}

fn has_content(dir: &Root, name: &str) -> Result<bool, Error> {
    Ok(dir.lstat(name)?.is_some_and(|stat| stat.st_size > 0))
}

/// A private copy of file and log, made one file by SQLite.
fn copied(dir: &Root, file: &File, scratch: &Path) -> Result<(Connection, File), Error> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let place = Root::open(scratch)?;
    let name = format!(".rpmdb-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let result = finish_copy(dir, file, &place, &name);
    // What is open stays readable.
    for ending in ["", "-wal", "-shm", "-journal"] {
        let _ = rustix::fs::unlinkat(&place, format!("{name}{ending}"), AtFlags::empty());
    }
    result
}

fn finish_copy(dir: &Root, file: &File, place: &Root, name: &str) -> Result<(Connection, File), Error> {
    let copy = create(place, name)?;
    copy_content(file, &copy).context("copy", dir.path())?;
    for (companion, ending) in [(LOG, "-wal"), (JOURNAL, "-journal")] {
        if has_content(dir, companion)? {
            let log = dir.open_child_file(OsStr::new(companion))?;
            copy_content(&log, &create(place, &format!("{name}{ending}"))?)
                .context("copy", dir.join(companion))?;
        }
    }
    let path = path_of(place, name)?.unwrap_or_else(|| place.join(name));
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let connection = connect(&path, flags, "").and_then(|connection| {
        // Nobody else has the copy; so SQLite needs no shared memory, and the log goes into the file.
        connection.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF; PRAGMA journal_mode = DELETE; \
             SELECT count(*) FROM sqlite_schema; PRAGMA query_only = ON;",
        )?;
        Ok(connection)
    });
    Ok((connection.map_err(|error| failed(&dir.join(Backend::Sqlite.file_name()), error))?, copy))
}

fn create(place: &Root, name: &str) -> Result<File, Error> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(place, name, flags, Mode::from_raw_mode(0o600));
    Ok(File::from(fd.context("create", place.join(name))?))
}
