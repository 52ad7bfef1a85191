//! Every table of a SQLite database is looked at: a row that is missing, one too many, one with another key, number or
//! index is found, each by itself.

use std::fs;

use onlay::pkgdb::rpm::index_rows::TABLES;
use onlay::pkgdb::rpm::{Finding, check};
use rusqlite::Connection;

use super::lab::Lab;
use super::reading::ALL_KINDS;

/// What is wrong with the database in `db`.
fn findings(lab: &Lab) -> Vec<Finding> {
    check(&lab.database("db")).expect("it can be read")
}

#[test]
fn each_table_is_verified_row_by_row() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", ALL_KINDS);
    let path = lab.path("db/rpmdb.sqlite");
    Connection::open(&path)
        .and_then(|connection| connection.close().map_err(|(_, error)| error))
        .expect("it opens");
    assert_eq!(findings(&lab), []);
    let good = fs::read(&path).expect("our file");
    for table in &TABLES {
        let name = table.name;
        let last = format!("rowid = (SELECT max(rowid) FROM \"{name}\")");
        for (damage, missing, superfluous) in [
            (format!("DELETE FROM \"{name}\" WHERE {last}"), 1, 0),
            (format!("INSERT INTO \"{name}\" SELECT key, hnum, idx FROM \"{name}\" WHERE {last}"), 0, 1),
            (
                format!(
                    "UPDATE \"{name}\" SET key = CAST('strange' AS {}) WHERE {last}",
                    if table.is_text { "TEXT" } else { "BLOB" }
                ),
                1,
                1,
            ),
            (format!("UPDATE \"{name}\" SET hnum = hnum + 1000 WHERE {last}"), 1, 1),
            (format!("UPDATE \"{name}\" SET idx = idx + 1000 WHERE {last}"), 1, 1),
        ] {
            let connection = Connection::open(&path).expect("it opens");
            connection.execute_batch("PRAGMA foreign_keys = OFF").expect("a pragma");
            assert_eq!(connection.execute(&damage, []).expect("a table"), 1, "{damage}");
            drop(connection);
            let found = findings(&lab);
            let count = |is_meant: &dyn Fn(&Finding) -> bool| {
                found.iter().filter(|finding| is_meant(finding)).count()
            };
            let counts = (
                count(&|finding| matches!(finding, Finding::MissingRow(place) if place.table == name)),
                count(&|finding| matches!(finding, Finding::SuperfluousRow(place) if place.table == name)),
            );
            assert_eq!(
                (counts, found.len()),
                ((missing, superfluous), missing + superfluous),
                "{damage}: {found:#?}"
            );
            for finding in &found {
                assert!(finding.to_string().contains(&format!("in table {name}")), "{finding}");
            }
            for ending in ["-wal", "-shm"] {
                let _ = fs::remove_file(lab.path(&format!("db/rpmdb.sqlite{ending}")));
            }
            fs::write(&path, &good).expect("our file");
        }
    }
}
