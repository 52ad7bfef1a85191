//! Trees deeper than a path can be long, with fewer descriptors than they have levels.

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use onlay::overlay::changes::{ChangeKind, Layer, measure, read_changes};
use onlay::sys::Root;
use rustix::fs::{FileType, Mode, XattrFlags};
use rustix::process::{Resource, getrlimit, setrlimit};

use super::mounted::{Tmpfs, scratch_or_skip};

const DEPTH: usize = 2500;

/// Makes directories within each other, each with a second one beside that is visited on the way
/// back, and gives the innermost.
fn dig(top: &Root, name: &str) -> Root {
    let mut dir = top.try_clone().expect("a descriptor is left");
    for _ in 0..DEPTH {
        dir.make_dir(name, 0o755).expect("a directory is made");
        dir.make_dir("z", 0o755).expect("a directory is made");
        // Not by `open_child`, which would make the path for messages longer each time.
        let child = dir.open_exact(name).expect("it opens");
        dir = Root::from_fd(child, "deep");
    }
    dir
}

fn write(dir: &Root, name: &str, content: &[u8]) {
    let file = dir.make_file(name, 0o644).expect("a file is made");
    rustix::io::write(file, content).expect("it is written");
}

fn whiteout(dir: &Root, name: &str) {
    rustix::fs::mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0).expect("a whiteout is made");
}

#[test]
fn depth_has_no_limit() {
    let Some(scratch) = scratch_or_skip() else { return };
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(256);
    setrlimit(Resource::Nofile, limit).expect("a lower limit is allowed");
    // Removing such trees is as hard as making them; a tmpfs just goes.
    let _tmpfs = Tmpfs::mount(scratch.path());
    let open = |name: &str| {
        let path = scratch.path().join(name);
        std::fs::create_dir(&path).expect("a directory is made");
        Root::open(path).expect("it opens")
    };
    let (upper, lower) = (open("upper"), open("lower"));
    // Short, since all paths together grow with the square of the depth.
    let name = "ab";
    let (bottom, old) = (dig(&upper, name), dig(&lower, name));
    write(&bottom, "changed", b"new!");
    write(&old, "changed", b"old!");
    write(&bottom, "added", b"1");
    write(&old, "removed", b"1");
    whiteout(&bottom, "removed");
    // A tree that is gone, and one that was renamed.
    dig(&lower.open_dir(name).expect("it opens"), "gone");
    let parent = upper.open_dir(name).expect("it opens");
    whiteout(&parent, "gone");
    dig(&lower, "old");
    dig(&upper, "new");
    redirect_all(&upper);

    let layer = Layer::new(&upper, &lower, Path::new("/"));
    let changes = read_changes(&layer).expect("it can be read");
    let count = |kind| changes.iter().filter(|change| change.kind == kind).count();
    let at_bottom = |kind| {
        let mut of_kind =
            changes.iter().filter(|change| change.kind == kind && change.file == onlay::sys::FileKind::File);
        of_kind.next().map(|change| change.path.as_os_str().as_bytes().len())
    };
    let length = DEPTH * (name.len() + 1);
    assert_eq!(at_bottom(ChangeKind::Changed), Some(length + "/changed".len()));
    assert_eq!(at_bottom(ChangeKind::Added), Some(length + "/added".len()));
    assert_eq!(at_bottom(ChangeKind::Removed), Some(length + "/removed".len()));
    assert_eq!(count(ChangeKind::Changed), 1);
    assert_eq!(count(ChangeKind::Renamed), DEPTH);
    let entries = measure(&upper).expect("it can be measured").entries;
    assert_eq!(entries as usize, 5 * DEPTH + 3);
}

/// Makes each directory of a chain the renamed one that has another name in the lower.
fn redirect_all(upper: &Root) {
    let mut dir = upper.try_clone().expect("a descriptor is left");
    for _ in 0..DEPTH {
        whiteout(&dir, "old");
        dir = Root::from_fd(dir.open_exact("new").expect("it opens"), "deep");
        let path = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
        rustix::fs::setxattr(path, "trusted.overlay.redirect", b"old", XattrFlags::empty())
            .expect("it is set");
    }
}
