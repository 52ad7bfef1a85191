//! Changing a copy of an `rpmdb.sqlite`. Nobody else sees the copy, and it is thrown away when anything
//! fails: so there is no journal, and nothing is synced before the end.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Statement, params};

use super::schema::{create, create_indexes};
use super::spare_rows::SpareRows;
use super::{Key, connect, failed, path_of};
use crate::package::{Header, Identity};
use crate::pkgdb::Error;
use crate::pkgdb::rpm::index_rows::{TABLES, Table};
use crate::pkgdb::rpm::writer::Changes;
use crate::pkgdb::rpm::{Hnum, Stored};
use crate::sys::{Root, io_error};

const OPTIONS: &str = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; \
                       PRAGMA temp_store = MEMORY; PRAGMA cache_size = -24576; PRAGMA secure_delete = OFF;";

/// Makes changes to the database `name` in `dir`, which nobody else knows. `is_new` says that the file is
/// empty.
pub(in crate::pkgdb::rpm) fn write(
    dir: &Root,
    name: &str,
    is_new: bool,
    changes: Changes<'_>,
) -> Result<(), Error> {
    let shown = dir.join(name);
    let path = path_of(dir, name)?
        .ok_or_else(|| io_error("reach", &shown, std::io::Error::from(std::io::ErrorKind::NotFound)))?;
    let fail = |error| failed(&shown, error);
    let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE, "").map_err(fail)?;
    connection.execute_batch(OPTIONS).map_err(fail)?;
    connection.execute_batch("BEGIN EXCLUSIVE").map_err(fail)?;
    if is_new {
        create(&connection).map_err(fail)?;
    } else {
        create_indexes(&connection).map_err(fail)?;
    }
    apply(&connection, &shown, changes)?;
    if is_new {
        create_indexes(&connection).map_err(fail)?;
    }
    connection.execute_batch("COMMIT").map_err(fail)?;
    if is_new {
        connection.execute_batch("PRAGMA optimize").map_err(fail)?;
    }
    connection.close().map_err(|(_, error)| fail(error))
}

fn apply(connection: &Connection, path: &Path, changes: Changes<'_>) -> Result<(), Error> {
    let fail = |error| failed(path, error);
    verify(connection, path, changes.remove.iter().chain(changes.replace.iter().map(|(stored, _)| stored)))?;
    let removed: Vec<Hnum> = changes.remove.iter().map(|stored| stored.number).collect();
    delete(connection, "Packages", "hnum", &removed).map_err(fail)?;
    let replaced = replace_blobs(connection, path, changes.replace)?;
    let mut inserter =
        Inserter::new(connection, path, &[removed, replaced.clone()].concat()).map_err(fail)?;
    for (stored, blob) in changes.replace.iter().filter(|(stored, _)| replaced.contains(&stored.number)) {
        inserter.index(stored.number, &Header::parse(blob)?).map_err(fail)?;
    }
    raise_sequence(connection, changes.above).map_err(fail)?;
    for blob in changes.add {
        inserter.add(&blob?)?;
    }
    inserter.delete_spare().map_err(fail)
}

/// Whether the headers are what those who want them changed believe.
fn verify<'a>(
    connection: &Connection,
    path: &Path,
    stored: impl Iterator<Item = &'a Stored>,
) -> Result<(), Error> {
    let fail = |error| failed(path, error);
    let mut statement = connection.prepare("SELECT blob FROM Packages WHERE hnum = ?1").map_err(fail)?;
    for stored in stored {
        let found =
            statement.query_row([stored.number.0], |row| Ok(Identity::of(row.get_ref(0)?.as_blob()?)));
        if found.optional().map_err(fail)? != Some(stored.identity) {
            return Err(Error::Changed { path: path.to_owned() });
        }
    }
    Ok(())
}

/// So many numbers fit in a statement that is not too long.
pub(super) const AT_ONCE: usize = 1000;

fn delete(
    connection: &Connection,
    table: &str,
    column: &str,
    numbers: &[impl ToString],
) -> rusqlite::Result<()> {
    for numbers in numbers.chunks(AT_ONCE) {
        let list: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        connection
            .execute_batch(&format!("DELETE FROM \"{table}\" WHERE {column} IN ({})", list.join(",")))?;
    }
    Ok(())
}

