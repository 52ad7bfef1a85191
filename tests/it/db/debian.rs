//! Databases of dpkg's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{copy, db, db_cannot_write, locked, squeezed};
use crate::debian::{command, expect_success, tree};

/// A root with a small database.
struct Small {
    place: tempfile::TempDir,
}

const STATUS: &str = "\
Package: one\nStatus: install ok installed\nArchitecture: all\nVersion: 1:1.0-1\nMaintainer: x\nDescription: x\n\n\
Package: two\nStatus: hold ok installed\nArchitecture: amd64\nVersion: 2.0\nMaintainer: x\nDescription: x\n\n\
Package: rest\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 0.1\nMaintainer: x\nDescription: x\n\n\
Package: wish\nStatus: hold ok not-installed\nArchitecture: amd64\n\n";

impl Small {
    fn new() -> Small {
        let small = Small { place: crate::debian::place() };
        let admin = small.admin("root");
        for directory in ["info", "updates", "triggers", "alternatives"] {
            fs::create_dir_all(admin.join(directory)).expect("our directory");
        }
        fs::create_dir_all(small.path("root/var/lib/apt")).expect("our directory");
        let auto = "Package: one\nArchitecture: amd64\nAuto-Installed: 1\n\n";
        for (name, text) in [
            ("status", STATUS),
            ("available", ""),
            ("arch-native", "amd64\n"),
            ("info/format", "1\n"),
            ("info/one.list", "/.\n"),
            ("info/two.list", "/.\n"),
            ("info/rest.list", "/.\n"),
            ("../apt/extended_states", auto),
        ] {
            fs::write(admin.join(name), text).expect("our file");
        }
        for name in ["info/one.md5sums", "info/two.md5sums"] {
            fs::write(admin.join(name), "").expect("our file");
        }
        small
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn admin(&self, root: &str) -> PathBuf {
        self.path(root).join("var/lib/dpkg")
    }

    fn replace(&self, root: &str, from: &str, to: &str) {
        let path = self.admin(root).join("status");
        let text = fs::read_to_string(&path).expect("our file");
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replacen(from, to, 1)).expect("our file");
    }

    fn dpkg(&self, root: &str, program: &str, arguments: &[&str]) -> String {
        let mut judge = command(program);
        judge.arg(format!("--admindir={}", self.admin(root).display())).args(arguments);
        String::from_utf8(judge.output().expect("dpkg is there").stdout).expect("text")
    }
}

