//! What a merge takes from index tables, and what it leaves in them: made databases, whose tables can lie.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use onlay::package::Header;
use onlay::package::digest::Algorithm;
use onlay::package::header::{Builder, Value, tag};
use onlay::pkgdb::dpkg::Aliases;
use onlay::pkgdb::merge::{Decision, Side};
use onlay::pkgdb::rpm::merge::{Catalog, Choice, Plan, plan};
use onlay::pkgdb::rpm::{Access, Ahead, Backend, Database, Opening, Prepared, create, prepare_from};
use onlay::sys::Root;
use rusqlite::Connection;

use super::lab::{assert_sound, listed};

/// A package in a version, installed at a time, with a state of each of its files.
#[derive(Clone, Copy)]
struct Made {
    name: &'static str,
    version: u8,
    time: u32,
    files: &'static [&'static str],
    states: &'static [u8],
}

const FILES: &[&str] = &["first", "second", "third"];

/// A package in a version, as it is installed on both sides.
fn made(name: &'static str, version: u8) -> Made {
    Made { name, version, time: 1_700_000_000, files: FILES, states: &[0; 3] }
}

impl Made {
    fn blob(self) -> Vec<u8> {
        let text = |text: &str| Value::String(text.as_bytes().to_vec());
        let texts = |all: &[&str]| Value::Strings(all.iter().map(|one| one.as_bytes().to_vec()).collect());
        let md5 = [self.name.bytes().map(u64::from).sum(), u64::from(self.version)].map(u64::to_be_bytes);
        let count = self.files.len();
        let blob = Builder::new()
            .add(tag::NAME, text(self.name))
            .add(tag::VERSION, text(&self.version.to_string()))
            .add(tag::RELEASE, text("1"))
            .add(tag::ARCH, text("noarch"))
            .add(tag::PROVIDE_NAME, texts(&[self.name, "something"]))
            .add(tag::BASENAMES, texts(self.files))
            .add(tag::DIRNAMES, texts(&["/opt/"]))
            .add(tag::DIR_INDEXES, Value::Int32(vec![0; count]))
            .add(tag::FILE_MODES, Value::Int16(vec![0o100_644; count]))
            .add(tag::FILE_FLAGS, Value::Int32(vec![0; count]))
            .dribble(tag::SIG_MD5, Value::Binary(md5.concat()))
            .dribble(tag::INSTALL_TIME, Value::Int32(vec![self.time]))
            .dribble(tag::FILE_STATES, Value::Char(self.states.to_vec()))
            .build();
        let header = Header::parse(&blob).expect("it was just made");
        let region = header.region().expect("it was just made");
        let sha1 = Algorithm::Sha1.digest(&*region).expect("memory can be read");
        header.with(tag::SHA1_HEADER, &text(&sha1.to_string())).expect("it has a region")
    }
}

/// Databases in a directory.
struct Place(tempfile::TempDir, Backend);

impl Place {
    fn new(backend: Backend) -> Place {
        Place(tempfile::tempdir().expect("a directory"), backend)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn root(&self, name: &str) -> Root {
        fs::create_dir_all(self.path(name)).expect("our directory");
        Root::open(self.path(name)).expect("our directory")
    }

    fn opening(&self) -> Opening<'_> {
        Opening { scratch: self.0.path(), patience: Duration::ZERO, access: Access::Read }
    }

    fn make(&self, name: &str, packages: &[Made]) -> Database {
        let mut blobs = packages.iter().map(|package| Ok(package.blob().into()));
        create(self.1, &mut blobs, &self.root(name), Duration::ZERO)
            .and_then(Prepared::commit)
            .expect("there is room");
        self.open(name)
    }

    fn open(&self, name: &str) -> Database {
        Database::open_in(self.root(name), self.1, &self.opening()).expect("it opens")
    }

    /// Changes what the tables of one say.
    fn lie(&self, name: &str, sql: &str) -> Database {
        let connection = Connection::open(self.path(name).join("rpmdb.sqlite")).expect("it opens");
        connection.execute_batch(sql).expect("a table");
        drop(connection);
        self.open(name)
    }
}

/// As `onlay db merge` does it.
fn merge(base: &Database, ours: &Database, theirs: &Database) -> Plan {
    let (our, their) = Catalog::of_both(&[], ours, theirs).expect("they can be read");
    let known = Catalog::known(base, [&our, &their]).expect("it can be read");
    plan(&known, (ours, &our), (theirs, &their), &Choice::default(), &Aliases::default())
        .expect("it can be merged")
}

