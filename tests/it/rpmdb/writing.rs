//! Databases that we wrote, as rpm sees them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use onlay::package::header::{Value, tag};
use onlay::package::{Header, Identity};
use onlay::pkgdb::Error;
use onlay::pkgdb::rpm::{Access, Backend, Database, Delta, Hnum, Stored, create, prepare};

use super::lab::{Lab, assert_sound, listed};
use super::packages::PLAIN;
use super::reading::{ALL_KINDS, copy_all};

/// What turns one database into another: what a merge would find.
pub(super) fn difference(from: &Database, to: &Database) -> Delta {
    let old = from.identities().expect("it can be read");
    let new = to.identities().expect("it can be read");
    let are_there = |all: &[Stored], one: &Stored| all.iter().any(|other| other.identity == one.identity);
    let blob = |stored: &Stored| to.blob(stored.number).expect("it can be read").expect("it is there");
    Delta {
        remove: old.iter().filter(|stored| !are_there(&new, stored)).copied().collect(),
        add: new.iter().filter(|stored| !are_there(&old, stored)).map(blob).collect(),
        above: from.highest().expect("it can be read").max(to.highest().expect("it can be read")),
        ..Delta::default()
    }
}

fn plain(version: u32, numbers: impl Iterator<Item = usize>) -> Vec<String> {
    numbers.map(|number| format!("p{number}-{version}")).collect()
}