/// What dpkg lists, in its order.
fn listed_by_dpkg(admin: &Path) -> BTreeSet<String> {
    let mut query = command("dpkg-query");
    query.arg(format!("--admindir={}", admin.display()));
    query.args(["--show", "--showformat", "${Package} ${Architecture} ${Version} ${Status}\\n"]);
    let output = expect_success(&mut query);
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

#[test]
fn packages_are_listed_as_by_dpkg() {
    let small = Small::new();
    let mut roots = vec![(small.path("root"), 3)];
    if let Some(tree) = tree("trixie") {
        roots.push((tree, 100));
    }
    for (root, least) in roots {
        let admin = root.join("var/lib/dpkg");
        let expected = listed_by_dpkg(&admin);
        assert!(expected.len() >= least, "{expected:?}");
        for path in [&root, &admin, &admin.join("status")] {
            let answer = db(&[&"list", &path, &"--json"]);
            let rows = answer.fields(&["/name", "/arch", "/version", "/status"]);
            assert_eq!(rows.len(), expected.len());
            assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }
    let shown = db(&[&"list", &small.path("root"), &"--json"]);
    let auto = shown.fields(&["/name", "/auto_installed"]);
    assert_eq!(auto, ["one true", "rest false", "two false"]);
    let text = squeezed(&db(&[&"list", &small.path("root")]).ok());
    assert_eq!(text[0], "NAME ARCH VERSION IDENTITY STATE");
    let identity = shown.rows()[0]["identity"].as_str().expect("text")[..12].to_owned();
    assert_eq!(text[1], format!("one all 1:1.0-1 {identity} install ok installed, auto"));
}

#[test]
fn what_is_wrong_is_told_and_dpkg_says_so_too() {
    let small = Small::new();
    let root = small.path("root");
    assert_eq!(small.dpkg("root", "dpkg", &["--audit"]), "");
    let sound = db(&[&"check", &root]);
    assert_eq!((sound.code, &*sound.stdout), (Some(0), ""), "{}", sound.stderr);
    assert!(sound.stderr.starts_with("onlay: nothing is wrong with"), "{}", sound.stderr);
    fs::remove_file(small.admin("root").join("info/two.list")).expect("our file");
    small.replace("root", "install ok installed", "install ok half-configured");
    let answer = db(&[&"check", &root, &"--json"]);
    assert_eq!(answer.code, Some(1));
    assert_eq!(answer.fields(&["/kind", "/package"]), ["missing-list two", "unfinished one"]);
    let audit = small.dpkg("root", "dpkg", &["--audit"]);
    assert!(audit.contains(" one ") && audit.contains(" two"), "{audit}");
    // Each of these refuses the whole, and is told beside the others.
    fs::write(small.admin("root").join("updates/0001"), "").expect("our file");
    fs::write(small.admin("root").join("diversions"), "one line\n").expect("our file");
    small.replace("root", "Version: 2.0", "Version: 2 0");
    let twice = fs::read_to_string(small.admin("root").join("status")).expect("our file");
    let (first, _) = twice.split_once("\n\n").expect("several");
    let status = format!("{twice}{first}\n\n{}\n", first.replace("Architecture: all", "Architecture: armhf"));
    fs::write(small.admin("root").join("status"), status).expect("our file");
    let listed = db(&[&"list", &root]);
    assert!(listed.failed(1).contains("dpkg was interrupted"), "{}", listed.stderr);
    let answer = db(&[&"check", &root, &"--json"]);
    assert_eq!(answer.code, Some(1));
    assert_eq!(
        answer.fields(&["/kind", "/package"]),
        [
            "interrupted -",
            "unreadable -",
            "repeated one",
            "unfinished one",
            "unfinished one",
            "duplicate one",
            "unreadable -",
        ]
    );
    let text = db(&[&"check", &root]);
    assert_eq!(text.stdout.lines().collect::<Vec<_>>(), answer.fields(&["/text"]));
    assert!(text.stdout.contains("begins a stanza with a wrong Version"), "{}", text.stdout);
}

#[test]
fn two_and_three_databases_are_compared() {
    let small = Small::new();
    for name in ["ours", "theirs"] {
        copy(&small.path("root"), &small.path(name));
    }
    small.replace("ours", "Version: 2.0", "Version: 2.1");
    small.replace("ours", "install ok installed", "install ok installed\nDepends: nowhere");
    small.replace("theirs", "Version: 2.0", "Version: 2.0~rc");
    let [base, ours, theirs] = ["root", "ours", "theirs"].map(|name| small.path(name));
    let two = db(&[&"diff", &base, &ours]).ok();
    assert_eq!(squeezed(&two), ["changed one all 1:1.0-1", "upgraded two amd64 2.0 -> 2.1"]);
    let back = db(&[&"diff", &base, &theirs]).ok();
    assert_eq!(squeezed(&back), ["downgraded two amd64 2.0 -> 2.0~rc"]);
    let three = db(&[&"diff", &base, &ours, &theirs, &"--json"]);
    assert_eq!(
        three.fields(&["/name", "/decision", "/reason", "/base", "/ours", "/theirs"]),
        ["one keep-ours only-ours-changed 1:1.0-1 1:1.0-1 1:1.0-1", "two keep-ours held 2.0 2.1 2.0~rc",]
    );
}

#[test]
fn stanzas_are_exported_as_they_are() {
    let small = Small::new();
    let dump = small.path("dump");
    let answer = db(&[&"export", &small.path("root"), &dump]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let names = crate::kernel::names_in(&dump);
    assert_eq!(names.len(), 4, "{names:?}");
    let mut stanzas: Vec<String> =
        names.iter().map(|name| fs::read_to_string(dump.join(name)).expect("our file")).collect();
    stanzas.sort();
    let mut expected: Vec<String> =
        STATUS.trim_end().split("\n\n").map(|stanza| format!("{stanza}\n")).collect();
    expected.sort();
    assert_eq!(stanzas, expected);
    let refused = db(&[&"import", &dump, &small.path("made")]);
    assert!(refused.failed(1).contains("is damaged: a package of dpkg's"), "{}", refused.stderr);
}

#[test]
fn a_database_in_use_is_left_alone() {
    let small = Small::new();
    let lock = locked(&small.admin("root").join("lock"));
    for verb in ["list", "check"] {
        let answer = db(&[&verb, &small.path("root")]);
        assert!(answer.failed(1).contains("is in use by another program"), "{}", answer.stderr);
    }
    drop(lock);
    db(&[&"list", &small.path("root")]).ok();
}

#[test]
fn three_databases_are_merged_into_one() {
    let small = Small::new();
    let root = |name: &str| small.path(name);
    for side in ["ours", "theirs"] {
        copy(&root("root"), &root(side));
    }
    small.replace("ours", "Version: 2.0", "Version: 2.1");
    small.replace("theirs", "Version: 1:1.0-1", "Version: 1:1.0-2");
    fs::write(small.admin("ours").join("diversions"), "/usr/a\n/usr/b\n:\n").expect("our file");
    let (base, ours, theirs, merged) = (root("root"), root("ours"), root("theirs"), root("merged"));
    let words: [&dyn AsRef<std::ffi::OsStr>; 6] = [&"merge", &base, &ours, &theirs, &"--output", &merged];
    let planned = db(&[&words[..], &[&"--dry-run"]].concat()).ok();
    assert_eq!(planned, format!("would make a database of 2 packages below {}\n", merged.display()));
    assert!(!merged.exists());
    db_cannot_write(&merged, &words);
    let answer = db(&[&words[..], &[&"--json"]].concat());
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    assert_eq!(answer.fields(&["/name", "/decision"]), ["one take-theirs", "two keep-ours"]);
    let listed = listed_by_dpkg(&small.admin("merged"));
    let expected = [
        "one all 1:1.0-2 install ok installed",
        "rest amd64 0.1 deinstall ok config-files",
        "two amd64 2.1 hold ok installed",
    ];
    assert_eq!(listed.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    assert_eq!(small.dpkg("merged", "dpkg", &["--audit"]), "");
    let diverted = small.dpkg("merged", "dpkg-divert", &["--list"]);
    assert_eq!(diverted, "local diversion of /usr/a to /usr/b\n");
    let again = db(&words);
    assert!(again.failed(1).contains("is not empty"), "{}", again.stderr);
}
