//! Writes that fail, and kills, at every moment of replacing a database: it is the old one or the new one,
//! and the next attempt succeeds.

use std::fs;
use std::process::Command;

use onlay::pkgdb::rpm::{Access, Backend, Database, Opening, Prepared, create, prepare};
use onlay::sys::Root;

use super::lab::{Lab, assert_sound, listed};
use super::reading::copy_all;
use super::writing::difference;
use crate::debian::{command, skip, words};

/// Where [`job`] finds its databases when it runs for another test.
const PLACE: &str = "ONLAY_TEST_RPMDB";

const OLD: &[&str] = &["files-1", "p0-1", "p1-1", "p2-1"];
const NEW: &[&str] = &["files-2", "relations-1.0~rc1", "p1-1", "p3-1"];

/// What writes to a database, or changes a directory.
const CALLS: &[&str] = &[
    "openat",
    "pwrite64",
    "ftruncate",
    "copy_file_range",
    "fsync,fdatasync",
    "rename,renameat,renameat2",
    "unlink,unlinkat",
    "fcntl",
];

/// Replaces the database `ours` by `new`, in a process of its own where others ask for that.
#[test]
fn job() {
    let place = std::env::var_os(PLACE);
    let lab = if place.is_none() { Lab::open() } else { None };
    if let Some(lab) = &lab {
        furnish(lab, Backend::Sqlite);
    }
    let place = place.map(std::path::PathBuf::from).or(lab.as_ref().map(|lab| lab.path("")));
    let Some(place) = place else { return };
    let open = |name: &str, access| {
        let root = Root::open(place.join(name)).expect("our directory");
        let backend = Backend::in_directory(&root).expect("there is one");
        let opening = Opening { scratch: &place, patience: std::time::Duration::ZERO, access };
        (Database::open_in(root.try_clone().expect("a descriptor"), backend, &opening), root, opening)
    };
    let (base, root, opening) = open("ours", Access::Replace);
    let base = base.unwrap_or_else(|error| panic!("{}", onlay::sys::with_causes(&error)));
    let new =
        open("new", Access::Read).0.unwrap_or_else(|error| panic!("{}", onlay::sys::with_causes(&error)));
    let delta = difference(&base, &new);
    let replaced = prepare(&base, &delta, &root, &opening).and_then(Prepared::commit);
    replaced.unwrap_or_else(|error| panic!("{}", onlay::sys::with_causes(&error)));
    drop((base, new));
    if let Some(lab) = &lab {
        assert_eq!(listed(&lab.database("ours")), listed(&lab.database("new")));
    }
}

/// Databases `old` and `new` of rpm's, in the format that is asked for.
fn furnish(lab: &Lab, backend: Backend) {
    for (name, packages) in [("old", OLD), ("new", NEW)] {
        lab.installed(name, packages);
        if backend == Backend::Ndb {
            let mut blobs = Vec::new();
            let mut collect = |_, blob: &[u8]| {
                blobs.push(blob.to_vec());
                Ok(())
            };
            lab.database(name).each(&mut collect).expect("it can be read");
            fs::remove_dir_all(lab.path(name)).expect("our directory");
            let opening = lab.opening(Access::Replace);
            let mut blobs = blobs.into_iter().map(|blob| Ok(blob.into()));
            let prepared = create(backend, &mut blobs, &lab.root(name), opening.patience);
            prepared.and_then(Prepared::commit).expect("it is made");
        }
    }
    copy_all(lab, "old", "ours");
}

/// The job, with something happening at the call that `when` numbers.
fn run(lab: &Lab, calls: &str, what: &str, when: usize) -> (bool, String) {
    let mut strace: Command = command("strace");
    strace.args(["-f", "-qq", "-o"]).arg(lab.path("trace"));
    strace.args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:{what}:when={when}")]);
    // Only what names a file of the database, or has it open, counts.
    for name in [
        "ours",
        "ours/.onlay-rpmdb.sqlite",
        "ours/rpmdb.sqlite",
        "ours/.onlay-Packages.db",
        "ours/Packages.db",
    ] {
        strace.arg("-P").arg(lab.path(name));
    }
    let own = std::env::current_exe().expect("this program");
    strace.arg(own).args(["--exact", "rpmdb::faults::job", "--test-threads=1"]).env(PLACE, lab.path(""));
    let output = strace.output().expect("strace starts");
    let trace = fs::read_to_string(lab.path("trace")).unwrap_or_default();
    let has_happened = trace.contains("(INJECTED)") || trace.contains("+++ killed by SIGKILL +++");
    (has_happened, words(&output))
}

fn every_moment(lab: &Lab, what: &str) {
    let (old, new) = (listed(&lab.database("old")), listed(&lab.database("new")));
    assert_ne!(old, new);
    let mut happened = 0;
    for calls in CALLS {
        let mut when = 1;
        loop {
            fs::remove_dir_all(lab.path("ours")).expect("our directory");
            copy_all(lab, "old", "ours");
            let (has_happened, story) = run(lab, calls, what, when);
            let now = listed(&lab.database("ours"));
            assert!(now == old || now == new, "{calls} {when}: {now:?}\n{story}");
            assert_sound(&lab.database("ours"));
            if !has_happened {
                assert_eq!(now, new, "{calls} {when}: {story}");
                break;
            }
            happened += 1;
            // The next attempt is not in the way of what is left of this one.
            if when % 5 == 1 {
                let (_, story) = run(lab, "fsync,fdatasync", "error=EIO", 1000);
                assert_eq!(listed(&lab.database("ours")), new, "{calls} {when}: {story}");
                assert!(
                    !lab.files("ours").iter().any(|name| name.contains("onlay")),
                    "{:?}",
                    lab.files("ours")
                );
            }
            // Writes are many, and much the same.
            when += if *calls == "pwrite64" && when > 5 { 5 } else { 1 };
        }
    }
    assert!(happened > 15, "only {happened} calls failed");
}

fn lab() -> Option<Lab> {
    if command("strace").arg("-V").output().is_ok() {
        return Lab::open();
    }
    skip("no strace; scripts/install-test-tools installs it");
    None
}

#[test]
fn no_room_at_any_write() {
    let Some(lab) = lab() else { return };
    furnish(&lab, Backend::Sqlite);
    every_moment(&lab, "error=ENOSPC");
}

#[test]
fn killed_at_any_write() {
    let Some(lab) = lab() else { return };
    furnish(&lab, Backend::Sqlite);
    every_moment(&lab, "signal=SIGKILL");
}

#[test]
fn no_room_at_any_write_to_ndb() {
    let Some(lab) = lab() else { return };
    furnish(&lab, Backend::Ndb);
    every_moment(&lab, "error=ENOSPC");
}

#[test]
fn killed_at_any_write_to_ndb() {
    let Some(lab) = lab() else { return };
    furnish(&lab, Backend::Ndb);
    every_moment(&lab, "signal=SIGKILL");
}
