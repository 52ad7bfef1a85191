//! Merged databases, and what rpm would have written: the same done on one database by rpm itself.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use onlay::pkgdb::dpkg::Aliases;
use onlay::pkgdb::merge::Side;
use onlay::pkgdb::rpm::merge::{Catalog, Choice, Known, Plan, plan};
use onlay::pkgdb::rpm::{Access, prepare};

use super::lab::{Lab, assert_sound, listed};
use crate::debian::expect_success;

/// What is done to a database: how, with which options, and with which packages.
type Steps<'a> = &'a [(&'a [&'a str], &'a [&'a str])];

/// One lab for each format.
fn labs() -> impl Iterator<Item = Lab> {
    ["rpm-sqlite", "rpm-ndb"].into_iter().filter_map(Lab::with_tree)
}

fn copy(lab: &Lab, from: &str, to: &str) {
    fs::create_dir_all(lab.path(to)).expect("our directory");
    for name in lab.files(from) {
        fs::copy(lab.path(from).join(&name), lab.path(to).join(&name)).expect("our file");
    }
}

fn change(lab: &Lab, database: &str, steps: Steps<'_>) {
    for (how, packages) in steps {
        lab.change_with(database, how, packages);
    }
}

/// Merges `ours` and `theirs` into `merged`.
fn merge(lab: &Lab, choice: &Choice) -> Plan {
    let [base, ours, theirs] = ["base", "ours", "theirs"].map(|name| lab.database(name));
    let [was, our, their] =
        [&base, &ours, &theirs].map(|database| Catalog::of(database).expect("it can be read"));
    let known: Vec<Arc<Known>> = was.entries().iter().map(|entry| Arc::clone(&entry.known)).collect();
    let plan = plan(&known, (&ours, &our), (&theirs, &their), choice, &Aliases::default());
    let plan = plan.expect("it can be merged");
    let from = if plan.from == Side::Ours { &ours } else { &theirs };
    let _ = fs::remove_dir_all(lab.path("merged"));
    let target = lab.root("merged");
    let prepared = prepare(from, &plan.delta, &target, &lab.opening(Access::Replace));
    prepared.and_then(onlay::pkgdb::rpm::Prepared::commit).expect("there is room");
    plan
}

/// Makes the three databases anew.
fn set_up(lab: &Lab, base: Steps<'_>, ours: Steps<'_>, theirs: Steps<'_>) {
    for name in ["base", "ours", "theirs"] {
        let _ = fs::remove_dir_all(lab.path(name));
    }
    lab.installed("base", &["triggers-1"]);
    change(lab, "base", base);
    for name in ["ours", "theirs"] {
        copy(lab, "base", name);
    }
    change(lab, "theirs", theirs);
    change(lab, "ours", ours);
}

