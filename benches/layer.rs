//! How long it takes to make a commit of a base of OSTree's and a small package, and that it does not depend on the size of the base.
//!
//! Bases of 6,000, 60,000 and 200,000 files with a package database of 5 MB (`ONLAY_BENCH_FILES=6000,60000` takes others); the change is a package of 30
//! files with 1 MB, and an entry in that database. Side by side, in the same repository, round by round:
//!
//! * ours: an overlay is mounted over a deployment, the change is made in it, and what its upper holds is committed;
//! * the way of atomic-pkglayer: a checkout of hard links, of which the database's is broken, the change made in it, and
//!   `ostree commit --link-checkout-speedup`.
//!
//! Then a new base, in which one file of two hundred differs: seen over the deployment of the old one, and checked out. What is removed afterwards is not
//! counted, and neither is deploying, which is the same for both. Medians of five rounds. Needs root and ostree.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods, clippy::print_stdout)]

use std::ffi::CString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use onlay::layer::ostree::{Checksum, Commit, Composition, Directory, Repository, lay};
use onlay::sys::{Namespaces, Propagation, Root, leave_for_new, set_propagation};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

const ROUNDS: usize = 5;
const IN_A_DIRECTORY: usize = 50;
const DATABASE: &str = "usr/lib/database";