/// Replaces headers; the numbers of those whose rows are others now.
fn replace_blobs(
    connection: &Connection,
    path: &Path,
    replacements: &[(Stored, Vec<u8>)],
) -> Result<Vec<Hnum>, Error> {
    let fail = |error| failed(path, error);
    let mut old = connection.prepare("SELECT blob FROM Packages WHERE hnum = ?1").map_err(fail)?;
    let mut update = connection.prepare("UPDATE Packages SET blob = ?2 WHERE hnum = ?1").map_err(fail)?;
    let mut changed = Vec::new();
    for (stored, blob) in replacements {
        let header = Header::parse(blob)?;
        let before: Vec<u8> = old.query_row([stored.number.0], |row| row.get(0)).map_err(fail)?;
        let is_same = Header::parse(&before)
            .is_ok_and(|before| TABLES.iter().all(|table| table.rows(&before) == table.rows(&header)));
        if !is_same {
            changed.push(stored.number);
        }
        update.execute(params![stored.number.0, blob]).map_err(fail)?;
    }
    Ok(changed)
}

/// The numbers of headers to come are higher than `above`.
fn raise_sequence(connection: &Connection, above: Hnum) -> rusqlite::Result<()> {
    let sql = "UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'Packages'";
    if connection.execute(sql, [above.0])? == 0 {
        let sql = "INSERT INTO sqlite_sequence(name, seq) SELECT 'Packages', \
                   max(?1, coalesce((SELECT max(hnum) FROM Packages), 0))";
        connection.execute(sql, [above.0])?;
    }
    Ok(())
}

/// The statements that add headers, prepared once.
struct Inserter<'a> {
    connection: &'a Connection,
    path: &'a Path,
    package: Statement<'a>,
    tables: Vec<Rows<'a>>,
}

/// The same for the rows of a table.
struct Rows<'a> {
    table: &'static Table,
    spare: SpareRows,
    change: Statement<'a>,
    insert: Statement<'a>,
}

impl<'a> Inserter<'a> {
    /// The rows of headers that are gone are there to be taken over.
    fn new(connection: &'a Connection, path: &'a Path, gone: &[Hnum]) -> rusqlite::Result<Inserter<'a>> {
        let rows = |table| Rows::new(connection, table, gone);
        let tables = TABLES.iter().map(rows).collect::<Result<_, _>>()?;
        let package = connection.prepare("INSERT INTO Packages VALUES(NULL, ?1)")?;
        Ok(Inserter { connection, path, package, tables })
    }

    fn add(&mut self, blob: &[u8]) -> Result<(), Error> {
        let header = Header::parse(blob)?;
        self.package.execute([blob]).map_err(|error| failed(self.path, error))?;
        let number = u32::try_from(self.connection.last_insert_rowid()).map_err(|_| Error::Damaged {
            path: self.path.to_owned(),
            what: "no number is left".to_owned(),
        })?;
        self.index(Hnum(number), &header).map_err(|error| failed(self.path, error))
    }

    fn index(&mut self, number: Hnum, header: &Header<'_>) -> rusqlite::Result<()> {
        self.tables.iter_mut().try_for_each(|rows| {
            let all = rows.table.rows(header);
            all.iter().try_for_each(|row| rows.add(&row.key, number, row.index))
        })
    }

    /// Deletes the rows that nobody has taken over.
    fn delete_spare(self) -> rusqlite::Result<()> {
        let mut tables = self.tables.iter();
        tables.try_for_each(|rows| delete(self.connection, rows.table.name, "rowid", &rows.spare.left()))
    }
}

impl<'a> Rows<'a> {
    fn new(connection: &'a Connection, table: &'static Table, gone: &[Hnum]) -> rusqlite::Result<Rows<'a>> {
        let name = table.name;
        let change = format!("UPDATE \"{name}\" SET hnum = ?1, idx = ?2 WHERE rowid = ?3 AND key = ?4");
        Ok(Rows {
            table,
            spare: SpareRows::of(connection, table, gone)?,
            change: connection.prepare(&change)?,
            insert: connection.prepare(&format!("INSERT INTO \"{name}\" VALUES(?1, ?2, ?3)"))?,
        })
    }

    fn add(&mut self, key: &[u8], number: Hnum, index: u32) -> rusqlite::Result<()> {
        // rpm binds the index as a signed number.
        let (key, index) = (Key::of(self.table, key), index as i32);
        if let Some(taken) = self.spare.take(key.0) {
            if self.change.execute(params![number.0, index, taken.row, key])? == 1 {
                return Ok(());
            }
            self.spare.give_back(&taken);
        }
        self.insert.execute(params![key, number.0, index]).map(drop)
    }
}
