//! Writing on temporary roots, and breaking it off at every step.

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

#[test]
fn a_merged_database_is_written() {
    let (base, ours, theirs) = three();
    let (our, their) = (ours.database(), theirs.database());
    let plan = planned(&base, &our, &their);
    // a and b with two files each, d with two, the diversion, and status.
    assert_eq!(write(&plan, &our, &their, &ours.root()).expect("it is written"), 8);
    let expected = Place::of(&["a 2", "c 2", "d 1", "e 1"]);
    for (name, text) in [
        ("var/lib/apt/extended_states", "Package: e\nArchitecture: amd64\nAuto-Installed: 1\n\n"),
        ("var/lib/dpkg/alternatives/vi", "auto\n/usr/bin/vi\n\n/usr/bin/e\n1\n\n"),
        ("var/lib/dpkg/diversions", "/usr/x\n/usr/y\n:\n"),
    ] {
        expected.put(name, text);
    }
    assert_eq!(ours.listing(), expected.listing());
    // Once more there is nothing to do; and a plan that was made from what has gone is none.
    let again = ours.database();
    let same = planned(&theirs, &again, &their);
    assert_eq!(write(&same, &again, &their, &ours.root()).expect("nothing is written"), 0);
    assert!(matches!(write(&plan, &our, &their, &ours.root()), Err(Error::Changed { .. })));
}

#[test]
fn very_many_files_are_written() {
    let packages: Vec<String> = (0..MANY).map(|number| format!("p{number} 1")).collect();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let (base, ours, theirs) = (Place::of(&[]), Place::of(&[]), Place::of(&packages));
    let (our, their) = (ours.database(), theirs.database());
    let written = write(&planned(&base, &our, &their), &our, &their, &ours.root()).expect("it is written");
    assert_eq!(written, 2 * MANY + 1);
    assert_eq!(ours.database().entries, their.entries);
    let all_but_status = |place: &Place| {
        let mut listing = place.listing();
        listing.remove(Path::new("var/lib/dpkg/status"));
        listing
    };
    assert_eq!(all_but_status(&ours), all_but_status(&theirs));
}

#[test]
fn a_merge_that_is_broken_off_is_finished() {
    let whole = {
        let (base, ours, theirs) = three();
        let (our, their) = (ours.database(), theirs.database());
        write(&planned(&base, &our, &their), &our, &their, &ours.root()).expect("it is written");
        ours.listing()
    };
    for done in 0.. {
        let (base, ours, theirs) = three();
        let (our, their) = (ours.database(), theirs.database());
        let root = ours.root();
        let directory = Path::new("/var/lib/dpkg");
        let changes = changes(&planned(&base, &our, &their), &our, &their, &our).expect("changes");
        let steps = stage(&root, directory, &changes).expect("it is staged");
        if done > steps.len() {
            break;
        }
        apply(&root, &steps[..done]).expect("steps");
        assert!(matches!(Database::open(&root), Err(Error::Unfinished { .. })), "after {done} steps");
        assert!(finish(&root).expect("it is finished"), "after {done} steps");
        assert_eq!(ours.listing(), whole, "after {done} steps");
        assert!(!finish(&root).expect("nothing to finish"));
    }
}

#[test]
fn a_merge_that_had_not_begun_is_cleared_away() {
    let (base, ours, theirs) = three();
    let (our, their) = (ours.database(), theirs.database());
    let before = ours.listing();
    let root = ours.root();
    let directory = Path::new("/var/lib/dpkg");
    let plan = planned(&base, &our, &their);
    stage(&root, directory, &changes(&plan, &our, &their, &our).expect("changes")).expect("it is staged");
    fs::rename(ours.path("var/lib/dpkg/onlay.new/journal"), ours.path("var/lib/dpkg/onlay.new/journal.tmp"))
        .expect("as if power had failed before");
    assert_eq!(ours.database().entries, our.entries, "the old one is whole");
    assert!(!finish(&root).expect("it is cleared"));
    assert_eq!(ours.listing(), before);
    // The next attempt does so by itself.
    stage(&root, directory, &changes(&plan, &our, &their, &our).expect("changes")).expect("it is staged");
    fs::remove_file(ours.path("var/lib/dpkg/onlay.new/journal")).expect("as before");
    assert_eq!(write(&plan, &our, &their, &root).expect("it is written"), 8);
}

#[test]
fn nothing_is_written_while_dpkg_runs() {
    let (base, ours, theirs) = three();
    let (our, their) = (ours.database(), theirs.database());
    let before = ours.listing();
    let locks =
        Locks::take(&ours.root().open_dir("/var/lib/dpkg").expect("it is there")).expect("nobody has them");
    let plan = planned(&base, &our, &their);
    assert!(matches!(write(&plan, &our, &their, &ours.root()), Err(Error::InUse { .. })));
    assert_eq!(ours.listing(), before);
    drop(locks);
    write(&plan, &our, &their, &ours.root()).expect("nobody has them");
}

#[test]
fn a_journal_comes_back_as_written() {
    let steps = [Step::Put { from: "/a b".into(), to: "/c\nd".into() }, Step::Remove("/e".into())];
    for steps in [&steps[..], &steps[1..], &[]] {
        assert_eq!(parse_journal(&write_journal(steps)).as_deref(), Some(steps));
    }
    for bad in [&b"put\0/a\0"[..], b"remove\0a\0", b"remove\0/a", b"move\0/a\0/b\0", b"\0"] {
        assert_eq!(parse_journal(bad), None, "{}", bad.escape_ascii());
    }
}
