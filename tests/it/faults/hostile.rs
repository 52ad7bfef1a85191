//! What somebody put into an overlay must not lead the next session, or its removal, astray.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::kernel::{Lab, sh, tool_or_skip};

#[test]
fn links_where_mount_points_were_lead_nowhere() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    // While nothing is mounted there, the place can be replaced; later it is a mount point.
    let cases = [
        ("/", "the root itself"),
        ("/etc", "another directory inside"),
        ("/proc/1/root", "the host's root"),
        ("/proc/self/fd", "what the program has open"),
        ("../../../../../../etc", "a way up"),
        ("/no/such/place", "nowhere"),
    ];
    for (target, _) in cases {
        lab.shell("a", &format!("mv /srv /srv.old && ln -s {target} /srv")).ok();
        lab.mount_tmpfs("size=1m", &lab.tree.join("srv"));
        fs::write(lab.tree.join("srv/mounted"), "").expect("a file");
        let words = ["shell", "a", "--", "sh", "-c", "ls /etc /srv.old; cat /proc/self/mountinfo"];
        let ran = lab.onlay(&words).run();
        let shown = ran.ok();
        assert!(
            ran.stderr.contains("/srv is not shown inside: the overlay has something else there\n"),
            "{}",
            ran.stderr
        );
        assert!(
            shown.contains("os-release") && !shown.lines().any(|line| line == "mounted"),
            "{target}: {shown}"
        );
        sh("umount \"$1\"", &[&lab.tree.join("srv")]);
        lab.onlay(&["rm", "a"]).run().ok();
    }
}

#[test]
fn a_link_on_the_way_to_a_mount_point_leads_nowhere() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    let place = lab.tree.join("srv/x/y");
    fs::create_dir_all(&place).expect("a directory");
    lab.shell("a", "mkdir -p /var/lib/y && mv /srv/x /srv/z && ln -s /var/lib /srv/x").ok();
    lab.mount_tmpfs("size=1m", &place);
    fs::write(place.join("mounted"), "").expect("a file");
    let ran = lab.onlay(&["shell", "a", "--", "ls", "-A", "/var/lib/y", "/srv/z/y"]).run();
    assert!(ran.stderr.contains("/srv/x/y is not shown inside"), "{}", ran.stderr);
    assert!(!ran.ok().contains("mounted"), "{}", ran.story());
}

#[test]
fn a_file_where_a_mount_point_was() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    fs::create_dir(lab.tree.join("srv/x")).expect("a directory");
    lab.shell("a", "rmdir /srv/x && echo file >/srv/x").ok();
    lab.mount_tmpfs("size=1m", &lab.tree.join("srv/x"));
    let ran = lab.onlay(&["shell", "a", "--", "cat", "/srv/x"]).run();
    assert_eq!(ran.ok(), "file\n");
    let words = "/srv/x is not shown inside: the overlay has something else there\n";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
}

#[test]
fn links_where_the_entrance_was_lead_nowhere() {
    let Some(lab) = Lab::open() else { return };
    for name in ["tmp", "run", "dev", "proc", "sys", "home", "root"] {
        let upper = lab.overlay("a").join("layers/@root/upper");
        lab.shell("a", "true").ok();
        // As root inside can make it: take the mount off, and replace what was under it.
        fs::create_dir_all(&upper).expect("the upper");
        std::os::unix::fs::symlink("/etc", upper.join(name)).expect("a link");
        for way in [&["shell", "-q", "a"][..], &["shell", "-q", "--isolate", "a"]] {
            let ran = lab.onlay(&[way, &["--", "ls", "/etc"]].concat()).run();
            let shown = ran.text();
            assert!(
                !shown.contains("onlay") && !shown.contains("null") && !shown.contains("own\n"),
                "{}",
                ran.story()
            );
            // Who took /dev away from himself may be told so; in view of the host, nobody is locked out.
            let is_known = ran.stderr.contains("cannot open '/dev/null'") && way.contains(&"--isolate");
            assert!(ran.code() == Some(0) || is_known, "{name}: {}", ran.story());
        }
        lab.onlay(&["rm", "a"]).run().ok();
    }
    assert_eq!(fs::read_to_string(lab.tree.join("root/own")).expect("there"), "home\n");
}

#[test]
fn removal_does_not_follow_links() {
    let Some(lab) = Lab::open() else { return };
    let outside = lab.path("outside");
    fs::create_dir_all(outside.join("deep")).expect("a directory");
    fs::write(outside.join("deep/file"), "kept\n").expect("a file");
    let links = format!(
        "ln -s {0} /srv/link; ln -s {0}/deep/file /srv/file; ln -s / /srv/root; ln -s .. /srv/up",
        outside.display()
    );
    lab.shell("a", &links).ok();
    std::os::unix::fs::symlink(&outside, lab.overlay("a").join("layers/stray")).expect("a link");
    lab.onlay(&["rm", "a"]).run().ok();
    assert_eq!(fs::read_to_string(outside.join("deep/file")).expect("there"), "kept\n");
    assert!(lab.tree.join("bin/busybox").exists());
}

