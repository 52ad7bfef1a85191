//! A disk that is full, and a process that is killed: the repository is whole, and the ref is the old one or the new one.

use std::ffi::CString;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use onlay::layer::ostree::{Commit, Composition, Error, Repository};
use onlay::sys::Root;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::bed::{Bed, ostree_or_skip};
use crate::changes::mounted::scratch_or_skip;
use crate::kernel::command;

const FILES: usize = 120;
const BRANCH: &str = "layer";
/// The repository that the process to be killed is to write to.
const VARIABLE: &str = "ONLAY_TEST_LAYER";

fn furnish(dir: &Path, files: usize, size: usize) {
    fs::create_dir_all(dir).expect("it can be made");
    for file in 0..files {
        let place = dir.join(format!("part{}", file % 10));
        fs::create_dir_all(&place).expect("it can be made");
        fs::write(place.join(file.to_string()), vec![file as u8; size]).expect("there is room");
    }
}

fn layer(repository: &Repository, upper: &Path) -> Result<(), Error> {
    let base = repository.resolve("base")?;
    let commit = repository.commit(base)?;
    let upper = Root::open(upper)?;
    let mut transaction = repository.begin()?;
    let root = transaction.compose(&Composition { base: commit.root, upper: &upper, without: &[] })?;
    let commit = transaction.write_commit(Commit::upon((base, &commit), root, "", 1, []), BRANCH)?;
    transaction.finish(BRANCH, commit)
}

#[test]
fn a_full_disk_leaves_the_repository_as_it_was() {
    if !ostree_or_skip() {
        return;
    }
    let Some(scratch) = scratch_or_skip() else { return };
    let upper = scratch.path().join("upper");
    furnish(&upper, 40, 20_000);
    let small = scratch.path().join("small");
    fs::create_dir(&small).expect("it can be made");
    let mut failures = 0;
    for kilobytes in [300, 400, 600, 800, 900, 1000, 1100, 2000] {
        let size = CString::new(format!("size={kilobytes}k")).expect("no NUL");
        mount("tmpfs", &small, "tmpfs", MountFlags::empty(), Some(size.as_c_str())).expect("it mounts");
        let bed = Bed::new(&small);
        let tree = scratch.path().join("tree");
        furnish(&tree, 3, 100);
        let base = bed.commit("base", &tree);
        let repository = bed.repository();
        repository.set_ref(BRANCH, base).expect("there is room");
        match layer(&repository, &upper) {
            Err(Error::Io(error)) => {
                failures += 1;
                assert_eq!(error.errno(), Some(libc::ENOSPC), "{error}");
                assert_eq!(repository.resolve(BRANCH).expect("it is there"), base);
                let left = fs::read_dir(bed.path.join("tmp/onlay-staging")).expect("it is there").count();
                assert_eq!(left, 0, "something stays");
            }
            other => other.expect("there is room, or not"),
        }
        bed.check();
        unmount(&small, UnmountFlags::DETACH).expect("nobody holds it");
    }
    assert!((2..8).contains(&failures), "{failures} failures");
}

/// Not a test, but what the next one kills.
#[test]
fn writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(VARIABLE) else { return };
    let dir = Path::new(&path);
    let repository = Repository::open(dir.join("repo")).expect("it is there");
    begun();
    layer(&repository, &dir.join("upper")).expect("there is room");
}

#[allow(clippy::disallowed_macros, clippy::print_stdout, reason = "it talks to the test that started it")]
fn begun() {
    println!("begun");
}

#[test]
fn a_kill_leaves_the_old_ref_or_the_new_one() {
    if !ostree_or_skip() {
        return;
    }
    let Some(scratch) = scratch_or_skip() else { return };
    let dir = scratch.path();
    let bed = Bed::new(dir);
    bed.ostree(&["config", "set", "core.fsync", "true"]);
    let base = bed.commit("base", &{
        furnish(&dir.join("tree"), 3, 100);
        dir.join("tree")
    });
    let (_, module) = module_path!().split_once("::").expect("it is in a crate");
    let name = format!("{module}::writes_until_it_is_killed");
    let mut killed = 0;
    for round in 0..8 {
        // New contents each time.
        furnish(&dir.join("upper"), FILES, 3000 + round);
        bed.repository().set_ref(BRANCH, base).expect("there is room");
        let mut child = command(std::env::current_exe().expect("it runs"))
            .args([&*name, "--exact", "--nocapture"])
            .env(VARIABLE, dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        lines.map_while(Result::ok).find(|line| line.contains("begun")).expect("it begins");
        std::thread::sleep(Duration::from_millis(6 * round as u64));
        child.kill().expect("it is ours");
        killed += usize::from(!child.wait().expect("it ends").success());
        bed.check();
        let now = bed.repository().resolve(BRANCH).expect("it is there");
        assert!(now == base || bed.repository().commit(now).is_ok());
    }
    assert!(killed > 0, "it was always faster");
    layer(&bed.repository(), &dir.join("upper")).expect("what was left is in nobody's way");
    bed.check();
}
