//! A kernel that refuses, or that is older: each system call on the way fails in turn.

use std::fs;
use std::path::Path;

use onlay::sys::{Features, MountError, MountFlags, OverlaySpec, Root, mount_overlay};

use crate::kernel::{Lab, Ran, make_dir, make_tree, names_in, tool_or_skip};

const STRACE: &str = "/usr/bin/strace";

/// Runs with some calls failing: `fsopen:error=ENODEV:when=2`.
fn failing(lab: &Lab, injection: &str, words: &[&str]) -> Ran {
    let call = injection.split(':').next().expect("a call");
    let (trace, inject) = (format!("trace={call}"), format!("inject={injection}"));
    let strace = [STRACE, "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    lab.onlay(words).through(&strace).run()
}

const ENTER: &[&str] = &["shell", "a", "--", "true"];

#[test]
fn a_refusal_is_told_by_its_name_and_code() {
    let Some(lab) = Lab::open() else { return };
    if !tool_or_skip(STRACE) {
        return;
    }
    // The first file system is in RAM, for the view's own; the second one is the overlay.
    for (injection, code, words) in [
        ("fsopen:error=ENODEV:when=2", 3, &["this kernel has no overlayfs", "hint: 'modprobe overlay'"][..]),
        (
            "fsopen:error=EPERM:when=2",
            3,
            &["not allowed to mount: CAP_SYS_ADMIN is missing", "hint: in a container"],
        ),
        ("fsopen:error=EINVAL:when=2", 1, &["cannot mount an overlay on '/", "Invalid argument"]),
        (
            "fsopen:error=ENOSPC:when=2",
            1,
            &["no space left on the file system of '", "hint: free some space"],
        ),
        ("fsopen:error=EROFS:when=2", 1, &["is on a read-only file system", "hint: give --state a writable"]),
        ("fsopen:error=EPERM:when=1", 1, &["cannot mount a 'tmpfs'", "Operation not permitted"]),
        ("fsmount:error=EPERM:when=2", 3, &["not allowed to mount"]),
        ("fsmount:error=ENOSPC:when=2", 1, &["no space left"]),
        ("move_mount:error=EINVAL:when=2", 1, &["cannot mount on '/'", "Invalid argument"]),
        ("unshare:error=EPERM", 1, &["cannot make new namespaces", "Operation not permitted"]),
        ("unshare:error=ENOSPC", 1, &["cannot make new namespaces", "No space left"]),
        ("mount:error=EPERM", 1, &["cannot change mount propagation of '/'"]),
        ("pivot_root:error=EINVAL", 1, &["cannot pivot to the new '/'", "Invalid argument"]),
        ("umount2:error=EPERM", 1, &["cannot let go of the old '/'"]),
    ] {
        failing(&lab, injection, ENTER).failed(code, words);
        lab.shell("a", "echo x >/etc/x; cat /etc/x").ok();
        lab.onlay(&["rm", "a"]).run().ok();
    }
}

#[test]
fn an_upper_that_is_mounted_is_busy_where_the_kernel_says_so() {
    let Some(lab) = Lab::open() else { return };
    let make = |name: &str| {
        make_dir(&lab.path(name), 0o700);
        Root::open(lab.path(name)).expect("a directory of ours")
    };
    let [lower, upper, work] = ["lower", "upper", "work"].map(make);
    let mount = |index| {
        let features = Features { index, ..Features::default() };
        let flags = MountFlags::default();
        let lower = &[&lower];
        mount_overlay(&OverlaySpec { lower, upper: &upper, work: &work, features, flags, source: "lab" })
    };
    let first = mount(true).expect("nobody has it");
    let refusal = mount(true).expect_err("it is mounted");
    assert!(matches!(&refusal, MountError::UpperBusy { path } if *path == lab.path("upper")), "{refusal}");
    mount(false).expect("without an index the kernel leaves it to whoever mounts");
    drop(first);
    mount(true).expect("nobody has it any more");
}

#[test]
fn every_refusal_on_the_way_in_leaves_nothing_half_made() {
    let Some(lab) = Lab::open() else { return };
    if !tool_or_skip(STRACE) {
        return;
    }
    let mut failures = 0;
    for call in ["fsopen", "fsconfig", "fsmount", "move_mount", "open_tree", "mount_setattr"] {
        for (turn, error) in ["EPERM", "EINVAL", "ENOSPC", "ENODEV"].iter().enumerate() {
            // Each errno at every fourth place: all places, and every errno at many.
            for number in (1 + turn..40).step_by(4) {
                let ran = failing(&lab, &format!("{call}:error={error}:when={number}"), ENTER);
                assert!(matches!(ran.code(), Some(0 | 1 | 3)), "{}", ran.story());
                assert!(!ran.stderr.contains("panicked"), "{}", ran.story());
                if ran.code() == Some(0) {
                    continue;
                }
                failures += 1;
                assert!(ran.stderr.lines().any(|line| line.starts_with("onlay: ")), "{}", ran.story());
                assert_eq!(names_in(lab.folder()), [".entry.lock"], "{}", ran.story());
                let rows = lab.onlay(&["list", "--json"]).run().json();
                assert!(rows.as_array().expect("rows").iter().all(|row| row["state"] == "idle"), "{rows}");
                assert!(
                    lab.kept().iter().all(|name| [".lock", "a"].contains(&name.as_str())),
                    "{:?}",
                    lab.kept()
                );
            }
        }
    }
    assert!(failures > 15, "only {failures} failures");
    lab.shell("a", "echo x >/etc/x; cat /etc/x").ok();
}

#[test]
fn an_overlay_that_was_kept_survives_every_refusal() {
    let Some(lab) = Lab::open() else { return };
    if !tool_or_skip(STRACE) {
        return;
    }
    lab.shell("a", "echo x >/etc/x; rm /etc/file").ok();
    for injection in [
        "fsopen:error=ENODEV:when=2",
        "fsconfig:error=ENOSPC:when=7",
        "fsmount:error=EPERM:when=2",
        "move_mount:error=EINVAL:when=2",
        "unshare:error=EPERM",
        "pivot_root:error=EINVAL",
        "renameat:error=EIO",
        "utimensat:error=EROFS",
    ] {
        let ran = failing(&lab, injection, ENTER);
        assert!(matches!(ran.code(), Some(0 | 1 | 3)), "{}", ran.story());
        assert_eq!(lab.shell("a", "cat /etc/x; test ! -e /etc/file").ok(), "x\n", "{injection}");
    }
}

#[test]
fn writes_that_fail_leave_the_old_state_or_the_new_one() {
    let Some(lab) = Lab::open() else { return };
    if !tool_or_skip(STRACE) {
        return;
    }
    for call in ["mkdirat", "renameat", "write", "fsync", "fchownat", "fchmodat", "flock", "unlinkat"] {
        for number in 1..8 {
            let error = if number % 2 == 0 { "EIO" } else { "ENOSPC" };
            let ran = failing(&lab, &format!("{call}:error={error}:when={number}"), ENTER);
            assert!(matches!(ran.code(), Some(0 | 1)), "{}", ran.story());
            lab.shell("a", "echo x >/etc/x").ok();
            let ran = failing(&lab, &format!("{call}:error={error}:when={number}"), &["rm", "a"]);
            let rows = lab.onlay(&["list", "--json"]).run().json();
            let count = rows.as_array().expect("rows").len();
            assert!(count <= 1 && !rows.to_string().contains("damaged"), "{rows} after {}", ran.story());
            let expected = if count == 1 { "x\n" } else { "" };
            assert_eq!(lab.shell("a", "cat /etc/x 2>/dev/null || true").ok(), expected, "{}", ran.story());
            lab.onlay(&["rm", "a"]).run().ok();
            assert_eq!(lab.kept(), [".lock"], "{call} {number}");
        }
    }
}

#[test]
fn older_kernels_are_told_the_layers_in_older_ways() {
    let Some(lab) = Lab::open() else { return };
    if !tool_or_skip(STRACE) {
        return;
    }
    // Its name is no text that every kernel understands, or longer than any takes.
    let odd = lab.path("a:b\\c,d e/tree");
    let long = lab.path(format!("{0}/{0}/tree", "long".repeat(40)));
    for tree in [&odd, &long] {
        make_dir(tree.parent().expect("the lab"), 0o755);
        make_tree(tree);
    }
    let log = lab.path("log");
    let log_name = log.to_str().expect("our name");
    // The first two calls are for the view's file system in RAM; the third names the first layer.
    for (injection, way) in [
        ("error=EBADF:when=3", "FSCONFIG_SET_STRING, \"lowerdir+\""),
        ("error=EOPNOTSUPP:when=3", "FSCONFIG_SET_STRING, \"lowerdir\""),
        ("error=EINVAL:when=3", "FSCONFIG_SET_STRING, \"lowerdir+\""),
        ("error=EINVAL:when=3..4", "FSCONFIG_SET_STRING, \"lowerdir\""),
    ] {
        for root in [&lab.tree, &odd, &long] {
            let inject = format!("inject=fsconfig:{injection}");
            let strace =
                [STRACE, "-f", "-qq", "-s", "500", "-o", log_name, "-e", "trace=fsconfig", "-e", &inject];
            let script = "cat /etc/file; echo new >/etc/file; mkdir /srv/x; cat /etc/file";
            let words = ["shell", "-q", "a", "--", "sh", "-c", script];
            let ran = lab.onlay(&words).root(root).through(&strace).run();
            let trace = fs::read_to_string(&log).expect("a log");
            assert!(ran.code() == Some(0), "{injection}: {}\n{trace}", ran.story());
            assert_eq!(ran.text(), "old\nnew\n");
            let found = trace.lines().any(|line| line.contains(way) && line.ends_with("= 0"));
            assert!(found, "{injection}: {trace}");
            assert_eq!(fs::read_to_string(root.join("etc/file")).expect("there"), "old\n");
            // The way does not matter to who comes back by another.
            let again = lab.onlay(&["shell", "-q", "a", "--", "cat", "/etc/file"]).root(root).run();
            assert_eq!(again.ok(), "new\n");
            lab.onlay(&["rm", "a"]).run().ok();
        }
    }
    assert!(Path::new(&log).exists());
}
