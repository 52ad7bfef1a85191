//! How long it takes to merge large rpm databases, beside how rpm and toy do it, in one run; and the memory that it
//! needs at most.
//!
//! 2,029 packages with 313,000 files, made here, in the directory of the build, so that they are on a disk. Whole
//! programs are measured, from start to end. Peers that are not installed are left out, and said. Needs root, for
//! mounts in a namespace of its own; a word on the command line (`sqlite`, `ndb`, `reflinks`, `growth`, `reading`)
//! chooses one part.

#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::print_stdout, clippy::print_stderr)]

mod growth;
mod made;
mod memory;
mod merging;
mod peers;
mod reading;
mod reflinks;
mod rounds;
mod scene;

use std::path::Path;
use std::process::ExitCode;

use onlay::pkgdb::rpm::Backend;
use onlay::sys::{Namespaces, Propagation, leave_for_new, set_propagation};

/// Measures something in an empty directory.
type Part<'a> = &'a dyn Fn(&Path);

/// As many packages as are measured where nothing else is said.
const PACKAGES: usize = 2029;
/// As many of them have another version on either side.
const CHANGED: usize = 20;

fn main() -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        eprintln!("this bench mounts: run it as root");
        return ExitCode::FAILURE;
    }
    leave_for_new(Namespaces::MOUNT)
        .and_then(|()| set_propagation(Path::new("/"), Propagation::Private))
        .expect("a mount namespace");
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("cargo made the directory above");
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let parts: [(&str, Part<'_>); 5] = [
        ("sqlite", &|place| merging::run(Backend::Sqlite, place)),
        ("ndb", &|place| merging::run(Backend::Ndb, place)),
        ("reflinks", &reflinks::run),
        ("growth", &growth::run),
        ("reading", &reading::run),
    ];
    for (name, run) in parts {
        if asked.is_empty() || asked.iter().any(|word| word == name) {
            let own = place.path().join(name);
            std::fs::create_dir(&own).expect("our directory");
            run(&own);
        }
    }
    ExitCode::SUCCESS
}
