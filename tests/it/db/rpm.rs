//! Databases of rpm's.

use std::fs;
use std::os::unix::fs::symlink;

use onlay::package::Identity;
use rusqlite::Connection;

use super::{copy, db, db_cannot_write, locked, squeezed};
use crate::debian::{command, expect_success};
use crate::rpmdb::lab::Lab;

const SOME: &[&str] = &["relations-1.0~rc1", "files-1", "p0-1", "p1-1", "linux-1", "linux-2"];

/// What rpm lists, sorted: name, architecture and version.
fn listed_by_rpm(lab: &Lab, database: &str) -> Vec<String> {
    let output = expect_success(lab.rpm("rpm", database).args(["-qa", "--qf", "%{NAME} %{ARCH} %{EVR}\\n"]));
    let mut lines: Vec<String> =
        String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn lab_with_some() -> Option<Lab> {
    let lab = Lab::open()?;
    lab.installed("db", SOME);
    Some(lab)
}

#[test]
fn packages_are_listed_as_by_rpm() {
    let Some(lab) = lab_with_some() else { return };
    let expected = listed_by_rpm(&lab, "db");
    assert_eq!(expected.len(), SOME.len());
    fs::create_dir_all(lab.path("root/usr/lib/sysimage")).expect("our directory");
    copy(&lab.path("db"), &lab.path("root/usr/lib/sysimage/rpm"));
    symlink("db", lab.path("link")).expect("a new link");
    for path in ["db", "db/rpmdb.sqlite", "root", "root/usr/lib/sysimage/rpm", "link"] {
        let answer = db(&[&"list", &lab.path(path), &"--json"]);
        assert_eq!(answer.fields(&["/name", "/arch", "/version"]), expected, "{path}");
    }
    let of_root = command(crate::debian::ONLAY)
        .arg("--root")
        .arg(lab.path("root"))
        .args(["db", "list", "--json"])
        .output()
        .expect("the program starts");
    let answer = db(&[&"list", &lab.path("db"), &"--json"]);
    assert_eq!(String::from_utf8_lossy(&of_root.stdout), answer.stdout);
    // Text has the same, with the beginning of each identity.
    let text = squeezed(&db(&[&"list", &lab.path("db")]).ok());
    assert_eq!(text[0], "NAME ARCH VERSION IDENTITY");
    let lines = answer.fields(&["/name", "/arch", "/version", "/identity"]);
    for (line, shown) in lines.iter().zip(&text[1..]) {
        assert_eq!(shown.len() + 52, line.len(), "{shown}");
        assert!(line.starts_with(shown.as_str()), "{line}: {shown}");
    }
    // The identity is that of the header as it is stored.
    let connection = Connection::open(lab.path("db/rpmdb.sqlite")).expect("it opens");
    for row in answer.rows() {
        let sql = "SELECT blob FROM Packages WHERE hnum = ?1";
        let number = row["number"].as_i64().expect("a number");
        let blob: Vec<u8> = connection.query_row(sql, [number], |row| row.get(0)).expect("a header");
        assert_eq!(row["identity"], Identity::of(&blob).to_string());
    }
}

#[test]
fn what_is_wrong_is_told() {
    let Some(lab) = lab_with_some() else { return };
    let database = lab.path("db");
    let sound = db(&[&"check", &database]);
    assert_eq!((sound.code, &*sound.stdout), (Some(0), ""), "{}", sound.stderr);
    assert_eq!(sound.stderr, format!("onlay: nothing is wrong with '{}'\n", database.display()));
    assert_eq!(db(&[&"check", &database, &"--json"]).ok(), "[]\n");
    let connection = Connection::open(database.join("rpmdb.sqlite")).expect("it opens");
    connection.execute_batch("PRAGMA foreign_keys = OFF").expect("a pragma");
    let change = |sql: &str| assert_eq!(connection.execute(sql, []).expect("a row"), 1, "{sql}");
    change("DELETE FROM Name WHERE key = 'p0'");
    change("INSERT INTO \"Group\" (key, hnum, idx) VALUES ('nobody', 1000, 0)");
    change("UPDATE Packages SET blob = x'00' WHERE hnum = (SELECT hnum FROM Name WHERE key = 'p1')");
    drop(connection);
    let answer = db(&[&"check", &database, &"--json"]);
    assert_eq!((answer.code, &*answer.stderr), (Some(1), ""));
    let mut kinds = answer.fields(&["/kind"]);
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, ["missing-row", "superfluous-row", "unreadable"]);
    let text = db(&[&"check", &database]);
    assert_eq!(text.code, Some(1));
    assert!(text.stderr.starts_with("hint: 'rpmdb --rebuilddb'"), "{}", text.stderr);
    assert_eq!(text.stdout.lines().collect::<Vec<_>>(), answer.fields(&["/text"]));
    assert!(text.stdout.contains("in table Name is missing"), "{}", text.stdout);
    // The others are still listed, and the one that is no header.
    let listed = db(&[&"list", &database, &"--json"]);
    assert_eq!(listed.rows().len(), SOME.len());
    let broken = listed.rows().into_iter().filter(|row| row.get("problem").is_some()).collect::<Vec<_>>();
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].get("name"), None);
    assert!(db(&[&"list", &database]).ok().contains("header cannot be read: 1 bytes"));
}

