//! What is wrong with a database. All of it is told, not the first alone.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;

use super::database::Store;
use super::index_rows::{Row, TABLES, Table};
use super::{Database, Hnum, ndb, sqlite};
use crate::package::Header;
use crate::package::header::{Glance, HeaderDigest, Malformed, Tags, tag};
use crate::pkgdb::Error;

/// Something that is wrong with a database.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The file itself is damaged.
    Structure(String),
    /// A header cannot be read.
    Unreadable {
        /// Which one.
        number: Hnum,
        /// Why.
        why: Malformed,
    },
    /// A header is not what was signed.
    Altered {
        /// Which one.
        number: Hnum,
        /// The package's name.
        name: String,
    },
    /// A row is not in its table.
    MissingRow(Place),
    /// A row is in a table that no header has.
    SuperfluousRow(Place),
    /// A package is there more than once, and is none of those that may be.
    Duplicate {
        /// Its name.
        name: String,
        /// Its architecture.
        arch: String,
        /// Its headers.
        numbers: Vec<Hnum>,
    },
}

/// A row of an index table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The table.
    pub table: &'static str,
    /// The key, where it is text.
    pub key: String,
    /// The header's number.
    pub number: i64,
    /// The index in the header's values.
    pub index: i64,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Structure(what) => f.write_str(what),
            Finding::Unreadable { number, why } => write!(f, "header {number} cannot be read: {why}"),
            Finding::Altered { number, name } => {
                write!(f, "header {number} ({name}) does not have its own digest")
            }
            Finding::MissingRow(place) => write!(f, "{place} is missing"),
            Finding::SuperfluousRow(place) => write!(f, "{place} belongs to no header"),
            Finding::Duplicate { name, arch, numbers } => {
                write!(f, "package {name}.{arch} is there {} times", numbers.len())
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row '{}' ({}, {}) in table {}", self.key, self.number, self.index, self.table)
    }
}

/// Looks at everything in a database.
pub fn check(database: &Database) -> Result<Vec<Finding>, Error> {
    let mut findings = match &database.store {
        Store::Sqlite(reader) => reader.integrity()?.into_iter().map(Finding::Structure).collect(),
        Store::Ndb(reader) => check_ndb(database, reader)?,
    };
    // What SQLite finds damaged may not be readable at all.
    match check_headers(database, &mut findings) {
        Err(Error::Damaged { what, .. }) => findings.push(Finding::Structure(what)),
        other => other?,
    }
    if let Store::Sqlite(reader) = &database.store {
        match check_rows(database, reader, &mut findings) {
            Err(Error::Damaged { what, .. }) => findings.push(Finding::Structure(what)),
            other => other?,
        }
    }
    Ok(findings)
}

fn check_ndb(database: &Database, reader: &ndb::Reader) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for slot in &reader.table.used {
        if let Some(what) = ndb::check_blob(reader, slot)? {
            findings.push(Finding::Structure(format!("header {}: {what}", slot.number)));
        }
        if slot.number >= reader.table.next_number {
            let what = format!("header {}: its number will be given again", slot.number);
            findings.push(Finding::Structure(what));
        }
    }
    // The generation that an index says it was made for (rpm's rpmxdb.c).
    let mut beginning = [0; 24];
    let index = database.dir.open_child_file(OsStr::new("Index.db"));
    let is_there = index.is_ok_and(|mut file| file.read_exact(&mut beginning).is_ok());
    if is_there && beginning[20..] != reader.table.generation.to_le_bytes() {
        findings.push(Finding::Structure("Index.db was made for another generation".to_owned()));
    }
    Ok(findings)
}

fn check_headers(database: &Database, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let mut packages: HashMap<(String, String), Vec<Hnum>> = HashMap::new();
    database.each(&mut |number, blob| {
        let header = match Header::parse(blob) {
            Ok(header) => header,
            Err(why) => {
                findings.push(Finding::Unreadable { number, why });
                return Ok(());
            }
        };
        if [header.sha1(), header.sha256()].contains(&HeaderDigest::Wrong) {
            findings.push(Finding::Altered { number, name: header.name().into_owned() });
        }
        if Glance::of(blob).is_ok_and(|glance| !may_be_there_twice(&glance)) {
            let unit = (header.name().into_owned(), header.arch().into_owned());
            packages.entry(unit).or_default().push(number);
        }
        Ok(())
    })?;
    let mut twice: Vec<_> = packages.into_iter().filter(|(_, numbers)| numbers.len() > 1).collect();
    twice.sort();
    findings.extend(twice.into_iter().map(|((name, arch), numbers)| Finding::Duplicate {
        name,
        arch,
        numbers,
    }));
    Ok(())
}

/// Keys, and what package managers install beside an older version (dnf's `installonlypkgs`, zypp's
/// `multiversion`).
pub fn may_be_there_twice(header: &Glance<'_>) -> bool {
    if matches!(header.string(tag::NAME), Some(b"gpg-pubkey" | b"kernel")) {
        return true;
    }
    let words: [&[u8]; 3] = [b"installonlypkg(", b"multiversion(", b"kernel-uname-r"];
    header.strings(tag::PROVIDE_NAME).any(|name| words.iter().any(|word| name.starts_with(word)))
}

/// Rows expected less rows found, by the hash of a row: one number each, however long its key.
type Balance = HashMap<u64, i32>;

fn check_rows(
    database: &Database,
    reader: &sqlite::Reader,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let mut balance = Balance::new();
    each_row(database, &mut |table, number, row| {
        *balance.entry(hash(table, &row.key, number.0.into(), row.index.into())).or_default() += 1;
    })?;
    for table in &TABLES {
        reader.rows(table, &mut |key, number, index| {
            // rpm binds it as a signed number.
            let unsigned = i64::from(index as u32);
            let left = balance.entry(hash(table, key, number, unsigned)).or_default();
            if *left > 0 {
                *left -= 1;
            } else {
                findings.push(Finding::SuperfluousRow(place(table, key, number, index)));
            }
        })?;
    }
    balance.retain(|_, left| *left > 0);
    if balance.is_empty() {
        return Ok(());
    }
    each_row(database, &mut |table, number, row| {
        let (number, index) = (number.0.into(), row.index.into());
        let left = balance.get_mut(&hash(table, &row.key, number, index)).filter(|left| **left > 0);
        if let Some(left) = left {
            *left -= 1;
            findings.push(Finding::MissingRow(place(table, &row.key, number, index)));
        }
    })
}

fn each_row(database: &Database, visit: &mut dyn FnMut(&'static Table, Hnum, &Row<'_>)) -> Result<(), Error> {
    database.each(&mut |number, blob| {
        if let Ok(header) = Header::parse(blob) {
            for table in &TABLES {
                table.rows(&header).iter().for_each(|row| visit(table, number, row));
            }
        }
        Ok(())
    })
}

fn hash(table: &Table, key: &[u8], number: i64, index: i64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (table.tag, key, number, index).hash(&mut hasher);
    hasher.finish()
}

fn place(table: &'static Table, key: &[u8], number: i64, index: i64) -> Place {
    let key = if table.is_text {
        String::from_utf8_lossy(key).into_owned()
    } else {
        key.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    };
    Place { table: table.name, key, number, index }
}