fn words(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// Two databases of rpm's: before and after removals, upgrades and installations.
fn before_and_after(lab: &Lab) {
    lab.installed("before", ALL_KINDS);
    lab.change("before", "-U", &words(&plain(1, 0..PLAIN)));
    copy_all(lab, "before", "after");
    lab.change("after", "-e", &["p3", "p4", "triggers", "sha1"]);
    lab.change("after", "-U", &words(&plain(2, 10..20)));
    lab.change("after", "-U", &["files-2"]);
    lab.change("after", "-e", &["linux-1-1"]);
}

const QUESTIONS: &[&[&str]] = &[
    &["-qa", "--qf", "%{NAME}-%{EVR}.%{ARCH} %{INSTALLTIME}\n"],
    &["-q", "--whatprovides", "cap0", "cap1", "cap2", "capability", "/opt/files/plain"],
    &["-q", "--whatrequires", "cap3", "delta", "gamma", "x", "preun", "both", "only-post", "/bin/sh"],
    &["-q", "--whatrecommends", "r1", "r3"],
    &["-q", "--whatsupplements", "s1", "--whatenhances", "enhanced"],
    &["-q", "--whatconflicts", "c1", "c2", "c3", "m", "n"],
    &["-q", "--whatobsoletes", "obsoleted"],
    &["-q", "--triggeredby", "t1"],
    &["-qf", "/opt/files/plain", "/usr/share/p12/other-2", "/usr/share/p12/other-1", "/", "/etc/ghost"],
    &["-q", "-g", "System/Tools", "Unspecified"],
    &["-qa", "--qf", "[%{=NAME} %{FILENAMES} %{FILESTATES}\n]"],
];

/// What rpm answers, sorted, since the order is that of numbers.
pub(super) fn answers(lab: &Lab, database: &str) -> Vec<Vec<String>> {
    let sorted = |question: &&[&str]| {
        let said = lab.says(database, question);
        // Where an ndb database has no index yet, rpm says that it makes one.
        let lines = said.lines().filter(|line| !line.contains("Generating 18 missing index(es)"));
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.sort();
        lines
    };
    QUESTIONS.iter().map(sorted).collect()
}

fn assert_same_tables(lab: &Lab, ours: &str, theirs: &str) {
    let (ours, theirs) = (lab.tables(ours), lab.tables(theirs));
    for (name, rows) in &theirs {
        assert_eq!(&ours[name], rows, "table {name}");
    }
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
}

#[test]
fn a_delta_gives_what_rpm_gives() {
    let Some(lab) = Lab::open() else { return };
    a_delta_gives_what_the_labs_rpm_gives(&lab);
}

#[test]
fn a_delta_gives_what_a_newer_rpm_gives() {
    let Some(lab) = Lab::with_tree("rpm-sqlite") else { return };
    a_delta_gives_what_the_labs_rpm_gives(&lab);
}

#[test]
fn a_delta_gives_what_rpm_with_ndb_gives() {
    let Some(lab) = Lab::with_tree("rpm-ndb") else { return };
    a_delta_gives_what_the_labs_rpm_gives(&lab);
}

fn a_delta_gives_what_the_labs_rpm_gives(lab: &Lab) {
    before_and_after(lab);
    let backend = lab.database("before").backend();
    let target = lab.root("ours");
    {
        let (before, after) = (lab.database("before"), lab.database("after"));
        let delta = difference(&before, &after);
        assert!(delta.remove.len() > 10 && delta.add.len() > 10);
        let prepared = prepare(&before, &delta, &target, &lab.opening(Access::Replace)).expect("it is made");
        assert!(!lab.files("ours").contains(&backend.file_name().to_owned()), "not yet");
        prepared.commit().expect("it takes its place");
    }
    assert!(lab.files("ours").iter().all(|name| [".rpm.lock", backend.file_name()].contains(&&**name)));
    assert_sound(&lab.database("ours"));
    assert_same_tables(lab, "ours", "after");
    assert_eq!(answers(lab, "ours"), answers(lab, "after"));
    lab.verify("ours");
    // rpm goes on with it, and all of its indexes are used.
    for (how, packages) in [("-U", &["p21-2", "p3-1"][..]), ("-e", &["p22", "p21"]), ("-i", &["linux-1"])] {
        lab.change("ours", how, packages);
        lab.change("after", how, packages);
    }
    lab.verify("ours");
    assert_same_tables(lab, "ours", "after");
    // The first answer has times.
    assert_eq!(answers(lab, "ours")[1..], answers(lab, "after")[1..]);
    assert_sound(&lab.database("ours"));
}

#[test]
fn a_database_is_changed_where_it_is() {
    let Some(lab) = Lab::open() else { return };
    before_and_after(&lab);
    fs::set_permissions(lab.path("before/rpmdb.sqlite"), fs::Permissions::from_mode(0o640))
        .expect("our file");
    let delta = difference(&lab.database("before"), &lab.database("after"));
    let highest = lab.database("before").highest().expect("it can be read");
    for access in [Access::Replace, Access::Read] {
        copy_all(&lab, "before", "ours");
        let base = lab.database_for("ours", access);
        let prepared = prepare(&base, &delta, &lab.root("ours"), &lab.opening(access)).expect("it is made");
        prepared.commit().expect("it takes its place");
        // Who has the old one open keeps it.
        assert_eq!(base.identities().expect("it can be read").len(), PLAIN + 8);
    }
    let database = lab.database("ours");
    assert_sound(&database);
    let numbers: Vec<Hnum> =
        database.identities().expect("it can be read").iter().map(|stored| stored.number).collect();
    assert!(numbers.iter().filter(|number| **number > highest).count() == delta.add.len());
    drop(database);
    let mode = fs::metadata(lab.path("ours/rpmdb.sqlite")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    assert_same_tables(&lab, "ours", "after");
    lab.verify("ours");
}

fn numbers(database: &Database) -> BTreeMap<String, Hnum> {
    let packages = database.packages().expect("it can be read").into_iter();
    packages.map(|one| (one.package.expect("it is one").name, one.stored.number)).collect()
}

#[test]
fn states_of_files_are_patched_in_place() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["files-1", "p0-1", "p1-1"]);
    let before = numbers(&lab.database("db"));
    let rows = lab.tables("db");
    {
        let base = lab.database_for("db", Access::Replace);
        let number = before["files"];
        let blob = base.blob(number).expect("it can be read").expect("it is there");
        let header = Header::parse(&blob).expect("rpm wrote it");
        let states = vec![1; header.files().count()];
        let patched = header.with(tag::FILE_STATES, &Value::Char(states)).expect("it has a region");
        let stored = Stored { number, identity: Identity::of(&blob) };
        let delta = Delta { replace: vec![(stored, patched)], ..Delta::default() };
        let opening = lab.opening(Access::Replace);
        prepare(&base, &delta, &lab.root("db"), &opening).expect("it is made").commit().expect("it is moved");
    }
    let said = lab.says("db", &["-q", "--state", "files"]);
    assert!(
        said.lines().count() > 5 && said.trim().lines().all(|line| line.starts_with("replaced ")),
        "{said}"
    );
    assert_eq!(numbers(&lab.database("db")), before);
    assert_eq!(lab.tables("db"), rows);
    assert_sound(&lab.database("db"));
    lab.verify("db");
}

