//! Repositories that are refused, damaged, or shared with ostree; and refs.

use std::fs;
use std::path::Path;

use onlay::layer::ostree::{Checksum, Error, ObjectKind, Repository, differences};

use super::bed::{Bed, ostree_or_skip};
use crate::kernel::{command, kernel_or_skip};

fn bed() -> Option<(tempfile::TempDir, Bed, Checksum)> {
    if !kernel_or_skip() || !ostree_or_skip() {
        return None;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("usr/bin")).expect("it can be made");
    fs::write(tree.join("usr/bin/program"), "program").expect("there is room");
    let bed = Bed::new(dir.path());
    let commit = bed.commit("base", &tree);
    Some((dir, bed, commit))
}

#[test]
fn only_a_whole_repository_of_files_is_opened() {
    let Some((dir, bed, _)) = bed() else { return };
    let refused = |path: &Path| Repository::open(path).map(drop).expect_err("it is refused");
    for mode in ["archive", "bare-user", "bare-user-only"] {
        let other = dir.path().join(mode);
        let path = format!("--repo={}", other.display());
        crate::kernel::output("ostree", &["init", &path, &format!("--mode={mode}")]);
        let error = refused(&other);
        let named = if mode == "archive" { "archive-z2" } else { mode };
        assert!(matches!(&error, Error::Mode { mode: found, .. } if found == named), "{error}");
    }
    for path in [dir.path(), &dir.path().join("nowhere")] {
        assert!(matches!(refused(path), Error::NoRepository { .. }));
    }
    bed.ostree(&["config", "set", "core.parent", "/elsewhere"]);
    assert!(matches!(refused(&bed.path), Error::Parent { parent, .. } if parent == "/elsewhere"));
    fs::write(bed.path.join("config"), "[core\n").expect("there is room");
    assert!(matches!(refused(&bed.path), Error::Nonsense { .. }));
}

#[test]
fn damaged_objects_are_told() {
    let Some((_dir, bed, commit)) = bed() else { return };
    let repository = bed.repository();
    let root = repository.commit(commit).expect("it is there").root;
    let objects = [
        commit.as_object(ObjectKind::Commit),
        root.tree.as_object(ObjectKind::DirTree),
        root.meta.as_object(ObjectKind::DirMeta),
    ];
    let read = |kind| match kind {
        ObjectKind::Commit => repository.commit(commit).map(drop),
        ObjectKind::DirTree => repository.tree(root.tree).map(drop),
        _ => repository.metadata(root.meta).map(drop),
    };
    for object in objects {
        let path = bed.path.join(object.path());
        let good = fs::read(&path).expect("it is there");
        for length in 0..good.len() {
            let mut flipped = good.clone();
            flipped[length] ^= 1;
            for bad in [&good[..length], &flipped[..]] {
                fs::write(&path, bad).expect("there is room");
                let error = read(object.kind).expect_err("it is damaged");
                assert!(
                    matches!(&error, Error::Damaged { object: found, .. } if *found == object),
                    "{error}"
                );
            }
        }
        fs::remove_file(&path).expect("it is there");
        let error = read(object.kind).expect_err("it is gone");
        assert!(matches!(&error, Error::Missing { object: found } if *found == object), "{error}");
        fs::write(&path, good).expect("there is room");
        read(object.kind).expect("it is whole again");
    }
    fs::write(bed.path.join(format!("state/{commit}.commitpartial")), "").expect("there is room");
    assert!(matches!(repository.commit(commit), Err(Error::Partial { .. })));
}

#[test]
fn refs_are_those_of_ostree() {
    let Some((_dir, bed, commit)) = bed() else { return };
    let repository = bed.repository();
    assert_eq!(repository.resolve("base").expect("it is there"), commit);
    assert_eq!(repository.resolve(&commit.to_string()).expect("a checksum"), commit);
    fs::create_dir_all(bed.path.join("refs/remotes/origin/a")).expect("it can be made");
    fs::write(bed.path.join("refs/remotes/origin/a/b"), format!("{commit}\n")).expect("there is room");
    assert_eq!(repository.resolve("origin:a/b").expect("it is there"), commit);
    assert_eq!(repository.resolve("origin/a/b").expect("it is there"), commit);
    for name in ["onlay/base/0", "onlay/layered/a-b.c", "onlay-other"] {
        repository.set_ref(name, commit).expect("there is room");
        assert_eq!(bed.ostree(&["rev-parse", name]).trim(), commit.to_string());
    }
    bed.ostree(&["refs", "--alias", "--create=onlay/alias", "base"]);
    let below = repository.refs_below("onlay").expect("they can be read");
    let names: Vec<&str> = below.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["onlay/alias", "onlay/base/0", "onlay/layered/a-b.c"]);
    assert_eq!(repository.refs_below("nothing").expect("none"), []);
    assert!(repository.remove_ref("onlay/base/0").expect("it can be removed"));
    assert!(!repository.remove_ref("onlay/base/0").expect("it is gone"));
    assert!(!bed.ostree(&["refs"]).contains("onlay/base/0"));
    for name in ["", "/a", "a/", "../config", "a/../../config", "-a", "a b", ".a", "x:y:z", "a:../b"] {
        assert!(matches!(repository.resolve(name), Err(Error::RefName { .. })), "{name}");
        assert!(repository.set_ref(name, commit).is_err() && repository.remove_ref(name).is_err(), "{name}");
    }
    assert!(matches!(repository.resolve("onlay"), Err(Error::NoRef { .. })), "a directory");
    assert!(matches!(repository.resolve("origin:none"), Err(Error::NoRef { .. })));
    fs::write(bed.path.join("refs/heads/bad"), "words\n").expect("there is room");
    assert!(matches!(repository.resolve("bad"), Err(Error::RefContent { .. })));
}

#[test]
fn locks_are_those_of_ostree() {
    let Some((_dir, bed, commit)) = bed() else { return };
    bed.ostree(&["config", "set", "core.lock-timeout-secs", "0"]);
    let repository = bed.repository();
    let prune = || {
        let path = format!("--repo={}", bed.path.display());
        command("ostree").args(["prune", &path, "--refs-only"]).output().expect("it starts")
    };
    let transaction = repository.begin().expect("nobody else writes");
    let pruned = prune();
    assert!(!pruned.status.success(), "ostree prunes while objects are written");
    assert!(matches!(repository.begin(), Err(Error::Busy { .. })), "two of us write");
    assert_eq!(bed.ostree(&["rev-parse", "base"]).trim(), commit.to_string(), "reading needs no lock");
    drop(transaction);
    assert!(prune().status.success());
    let file = fs::File::options().write(true).open(bed.path.join(".lock")).expect("ostree made it");
    let held = onlay::sys::RecordLock::try_exclusive(file.into()).expect("it can be locked");
    assert!(held.is_some());
    assert!(matches!(repository.begin(), Err(Error::Busy { .. })), "somebody prunes");
    drop(held);
    bed.ostree(&["config", "set", "core.locking", "false"]);
    let root = repository.commit(commit).expect("it is there").root;
    assert_eq!(differences(&repository, root, root).expect("they are the same"), []);
}