#[test]
fn two_databases_are_compared() {
    let Some(lab) = lab_with_some() else { return };
    copy(&lab.path("db"), &lab.path("new"));
    assert_eq!(
        db(&[&"diff", &lab.path("db"), &lab.path("new")]).stderr,
        "onlay: both have the same packages\n"
    );
    lab.change("new", "-U", &["p0-2"]);
    lab.change("new", "-e", &["p1", "linux-1"]);
    lab.change("new", "-i", &["p2-1"]);
    // The same package, installed at another time.
    let mut again = lab.rpm("rpm", "new");
    again.args(["-U", "--justdb", "--force", "--nodeps", "--nosignature"]);
    again.env("SOURCE_DATE_EPOCH", "1000000000");
    expect_success(again.arg(lab.packages.join("files-1.rpm")));
    let (old, new) = (lab.path("db"), lab.path("new"));
    let expected = [
        "changed files noarch 1-1",
        "removed linux noarch 1-1",
        "upgraded p0 noarch 1-1 -> 2-1",
        "removed p1 noarch 1-1",
        "added p2 noarch 1-1",
    ];
    assert_eq!(squeezed(&db(&[&"diff", &old, &new]).ok()), expected);
    let answer = db(&[&"diff", &old, &new, &"--json"]);
    assert_eq!(
        answer.fields(&["/change", "/name", "/old/version", "/new/version"]),
        [
            "changed files 1-1 1-1",
            "removed linux 1-1 -",
            "upgraded p0 1-1 2-1",
            "removed p1 1-1 -",
            "added p2 - 1-1"
        ]
    );
    let back = db(&[&"diff", &new, &old, &"--json"]);
    assert_eq!(back.fields(&["/change"]), ["changed", "added", "downgraded", "added", "removed"]);
}

#[test]
fn three_databases_are_judged_as_by_the_merge() {
    let Some(lab) = lab_with_some() else { return };
    let [base, ours, theirs] = ["db", "ours", "theirs"].map(|name| lab.path(name));
    copy(&base, &ours);
    copy(&base, &theirs);
    let none = db(&[&"diff", &base, &ours, &theirs]);
    assert_eq!((none.code, &*none.stderr), (Some(0), "onlay: all three have the same packages\n"));
    lab.change("ours", "-i", &["p2-1"]);
    lab.change("ours", "-U", &["p0-2"]);
    lab.change("ours", "-e", &["files"]);
    lab.change("theirs", "-U", &["p1-2"]);
    lab.change("theirs", "-e", &["p0", "linux-1"]);
    let answer = db(&[&"diff", &base, &ours, &theirs, &"--json"]);
    let fields = ["/name", "/decision", "/reason", "/conflict", "/alternative", "/base", "/ours", "/theirs"];
    assert_eq!(
        answer.fields(&fields),
        [
            "files stay-removed only-ours-changed false theirs 1-1 - 1-1",
            "linux remove only-theirs-changed false - 1-1 1-1 -",
            "p0 keep-ours removed-in-theirs true theirs 1-1 2-1 -",
            "p1 take-theirs only-theirs-changed false - 1-1 1-1 2-1",
            "p2 keep-ours only-ours-changed false theirs - 1-1 -",
        ]
    );
    let text = squeezed(&db(&[&"diff", &base, &ours, &theirs]).ok());
    assert_eq!(text[0], "DECISION NAME ARCH BASE OURS THEIRS BECAUSE");
    assert_eq!(text[3], "keep-ours p0 noarch 1-1 2-1 - theirs removed it, and ours changed it");
}

#[test]
fn a_database_in_use_is_left_alone() {
    let Some(lab) = lab_with_some() else { return };
    let lock = locked(&lab.path("db").join(".rpm.lock"));
    for verb in ["list", "check"] {
        let answer = db(&[&verb, &lab.path("db")]);
        let said = answer.failed(1);
        assert!(said.contains("is in use by another program\nhint: try again when"), "{said}");
    }
    copy(&lab.path("db"), &lab.path("other"));
    let [used, other, merged] = ["db", "other", "merged"].map(|name| lab.path(name));
    let answer = db(&[&"merge", &other, &used, &other, &"--output", &merged]);
    assert!(answer.failed(1).contains("is in use by another program"), "{}", answer.stderr);
    assert!(!merged.exists());
    drop(lock);
    db(&[&"list", &lab.path("db")]).ok();
}

#[test]
fn three_databases_are_merged_into_one() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("base", &["files-1", "p0-1", "p1-1"]);
    for side in ["ours", "theirs", "expected"] {
        copy(&lab.path("base"), &lab.path(side));
    }
    // Ours removed one and has another kernel; theirs has two new packages.
    lab.change("ours", "-e", &["p1"]);
    lab.change("ours", "-i", &["linux-1"]);
    lab.change("theirs", "-i", &["relations-1.0~rc1", "linux-2"]);
    lab.change("expected", "-e", &["p1"]);
    lab.change("expected", "-i", &["linux-1", "relations-1.0~rc1", "linux-2"]);
    let [base, ours, theirs, merged] = ["base", "ours", "theirs", "merged"].map(|name| lab.path(name));
    let words: [&dyn AsRef<std::ffi::OsStr>; 6] = [&"merge", &base, &ours, &theirs, &"--output", &merged];
    let planned = db(&[&words[..], &[&"--dry-run"]].concat()).ok();
    assert!(planned.contains("that of theirs, 1 package less and 1 more"), "{planned}");
    assert!(!merged.exists());
    db_cannot_write(&merged, &words);
    assert_eq!(db(&words).code, Some(0));
    assert_eq!(listed_by_rpm(&lab, "merged"), listed_by_rpm(&lab, "expected"));
    let verified = lab.rpm("rpmdb", "merged").arg("--verifydb").status().expect("rpm starts");
    assert!(verified.success());
    assert!(db(&words).failed(1).contains("there is a package database already"));
}