#[test]
fn another_header_in_its_place_gets_its_own_rows() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["files-1", "p0-1"]);
    lab.installed("other", &["relations-1.0~rc1", "p0-1"]);
    {
        let (base, other) = (lab.database_for("db", Access::Replace), lab.database("other"));
        let delta = difference(&base, &other);
        let Delta { remove, add, .. } = delta;
        let replace = remove.into_iter().zip(add).collect();
        let delta = Delta { replace, ..Delta::default() };
        let opening = lab.opening(Access::Replace);
        prepare(&base, &delta, &lab.root("db"), &opening).expect("it is made").commit().expect("it is moved");
    }
    assert_sound(&lab.database("db"));
    assert_same_tables(&lab, "db", "other");
}

#[test]
fn a_new_database_is_like_rpms() {
    let Some(lab) = Lab::open() else { return };
    before_and_after(&lab);
    let opening = lab.opening(Access::Replace);
    {
        let after = lab.database("after");
        let mut blobs = Vec::new();
        let mut collect = |_, blob: &[u8]| {
            blobs.push(blob.to_vec());
            Ok(())
        };
        after.each(&mut collect).expect("it can be read");
        let mut blobs = blobs.into_iter().map(|blob| Ok(blob.into()));
        create(Backend::Sqlite, &mut blobs, &lab.root("ours"), opening.patience)
            .expect("it is made")
            .commit()
            .expect("it is moved");
    }
    assert_sound(&lab.database("ours"));
    assert_same_tables(&lab, "ours", "after");
    assert_eq!(schema(&lab, "ours"), schema(&lab, "after"));
    lab.verify("ours");
    // An empty one, too.
    create(Backend::Sqlite, &mut std::iter::empty(), &lab.root("empty"), opening.patience)
        .expect("it is made")
        .commit()
        .expect("it is moved");
    assert_eq!(listed(&lab.database("empty")), [""; 0]);
    assert_eq!(schema(&lab, "empty"), schema(&lab, "after"));
    assert_eq!(lab.database("empty").highest().expect("it can be read"), Hnum(0));
    lab.change("empty", "-i", &["files-1"]);
    lab.verify("empty");
}

/// What SQLite keeps of how a database was made, whatever the blanks.
fn schema(lab: &Lab, database: &str) -> Vec<String> {
    let connection = rusqlite::Connection::open(lab.path(database).join("rpmdb.sqlite")).expect("it opens");
    let sql = "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_schema \
               WHERE name NOT LIKE 'sqlite_stat%'";
    let mut statement = connection.prepare(sql).expect("the schema");
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
    let mut rows: Vec<String> = rows.map(|row| row.expect("a row")).collect();
    rows.sort();
    rows
}