/// What rpm says of all files.
fn states(lab: &Lab, database: &str) -> Vec<String> {
    let said = lab.says(database, &["-qa", "--qf", "[%{=NAME} %{FILENAMES} %{FILESTATES}\n]"]);
    let mut lines: Vec<String> = said.lines().filter(|line| line.contains('/')).map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Packages that have paths of each other: with the same content, with another one, as settings; programs of 32 and of
/// 64 bits.
fn build_packages(lab: &Lab) {
    let plain = |name: &str, version: &str, content: &str| {
        let spec = format!(
            "BuildArch: noarch\n%install\necho {content} >file; echo same >shared; echo {content} >conf; \
             echo {content} >own-{name}; mkdir dir; chmod 7{version}5 dir\n%files\n/opt/s/file\n/opt/s/shared\n\
             %config(noreplace) /opt/s/conf\n%doc /opt/s/own-{name}\n%dir /opt/s/dir\n"
        );
        lab.build(name, version, &spec);
    };
    plain("x", "1", "x");
    plain("x", "2", "new x");
    plain("y", "1", "y");
    for (name, version, class) in [("narrow", "1", 1), ("wide", "1", 2), ("wide", "2", 2)] {
        // As much of a program as tells how many bits it has (elf(5)).
        let machine = if class == 1 { "\\003" } else { "\\076" };
        let spec = format!(
            "%install\n{{ printf '\\177ELF\\00{class}\\001\\001'; head -c 9 /dev/zero; \
             printf '\\002\\000{machine}\\000\\001\\000\\000\\000'; head -c 100 /dev/zero; echo {version}; }} >program\n\
             chmod 755 program\n%files\n/opt/s/program\n"
        );
        lab.build(name, version, &spec);
    }
}

const COLORED: &[&str] = &["-U", "--define", "_transaction_color 3", "--define", "_prefer_color 2"];

#[test]
fn states_of_files_are_what_rpm_would_have_written() {
    let install: &[&str] = &["-U"];
    let scenes: &[(Steps<'_>, Steps<'_>, Steps<'_>, &str)] = &[
        // Another package's file is replaced in the overlay, and its package is updated, or comes later.
        (&[(install, &["x-1"])], &[(install, &["y-1"])], &[(install, &["x-2"])], "x /opt/s/file 1"),
        (&[], &[(install, &["y-1"])], &[(install, &["x-1"])], "x /opt/s/file 1"),
        (&[], &[(install, &["y-1"])], &[(install, &["x-1"])], "x /opt/s/shared 0"),
        (&[], &[(install, &["y-1"])], &[(install, &["x-1"])], "x /opt/s/conf 0"),
        // It was replaced by a package that is gone again.
        (
            &[(install, &["x-1"])],
            &[(install, &["y-1"]), (&["-e"], &["y"])],
            &[(install, &["p0-1"])],
            "x /opt/s/file 1",
        ),
        (&[(install, &["x-1"])], &[(install, &["y-1"])], &[(install, &["p0-1"])], "x /opt/s/file 1"),
        // Both replaced each other's.
        (
            &[(install, &["x-1"])],
            &[(install, &["y-1"]), (install, &["x-2"])],
            &[(install, &["x-2"])],
            "y /opt/s/file 1",
        ),
        (
            &[(install, &["p1-1"]), (install, &["y-1"])],
            &[(install, &["p1-2"])],
            &[(install, &["x-1"])],
            "y /opt/s/file 1",
        ),
        // Programs of two colours.
        (
            &[(COLORED, &["wide-1"])],
            &[(COLORED, &["narrow-1"])],
            &[(COLORED, &["wide-2"])],
            "narrow /opt/s/program 4",
        ),
        (
            &[(COLORED, &["narrow-1"])],
            &[(COLORED, &["wide-1"])],
            &[(COLORED, &["p0-1"])],
            "narrow /opt/s/program 4",
        ),
        (&[], &[(COLORED, &["narrow-1"])], &[(COLORED, &["wide-1"])], "narrow /opt/s/program 4"),
        (&[], &[(COLORED, &["wide-1"])], &[(COLORED, &["narrow-1"])], "narrow /opt/s/program 4"),
        // What was not wanted, and what is on a file system that others share.
        (&[], &[(&["-U", "--excludedocs"], &["y-1"])], &[(install, &["x-1"])], "y /opt/s/own-y 2"),
        (
            &[],
            &[(&["-U", "--define", "_netsharedpath /opt/s"], &["y-1"])],
            &[(install, &["x-1"])],
            "y /opt/s/file 3",
        ),
    ];
    for (lab_number, lab) in labs().enumerate() {
        build_packages(&lab);
        let mut made_from = Vec::new();
        for (number, (base, ours, theirs, state)) in scenes.iter().enumerate() {
            // The merged database is made from theirs, or from ours where that has changed more.
            if number % 2 != lab_number {
                continue;
            }
            let filler: Steps<'_> = &[(install, &["p5-1", "p6-1", "p7-1"])];
            let ours = [*ours, if number % 4 < 2 { &[] } else { filler }].concat();
            set_up(&lab, base, &ours, theirs);
            // The reference: what the overlay did, done on the host of now.
            let _ = fs::remove_dir_all(lab.path("expected"));
            copy(&lab, "theirs", "expected");
            change(&lab, "expected", &ours);
            let plan = merge(&lab, &Choice::default());
            let from = plan.from;
            made_from.push(from);
            let expected = states(&lab, "expected");
            assert_eq!(states(&lab, "merged"), expected, "scene {number}, from {from:?}");
            assert!(expected.iter().any(|line| line == state), "scene {number}: {expected:?}");
            lab.verify("merged");
            assert_sound(&lab.database("merged"));
        }
        assert!(made_from.contains(&Side::Ours) && made_from.contains(&Side::Theirs));
    }
}

/// Packages that stand in relations to each other, in a version.
fn build_relations(lab: &Lab, version: &str) {
    let packages: &[(&str, &str)] = &[
        ("tool", "Provides: instrument = 3\n"),
        ("git", ""),
        ("git-core", "Requires: git = %{version}\n"),
        ("needy", "Requires: tool\n"),
        ("reader", "Requires: /opt/s/book\n"),
        ("either", "Requires: (tool or victim)\n"),
        ("cautious", "Requires: (tool if victim)\n"),
        ("demanding", "Requires: (tool with instrument >= 3)\n"),
        ("hater", "Conflicts: victim\n"),
        ("jealous", "Conflicts: (victim and tool)\n"),
        ("victim", ""),
        ("heir", "Obsoletes: victim < 9\n"),
    ];
    let each = |(name, tags): &(&str, &str)| {
        format!(
            "%package -n {name}\nSummary: A package\nBuildArch: noarch\n{tags}%description -n {name}\nOne.\n%files -n {name}\n"
        )
    };
    let all: String = packages.iter().map(each).collect();
    lab.build(
        "family",
        version,
        &format!("BuildArch: noarch\n%install\necho {version} >book\n%files\n/opt/s/book\n{all}"),
    );
}

/// Base, ours, theirs, and which choice; what is there then, and what is told.
type Row<'a> = (Steps<'a>, Steps<'a>, Steps<'a>, &'a [&'a str], &'a [&'a str]);

