//! Reading databases that rpm wrote.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use onlay::package::Header;
use onlay::package::digest::Algorithm;
use onlay::package::header::{DependencyKind, File, FileFlags, tag};
use onlay::pkgdb::Error;
use onlay::pkgdb::rpm::index_rows::TABLES;
use onlay::pkgdb::rpm::{Access, Backend, Database, Hnum, Location};
use onlay::sys::Root;
use rusqlite::Connection;

use super::lab::{Lab, assert_sound, listed};
use crate::debian::expect_success;

/// One package of each kind.
pub(super) const ALL_KINDS: &[&str] = &[
    "relations-1.0~rc1",
    "triggers-1",
    "files-1",
    "md5-1",
    "sha1-1",
    "sha512-1",
    "p0-1",
    "p1-1",
    "p7-1",
    "linux-1",
    "linux-2",
];

#[test]
fn rows_are_those_that_rpm_wrote_in_its_order() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", ALL_KINDS);
    let connection = Connection::open(lab.path("db/rpmdb.sqlite")).expect("it opens");
    let mut counts = [0; TABLES.len()];
    lab.database("db")
        .each(&mut |number, blob| {
            let header = Header::parse(blob).expect("rpm wrote it");
            for (table, count) in TABLES.iter().zip(&mut counts) {
                let sql = format!(
                    "SELECT key, idx, typeof(key) FROM \"{}\" WHERE hnum = {number} ORDER BY rowid",
                    table.name
                );
                let mut statement = connection.prepare(&sql).expect("a table");
                let rows = statement.query_map([], |row| {
                    Ok((
                        row.get_ref(0)?.as_bytes()?.to_vec(),
                        row.get::<_, u32>(1)?,
                        row.get::<_, String>(2)?,
                    ))
                });
                let rows: Vec<_> = rows.expect("rows").map(|row| row.expect("a row")).collect();
                let kind = if table.is_text { "text" } else { "blob" };
                let ours: Vec<_> = table
                    .rows(&header)
                    .into_iter()
                    .map(|row| (row.key.into_owned(), row.index, kind.to_owned()))
                    .collect();
                assert_eq!(ours, rows, "{} of {}", table.name, header.name());
                *count += rows.len();
            }
            Ok(())
        })
        .expect("it can be read");
    for (table, count) in TABLES.iter().zip(counts) {
        assert!(count > 0, "nothing is in {}", table.name);
    }
    assert_sound(&lab.database("db"));
}

#[test]
fn packages_and_files_are_those_that_rpm_lists() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", ALL_KINDS);
    let database = lab.database("db");
    let format = "%{NAME}-%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}.%{ARCH}\n";
    let mut theirs: Vec<String> = lab
        .says("db", &["-qa", "--qf", format])
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    theirs.sort();
    assert_eq!(listed(&database), theirs);
    let format = "[%{FILENAMES}|%{FILEMODES:octal}|%{FILEDIGESTS}|%{FILEFLAGS}|%{FILELINKTOS}|%{FILEUSERNAME}|\
                  %{FILEGROUPNAME}|%{LONGFILESIZES}|%{FILEMTIMES}|%{FILESTATES}|%{FILECOLORS}|%{FILEINODES}\n]";
    let mut theirs: Vec<String> = lab
        .says("db", &["-qa", "--qf", format])
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    let mut ours = Vec::new();
    database
        .each(&mut |_, blob| {
            for file in Header::parse(blob).expect("rpm wrote it").files() {
                let digest = file.digest.map(|digest| digest.to_string()).unwrap_or_default();
                let (path, link) = (file.path(), file.link_target.unwrap_or_default().to_string_lossy());
                ours.push(format!(
                    "{}|{:o}|{digest}|{}|{link}|{}|{}|{}|{}|{}|{}|{}",
                    path.display(),
                    file.mode,
                    file.flags.0,
                    file.user.to_string_lossy(),
                    file.group.to_string_lossy(),
                    file.size,
                    file.mtime,
                    file.state.expect("it is installed").number(),
                    file.color,
                    file.inode
                ));
            }
            Ok(())
        })
        .expect("it can be read");
    theirs.sort();
    ours.sort();
    assert!(ours.len() > 50);
    assert_eq!(ours, theirs);
}

