//! Dumps, and databases that are made of them.

use std::fs;

use super::db;
use crate::debian::{expect_success, words};
use crate::rpmdb::lab::{Lab, listed};

const SOME: &[&str] = &["relations-1.0~rc1", "files-1", "p0-1", "p1-1"];

#[test]
fn what_is_exported_makes_the_same_database() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", SOME);
    let (database, dump) = (lab.path("db"), lab.path("dump"));
    let dry = db(&[&"export", &database, &dump, &"--dry-run"]).ok();
    assert_eq!(dry, format!("would write 4 files into {}\n", dump.display()));
    assert!(!dump.exists());
    let answer = db(&[&"export", &database, &dump]);
    assert_eq!((answer.code, &*answer.stdout), (Some(0), ""), "{}", answer.stderr);
    let names = lab.files("dump");
    let identities = db(&[&"list", &database, &"--json"]).fields(&["/identity"]);
    assert_eq!(names.len(), identities.len());
    for identity in identities {
        assert!(names.iter().any(|name| name.contains(&identity[..16])), "{identity}: {names:?}");
    }
    let again = db(&[&"export", &database, &dump]);
    assert!(again.failed(1).contains("dump' is not empty"), "{}", again.stderr);
    for (backend, name) in [("sqlite", "made"), ("ndb", "made-ndb")] {
        let target = lab.path(name);
        let options = ["--backend", backend];
        let dry = db(&[&"import", &dump, &target, &options[0], &options[1], &"--dry-run"]).ok();
        assert_eq!(dry, format!("would make a database of 4 packages in {}\n", target.display()));
        assert!(!target.exists());
        let made = db(&[&"import", &dump, &target, &options[0], &options[1], &"--json"]).ok();
        let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
        assert_eq!(made, serde_json::json!({"packages": 4, "directory": target.to_str()}));
        assert_eq!(listed(&lab.database(name)), listed(&lab.database("db")));
        let same = db(&[&"diff", &database, &target]);
        assert_eq!((same.code, &*same.stderr), (Some(0), "onlay: both have the same packages\n"));
        let twice = db(&[&"import", &dump, &target]);
        assert!(twice.failed(1).contains("there is a package database already"), "{}", twice.stderr);
    }
    lab.verify("made");
    let said = words(&expect_success(lab.rpm("rpm", "made").args(["-qa", "--qf", "%{NAME}\\n"])));
    assert_eq!(said.lines().filter(|line| !line.is_empty()).count(), SOME.len());
}

#[test]
fn nothing_is_made_of_what_is_no_dump() {
    let Some(lab) = Lab::open() else { return };
    fs::create_dir(lab.path("dump")).expect("our directory");
    fs::copy(lab.packages.join("p1-1.rpm"), lab.path("dump/p1-1.rpm")).expect("a copy");
    let answer = db(&[&"import", &lab.path("dump"), &lab.path("made")]);
    assert!(answer.failed(1).contains("p1-1.rpm' is damaged"), "{}", answer.stderr);
    assert!(!lab.path("made").exists());
    let missing = db(&[&"import", &lab.path("nowhere"), &lab.path("made")]);
    assert!(missing.failed(1).contains("nowhere': No such file"), "{}", missing.stderr);
    // rpm would read another database in that directory first.
    fs::create_dir(lab.path("old")).expect("our directory");
    fs::write(lab.path("old/Packages"), "").expect("our file");
    fs::remove_file(lab.path("dump/p1-1.rpm")).expect("our file");
    let empty = db(&[&"import", &lab.path("dump"), &lab.path("made")]);
    assert!(empty.failed(1).contains("there is no header of rpm's in '"), "{}", empty.stderr);
    assert!(!lab.path("made").exists());
    let refused = db(&[&"import", &lab.path("dump"), &lab.path("old")]);
    assert!(refused.failed(1).contains("old/Packages'"), "{}", refused.stderr);
}
