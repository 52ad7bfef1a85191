//! The schema, statement for statement as rpm's sqlite.c makes it.

use rusqlite::Connection;

use crate::pkgdb::rpm::index_rows::TABLES;

/// The table of headers, as SQLite notes it.
pub(super) const PACKAGES: &str =
    "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)";

/// Makes all tables. Their indexes come when there is something in them, which is faster.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(PACKAGES)?;
    for table in &TABLES {
        let name = table.name;
        let key = if table.is_text { "TEXT" } else { "BLOB" };
        connection.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS '{name}' (key '{key}' NOT NULL, hnum INTEGER NOT NULL, \
             idx INTEGER NOT NULL, FOREIGN KEY (hnum) REFERENCES 'Packages'(hnum))"
        ))?;
    }
    Ok(())
}

/// Makes the indexes that are missing, as rpm does whenever it opens a database to write.
pub(super) fn create_indexes(connection: &Connection) -> rusqlite::Result<()> {
    for table in &TABLES {
        let columns = [("key", table.is_text), ("hnum", table.is_array)];
        for (column, _) in columns.into_iter().filter(|(_, is_indexed)| *is_indexed) {
            let name = table.name;
            connection.execute_batch(&format!(
                "CREATE INDEX IF NOT EXISTS '{name}_{column}_idx' ON '{name}'({column} ASC)"
            ))?;
        }
    }
    Ok(())
}