fn main() {
    leave_for_new(Namespaces::MOUNT).expect("root may");
    set_propagation(Path::new("/"), Propagation::Private).expect("root may");
    let sizes = std::env::var("ONLAY_BENCH_FILES").unwrap_or_else(|_| "6000,60000,200000".to_owned());
    println!(
        "{:>9} {:>12} {:>12} {:>7} {:>14} {:>14}",
        "files", "ours", "hard links", "ratio", "base seen", "checked out"
    );
    for files in sizes.split(',') {
        let files = files.parse().expect("ONLAY_BENCH_FILES are numbers");
        let bed = Bed::new(files);
        let (mut ours, mut theirs, mut seen, mut checked_out) = (vec![], vec![], vec![], vec![]);
        for round in 0..ROUNDS {
            ours.push(bed.overlay(round));
            theirs.push(bed.hard_links(round));
            seen.push(bed.seen());
            checked_out.push(bed.checked_out());
        }
        let [ours, theirs, seen, checked_out] = [ours, theirs, seen, checked_out].map(median);
        let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
        let [ours, theirs, seen, checked_out] =
            [ours, theirs, seen, checked_out].map(|time| format!("{time:.1?}"));
        println!("{files:>9} {ours:>12} {theirs:>12} {ratio:6.1}x {seen:>14} {checked_out:>14}");
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

struct Bed {
    dir: tempfile::TempDir,
    base: Checksum,
    next: Checksum,
}

impl Bed {
    fn new(files: usize) -> Bed {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let tree = dir.path().join("tree");
        let path = |file: usize| tree.join(format!("usr/lib/part{}/{file}", file / IN_A_DIRECTORY));
        for file in 0..files {
            write(&path(file), format!("{file} ").repeat(40).as_bytes());
        }
        write(&tree.join(DATABASE), &vec![b'x'; 5_000_000]);
        let mut bed = Bed { dir, base: Checksum([0; 32]), next: Checksum([0; 32]) };
        bed.ostree(&["init", "--mode=bare"]);
        bed.base = bed.commit("base", &tree, &[]);
        for file in (0..files).step_by(200) {
            fs::remove_file(path(file)).expect("it is there");
            write(&path(file), b"another");
        }
        bed.next = bed.commit("next", &tree, &[]);
        fs::remove_dir_all(&tree).expect("it is there");
        bed.checkout("base", "deployment");
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn ostree(&self, arguments: &[&str]) -> String {
        let repository = format!("--repo={}", self.path("repo").display());
        let mut command = Command::new("ostree");
        command.arg(arguments[0]).arg(repository).args(&arguments[1..]);
        let output = command.output().expect("ostree is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn commit(&self, branch: &str, tree: &Path, more: &[&str]) -> Checksum {
        let (branch, tree) = (format!("--branch={branch}"), format!("--tree=dir={}", tree.display()));
        self.ostree(&[&["commit", &branch, &tree], more].concat()).parse().expect("a checksum")
    }

    fn checkout(&self, branch: &str, name: &str) {
        self.ostree(&["checkout", "--require-hardlinks", branch, &self.path(name).to_string_lossy()]);
    }

    fn root_of(&self, commit: Checksum) -> Directory {
        let repository = Repository::open(self.path("repo")).expect("it is there");
        repository.commit(commit).expect("it is there").root
    }

    fn overlay(&self, round: usize) -> Duration {
        let layer = self.path("layer");
        let time = timed(|| {
            let [upper, work, merged] = ["upper", "work", "merged"].map(|name| layer.join(name));
            for path in [&upper, &work, &merged] {
                fs::create_dir_all(path).expect("it can be made");
            }
            let options = format!(
                "lowerdir={},upperdir={},workdir={},index=off,redirect_dir=off,metacopy=off",
                self.path("deployment").display(),
                upper.display(),
                work.display()
            );
            let options = CString::new(options).expect("no NUL");
            mount("overlay", &merged, "overlay", MountFlags::empty(), Some(options.as_c_str()))
                .expect("root may");
            install(&merged, &format!("ours {round}"));
            unmount(&merged, UnmountFlags::empty()).expect("nobody holds it");
            let repository = Repository::open(self.path("repo")).expect("it is there");
            let base = repository.commit(self.base).expect("it is there");
            let upper = Root::open(&upper).expect("it is there");
            let mut transaction = repository.begin().expect("nobody else writes");
            let composition = Composition { base: base.root, upper: &upper, without: &[] };
            let root = transaction.compose(&composition).expect("there is room");
            let commit = Commit::upon((self.base, &base), root, "ours", base.timestamp + 1, []);
            let commit = transaction.write_commit(commit, "ours").expect("there is room");
            transaction.finish("ours", commit).expect("there is room");
        });
        fs::remove_dir_all(layer).expect("it is there");
        time
    }

    fn hard_links(&self, round: usize) -> Duration {
        let work = self.path("work");
        let time = timed(|| {
            self.checkout("base", "work");
            let (database, copy) = (work.join(DATABASE), work.join("copy"));
            fs::copy(&database, &copy).and_then(|_| fs::rename(&copy, &database)).expect("there is room");
            install(&work, &format!("theirs {round}"));
            self.commit("theirs", &work, &["--link-checkout-speedup"]);
        });
        fs::remove_dir_all(work).expect("it is there");
        time
    }

    fn seen(&self) -> Duration {
        let laid = self.path("laid");
        fs::create_dir(&laid).expect("it can be made");
        let time = timed(|| {
            let repository = Repository::open(self.path("repo")).expect("it is there");
            let into = Root::open(&laid).expect("it is there");
            lay(&repository, self.root_of(self.base), self.root_of(self.next), &into).expect("there is room");
        });
        fs::remove_dir_all(laid).expect("it is there");
        time
    }

    fn checked_out(&self) -> Duration {
        let time = timed(|| self.checkout("next", "next"));
        fs::remove_dir_all(self.path("next")).expect("it is there");
        time
    }
}

/// A package's files, and its entry in the database.
fn install(root: &Path, words: &str) {
    for file in 0..30 {
        write(&root.join(format!("usr/share/package/{file}")), words.repeat(35_000 / words.len()).as_bytes());
    }
    let mut database = fs::File::options().append(true).open(root.join(DATABASE)).expect("it is there");
    database.write_all(words.as_bytes()).expect("there is room");
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().expect("a file lies somewhere")).expect("a directory is made");
    fs::write(path, content).expect("a file is written");
}
