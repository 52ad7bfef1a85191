//! The host unlocked where there are overlays already: its root, or what somebody else has laid over /usr. And what the
//! layer over a directory has of that directory.

use std::path::Path;

use onlay::overlay::new_upper;
use onlay::sys::{Features, MountFlags, OverlaySpec, Root, Xattrs, attach, detach_path, mount_overlay};

use crate::debian::script;
use crate::kernel::{Lab, command, make_dir};

/// A machine of its own (process 1, mounts) whose root is an overlay, as with composefs: by a script inside.
#[test]
fn a_host_whose_root_is_an_overlay() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    let place = lab.path("machine");
    make_dir(&place, 0o755);
    lab.mount_tmpfs("mode=755", &place);
    let mut machine = command("unshare");
    machine.args(["--mount", "--propagation=private", "--pid", "--fork", "--kill-child"]);
    machine.arg(script("live_over_overlays/root.sh")).arg(&place).arg(&lab.tree);
    let output = machine.arg(env!("CARGO_BIN_EXE_onlay")).output().expect("unshare starts");
    let words = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(
        output.status.success() && words[0].ends_with("done\n"),
        "{}\n{}",
        output.status,
        words.join("\n")
    );
}

/// Where SELinux is at work, what has no label can be used by nobody. Elsewhere labels can be written and read all the same.
#[test]
fn a_layer_has_label_mode_and_owner_of_what_it_covers() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    let covered = lab.path("covered");
    make_dir(&covered, 0o750);
    rustix::fs::chown(&covered, Some(rustix::fs::Uid::from_raw(12)), Some(rustix::fs::Gid::from_raw(34)))
        .expect("root may");
    let covered = Root::open(covered).expect("it is there");
    let given = [("security.selinux", "system_u:object_r:usr_t:s0\0"), ("user.note", "not part of it")];
    for (name, value) in given {
        Xattrs::set(&covered, Path::new("."), name.as_bytes(), value.as_bytes()).expect("root may");
    }
    for kind in ["disk", "ram"] {
        let storage = lab.path(kind);
        make_dir(&storage, 0o700);
        if kind == "ram" {
            lab.mount_tmpfs("mode=700", &storage);
        }
        let (upper, work) =
            new_upper(&Root::open(&storage).expect("it is there"), "usr", &covered).expect("room");
        has_what_was_given(&upper, kind);
        let seen = lab.path(format!("{kind}.seen"));
        make_dir(&seen, 0o755);
        let spec = OverlaySpec {
            lower: &[&covered],
            upper: &upper,
            work: &work,
            features: Features::default(),
            flags: MountFlags::READ_ONLY,
            source: "lab",
        };
        let tree = mount_overlay(&spec).expect("an overlay");
        attach(&tree, Root::open(&seen).expect("it is there"), &seen).expect("a mount");
        has_what_was_given(&Root::from_fd(tree.into_fd(), &seen), kind);
        detach_path(&seen).expect("a mount");
    }
}

fn has_what_was_given(directory: &Root, kind: &str) {
    let found = Xattrs::read(directory, Path::new(".")).expect("it can be read");
    assert_eq!(found.get("security.selinux"), Some(&b"system_u:object_r:usr_t:s0\0"[..]), "{kind}");
    assert_eq!(found.get("user.note"), None, "{kind}");
    let stat = directory.lstat(".").expect("it can be examined").expect("it is there");
    assert_eq!((stat.st_mode & 0o7777, stat.st_uid, stat.st_gid), (0o750, 12, 34), "{kind}");
}