#[test]
fn a_file_that_cannot_be_removed_is_named_and_in_nobodys_way() {
    let Some(lab) = Lab::open() else { return };
    if !tool_or_skip("/usr/bin/chattr") {
        return;
    }
    lab.shell("a", "mkdir -p /srv/a/b; echo x >/srv/a/b/fixed; echo x >/etc/x").ok();
    let file = lab.overlay("a").join("layers/@root/upper/srv/a/b/fixed");
    let open = fs::File::open(&file).expect("it was made");
    sh("chattr +i \"$1\"", &[&file]);
    let ran = lab.onlay(&["rm", "a"]).run();
    let others = lab.shell("b", "echo works");
    let again = lab.shell("a", "ls /srv; cat /etc/file");
    let flags = rustix::fs::IFlags::empty();
    rustix::fs::ioctl_setflags(&open, flags).expect("our file system");
    ran.failed(1, &["cannot remove", "fixed'", "Operation not permitted"]);
    assert_eq!(others.ok(), "works\n", "{}", others.story());
    assert_eq!(again.ok(), "old\n", "{}", again.story());
    lab.onlay(&["rm", "a", "b"]).run().ok();
    assert_eq!(lab.kept(), [".lock"]);
}

#[test]
fn a_tree_deeper_than_any_path_is_removed() {
    let Some(lab) = Lab::open() else { return };
    lab.shell("a", "mkdir /srv/deep; echo x >/srv/x").ok();
    let top = lab.overlay("a").join("layers/@root/upper/srv/deep");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut dir = rustix::fs::open(&top, flags, Mode::empty()).expect("it was made");
    for level in 0..5000 {
        let name = format!("level-{level}");
        rustix::fs::mkdirat(dir.as_fd(), &name, Mode::RWXU).expect("a directory");
        rustix::fs::mkdirat(dir.as_fd(), "beside", Mode::RWXU).expect("a directory");
        dir = rustix::fs::openat(dir.as_fd(), &name, flags, Mode::empty()).expect("a directory");
    }
    drop(dir);
    lab.onlay(&["list"]).run().ok();
    lab.onlay(&["rm", "a"]).run().ok();
    assert_eq!(lab.kept(), [".lock"]);
}

#[test]
fn names_of_any_bytes_are_kept_and_removed() {
    let Some(lab) = Lab::open() else { return };
    let script = "cd /srv; for n in $(printf '\\377\\376') .1 .2 -x '*' .removed-a; do mkdir -p -- \"$n/$n/$n\"; echo x >\"$n/$n/$n/f\"; done; \
        touch \"$(printf 'a\\nb')\"; ls -A | wc -l";
    let script = script.replace("$(printf '\\377\\376')", "\"$NAME\"").replace("$(printf 'a\\nb')", "a b");
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff\xfe");
    let words = ["shell", "-q", "a", "--", "sh", "-c", &script];
    assert_eq!(lab.onlay(&words).environment("NAME", name).run().ok(), "7\n");
    assert!(lab.overlay("a").join("layers/@root/upper/srv").join(name).exists());
    assert_eq!(lab.shell("a", "ls -A /srv | wc -l").ok(), "7\n");
    lab.onlay(&["rm", "a"]).run().ok();
    assert_eq!(lab.kept(), [".lock"]);
}

#[test]
fn what_lies_in_run_onlay_is_no_programs_to_trust() {
    let Some(lab) = Lab::open() else { return };
    lab.shell("a", "true").ok();
    for text in [
        "",
        "{",
        "null",
        "{\"mode\":\"host\"}",
        "{\"mode\":\"host\",\"temporary\":false,\"leader\":-1,\"started\":0,\"namespace\":0}",
    ] {
        fs::write(lab.folder().join("a.json"), text).expect("our folder");
        lab.onlay(&["list"]).run().ok();
        let ran = lab.onlay(&["shell", "a", "--", "true"]).run();
        assert!(ran.code() == Some(0) && !ran.stderr.contains("joined"), "{text}: {}", ran.story());
    }
    let leader = format!(
        "{{\"mode\":\"host\",\"temporary\":false,\"leader\":{},\"started\":1,\"namespace\":1,\"view\":\"x\"}}",
        std::process::id()
    );
    fs::write(lab.folder().join("a.json"), leader).expect("our folder");
    let ran = lab.onlay(&["shell", "a", "--", "true"]).run();
    assert!(!ran.stderr.contains("joined"), "another process of that number: {}", ran.story());
    assert!(Path::new("/run/onlay").exists());
}
