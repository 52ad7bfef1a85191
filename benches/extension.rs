//! How long it takes to judge whether an extension fits a whole host.
//!
//! The extension is made of a tree of Debian's that scripts/test-trees makes: copies of its /usr/lib and /usr/bin under
//! other names, as many as 100 MB have, with the release file that goes with it; the base is the same tree. Medians, with
//! what has been read before in the page cache.

#![allow(clippy::disallowed_macros, clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use onlay::extension::finding::Finding;
use onlay::extension::fit::{Extension, check};
use onlay::extension::matching::HostFacts;
use onlay::extension::{Class, Directory};
use onlay::host::Host;
use onlay::sys::Root;

const RUNS: usize = 7;
const SIZE: u64 = 100_000_000;

fn main() {
    let cache = std::env::var_os("ONLAY_TEST_CACHE").unwrap_or_else(|| "/var/cache/onlay-tests".into());
    let base = Path::new(&cache).join("trixie");
    assert!(base.is_dir(), "'scripts/test-trees trixie' makes {}", base.display());
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let top = scratch.path().join("bench");
    let (files, size) = fill(&base, &top);
    let mut programs = 0;
    let median = median(|| {
        let host = Host::open(&base).expect("it opens");
        let below = Directory::new(Root::open(&base).expect("it opens"));
        let facts = HostFacts::read(&host, &below, None).expect("it can be read");
        let contents = Directory::new(Root::open(&top).expect("it opens"));
        let extension = Extension { name: "bench", class: Class::Sysext, contents: &contents };
        let fitness = check(&facts, &below, &extension, &[], 0).expect("it is judged");
        // A script of the tree is for a program that the tree lacks; libraries are all there.
        let mut kinds = fitness.findings.iter().map(Finding::kind);
        assert!(
            fitness.verdict.is_ok() && kinds.all(|kind| kind != "missing-library"),
            "{:?}",
            fitness.findings
        );
        programs = fitness.programs;
    });
    println!(
        "{} MB, {files} files, {programs} programs, libraries and scripts: {median:.1?}",
        size / 1_000_000
    );
}

fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}

/// Copies files until there are so many bytes: programs and libraries, and what else lies beside them.
fn fill(base: &Path, top: &Path) -> (usize, u64) {
    let (mut files, mut size) = (0, 0);
    let mut ahead: Vec<PathBuf> = ["usr/bin", "usr/sbin", "usr/lib", "usr/share"].map(PathBuf::from).to_vec();
    ahead.reverse();
    while let Some(directory) = ahead.pop() {
        let mut entries: Vec<_> =
            fs::read_dir(base.join(&directory)).expect("a directory").flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = directory.join(entry.file_name());
            let kind = entry.file_type().expect("a kind");
            // What is made for one place alone would be missed in another.
            if kind.is_dir() && !name.ends_with("os-release") {
                ahead.push(name);
            } else if kind.is_file() && size < SIZE && !name.ends_with("os-release") {
                let target = top.join(renamed(&name));
                fs::create_dir_all(target.parent().expect("it is below")).expect("a directory is made");
                size += fs::copy(entry.path(), target).expect("a file is copied");
                files += 1;
            }
        }
    }
    let release = top.join("usr/lib/extension-release.d");
    fs::create_dir_all(&release).expect("a directory is made");
    fs::write(release.join("extension-release.bench"), "ID=_any\n").expect("a file is written");
    (files, size)
}

/// The same directories, and names that the base does not have; libraries keep theirs, and are the same.
fn renamed(name: &Path) -> PathBuf {
    let file = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if file.contains(".so") { name.to_owned() } else { name.with_file_name(format!("{file}-too")) }
}