#[test]
fn flags_are_what_the_spec_said() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["files-1"]);
    let database = lab.database("db");
    let mut found = BTreeSet::new();
    database
        .each_named("files", &mut |_, blob| {
            for file in Header::parse(blob).expect("rpm wrote it").files() {
                let names = [
                    (FileFlags::CONFIG, "config"),
                    (FileFlags::NO_REPLACE, "noreplace"),
                    (FileFlags::MISSING_OK, "missingok"),
                    (FileFlags::GHOST, "ghost"),
                    (FileFlags::DOC, "doc"),
                    (FileFlags::LICENSE, "license"),
                ];
                let set = names.iter().filter(|(flag, _)| file.flags.contains(*flag)).map(|(_, name)| *name);
                found.insert((
                    file.basename.to_string_lossy().into_owned(),
                    set.collect::<Vec<_>>().join(","),
                ));
            }
            Ok(())
        })
        .expect("it can be read");
    for (name, flags) in [
        ("plain", ""),
        ("edited", "config"),
        ("kept", "config,noreplace"),
        ("ghost", "config,missingok,ghost"),
        ("README", "doc"),
        ("COPYING", "doc,license"),
    ] {
        assert!(found.contains(&(name.to_owned(), flags.to_owned())), "{name}: {found:?}");
    }
}

fn name_of(database: &Database, number: Hnum) -> String {
    let blob = database.blob(number).expect("it can be read").expect("it is there");
    Header::parse(&blob).expect("rpm wrote it").name().into_owned()
}

#[test]
fn owners_are_those_that_rpm_says() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", ALL_KINDS);
    let database = lab.database("db");
    let name_of = |number| name_of(&database, number);
    for path in [
        "/opt/files/plain",
        "/etc/ghost",
        "/",
        "/usr/share/plain/p7",
        "/usr/share/p1",
        "/opt",
        "/opt/files/große",
    ] {
        let mut ours: Vec<String> = database
            .owners(Path::new(path))
            .expect("it can be read")
            .into_iter()
            .map(|(number, index)| {
                let blob = database.blob(number).expect("it can be read").expect("it is there");
                let header = Header::parse(&blob).expect("rpm wrote it");
                assert_eq!(header.files().nth(index).expect("one of its files").path(), Path::new(path));
                name_of(number)
            })
            .collect();
        ours.sort();
        let said = lab.says("db", &["-qf", "--qf", "%{NAME}\n", path]);
        let mut theirs: Vec<&str> =
            said.lines().filter(|line| !line.is_empty() && !line.contains(' ')).collect();
        theirs.sort_unstable();
        assert_eq!(ours, theirs, "{path}");
    }
}

#[test]
fn several_paths_are_asked_for_at_once() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", ALL_KINDS);
    let database = lab.database("db");
    let paths = ["/etc/kept", "/nowhere", "/usr/share/plain/p7", "/etc/edited"].map(Path::new);
    let mut found = Vec::new();
    let mut note = |index: usize, _, header: &Header<'_>, file: &File<'_>| {
        assert_eq!(file.path(), paths[index]);
        found.push((index, header.name().into_owned(), file.digest.expect("it has content").algorithm()));
    };
    database.each_owner(&paths, &mut note).expect("it can be read");
    found.sort_by_key(|(index, name, _)| (*index, name.clone()));
    let of_files = |index| {
        [
            ("files", Algorithm::Sha256),
            ("md5", Algorithm::Md5),
            ("sha1", Algorithm::Sha1),
            ("sha512", Algorithm::Sha512),
        ]
        .map(|(name, algorithm)| (index, name.to_owned(), algorithm))
    };
    let p7 = [(2, "p7".to_owned(), Algorithm::Sha256)];
    assert_eq!(found, [&of_files(0)[..], &p7, &of_files(3)].concat());
}

#[test]
fn what_depends_is_what_rpm_says() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", ALL_KINDS);
    let database = lab.database("db");
    let name_of = |number| name_of(&database, number);
    for (kind, option, name) in [
        (DependencyKind::Provides, "--whatprovides", "cap0"),
        (DependencyKind::Provides, "--whatprovides", "capability"),
        (DependencyKind::Requires, "--whatrequires", "cap1"),
        (DependencyKind::Requires, "--whatrequires", "gamma"),
        (DependencyKind::Requires, "--whatrequires", "only-post"),
        (DependencyKind::Requires, "--whatrequires", "preun"),
        (DependencyKind::Conflicts, "--whatconflicts", "c3"),
        (DependencyKind::Obsoletes, "--whatobsoletes", "obsoleted"),
        (DependencyKind::Recommends, "--whatrecommends", "r3"),
        (DependencyKind::Suggests, "--whatsuggests", "suggested"),
        (DependencyKind::Supplements, "--whatsupplements", "s1"),
        (DependencyKind::Enhances, "--whatenhances", "enhanced"),
    ] {
        let mut ours = Vec::new();
        let mut visit = |number, _: &[u8]| {
            ours.push(number);
            Ok(())
        };
        database.each_with(kind, [name], &mut visit).expect("it can be read");
        let mut ours: Vec<String> = ours.into_iter().map(name_of).collect();
        ours.sort();
        let said = lab.says("db", &["-q", option, "--qf", "%{NAME}\n", name]);
        let mut theirs: Vec<&str> =
            said.lines().filter(|line| !line.is_empty() && !line.contains(' ')).collect();
        theirs.sort_unstable();
        // rpm also asks in a rich dependency for the negated names.
        assert_eq!(ours, theirs, "{option} {name}");
    }
}