#[test]
fn the_result_is_parked_and_read_only_media_will_do() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("before", &["p0-1"]);
    lab.installed("after", &["p0-1", "p1-1"]);
    {
        let (before, after) = (lab.database("before"), lab.database("after"));
        let delta = difference(&before, &after);
        let opening = lab.opening(Access::Replace);
        prepare(&before, &delta, &lab.root("ours"), &opening)
            .expect("it is made")
            .commit()
            .expect("it is moved");
    }
    let versions =
        |name: &str| fs::read(lab.path(name).join("rpmdb.sqlite")).expect("it is there")[18..20].to_vec();
    assert_eq!((versions("before"), versions("ours")), (vec![2, 2], vec![1, 1]));
    // Nobody who reads makes files beside it, and none are needed.
    assert!(lab.says("ours", &["-q", "p1"]).contains("p1-1-1.noarch"));
    let image = lab.path("image");
    let mount = format!(
        "mount --bind {0} {0} && mount -o remount,bind,ro {0} && exec rpm --dbpath {0} -qa",
        lab.path("ours").display()
    );
    if rustix::process::geteuid().is_root() {
        let mut command = crate::debian::command("unshare");
        command.args(["-m", "sh", "-c", &mount]).env("HOME", &image);
        let said = crate::debian::words(&crate::debian::expect_success(&mut command));
        assert!(said.contains("p0-1-1.noarch") && said.contains("p1-1-1.noarch"), "{said}");
    }
    // And whoever writes has a log again.
    lab.change("ours", "-e", &["p0"]);
    assert_eq!(versions("ours"), [2, 2]);
}

#[test]
fn a_log_of_the_old_database_does_not_spoil_the_new_one() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("source", &["files-1", "p2-1"]);
    lab.installed("db", &["p0-1"]);
    let writer = rusqlite::Connection::open(lab.path("db/rpmdb.sqlite")).expect("it opens");
    writer
        .execute_batch("CREATE TABLE more(a); INSERT INTO more VALUES(zeroblob(100000))")
        .expect("a change");
    copy_all(&lab, "db", "crashed");
    drop(writer);
    assert!(fs::metadata(lab.path("crashed/rpmdb.sqlite-wal")).expect("a log").len() > 0);
    {
        let source = lab.database("source");
        let opening = lab.opening(Access::Replace);
        let prepared =
            prepare(&source, &Delta::default(), &lab.root("crashed"), &opening).expect("it is made");
        prepared.commit().expect("it is moved");
    }
    assert_eq!(lab.files("crashed"), [".rpm.lock", "rpmdb.sqlite"]);
    assert_sound(&lab.database("crashed"));
    assert_eq!(listed(&lab.database("crashed")), ["files-1-1.noarch", "p2-1-1.noarch"]);
    lab.verify("crashed");
}

#[test]
fn what_lies_beside_a_lower_database_does_not_show_through() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("source", &["files-1", "p2-1"]);
    lab.installed("lower", &["p0-1"]);
    let writer = rusqlite::Connection::open(lab.path("lower/rpmdb.sqlite")).expect("it opens");
    writer
        .execute_batch("CREATE TABLE more(a); INSERT INTO more VALUES(zeroblob(100000))")
        .expect("a change");
    let source = lab.database("source");
    let opening = lab.opening(Access::Replace);
    for is_over_another in [false, true] {
        let upper = if is_over_another { "hiding" } else { "bare" };
        let prepared = prepare(&source, &Delta::default(), &lab.root(upper), &opening).expect("it is made");
        let prepared = if is_over_another { prepared.over_another() } else { prepared };
        prepared.commit().expect("it is moved");
        // As an overlay shows both.
        for name in lab.files("lower") {
            let (from, to) = (lab.path("lower").join(&name), lab.path(upper).join(&name));
            if !to.exists() {
                fs::copy(from, to).expect("a copy");
            }
        }
        let is_right = listed_by_rpm(&lab, upper) == ["files-1-1.noarch", "p2-1-1.noarch"];
        assert_eq!(is_right, is_over_another, "{:?}", listed_by_rpm(&lab, upper));
    }
    drop(writer);
    lab.verify("hiding");
    // Again, over what rpm left.
    drop(source);
    let base = lab.database_for("hiding", Access::Replace);
    let prepared = prepare(&base, &Delta::default(), &lab.root("hiding"), &opening).expect("it is made");
    prepared.over_another().commit().expect("it is moved");
    drop(base);
    assert_eq!(fs::metadata(lab.path("hiding/rpmdb.sqlite-wal")).expect("it hides another").len(), 0);
    lab.change("hiding", "-i", &["p3-1"]);
    assert_sound(&lab.database("hiding"));
    assert_eq!(listed_by_rpm(&lab, "hiding").len(), 3);
}

