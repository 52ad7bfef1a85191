//! dnf's history, `/var/lib/dnf/history.sqlite`. Why a package is there is the reason of the last finished transaction
//! that brought it, or changed only that (libdnf's `RPMItem::resolveTransactionItemReason`).
//!
//! Two histories that went different ways cannot be made one that tells what happened in order. So the overlay's stays,
//! with one transaction more that changes the reasons of those packages for which it would say something else than the
//! host's about packages that are the host's now.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::{Decisions, Word};
use crate::pkgdb::Error;

/// Where it is.
pub const PATH: &str = "/var/lib/dnf/history.sqlite";

/// libdnf's numbers for reasons (`TransactionItemReason`) and for actions (`TransactionItemAction`).
const UNKNOWN: i64 = 0;
const DEPENDENCY: i64 = 1;
const USER: i64 = 2;
const WEAK_DEPENDENCY: i64 = 4;
const REMOVE: i64 = 8;
const REASON_CHANGE: i64 = 11;

/// A version of a package, as the history has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Name.
    pub name: String,
    /// Epoch; 0 where it has none.
    pub epoch: i64,
    /// Version.
    pub version: String,
    /// Release.
    pub release: String,
    /// Architecture.
    pub arch: String,
}

/// Adds to the history `ours` what the history `theirs` says of packages that are the host's; `false` where they agree
/// already, or one of them is none. Both are copies that nobody else has, and what is in their logs counts.
pub fn merge(
    ours: &Path,
    theirs: &Path,
    installed: &[Installed],
    decisions: &Decisions,
    now: u64,
) -> Result<bool, Error> {
    let [our, their] = [open(ours)?, open(theirs)?];
    let fail = |source| Error::Sqlite { path: ours.to_owned(), source };
    let (Some(our_reasons), Some(their_reasons)) =
        (reasons(&our).map_err(fail)?, reasons(&their).map_err(fail)?)
    else {
        return Ok(false);
    };
    let mut changes = Vec::new();
    for package in installed {
        let name = format!("{}.{}", package.name, package.arch);
        let word = decisions.word(&name);
        let of = |reasons: &BTreeMap<String, i64>| reasons.get(&name).copied().unwrap_or(UNKNOWN);
        let (own, host) = (of(&our_reasons), of(&their_reasons));
        let wanted = match word {
            Word::Theirs => host,
            Word::Both if is_auto(own) && !is_auto(host) => host,
            _ => own,
        };
        if wanted != own {
            // Who is unknown was installed by a person.
            changes.push((package, if wanted == UNKNOWN { USER } else { wanted }));
        }
    }
    if changes.is_empty() {
        return Ok(false);
    }
    add(&our, &changes, now).and_then(|()| finish(our)).map_err(fail)?;
    Ok(true)
}

/// The packages that are there for others' sake alone (`NAME.ARCH`); none where this is no history. It is a copy that nobody else has.
pub fn needed(history: &Path) -> Result<Vec<String>, Error> {
    let reasons =
        reasons(&open(history)?).map_err(|source| Error::Sqlite { path: history.to_owned(), source })?;
    let needed = reasons.into_iter().flatten().filter(|(_, reason)| is_auto(*reason));
    Ok(needed.map(|(name, _)| name).collect())
}

fn is_auto(reason: i64) -> bool {
    [DEPENDENCY, WEAK_DEPENDENCY].contains(&reason)
}

fn open(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = OFF;",
        )?;
        Ok(connection)
    });
    opened.map_err(|source| Error::Sqlite { path: path.to_owned(), source })
}

/// The reason of each `NAME.ARCH`; `None` where this is no history.
fn reasons(connection: &Connection) -> rusqlite::Result<Option<BTreeMap<String, i64>>> {
    let sql = "SELECT i.name || '.' || i.arch, ti.action, ti.reason FROM trans_item ti \
               JOIN trans t ON ti.trans_id = t.id JOIN rpm i USING (item_id) \
               WHERE t.state = 1 AND ti.action NOT IN (3, 5, 7, 10) ORDER BY ti.trans_id, ti.id";
    let Ok(mut statement) = connection.prepare(sql) else { return Ok(None) };
    let mut found = BTreeMap::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (action, reason): (i64, i64) = (row.get(1)?, row.get(2)?);
        found.insert(row.get(0)?, if action == REMOVE { UNKNOWN } else { reason });
    }
    Ok(Some(found))
}

fn add(connection: &Connection, changes: &[(&Installed, i64)], now: u64) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN")?;
    connection.execute(
        "INSERT INTO trans (dt_begin, dt_end, rpmdb_version_begin, rpmdb_version_end, releasever, user_id, cmdline, \
         state) VALUES (?1, ?1, '', '', '', 0, 'onlay rebase', 1)",
        [now as i64],
    )?;
    let transaction = connection.last_insert_rowid();
    let repository = repository(connection)?;
    for (package, reason) in changes {
        let item = item(connection, package)?;
        connection.execute(
            "INSERT INTO trans_item (trans_id, item_id, repo_id, action, reason, state) VALUES (?1, ?2, ?3, ?4, ?5, 1)",
            params![transaction, item, repository, REASON_CHANGE, reason],
        )?;
    }
    connection.execute_batch("COMMIT")
}

/// The number of the repository that stands for what is installed.
fn repository(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT id FROM repo WHERE repoid = '@System'";
    if let Some(number) = connection.query_row(sql, [], |row| row.get(0)).optional()? {
        return Ok(number);
    }
    connection.execute("INSERT INTO repo (repoid) VALUES ('@System')", [])?;
    Ok(connection.last_insert_rowid())
}

fn item(connection: &Connection, package: &Installed) -> rusqlite::Result<i64> {
    let Installed { name, epoch, version, release, arch } = package;
    let nevra = params![name, epoch, version, release, arch];
    let sql = "SELECT item_id FROM rpm WHERE name = ?1 AND epoch = ?2 AND version = ?3 AND release = ?4 AND arch = ?5";
    if let Some(number) = connection.query_row(sql, nevra, |row| row.get(0)).optional()? {
        return Ok(number);
    }
    connection.execute("INSERT INTO item (item_type) VALUES (1)", [])?;
    let number = connection.last_insert_rowid();
    let sql =
        "INSERT INTO rpm (item_id, name, epoch, version, release, arch) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.execute(sql, params![number, name, epoch, version, release, arch])?;
    Ok(number)
}

/// Brings all into the one file.
fn finish(connection: Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)
}