const UP: &[&str] = &["-U"];
const ADD: &[&str] = &["-i"];
const OFF: &[&str] = &["-e"];
const NONE: Steps<'static> = &[];
const OTHER: Steps<'static> = &[(UP, &["p0-1"])];

const LOST: &[&str] = &[
    "demanding needs (tool with instrument >= 3), which nothing provides any more",
    "reader needs /opt/s/book, which nothing provides any more",
];

const ROWS: &[Row<'static>] = &[
    // Several versions at once: what each side adds and removes.
    (&[(ADD, &["linux-1"])], &[(ADD, &["linux-2"])], &[(OFF, &["linux-1"])], &["linux-2"], &[]),
    (NONE, &[(ADD, &["linux-1"])], &[(ADD, &["linux-2"])], &["linux-1", "linux-2"], &[]),
    (&[(ADD, &["linux-1", "linux-2"])], &[(OFF, &["linux-1"])], OTHER, &["linux-2", "p0-1"], &[]),
    // Siblings that are locked to one version: both go together, or it is told.
    (
        &[(UP, &["git-1", "git-core-1"])],
        &[(UP, &["git-2", "git-core-2"])],
        OTHER,
        &["git-2", "git-core-2", "p0-1"],
        &[],
    ),
    (
        &[(UP, &["git-1"])],
        &[(UP, &["git-core-1"])],
        &[(UP, &["git-2"])],
        &["git-2", "git-core-1"],
        &["git-core needs git = 1, which nothing provides any more"],
    ),
    (
        &[(UP, &["git-1"])],
        &[(UP, &["git-2"])],
        &[(UP, &["git-core-1"])],
        &["git-2", "git-core-1"],
        &["git-core needs git = 1, which nothing provides any more"],
    ),
    // Removed and needed, by name, by path, and in rich dependencies.
    (
        &[(UP, &["tool-1"])],
        &[(OFF, &["tool"])],
        &[(UP, &["needy-1", "either-1", "demanding-1"])],
        &["demanding-1", "either-1", "needy-1"],
        &[
            "demanding needs (tool with instrument >= 3), which nothing provides any more",
            "either needs (tool or victim), which nothing provides any more",
            "needy needs tool, which nothing provides any more",
        ],
    ),
    (
        &[(UP, &["tool-1"])],
        &[(UP, &["needy-1", "either-1", "victim-1"])],
        &[(OFF, &["tool"])],
        &["either-1", "needy-1", "victim-1"],
        &["needy needs tool, which nothing provides any more"],
    ),
    (
        &[(UP, &["family-1"])],
        &[(OFF, &["family"])],
        &[(UP, &["reader-1"])],
        &["reader-1"],
        &["reader needs /opt/s/book, which nothing provides any more"],
    ),
    (
        &[(UP, &["family-1"])],
        &[(UP, &["reader-1"])],
        &[(OFF, &["family"])],
        &["reader-1"],
        &["reader needs /opt/s/book, which nothing provides any more"],
    ),
    (
        NONE,
        &[(UP, &["cautious-1"])],
        &[(UP, &["victim-1"])],
        &["cautious-1", "victim-1"],
        &["cautious needs (tool if victim), which nothing provides any more"],
    ),
    (
        NONE,
        &[(UP, &["victim-1"])],
        &[(UP, &["cautious-1"])],
        &["cautious-1", "victim-1"],
        &["cautious needs (tool if victim), which nothing provides any more"],
    ),
    // What was so in the overlay before is not told.
    (
        &[(UP, &["needy-1"])],
        &[(UP, &["hater-1", "victim-1"])],
        OTHER,
        &["hater-1", "needy-1", "p0-1", "victim-1"],
        &[],
    ),
    // Conflicts, either way round and rich; and who replaces whom.
    (
        NONE,
        &[(UP, &["hater-1"])],
        &[(UP, &["victim-1"])],
        &["hater-1", "victim-1"],
        &["hater conflicts with victim of the base"],
    ),
    (
        NONE,
        &[(UP, &["victim-1"])],
        &[(UP, &["hater-1"])],
        &["hater-1", "victim-1"],
        &["hater of the base conflicts with victim"],
    ),
    (
        &[(UP, &["tool-1"])],
        &[(UP, &["jealous-1"])],
        &[(UP, &["victim-1"])],
        &["jealous-1", "tool-1", "victim-1"],
        &["jealous conflicts with (victim and tool)"],
    ),
    (
        NONE,
        &[(UP, &["victim-1"])],
        &[(UP, &["heir-1"])],
        &["heir-1", "victim-1"],
        &["heir of the base obsoletes victim"],
    ),
    (
        NONE,
        &[(UP, &["heir-1"])],
        &[(UP, &["victim-1"])],
        &["heir-1", "victim-1"],
        &["heir obsoletes victim of the base"],
    ),
    // What another version provides as well is not missed; what it does not provide any more is.
    (
        &[(UP, &["tool-1", "family-1"])],
        &[(UP, &["tool-2", "family-2"])],
        &[(UP, &["demanding-1", "reader-1"])],
        &["demanding-1", "family-2", "reader-1", "tool-2"],
        &[],
    ),
    (
        &[(UP, &["tool-1", "family-1"])],
        &[(UP, &["demanding-1", "reader-1"])],
        &[(UP, &["tool-2", "family-2"])],
        &["demanding-1", "family-2", "reader-1", "tool-2"],
        &[],
    ),
    (
        &[(UP, &["tool-1", "family-1"])],
        &[(UP, &["tool-3", "family-3"])],
        &[(UP, &["demanding-1", "reader-1", "needy-1"])],
        &["demanding-1", "family-3", "needy-1", "reader-1", "tool-3"],
        LOST,
    ),
    (
        &[(UP, &["tool-1", "family-1"])],
        &[(UP, &["demanding-1", "reader-1", "needy-1"])],
        &[(UP, &["tool-3", "family-3"])],
        &["demanding-1", "family-3", "needy-1", "reader-1", "tool-3"],
        LOST,
    ),
    // Nor is a conflict told with what was there in another version.
    (
        &[(UP, &["hater-1", "victim-1"])],
        &[(UP, &["victim-2"])],
        &[(UP, &["hater-2"])],
        &["hater-2", "victim-2"],
        &[],
    ),
    // Both removed it, or to the same version.
    (&[(UP, &["tool-1"])], &[(OFF, &["tool"])], &[(OFF, &["tool"])], &[], &[]),
    (&[(UP, &["tool-1"])], &[(UP, &["tool-2"])], &[(UP, &["tool-2"])], &["tool-2"], &[]),
];

