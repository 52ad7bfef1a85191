//! Headers that are read from the pages of a SQLite database, and what SQLite itself reads there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use onlay::pkgdb::Error;
use onlay::pkgdb::rpm::{Access, Backend, Database, Opening};
use onlay::sys::Root;
use rusqlite::Connection;

const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)";

type Headers = Vec<(u32, Vec<u8>)>;

/// Everything, as we read it.
fn ours(directory: &Path) -> Result<Headers, Error> {
    let opening = Opening { scratch: directory, patience: Duration::ZERO, access: Access::Read };
    let root = Root::open(directory).expect("our directory");
    let mut found = Vec::new();
    Database::open_in(root, Backend::Sqlite, &opening)?.each(&mut |number, blob| {
        found.push((number.0, blob.to_vec()));
        Ok(())
    })?;
    Ok(found)
}

/// Everything, as SQLite does.
fn sqlites(file: &Path) -> rusqlite::Result<Headers> {
    let connection = Connection::open(file)?;
    let mut statement = connection.prepare("SELECT hnum, blob FROM Packages ORDER BY hnum")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn assert_alike(directory: &Path, what: &str) -> Headers {
    let expected = sqlites(&directory.join("rpmdb.sqlite")).expect("it can be read");
    assert!(ours(directory).expect("it can be read") == expected, "{what}");
    expected
}

/// What is not to be compressed, so that a byte too many or one in the wrong place is seen.
fn noise(random: &mut fastrand::Rng, length: usize) -> Vec<u8> {
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

/// Lengths around those at which SQLite stores a row otherwise (fileformat2.html, 1.6), with such pages.
fn lengths(usable: usize) -> Vec<usize> {
    let (most, least) = (usable - 35, (usable - 12) * 32 / 255 - 23);
    let edges = [0, 1, 100, least, most, least + usable - 4, most + usable - 4, 3 * usable, 70 * usable];
    // In front of a header stand a few bytes of its row's.
    edges.iter().flat_map(|edge| (0..14).map(move |less| edge.saturating_sub(less))).collect()
}

#[test]
fn rows_of_every_length_are_those_that_sqlite_reads() {
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("rpmdb.sqlite");
    let mut random = fastrand::Rng::with_seed(41);
    for (page, vacuum) in [(512, "NONE"), (1024, "FULL"), (4096, "NONE"), (65536, "INCREMENTAL")] {
        let _ = fs::remove_file(&file);
        let connection = Connection::open(&file).expect("it opens");
        let settings = format!("PRAGMA page_size = {page}; PRAGMA auto_vacuum = {vacuum}; {TABLE}; BEGIN");
        connection.execute_batch(&settings).expect("a table");
        for length in lengths(page) {
            let blob = noise(&mut random, length);
            connection.execute("INSERT INTO Packages VALUES(NULL, ?1)", [&blob]).expect("a row");
        }
        connection.execute_batch("COMMIT").expect("there is room");
        drop(connection);
        assert!(!assert_alike(scratch.path(), &format!("pages of {page}")).is_empty());
    }
}

/// A database in which chains lie anywhere.
fn shuffle(connection: &Connection, random: &mut fastrand::Rng, steps: usize) {
    for _ in 0..steps {
        let number = random.u32(1..120);
        let blob = {
            let length = random.usize(0..40_000);
            noise(random, length)
        };
        let done = match random.u8(0..4) {
            0 => connection.execute("DELETE FROM Packages WHERE hnum = ?1", [number]),
            1 => connection.execute("INSERT INTO Packages VALUES(NULL, ?1)", [&blob]),
            _ => connection.execute("INSERT OR REPLACE INTO Packages VALUES(?1, ?2)", (number, &blob)),
        };
        done.expect("a row");
    }
}

#[test]
fn chains_are_followed_wherever_they_lie() {
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("rpmdb.sqlite");
    let connection = Connection::open(&file).expect("it opens");
    connection.execute_batch(TABLE).expect("a table");
    // Rows of another table lie between them.
    connection.execute_batch("CREATE TABLE other (text)").expect("a table");
    let mut random = fastrand::Rng::with_seed(42);
    for round in 0..6 {
        connection.execute_batch("BEGIN").expect("a transaction");
        shuffle(&connection, &mut random, 60);
        connection.execute("INSERT INTO other VALUES(?1)", [vec![b'x'; 20_000]]).expect("a row");
        connection.execute_batch("COMMIT").expect("there is room");
        assert_alike(scratch.path(), &format!("round {round}"));
    }
    // A table that is not just as rpm makes it is left to SQLite.
    let other = "ALTER TABLE Packages ADD COLUMN more TEXT";
    connection.execute_batch(other).expect("a column");
    assert_alike(scratch.path(), "another column");
}

#[test]
fn what_is_damaged_is_told_or_read_as_it_is() {
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("rpmdb.sqlite");
    let connection = Connection::open(&file).expect("it opens");
    connection.execute_batch(&format!("PRAGMA page_size = 512; {TABLE}")).expect("a table");
    let mut random = fastrand::Rng::with_seed(43);
    for length in [10, 300, 600, 5_000, 40_000, 7, 450] {
        let blob = noise(&mut random, length);
        connection.execute("INSERT INTO Packages VALUES(NULL, ?1)", [&blob]).expect("a row");
    }
    drop(connection);
    let good = fs::read(&file).expect("our file");
    let mut told = 0;
    for round in 0..1500 {
        let mut bad = good.clone();
        for _ in 0..random.usize(1..4) {
            // Where pages say what they are, and what is next.
            let page = random.usize(0..bad.len() / 512) * 512;
            let place = if page == 0 { random.usize(16..100) } else { page + random.usize(0..24) };
            bad[place] = if random.bool() { random.u8(..) } else { random.u8(0..8) };
        }
        if round % 10 == 0 {
            bad.truncate(random.usize(0..bad.len()));
        }
        fs::write(&file, &bad).expect("our file");
        match ours(scratch.path()) {
            // SQLite is not asked whether it sees the damage: it need not, in what it passes over.
            Ok(found) => assert!(found.len() <= bad.len() / 4, "round {round}"),
            Err(Error::Damaged { .. } | Error::Sqlite { .. }) => told += 1,
            Err(other) => panic!("round {round}: {other:?}"),
        }
    }
    assert!(told > 300, "only {told} were told");
}

#[test]
fn a_chain_in_a_circle_ends() {
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("rpmdb.sqlite");
    let connection = Connection::open(&file).expect("it opens");
    connection.execute_batch(TABLE).expect("a table");
    for _ in 0..2 {
        connection.execute("INSERT INTO Packages VALUES(NULL, zeroblob(1000000))", []).expect("a row");
    }
    drop(connection);
    let mut bytes = fs::read(&file).expect("our file");
    // A page of the chain, which are those that begin with the number of the one behind them.
    let pages = bytes.len() / 4096;
    let is_linked = |page: &usize| bytes[page * 4096..page * 4096 + 4] == (*page as u32 + 2).to_be_bytes();
    let linked = (1..pages).filter(is_linked).nth(5).expect("a chain lies in one piece");
    bytes[linked * 4096..linked * 4096 + 4].copy_from_slice(&(linked as u32).to_be_bytes());
    fs::write(&file, &bytes).expect("our file");
    let found = ours(scratch.path()).expect("nothing tells it from another");
    assert_eq!(found.iter().map(|(_, blob)| blob.len()).collect::<Vec<_>>(), [1_000_000; 2]);
}
