//! Power cuts: the program is killed at each operation that changes something, one after the other,
//! until it gets through. What is on the disk is the old state or the new one each time.

use crate::kernel::{Lab, Ran, names_in, tool_or_skip, wait_until};

/// The calls that change files, locks or mounts. strace counts each for itself.
const CHANGES: &[&str] = &[
    "mkdirat",
    "renameat",
    "unlinkat",
    "write",
    "fsync",
    "utimensat",
    "fchownat",
    "fchmodat",
    "flock",
    "openat",
    "linkat",
    "mknodat",
    "renameat2",
    "syncfs",
    "lsetxattr",
    "unshare",
    "fsopen",
    "fsmount",
    "move_mount",
    "mount_setattr",
    "pivot_root",
    "umount2",
    "clone",
];

/// More calls than any of these runs makes.
const ENOUGH: usize = 400;

/// Runs with a kill at each change in turn; after each, `check` looks at what is left.
fn kill_at_each(lab: &Lab, words: &[&str], prepare: impl Fn(), check: impl Fn(&Ran)) {
    if !tool_or_skip("/usr/bin/strace") {
        return;
    }
    let mut kills = 0;
    for call in CHANGES {
        for number in 1..ENOUGH {
            prepare();
            let inject = format!("inject={call}:signal=SIGKILL:when={number}");
            let trace = format!("trace={call}");
            let strace = ["/usr/bin/strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let ran = lab.onlay(words).through(&strace).run();
            if ran.code() == Some(0) {
                break;
            }
            // The program itself was killed, or one that it started.
            let is_killed = ran.killed_by() == Some(libc::SIGKILL) || ran.code() == Some(1);
            assert!(is_killed && number + 1 < ENOUGH, "{call} {number}: {}", ran.story());
            kills += 1;
            // What was killed takes a moment to let go of what it had.
            wait_until("nobody is in it", || {
                let rows = lab.onlay(&["list", "--json"]).run().json();
                rows.as_array().expect("rows").iter().all(|row| row["state"] != "host")
            });
            check(&ran);
        }
    }
    assert!(kills > 15, "{words:?} was killed only {kills} times");
}

/// The overlays that are listed, none of them damaged.
fn listed(lab: &Lab, ran: &Ran) -> Vec<String> {
    let rows = lab.onlay(&["list", "--json"]).run().json();
    let rows = rows.as_array().expect("rows");
    assert!(rows.iter().all(|row| row["state"] == "idle"), "{rows:?} after {}", ran.story());
    rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
}

fn remove_all(lab: &Lab) {
    let names: Vec<String> = lab.kept().into_iter().filter(|name| !name.starts_with('.')).collect();
    for name in &names {
        lab.onlay(&["rm", name]).run().ok();
    }
    assert!(lab.kept().iter().all(|name| name == ".lock"), "{:?}", lab.kept());
}

#[test]
fn while_an_overlay_is_made() {
    let Some(lab) = Lab::open() else { return };
    let words = ["shell", "-q", "a", "--", "true"];
    kill_at_each(
        &lab,
        &words,
        || (),
        |ran| {
            let names = listed(&lab, ran);
            assert!(names.is_empty() || names == ["a"], "{names:?}");
            assert_eq!(lab.shell("a", "echo x >/etc/x; cat /etc/x /etc/file").ok(), "x\nold\n");
            remove_all(&lab);
            assert_eq!(names_in(lab.folder()), [".entry.lock"]);
        },
    );
}

#[test]
fn while_one_is_entered_again() {
    let Some(lab) = Lab::open() else { return };
    lab.shell("a", "echo x >/etc/x; rm /etc/file").ok();
    let words = ["shell", "-q", "a", "--", "true"];
    kill_at_each(
        &lab,
        &words,
        || (),
        |ran| {
            assert_eq!(listed(&lab, ran), ["a"]);
            assert_eq!(lab.shell("a", "cat /etc/x; test ! -e /etc/file").ok(), "x\n");
        },
    );
}

#[test]
fn while_the_record_of_a_new_base_is_written() {
    let Some(lab) = Lab::open() else { return };
    lab.shell("a", "echo x >/etc/x").ok();
    let release = lab.tree.join("etc/os-release");
    let count = std::cell::Cell::new(0);
    let change = || {
        count.set(count.get() + 1);
        std::fs::write(&release, format!("ID=tiny\nVERSION_ID={}\n", count.get())).expect("our tree");
    };
    kill_at_each(&lab, &["shell", "-q", "a", "--", "true"], change, |ran| {
        assert_eq!(listed(&lab, ran), ["a"]);
        assert_eq!(lab.shell("a", "cat /etc/x").ok(), "x\n");
        assert_eq!(names_in(&lab.overlay("a")), ["layers", "overlay.toml"]);
    });
}

#[test]
fn while_one_follows_its_base() {
    let Some(lab) = Lab::open() else { return };
    let (release, srv) = (lab.tree.join("etc/os-release"), lab.tree.join("srv"));
    let base = |version: u32| {
        for name in ["one", "two", "mode", "mine", "gone"] {
            std::fs::write(srv.join(name), format!("{version}\n")).expect("our tree");
        }
        std::fs::write(&release, format!("ID=tiny\nIMAGE_VERSION={version}\n")).expect("our tree");
    };
    let make = || {
        remove_all(&lab);
        base(1);
        let script =
            "cd /srv; : >>one; : >>two; chmod 700 mode; echo own >mine; rm gone; mkdir new; ln mine new/hard";
        lab.shell("a", script).ok();
        base(2);
    };
    let upper = lab.overlay("a").join("layers/@root/upper/srv");
    kill_at_each(&lab, &["shell", "-q", "a", "--", "true"], make, |ran| {
        assert_eq!(listed(&lab, ran), ["a"]);
        assert_eq!(
            upper.join("one").exists(),
            upper.join("two").exists(),
            "half of it after {}",
            ran.story()
        );
        let seen = lab.shell("a", "cd /srv; cat one two mode mine new/hard; stat -c %a mode; ls");
        assert_eq!(seen.ok(), "2\n2\n2\nown\nown\n700\nmine\nmode\nnew\none\ntwo\n");
        assert_eq!(names_in(&lab.overlay("a")), ["layers", "overlay.toml"]);
        assert_eq!(names_in(&lab.overlay("a").join("layers")), ["@root", "@seen"]);
    });
}

#[test]
fn while_one_is_removed() {
    let Some(lab) = Lab::open() else { return };
    let make = || {
        lab.shell("a", "mkdir -p /srv/a/b/c && echo x >/srv/a/b/c/x && echo x >/etc/x && rm /etc/file").ok();
    };
    kill_at_each(&lab, &["rm", "a"], make, |ran| {
        let names = listed(&lab, ran);
        assert!(names.is_empty() || names == ["a"], "{names:?}");
        let all_or_nothing = "if [ -e /etc/x ]; then cat /srv/a/b/c/x; else cat /etc/file; ls /srv; fi";
        let expected = if names.is_empty() { "old\n" } else { "x\n" };
        assert_eq!(lab.shell("a", all_or_nothing).ok(), expected);
        assert_eq!(lab.kept(), [".lock", "a"], "what was left aside is cleared");
        remove_all(&lab);
    });
}

#[test]
fn while_a_temporary_one_is_made() {
    let Some(lab) = Lab::open() else { return };
    let words = ["shell", "-q", "--temp", "t", "--", "true"];
    kill_at_each(
        &lab,
        &words,
        || (),
        |ran| {
            assert!(listed(&lab, ran).is_empty());
            let again = lab.onlay(&["shell", "-q", "--temp", "t", "--", "ls", "/etc/file"]).run();
            assert_eq!(again.ok(), "/etc/file\n");
            assert!(names_in(&lab.state).is_empty());
        },
    );
}
