//! Random work in an overlay over a base: what we commit is what ostree commits of the merged view, and each of the two trees is seen over the other.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

use onlay::layer::ostree::{Checksum, Difference, Directory, Item, Repository, differences, lay};
use onlay::sys::Root;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::bed::{Bed, ostree_or_skip};
use crate::changes::mounted::{Overlay, scratch_or_skip};
use crate::changes::random::{Worker, seeds};

const OPERATIONS: usize = 300;
const OPTIONS: &str = "index=off,redirect_dir=off,metacopy=off,xino=off";

#[test]
fn commits_are_those_of_ostree() {
    if !ostree_or_skip() {
        return;
    }
    let Some(scratch) = scratch_or_skip() else { return };
    for seed in seeds(0..2) {
        play(seed, &scratch.path().join(seed.to_string()));
    }
}

fn play(seed: u64, dir: &Path) {
    let mut overlay = Overlay::new(dir, OPTIONS).expect("directories can be made");
    let bed = Bed::new(dir);
    let mut worker = Worker::new(seed, &overlay.lower);
    worker.for_ostree = true;
    worker.furnish();
    let base = bed.commit("base", &overlay.lower);
    overlay.mount().expect("it mounts");
    worker.root.clone_from(&overlay.merged);
    worker.done = 0;
    for step in 0..OPERATIONS {
        worker.work();
        if step == OPERATIONS / 2 {
            overlay.unmount();
            overlay.mount().expect("it mounts again");
        }
    }
    assert!(worker.done > OPERATIONS / 2, "seed {seed}: only {} operations worked", worker.done);
    overlay.unmount();
    let (ours, root) = bed.layer(base, &overlay.upper, "ours");
    bed.check();
    overlay.mount().expect("it mounts again");
    let expected = bed.commit("expected", &overlay.merged);
    overlay.unmount();
    if root != bed.root_of(expected) {
        let shown = |branch| bed.ostree(&["ls", "-RCX", branch]);
        panic!("seed {seed}:\nours\n{}\nexpected\n{}", shown("ours"), shown("expected"));
    }
    assert_eq!(bed.layer(base, &overlay.upper, "again").1, root, "seed {seed}");
    seen_over(&bed, (base, ours), &overlay.lower, &dir.join("there"));
    let checkout = dir.join("checkout");
    bed.ostree(&["checkout", "--require-hardlinks", "ours", &checkout.to_string_lossy()]);
    seen_over(&bed, (ours, base), &checkout, &dir.join("back"));
    bed.check();
    compare_differences(&bed, base, ours);
}

/// Lays the second commit over the first one's checkout, and has ostree commit what is seen.
fn seen_over(bed: &Bed, (before, after): (Checksum, Checksum), checkout: &Path, dir: &Path) {
    let (laid, merged) = (dir.join("laid"), dir.join("merged"));
    fs::create_dir_all(&laid).and_then(|()| fs::create_dir(&merged)).expect("directories can be made");
    let into = Root::open(&laid).expect("it is there");
    lay(&bed.repository(), bed.root_of(before), bed.root_of(after), &into).expect("it can be laid");
    let options = format!("lowerdir={}:{},{OPTIONS}", laid.display(), checkout.display());
    let options = CString::new(options).expect("paths without NUL");
    mount("overlay", &merged, "overlay", MountFlags::empty(), Some(options.as_c_str())).expect("it mounts");
    let seen = bed.commit("seen", &merged);
    unmount(&merged, UnmountFlags::empty()).expect("nobody holds it");
    assert_eq!(bed.root_of(seen), bed.root_of(after), "{}", dir.display());
}

/// Holds the list of differences against both trees as they are as a whole.
fn compare_differences(bed: &Bed, before: Checksum, after: Checksum) {
    let repository = bed.repository();
    let [one, other] = [before, after].map(|commit| bed.root_of(commit));
    let found = differences(&repository, one, other).expect("both are there");
    let [one, other] = [one, other].map(|root| whole(&repository, root));
    let mut expected = Vec::new();
    let paths: BTreeSet<&PathBuf> = one.keys().chain(other.keys()).collect();
    for path in paths {
        let [before, after] = [&one, &other].map(|tree| tree.get(path).copied());
        let is_same = match (before, after) {
            (Some(Item::Directory(one)), Some(Item::Directory(other))) => one.meta == other.meta,
            (one, other) => one == other,
        };
        if !is_same {
            expected.push(Difference { path: path.clone(), before, after });
        }
    }
    assert!(!expected.is_empty());
    assert_eq!(found, expected);
}

fn whole(repository: &Repository, root: Directory) -> BTreeMap<PathBuf, Item> {
    let mut tree = BTreeMap::new();
    let mut unread = vec![(PathBuf::new(), Item::Directory(root))];
    while let Some((path, item)) = unread.pop() {
        if let Item::Directory(directory) = item {
            let names = repository.tree(directory.tree).expect("it is there").0;
            unread.extend(names.into_iter().map(|(name, item)| (path.join(name), item)));
        }
        tree.insert(path, item);
    }
    tree
}