#[test]
fn every_relation_of_packages_is_heeded() {
    for lab in labs() {
        build_relations(&lab, "1");
        build_relations(&lab, "2");
        // Two that have lost something.
        lab.build("tool", "3", "BuildArch: noarch\n");
        lab.build("family", "3", "BuildArch: noarch\n");
        for (number, (base, ours, theirs, packages, told)) in ROWS.iter().enumerate() {
            set_up(&lab, base, ours, theirs);
            let plan = merge(&lab, &Choice::default());
            let found = listed(&lab.database("merged"));
            let expected = packages.iter().map(|package| format!("{package}-1.noarch"));
            let mut expected: Vec<String> = expected.chain(["triggers-1-1.noarch".to_owned()]).collect();
            expected.sort();
            assert_eq!(found, expected, "row {number}");
            assert_eq!(plan.findings, *told, "row {number}");
            // rpm finds what is needed, too: in all of the database.
            let said = lab.says("merged", &["--verify", "--all", "--nofiles", "--noscripts"]);
            for finding in plan.findings.iter().filter(|finding| finding.contains(" needs ")) {
                let needed = finding.split(" needs ").nth(1).and_then(|rest| rest.split(", which").next());
                assert!(said.contains(needed.unwrap_or_default()), "row {number}, {finding}: {said}");
            }
            // Conflicts as well, and who is obsoleted.
            let is_against = |line: &str| line.contains("(installed)") && !line.contains("triggers");
            if !told.is_empty() {
                assert!(said.lines().any(is_against), "row {number}: {said}");
            }
            assert_sound(&lab.database("merged"));
        }
    }
}

