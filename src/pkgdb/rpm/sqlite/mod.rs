//! `rpmdb.sqlite`: headers in the table `Packages`, and 18 tables that index them
//! ([`crate::pkgdb::rpm::index_rows`]). All versions of rpm since 4.16 write the same schema.

mod pages;
mod reader;
mod schema;
mod spare_rows;
mod writer;

pub(super) use reader::Reader;
pub(super) use writer::write;

use std::path::{Path, PathBuf};

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::index_rows::Table;
use crate::pkgdb::Error;
use crate::sys::{Context, FileKind, Root, io_error};

/// What an error of SQLite's means to a caller.
pub(super) fn failed(path: &Path, source: rusqlite::Error) -> Error {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::InUse { path },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Error::Damaged { path, what: source.to_string() }
        }
        Some(ErrorCode::DiskFull) => io_error("write", path, Errno::NOSPC).into(),
        _ => Error::Sqlite { path, source },
    }
}

/// The path by which SQLite, which knows no descriptors, finds a file that is open in `dir`.
///
/// SQLite reads links in a path itself (`unixFullPathname`), so `/proc/self/fd/N` is no more than the text
/// of that link; it is read here, and the file is looked for behind it. `None` where another is there: the
/// directory is then not to be reached in our view of the file system.
fn path_of(dir: &Root, name: &str) -> Result<Option<PathBuf>, Error> {
    use std::os::fd::{AsFd, AsRawFd};
    let link = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
    let path = std::fs::read_link(&link).context("resolve", dir.path())?.join(name);
    let Ok(found) = rustix::fs::lstat(&path) else { return Ok(None) };
    let wanted =
        rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).context("examine", dir.join(name))?;
    Ok(((found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino)).then_some(path))
}

/// Makes of a database in SQLite's format that nobody has open one file, without a log beside it, as it can be read where nothing can be
/// written; whether it is there. rpm and dnf go back to a log when they next write.
pub fn park(dir: &Root, name: &str) -> Result<bool, Error> {
    if dir.lstat(name)?.is_none_or(|stat| FileKind::of(&stat) != FileKind::File) {
        return Ok(false);
    }
    let path = path_of(dir, name)?.unwrap_or_else(|| dir.join(name));
    let parked = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE, "").and_then(|connection| {
        connection.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; SELECT count(*) FROM sqlite_schema; PRAGMA journal_mode = DELETE;",
        )
    });
    parked.map_err(|error| failed(&path, error))?;
    Ok(true)
}

/// Opens a file for SQLite, with everything off that a strange schema could use against us.
fn connect(path: &Path, flags: OpenFlags, parameters: &str) -> rusqlite::Result<Connection> {
    use std::os::unix::ffi::OsStrExt;
    let mut address = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => address.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => address.push(char::from(*byte)),
            byte => address.push_str(&format!("%{byte:02X}")),
        }
    }
    address.push_str(parameters);
    let flags = flags | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(address, flags)?;
    // The bundled SQLite turns foreign keys on, and rpm deletes a header before its rows.
    connection.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA trusted_schema = OFF;")?;
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    Ok(connection)
}

/// A key as rpm stores it: text need not be UTF-8.
struct Key<'a>(&'a [u8], bool);

impl<'a> Key<'a> {
    fn of(table: &Table, key: &'a [u8]) -> Key<'a> {
        Key(key, table.is_text)
    }
}

impl ToSql for Key<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = if self.1 { ValueRef::Text(self.0) } else { ValueRef::Blob(self.0) };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

/// Brings what is in the log, or in a journal that a crash left, into the file.
pub(super) fn finish(dir: &Root) -> Result<(), Error> {
    let name = super::Backend::Sqlite.file_name();
    let shown = dir.join(name);
    let path = path_of(dir, name)?.ok_or_else(|| io_error("reach", &shown, Errno::NOENT))?;
    let busy = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE, "").and_then(|connection| {
        // Reading finishes a journal; the answer's first column tells whether somebody was in the way.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
    });
    match busy.map_err(|error| failed(&shown, error))? {
        0 => Ok(()),
        _ => Err(Error::InUse { path: shown }),
    }
}