fn decision(plan: &Plan, name: &str) -> Decision {
    let decided = plan.packages.iter().find(|decided| &*decided.key.name == name);
    decided.expect("it is there").outcome.decision
}

/// Gives the header of `a` the digests that another package has.
fn digests_of(other: Made) -> String {
    let place = Place::new(Backend::Sqlite);
    place.make("other", &[other]);
    let connection = Connection::open(place.path("other/rpmdb.sqlite")).expect("it opens");
    let column = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0)).expect("a row");
    let (sha1, md5) = (column("SELECT key FROM Sha1header"), column("SELECT hex(key) FROM Sigmd5"));
    format!(
        "UPDATE Sha1header SET key = '{sha1}' WHERE hnum = 1; UPDATE Sigmd5 SET key = x'{md5}' WHERE hnum = 1;"
    )
}

#[test]
fn tables_of_the_base_that_lie_decide_nothing() {
    let place = Place::new(Backend::Sqlite);
    let name = "UPDATE Name SET key = 'other' WHERE hnum = 1;";
    for lie in [String::new(), digests_of(made("a", 2)), digests_of(made("b", 1)), name.to_owned()] {
        // Changed in the overlay alone: what the base is said to have is what the overlay has, or it has none.
        place.make("base", &[made("a", 1), made("b", 1)]);
        let base = place.lie("base", &lie);
        let ours = place.make("ours", &[made("a", 2), made("b", 1)]);
        let theirs = place.make("theirs", &[made("a", 1), made("b", 1), made("c", 1)]);
        let merged = merge(&base, &ours, &theirs);
        assert_eq!(decision(&merged, "a"), Decision::KeepOurs, "{lie}");
        assert_eq!(decision(&merged, "b"), Decision::Unchanged, "{lie}");
        assert_eq!(decision(&merged, "c"), Decision::TakeTheirs, "{lie}");
        // Removed there.
        let ours = place.make("removed", &[made("b", 1), made("d", 1)]);
        let merged = merge(&base, &ours, &theirs);
        assert_eq!(decision(&merged, "a"), Decision::StayRemoved, "{lie}");
    }
}

#[test]
fn tables_of_the_two_that_lie_decide_nothing() {
    let place = Place::new(Backend::Sqlite);
    let base = place.make("base", &[made("a", 1), made("b", 1)]);
    for side in ["ours", "theirs"] {
        for lie in [digests_of(made("a", 1)), digests_of(made("b", 1))] {
            place.make("ours", &[made("a", 2), made("b", 1)]);
            place.make("theirs", &[made("a", 3), made("b", 1)]);
            place.lie(side, &lie);
            let merged = merge(&base, &place.open("ours"), &place.open("theirs"));
            assert_eq!(decision(&merged, "a"), Decision::TakeTheirs, "{side}: {lie}");
            assert_eq!(decision(&merged, "b"), Decision::Unchanged, "{side}: {lie}");
        }
    }
}

#[test]
fn states_of_files_are_seen_where_nothing_else_differs() {
    for backend in [Backend::Sqlite, Backend::Ndb] {
        let place = Place::new(backend);
        let base = place.make("base", &[made("a", 1), made("b", 1)]);
        // A file of it is another's in the overlay, whose package is gone again. No table says so.
        let replaced = Made { states: &[0, 1, 0], ..made("a", 1) };
        let ours = place.make("ours", &[replaced, made("b", 1), made("c", 1)]);
        let theirs = place.make("theirs", &[made("a", 1), made("b", 1), made("d", 1), made("e", 1)]);
        let merged = merge(&base, &ours, &theirs);
        assert_eq!((merged.from, decision(&merged, "a")), (Side::Theirs, Decision::Unchanged));
        assert_eq!(merged.delta.remove.len(), 0);
        let other = |blob: &[u8]| *blob == replaced.blob();
        assert!(merged.delta.replace.iter().any(|(_, blob)| other(blob)), "{backend:?}");
        // When it was installed makes no other package of it.
        let later = Made { time: 1_800_000_000, ..made("a", 1) };
        let ours = place.make("later", &[later, made("b", 1), made("c", 1)]);
        let merged = merge(&base, &ours, &theirs);
        assert_eq!(decision(&merged, "a"), Decision::Unchanged);
        assert_eq!(
            (merged.delta.remove.len(), merged.delta.replace.len(), merged.delta.add.len()),
            (0, 0, 1)
        );
    }
}