#[test]
fn a_key_is_a_package_too() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["p0-1"]);
    let key = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/key.asc");
    expect_success(lab.rpm("rpm", "db").arg("--import").arg(key));
    let database = lab.database("db");
    assert_eq!(listed(&database), ["gpg-pubkey-8783d481-63ceb953.", "p0-1-1.noarch"]);
    assert_sound(&database);
    let mut found = 0;
    let mut note = |_, blob: &[u8]| {
        let header = Header::parse(blob).expect("rpm wrote it");
        assert_eq!((header.files().count(), header.bytes(tag::SIG_MD5)), (0, None));
        found += 1;
        Ok(())
    };
    database.each_with(DependencyKind::Provides, ["gpg(8783d481)"], &mut note).expect("it can be read");
    assert_eq!(found, 1);
}

#[test]
fn reading_leaves_no_trace() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["p0-1", "files-1"]);
    for name in ["rpmdb.sqlite-shm", "rpmdb.sqlite-wal", ".rpm.lock"] {
        fs::remove_file(lab.path("db").join(name)).expect("rpm left it");
    }
    let before = (lab.files("db"), fs::read(lab.path("db/rpmdb.sqlite")).expect("it is there"));
    assert_eq!(before.0, ["rpmdb.sqlite"]);
    assert_eq!(listed(&lab.database("db")).len(), 2);
    assert_sound(&lab.database("db"));
    assert!((lab.files("db"), fs::read(lab.path("db/rpmdb.sqlite")).expect("it is there")) == before);
}

#[test]
fn what_a_crash_left_in_the_log_counts() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["p0-1"]);
    lab.installed("other", &["files-1"]);
    let writer = Connection::open(lab.path("db/rpmdb.sqlite")).expect("it opens");
    writer.execute_batch("PRAGMA foreign_keys = OFF").expect("a pragma");
    let blob = first_blob(&lab.database("other"));
    writer.execute("INSERT INTO Packages VALUES(NULL, ?1)", [&blob]).expect("a row");
    // Somebody who reads keeps the log from being emptied; and then all die.
    copy_all(&lab, "db", "crashed");
    drop(writer);
    assert!(fs::metadata(lab.path("crashed/rpmdb.sqlite-wal")).expect("a log").len() > 0);
    let before = contents(&lab.path("crashed"));
    let database = lab.database("crashed");
    assert_eq!(listed(&database), ["files-1-1.noarch", "p0-1-1.noarch"]);
    assert!(contents(&lab.path("crashed")) == before);
    assert!(!lab.files("").iter().any(|name| name.starts_with(".rpmdb-")), "the copy still has a name");
}

#[test]
fn a_change_that_a_crash_cut_off_is_undone() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["p0-1", "p1-1", "files-1"]);
    let writer = Connection::open(lab.path("db/rpmdb.sqlite")).expect("it opens");
    writer.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).expect("a pragma");
    // So little memory that a change is in the file before it is complete.
    let change = "PRAGMA foreign_keys = OFF; PRAGMA cache_size = 1; BEGIN; \
                  UPDATE Packages SET blob = zeroblob(10000); DELETE FROM Basenames;";
    writer.execute_batch(change).expect("a change");
    copy_all(&lab, "db", "crashed");
    drop(writer);
    assert!(fs::metadata(lab.path("crashed/rpmdb.sqlite-journal")).expect("a journal").len() > 0);
    let before = contents(&lab.path("crashed"));
    assert_eq!(listed(&lab.database("crashed")), ["files-1-1.noarch", "p0-1-1.noarch", "p1-1-1.noarch"]);
    assert_sound(&lab.database("crashed"));
    assert!(contents(&lab.path("crashed")) == before);
}

