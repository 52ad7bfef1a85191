//! Merged databases, and what rpm would have written: the same done on one database by rpm itself.

use std::fs;

use onlay::pkgdb::dpkg::Aliases;
use onlay::pkgdb::merge::Side;
use onlay::pkgdb::rpm::merge::{Catalog, Choice, Known, Plan, plan};
use onlay::pkgdb::rpm::{Access, prepare};

use super::lab::{Lab, assert_sound};

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
    let known: Vec<Known> = was.entries().iter().map(|entry| entry.known.clone()).collect();
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
    for name in ["base", "ours", "theirs", "expected"] {
        let _ = fs::remove_dir_all(lab.path(name));
    }
    lab.installed("base", &["triggers-1"]);
    change(lab, "base", base);
    for name in ["ours", "theirs", "expected"] {
        copy(lab, "base", name);
    }
    change(lab, "theirs", theirs);
    change(lab, "expected", theirs);
    change(lab, "ours", ours);
    change(lab, "expected", ours);
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
            // The merged database is made from theirs, or from ours where that has changed more: each scene in one way
            // with each format.
            let filler: Steps<'_> = &[(install, &["p5-1", "p6-1", "p7-1"])];
            let ours = [*ours, if (number + lab_number) % 2 == 0 { &[] } else { filler }].concat();
            set_up(&lab, base, &ours, theirs);
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
