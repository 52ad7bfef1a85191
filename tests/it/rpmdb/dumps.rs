//! Dumps, there and back, between us and rpm.

use std::fs::{self, File};
use std::io::Write;

use onlay::pkgdb::Error;
use onlay::pkgdb::rpm::{Backend, export, import, read_headers};

use super::lab::{Lab, assert_sound, listed};
use super::reading::ALL_KINDS;
use crate::debian::{expect_success, words};

#[test]
fn rpm_imports_what_we_export() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", ALL_KINDS);
    let (database, dump) = (lab.database("db"), lab.root("dump"));
    assert_eq!(export(&database, &dump).expect("there is room"), ALL_KINDS.len());
    let names = lab.files("dump");
    assert!(names.iter().any(|name| name.starts_with("relations-3:1.0~rc1-2^post.noarch-")), "{names:?}");
    let mut all = File::create(lab.path("all")).expect("a file");
    for name in names {
        all.write_all(&fs::read(lab.path("dump").join(name)).expect("our file")).expect("there is room");
    }
    fs::create_dir(lab.path("theirs")).expect("our directory");
    let input = File::open(lab.path("all")).expect("our file");
    expect_success(lab.rpm("rpmdb", "theirs").arg("--importdb").stdin(input));
    assert_eq!(listed(&lab.database("theirs")), listed(&database));
    assert_sound(&lab.database("theirs"));
}

#[test]
fn we_import_what_rpm_exports() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", ALL_KINDS);
    let exported = expect_success(lab.rpm("rpmdb", "db").arg("--exportdb")).stdout;
    let headers = read_headers(&exported).expect("rpm wrote it");
    assert_eq!(headers.len(), ALL_KINDS.len());
    let dump = lab.root("dump");
    fs::write(lab.path("dump/all"), &exported).expect("our file");
    let opening = lab.opening(onlay::pkgdb::rpm::Access::Replace);
    for (backend, name) in [(Backend::Sqlite, "ours"), (Backend::Ndb, "ndb")] {
        import(&dump, backend, &lab.root(name), opening.patience)
            .expect("it is made")
            .commit()
            .expect("it is moved");
        assert_eq!(listed(&lab.database(name)), listed(&lab.database("db")));
        assert_sound(&lab.database(name));
    }
    lab.verify("ours");
    let again = words(&expect_success(lab.rpm("rpm", "ours").arg("-qa")));
    assert_eq!(again.lines().filter(|line| !line.is_empty()).count(), ALL_KINDS.len());
}

#[test]
fn what_is_no_dump_makes_no_database() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["p0-1"]);
    let dump = lab.root("dump");
    export(&lab.database("db"), &dump).expect("there is room");
    // A package file is what some take for a header.
    fs::copy(lab.packages.join("p1-1.rpm"), lab.path("dump/p1-1.rpm")).expect("a copy");
    let opening = lab.opening(onlay::pkgdb::rpm::Access::Replace);
    let refused = import(&dump, Backend::Sqlite, &lab.root("ours"), opening.patience);
    let Err(Error::Damaged { path, .. }) = refused else { panic!("{refused:?}") };
    assert!(path.ends_with("dump/p1-1.rpm"), "{}", path.display());
    assert_eq!(lab.files("ours"), [".rpm.lock"]);
}