pub(super) fn copy_all(lab: &Lab, from: &str, to: &str) {
    fs::create_dir_all(lab.path(to)).expect("our directory");
    for name in lab.files(from) {
        fs::copy(lab.path(from).join(&name), lab.path(to).join(&name)).expect("a copy");
    }
}

fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let names = crate::kernel::names_in(directory).into_iter();
    names.map(|name| (name.clone(), fs::read(directory.join(name)).expect("a file"))).collect()
}

pub(super) fn first_blob(database: &Database) -> Vec<u8> {
    let mut found = None;
    database
        .each(&mut |_, blob| {
            found = found.take().or(Some(blob.to_vec()));
            Ok(())
        })
        .expect("it can be read");
    found.expect("there is one")
}

#[test]
fn links_do_not_lead_out_of_a_root() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("outside", &["p0-1"]);
    let root = lab.root("root");
    fs::create_dir_all(lab.path("root/usr/lib/sysimage")).expect("our directory");
    fs::create_dir_all(lab.path("root/var/lib")).expect("our directory");
    let link = |target: &Path, name: &str| {
        let _ = fs::remove_file(lab.path(name));
        std::os::unix::fs::symlink(target, lab.path(name)).expect("a link");
    };
    let location = Location { directory: "/var/lib/rpm".into(), backend: Backend::Sqlite };
    let open = || Database::open(&root, &location, &lab.opening(Access::Read));
    link(&lab.path("outside"), "root/var/lib/rpm");
    assert!(matches!(open(), Err(Error::Io(error)) if error.is_not_found()));
    // An absolute link means a place inside.
    link(Path::new("/usr/lib/sysimage/rpm"), "root/var/lib/rpm");
    fs::rename(lab.path("outside"), lab.path("root/usr/lib/sysimage/rpm")).expect("a new place");
    assert_eq!(listed(&open().expect("it opens")), ["p0-1-1.noarch"]);
    let found = Location::find(&root).expect("nothing is refused").expect("one");
    assert_eq!(found.directory, Path::new("/usr/lib/sysimage/rpm"));
    // The file itself must be one.
    fs::rename(lab.path("root/usr/lib/sysimage/rpm/rpmdb.sqlite"), lab.path("rpmdb.sqlite"))
        .expect("a new place");
    link(&lab.path("rpmdb.sqlite"), "root/usr/lib/sysimage/rpm/rpmdb.sqlite");
    assert!(matches!(open(), Err(Error::Io(_))));
    fs::remove_file(lab.path("root/usr/lib/sysimage/rpm/rpmdb.sqlite")).expect("a link");
    assert!(matches!(open(), Err(Error::Missing { .. })));
    fs::create_dir(lab.path("root/usr/lib/sysimage/rpm/rpmdb.sqlite")).expect("our directory");
    assert!(matches!(open(), Err(Error::Damaged { .. })));
}

#[test]
fn a_name_that_is_strange_to_sqlite_is_none_to_us() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["p0-1"]);
    for name in ["a?mode=rw", "a%20b", "a#b", "a b", "große", "a&cache=shared"] {
        copy_all(&lab, "db", name);
        assert_eq!(listed(&lab.database(name)), ["p0-1-1.noarch"], "{name}");
    }
}

#[test]
fn a_damaged_database_is_told_from_a_missing_one() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["p0-1", "files-1"]);
    let good = fs::read(lab.path("db/rpmdb.sqlite")).expect("it is there");
    let root = Root::open(lab.path("db")).expect("our directory");
    let mut random = fastrand::Rng::with_seed(23);
    for round in 0..200 {
        let mut bad = good.clone();
        match round {
            0 => bad.clear(),
            1 => bad.truncate(100),
            2 => bad.truncate(5000),
            3 => bad[..16].fill(0),
            _ => (0..20).for_each(|_| bad[random.usize(0..good.len())] = random.u8(..)),
        }
        fs::write(lab.path("db/rpmdb.sqlite"), &bad).expect("our file");
        let root = root.try_clone().expect("a descriptor");
        // Whatever it is, it is an answer: no panic, and no endless reading.
        match Database::open_in(root, Backend::Sqlite, &lab.opening(Access::Read)) {
            Ok(database) => {
                let _ = database.packages();
                let _ = database.owners(Path::new("/opt/files/plain"));
                let _ = onlay::pkgdb::rpm::check(&database);
            }
            Err(error) => assert!(matches!(error, Error::Damaged { .. } | Error::Sqlite { .. }), "{error:?}"),
        }
    }
}