/// The place, the key, the package's number and the index of each row of files.
type Rows = BTreeSet<(i64, Vec<u8>, u32, u32)>;

fn rows(file: &Path) -> Rows {
    let connection = Connection::open(file).expect("it opens");
    let mut statement = connection.prepare("SELECT rowid, key, hnum, idx FROM Basenames").expect("a table");
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, row.get_ref(1)?.as_bytes()?.to_vec(), row.get(2)?, row.get(3)?))
    });
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

#[test]
fn rows_stay_where_they_are_when_a_package_gets_another_version() {
    let place = Place::new(Backend::Sqlite);
    let base = place.make("base", &[made("a", 1), made("b", 1)]);
    let new = Made { files: &["first", "new", "third", "third"], states: &[0; 4], ..made("a", 2) };
    let ours = place.make("ours", &[new, made("b", 1)]);
    let before = made("a", 1);
    let theirs = [before, made("b", 1), made("c", 1)];
    // Also where rows of the old version are missing, or are too many, or have a key that is no name.
    for damage in [
        "",
        "DELETE FROM Basenames WHERE hnum = 1 AND key = 'first'",
        "INSERT INTO Basenames VALUES('third', 1, 7), ('strange', 1, 8)",
        "INSERT INTO Basenames VALUES(x'00ff', 1, 9); INSERT INTO Sigmd5 VALUES(17, 1, 0)",
    ] {
        place.make("theirs", &theirs);
        let theirs = place.lie("theirs", damage);
        let old = rows(&place.path("theirs/rpmdb.sqlite"));
        let merged = merge(&base, &ours, &theirs);
        assert_eq!((merged.from, merged.delta.remove.len(), merged.delta.add.len()), (Side::Theirs, 1, 1));
        let _ = fs::remove_dir_all(place.path("merged"));
        prepare_from(&theirs, None, &merged.delta, &place.root("merged"), &place.opening())
            .and_then(Prepared::commit)
            .expect("there is room");
        assert_sound(&place.open("merged"));
        assert_eq!(listed(&place.open("merged")), ["a-2-1.noarch", "b-1-1.noarch", "c-1-1.noarch"]);
        let new = rows(&place.path("merged/rpmdb.sqlite"));
        let place_of = |rows: &Rows, key: &str, number: &dyn Fn(u32) -> bool| {
            let found = rows.iter().find(|row| row.1 == key.as_bytes() && number(row.2));
            found.map(|row| row.0)
        };
        let (is_old, is_new) = (|number: u32| number == 1, |number: u32| number > 3);
        assert!(new.iter().all(|row| row.2 != 1), "{damage}: {new:?}");
        for key in ["first", "third"] {
            let was = place_of(&old, key, &is_old);
            assert!(was.is_none() || place_of(&new, key, &is_new) == was, "{damage}: {old:?} {new:?}");
        }
    }
}

#[test]
fn a_copy_that_was_begun_ahead_is_taken_where_it_fits() {
    for backend in [Backend::Sqlite, Backend::Ndb] {
        let place = Place::new(backend);
        let base = place.make("base", &[made("a", 1), made("b", 1)]);
        let ours = place.make("ours", &[made("a", 2), made("b", 1)]);
        let theirs = place.make("theirs", &[made("a", 1), made("b", 1), made("c", 1)]);
        let merged = merge(&base, &ours, &theirs);
        let elsewhere = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
        let elsewhere = Root::open(elsewhere.path()).expect("our directory");
        // Of the right one, of the other one, on another file system, and none.
        let near = place.root("near");
        for (round, ahead) in [
            Ahead::begin(&theirs, &near),
            Ahead::begin(&ours, &near),
            Ahead::begin(&theirs, &elsewhere),
            None,
        ]
        .into_iter()
        .enumerate()
        {
            let _ = fs::remove_dir_all(place.path("merged"));
            prepare_from(&theirs, ahead, &merged.delta, &place.root("merged"), &place.opening())
                .and_then(Prepared::commit)
                .expect("there is room");
            let found = place.open("merged");
            assert_eq!(listed(&found), ["a-2-1.noarch", "b-1-1.noarch", "c-1-1.noarch"], "{round}");
            assert_sound(&found);
            let lies_there = crate::kernel::names_in(&place.path("near"));
            assert!(lies_there.is_empty(), "{round}: {lies_there:?}");
        }
    }
}
