//! Paths and files that are no database, or none that can be read here.

use std::fs;

use super::db;
use crate::rpmdb::lab::Lab;

#[test]
fn berkeley_databases_are_refused_as_what_this_host_cannot_do() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let database = place.path().join("var/lib/rpm");
    fs::create_dir_all(&database).expect("our directory");
    // The first page of a table by hashes (db_page.h), as rpm had it until 4.16.
    let mut page = vec![0; 4096];
    page[12..16].copy_from_slice(&0x0006_1561_u32.to_le_bytes());
    page[16..20].copy_from_slice(&9_u32.to_le_bytes());
    fs::write(database.join("Packages"), page).expect("our file");
    for path in [place.path(), &database, &database.join("Packages")] {
        for verb in ["list", "check"] {
            let answer = db(&[&verb, &path]);
            let said = answer.failed(3);
            let expected = format!(
                "onlay: the package database '{}' is a Berkeley DB (rpmdb --rebuilddb converts it), which is not supported\n",
                database.join("Packages").display()
            );
            assert_eq!(said, expected, "{}", path.display());
        }
    }
}

#[test]
fn paths_without_a_database_are_told() {
    let place = tempfile::tempdir().expect("a temporary directory");
    fs::write(place.path().join("file"), "x").expect("our file");
    fs::write(place.path().join("status"), "").expect("our file");
    for name in ["nowhere", "file", "status", "file/below", ""] {
        let answer = db(&[&"list", &place.path().join(name)]);
        assert!(answer.failed(1).starts_with("onlay: "), "{name}");
        let is_told =
            ["there is no package database", "Not a directory"].map(|text| answer.stderr.contains(text));
        assert!(is_told.contains(&true), "{name}: {}", answer.stderr);
    }
    fs::create_dir_all(place.path().join("var/lib/pacman/local")).expect("our directory");
    let answer = db(&[&"list", &place.path()]);
    assert!(answer.failed(3).contains("is pacman's, which is not supported"), "{}", answer.stderr);
}

#[test]
fn databases_that_are_cut_off_are_damaged() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["p0-1", "files-1"]);
    db(&[&"export", &lab.path("db"), &lab.path("dump")]);
    db(&[&"import", &lab.path("dump"), &lab.path("ndb"), &"--backend", &"ndb"]);
    for (name, file) in [("db", "rpmdb.sqlite"), ("ndb", "Packages.db")] {
        let path = lab.path(name).join(file);
        let whole = fs::read(&path).expect("our file");
        let mut failures = 0;
        // By whole pages of both formats: where the end of one is free, its loss does no harm.
        for length in (0..whole.len()).step_by(4096) {
            fs::write(&path, &whole[..length]).expect("our file");
            let listed = db(&[&"list", &path]);
            assert!(matches!(listed.code, Some(0 | 1)), "{name} {length}: {}", listed.stderr);
            failures += i32::from(listed.code == Some(1) && listed.stderr.contains("is damaged"));
            let checked = db(&[&"check", &path]);
            assert_eq!(checked.code, Some(1), "{name} {length}: {}{}", checked.stdout, checked.stderr);
            assert!(!checked.stderr.contains("panic"), "{}", checked.stderr);
        }
        assert!(failures > 2, "{name}: {failures}");
    }
}

/// What is compared is what can be read, and the rest is told.
#[test]
fn a_header_that_cannot_be_read_is_not_passed_over_in_silence() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["p0-1", "files-1"]);
    db(&[&"export", &lab.path("db"), &lab.path("dump")]);
    for name in ["old", "new"] {
        db(&[&"import", &lab.path("dump"), &lab.path(name), &"--backend", &"ndb"]);
    }
    let path = lab.path("new/Packages.db");
    let mut content = fs::read(&path).expect("our file");
    let frame = content.windows(4).position(|bytes| bytes == b"BlbS").expect("a header");
    // The number of its entries.
    content[frame + 16..frame + 19].fill(255);
    fs::write(&path, content).expect("our file");
    let answer = db(&[&"diff", &lab.path("old"), &lab.path("new")]);
    let expected = format!(
        "onlay: 1 header in the database of {} cannot be read, and is left out: onlay db check\n",
        lab.path("new").display()
    );
    assert_eq!((answer.code, &*answer.stderr), (Some(0), &*expected));
    assert!(answer.stdout.starts_with("removed "), "{}", answer.stdout);
}

#[test]
fn the_databases_of_real_systems_are_sound() {
    for name in ["trixie", "rpm-sqlite", "rpm-ndb", "rpm-unstable"] {
        let Some(tree) = crate::debian::tree(name) else { continue };
        let answer = db(&[&"check", &tree]);
        assert_eq!((answer.code, &*answer.stdout), (Some(0), ""), "{name}: {}", answer.stderr);
    }
}

#[test]
fn empty_files_are_damaged() {
    let place = tempfile::tempdir().expect("a temporary directory");
    for file in ["rpmdb.sqlite", "Packages.db"] {
        fs::write(place.path().join(file), "").expect("our file");
        for verb in ["list", "check"] {
            let answer = db(&[&verb, &place.path()]);
            assert!(answer.failed(1).contains("' is damaged: "), "{file}: {}", answer.stderr);
        }
        fs::remove_file(place.path().join(file)).expect("our file");
    }
}

#[test]
fn databases_of_two_systems_are_not_compared() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["p0-1"]);
    let admin = lab.path("root/var/lib/dpkg");
    fs::create_dir_all(&admin).expect("our directory");
    fs::write(admin.join("status"), "").expect("our file");
    let answer = db(&[&"diff", &lab.path("db"), &lab.path("root")]);
    let said = answer.failed(1);
    assert!(said.contains("/root/var/lib/dpkg' are of different package systems"), "{said}");
}
