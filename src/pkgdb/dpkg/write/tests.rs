//! Writing below temporary roots.

use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::pkgdb::dpkg::merge::{Base, Input, plan};
use crate::pkgdb::merge::Wishes;

/// A root with a small database.
struct Place(tempfile::TempDir);

impl Place {
    /// Packages are `NAME VERSION`; each has a list, and a script.
    fn of(packages: &[&str]) -> Place {
        let place = Place(tempfile::tempdir().expect("a directory"));
        for name in ["info", "updates", "triggers", "alternatives"] {
            fs::create_dir_all(place.path("var/lib/dpkg").join(name)).expect("a directory");
        }
        place.put("var/lib/dpkg/info/format", "1\n");
        let mut status = String::new();
        for package in packages {
            let (name, version) = package.split_once(' ').expect("a name and a version");
            status += &format!(
                "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n"
            );
            place.put(&format!("var/lib/dpkg/info/{name}.list"), &format!("/.\n/usr/{version}\n"));
            place.put(&format!("var/lib/dpkg/info/{name}.postinst"), &format!("#!/bin/sh\n: {version}\n"));
            let script = place.path(&format!("var/lib/dpkg/info/{name}.postinst"));
            fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .expect("our file");
        }
        place.put("var/lib/dpkg/status", &status);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    fn root(&self) -> Root {
        Root::open(self.0.path()).expect("it is there")
    }

    fn database(&self) -> Database {
        Database::open(&self.root()).expect("it can be read").expect("it is there")
    }

    /// Every file with mode and content, but dpkg's locks.
    fn listing(&self) -> BTreeMap<PathBuf, (u32, String)> {
        let mut found = BTreeMap::new();
        let mut left = vec![self.0.path().to_owned()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    left.push(path);
                } else if !["lock", "lock-frontend", "Lock"].iter().any(|lock| path.ends_with(lock)) {
                    use std::os::unix::fs::PermissionsExt;
                    let mode = fs::metadata(&path).expect("it is there").permissions().mode() & 0o7777;
                    let text = fs::read_to_string(&path).expect("text");
                    found.insert(path.strip_prefix(self.0.path()).expect("below").to_owned(), (mode, text));
                }
            }
        }
        found
    }
}

/// The host upgrades `a`, removes `b` and brings `d`; the overlay upgrades `c` and installs `e`.
fn three() -> (Place, Place, Place) {
    let base = Place::of(&["a 1", "b 1", "c 1"]);
    let ours = Place::of(&["a 1", "b 1", "c 2", "e 1"]);
    ours.put("var/lib/apt/extended_states", "Package: e\nArchitecture: amd64\nAuto-Installed: 1\n\n");
    ours.put("var/lib/dpkg/alternatives/vi", "auto\n/usr/bin/vi\n\n/usr/bin/e\n1\n\n");
    let theirs = Place::of(&["a 2", "c 1", "d 1"]);
    theirs.put("var/lib/dpkg/diversions", "/usr/x\n/usr/y\n:\n");
    (base, ours, theirs)
}

fn planned(base: &Place, ours: &Database, theirs: &Database) -> Plan {
    let base = Base::of(&base.database());
    let [our, their] = [ours, theirs].map(|side| Input { contents: side, paths: side });
    plan(&base, our, their, &Wishes::default()).expect("it can be merged")
}

fn written(plan: &Plan, ours: &Database, theirs: &Database) -> Place {
    let place = Place(tempfile::tempdir().expect("a directory"));
    write(plan, ours, theirs, &place.root()).expect("it is written");
    place
}

#[test]
fn a_merged_database_is_written() {
    let (base, ours, theirs) = three();
    let (our, their) = (ours.database(), theirs.database());
    let plan = planned(&base, &our, &their);
    let expected = Place::of(&["a 2", "c 2", "d 1", "e 1"]);
    for (name, text) in [
        ("var/lib/apt/extended_states", "Package: e\nArchitecture: amd64\nAuto-Installed: 1\n\n"),
        ("var/lib/dpkg/alternatives/vi", "auto\n/usr/bin/vi\n\n/usr/bin/e\n1\n\n"),
        ("var/lib/dpkg/diversions", "/usr/x\n/usr/y\n:\n"),
    ] {
        expected.put(name, text);
    }
    let merged = written(&plan, &our, &their);
    assert_eq!(merged.listing(), expected.listing());
    // Merged with what it came from, it stays what it is.
    let again = merged.database();
    let same = planned(&theirs, &again, &their);
    assert_eq!(written(&same, &again, &their).listing(), expected.listing());
    assert_eq!(differing(&same, &again), []);
}

#[test]
fn no_database_is_written_over_another() {
    let (base, ours, theirs) = three();
    let (our, their) = (ours.database(), theirs.database());
    let before = ours.listing();
    let plan = planned(&base, &our, &their);
    assert!(write(&plan, &our, &their, &ours.root()).is_err());
    assert_eq!(ours.listing(), before);
}