#[test]
fn keys_of_both_sides_are_there() {
    for lab in [Lab::open(), Lab::with_tree("rpm-ndb")].into_iter().flatten() {
        let key = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/key.asc");
        fs::copy(key, lab.path("key.asc")).expect("ours");
        let import = |database: &str| {
            expect_success(lab.rpm("rpm", database).arg("--import").arg(lab.package("key.asc")));
        };
        let up: &[&str] = &["-U"];
        let known = "gpg-pubkey-8783d481-63ceb953.";
        for (importers, is_there) in
            [(&["ours"][..], true), (&["theirs"], true), (&["ours", "theirs"], true), (&[], false)]
        {
            set_up(&lab, &[], &[(up, &["p0-1"])], &[(up, &["p1-1"])]);
            for side in importers {
                import(side);
            }
            merge(&lab, &Choice::default());
            let keys = listed(&lab.database("merged")).into_iter().filter(|name| name == known).count();
            assert_eq!(keys, usize::from(is_there), "{importers:?}");
            assert_eq!(lab.says("merged", &["-q", "gpg-pubkey"]).contains("8783d481"), is_there);
            assert_sound(&lab.database("merged"));
        }
        // One side takes away what both had.
        set_up(&lab, &[], &[], &[]);
        for side in ["base", "ours", "theirs"] {
            import(side);
        }
        lab.change("ours", "-e", &["gpg-pubkey"]);
        lab.change("theirs", "-U", &["p1-1"]);
        merge(&lab, &Choice::default());
        assert_eq!(listed(&lab.database("merged")), ["p1-1-1.noarch", "triggers-1-1.noarch"]);
    }
}
