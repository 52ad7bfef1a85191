//! Objects that ostree wrote, as they are and changed at random.

use std::fs;
use std::path::Path;

use fastrand::Rng;

use super::bed::{Bed, ostree_or_skip};
use crate::kernel::kernel_or_skip;

#[path = "../../../fuzz/invariants/ostree.rs"]
mod invariants;

const CHANGES: usize = 30_000;

/// The bytes of all objects but files.
fn objects(bed: &Bed) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for place in fs::read_dir(bed.path.join("objects")).expect("it is there").map_while(Result::ok) {
        for object in fs::read_dir(place.path()).expect("it is there").map_while(Result::ok) {
            let path = object.path();
            if path.extension().is_some_and(|end| end != "file") {
                found.push((path.extension().map(ToOwned::to_owned), fs::read(path).expect("it is there")));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, bytes)| bytes).collect()
}

fn changed(rng: &mut Rng, object: &[u8]) -> Vec<u8> {
    let mut bytes = object.to_vec();
    for _ in 0..rng.usize(1..4) {
        match rng.u8(..4) {
            0 => bytes.truncate(rng.usize(..=bytes.len())),
            1 => bytes.extend(std::iter::repeat_n(rng.u8(..), rng.usize(..9))),
            _ if !bytes.is_empty() => {
                let at = rng.usize(..bytes.len());
                bytes[at] = rng.u8(..);
            }
            _ => {}
        }
    }
    bytes
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    if !kernel_or_skip() || !ostree_or_skip() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let tree = dir.path().join("tree");
    for place in 0..6 {
        let place = tree.join(format!("part{place}"));
        fs::create_dir_all(place.join("inside")).expect("it can be made");
        (0..20).for_each(|file| fs::write(place.join(file.to_string()), "x").expect("there is room"));
    }
    set_attribute(&tree);
    let bed = Bed::new(dir.path());
    bed.ostree(&[
        "commit",
        "--branch=one",
        "--subject=words",
        "--body=more",
        "--add-metadata-string=version=1",
        "--add-metadata=own=@a{sv} {'x': <uint32 1>}",
        &format!("--tree=dir={}", tree.display()),
    ]);
    let objects = objects(&bed);
    assert!(objects.len() > 4, "{}", objects.len());
    assert!(objects.iter().all(|object| invariants::object(object) > 0));
    let mut rng = Rng::with_seed(1);
    let mut read = 0;
    for object in objects.iter().cycle().take(CHANGES) {
        read += invariants::object(&changed(&mut rng, object));
    }
    assert!(read > CHANGES / 10, "most changes are to checksums, and do no harm: {read}");
}

fn set_attribute(path: &Path) {
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(path, "user.own", b"value", flags).expect("it can be set");
}