fn listed_by_rpm(lab: &Lab, database: &str) -> Vec<String> {
    let said = lab.says(database, &["-qa"]);
    let mut names: Vec<String> =
        said.lines().filter(|line| line.ends_with(".noarch")).map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn a_delta_for_another_database_is_refused() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["p0-1", "p1-1"]);
    lab.installed("other", &["files-1", "p1-1"]);
    let before = fs::read(lab.path("db/rpmdb.sqlite")).expect("it is there");
    let refused = |delta: &Delta| {
        let base = lab.database_for("db", Access::Replace);
        let result = prepare(&base, delta, &lab.root("db"), &lab.opening(Access::Replace));
        let files = lab.files("db");
        assert!(!files.iter().any(|name| name.contains("onlay")), "{files:?}");
        result.expect_err("it must not be made")
    };
    let other = lab.database("other");
    let blob = other.blob(numbers(&other)["files"]).expect("it can be read").expect("it is there");
    let stranger = Stored { number: Hnum(1), identity: Identity::of(&blob) };
    let nobody = Stored { number: Hnum(1000), ..stranger };
    for delta in [
        Delta { remove: vec![stranger], ..Delta::default() },
        Delta { remove: vec![nobody], ..Delta::default() },
        Delta { replace: vec![(stranger, blob)], ..Delta::default() },
    ] {
        assert!(matches!(refused(&delta), Error::Changed { .. }));
    }
    let delta = Delta { add: vec![b"no header".to_vec()], ..Delta::default() };
    assert!(matches!(refused(&delta), Error::NoHeader(_)));
    assert!(fs::read(lab.path("db/rpmdb.sqlite")).expect("it is there") == before);
}

#[test]
fn findings_are_all_told() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["files-1", "p0-1", "p1-1", "linux-1", "linux-2"]);
    let numbers = numbers(&lab.database("db"));
    let (files, p0, p1) = (numbers["files"], numbers["p0"], numbers["p1"]);
    {
        let connection = rusqlite::Connection::open(lab.path("db/rpmdb.sqlite")).expect("it opens");
        let sql = format!(
            "PRAGMA foreign_keys = OFF; DELETE FROM Name WHERE key = 'p0'; \
             INSERT INTO Providename VALUES('nobody', 77, 0); DELETE FROM Dirnames WHERE key = '/opt/files/'; \
             INSERT INTO Packages SELECT NULL, blob FROM Packages WHERE hnum = {p0}; \
             INSERT INTO Packages VALUES(NULL, x'00');"
        );
        connection.execute_batch(&sql).expect("damage");
        let mut blob = lab.database("db").blob(p1).expect("it can be read").expect("it is there");
        let place = blob.windows(2).position(|word| word == b"p1").expect("its name");
        blob[place + 1] = b'9';
        connection
            .execute("UPDATE Packages SET blob = ?1 WHERE hnum = ?2", rusqlite::params![blob, p1.0])
            .expect("damage");
    }
    let findings: Vec<String> = onlay::pkgdb::rpm::check(&lab.database("db"))
        .expect("it can be read")
        .iter()
        .map(ToString::to_string)
        .collect();
    for expected in [
        &format!("row 'p0' ({p0}, 0) in table Name is missing"),
        "row 'nobody' (77, 0) in table Providename belongs to no header",
        &format!("row '/opt/files/' ({files}, 3) in table Dirnames is missing"),
        "header 7 cannot be read: 1 bytes, not the 8 that its beginning announces",
        &format!("header {p1} (p9) does not have its own digest"),
        "package p0.noarch is there 2 times",
    ] {
        assert!(findings.iter().any(|finding| finding == expected), "{expected}: {findings:#?}");
    }
    assert!(!findings.iter().any(|finding| finding.contains("linux")), "{findings:#?}");
}
