//! Many at once: they meet in one namespace, and nothing is removed under anybody.

use std::collections::BTreeSet;
use std::fs;

use crate::kernel::{Lab, Started, Stopped, names_in, tool_or_skip};

const STAY: &str = "readlink /proc/self/ns/mnt; read -r line || true";

fn enter(lab: &Lab, count: usize) -> Vec<Started> {
    (0..count).map(|_| lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", STAY]).start()).collect()
}

#[test]
fn all_who_enter_at_once_are_in_the_same_namespace() {
    let Some(lab) = Lab::open() else { return };
    for count in [2, 10, 2, 10] {
        let sessions = enter(&lab, count);
        let namespaces: BTreeSet<String> = sessions.iter().map(|session| session.wait_for("]")).collect();
        assert_eq!(namespaces.len(), 1, "{namespaces:?}");
        assert_eq!(lab.kept(), [".lock", "a"], "one creation");
        for session in sessions {
            session.finish().ok();
        }
        lab.onlay(&["rm", "a"]).run().ok();
    }
}

#[test]
fn those_who_are_first_of_all_meet_too() {
    let Some(mut lab) = Lab::open() else { return };
    let state = lab.path("first");
    let sessions: Vec<Started> = (0..6)
        .map(|_| lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", STAY]).state(&state).start())
        .collect();
    let namespaces: BTreeSet<String> = sessions.iter().map(|session| session.wait_for("]")).collect();
    lab.uses(&state);
    assert_eq!(namespaces.len(), 1, "{namespaces:?}");
    for session in sessions {
        session.finish().ok();
    }
}

#[test]
fn different_overlays_do_not_wait_for_each_other() {
    let Some(lab) = Lab::open() else { return };
    let names: Vec<String> = (0..8).map(|number| format!("o{number}")).collect();
    let sessions: Vec<Started> =
        names.iter().map(|name| lab.onlay(&["shell", "-q", name, "--", "sh", "-c", STAY]).start()).collect();
    let namespaces: BTreeSet<String> = sessions.iter().map(|session| session.wait_for("]")).collect();
    assert_eq!(namespaces.len(), 8);
    for session in sessions {
        session.finish().ok();
    }
    let words: Vec<&str> = ["rm"].into_iter().chain(names.iter().map(String::as_str)).collect();
    lab.onlay(&words).run().ok();
}

#[test]
fn what_is_in_use_is_not_removed() {
    let Some(lab) = Lab::open() else { return };
    for way in [&["a"][..], &["--isolate", "a"]] {
        let session = lab.stay(way);
        let other = lab.stay(&["a"]);
        lab.onlay(&["rm", "a"]).run().failed(1, &["overlay 'a' is in use by process", "shell a' joins it"]);
        session.finish().ok();
        if way.len() == 1 {
            lab.onlay(&["rm", "a"]).run().failed(1, &["in use"]);
            other.finish().ok();
        } else {
            // Everything in an isolated overlay ends with its first command.
            assert_eq!(other.finish().killed_by(), Some(libc::SIGKILL));
        }
        lab.onlay(&["rm", "a"]).run().ok();
    }
}

#[test]
fn removing_and_entering_at_once_ends_whole() {
    let Some(lab) = Lab::open() else { return };
    for round in 0..4 {
        let mut runs: Vec<(bool, Started)> = Vec::new();
        for number in 0..10 {
            let is_removal = (number + round) % 2 == 0;
            let words: &[&str] = if is_removal {
                &["rm", "a"]
            } else {
                &["shell", "-q", "a", "--", "sh", "-c", "echo x >/etc/x && cat /etc/x"]
            };
            runs.push((is_removal, lab.onlay(words).start()));
        }
        for (is_removal, run) in runs {
            let ran = run.finish();
            if is_removal && ran.code() != Some(0) {
                let known = ["in use", "there is no overlay 'a'"];
                assert!(known.iter().any(|words| ran.stderr.contains(words)), "{}", ran.story());
            } else {
                ran.ok();
            }
        }
        lab.shell("a", "echo still").ok();
        lab.onlay(&["rm", "a"]).run().ok();
        assert_eq!(lab.kept(), [".lock"]);
        assert_eq!(names_in(lab.folder()), [".entry.lock"]);
    }
}

#[test]
fn ten_are_removed_while_others_enter_them() {
    let Some(lab) = Lab::open() else { return };
    let names: Vec<String> = (0..10).map(|number| format!("o{number}")).collect();
    for name in &names {
        lab.shell(name, "mkdir -p /srv/a/b/c; echo x >/srv/a/b/c/x").ok();
    }
    let words: Vec<&str> = ["rm"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let removal = lab.onlay(&words).start();
    let entries: Vec<Started> =
        names.iter().map(|name| lab.onlay(&["shell", "-q", name, "--", "ls", "/srv"]).start()).collect();
    for entry in entries {
        let shown = entry.finish().ok();
        // It was entered before it was removed, or made anew after.
        assert!(shown.is_empty() || shown == "a\n", "{shown}");
    }
    let ran = removal.finish();
    assert!(ran.code() == Some(0) || ran.stderr.contains("in use"), "{}", ran.story());
    for row in lab.onlay(&["list", "--json"]).run().json().as_array().expect("rows") {
        assert_eq!(row["state"], "idle", "{row}");
    }
    lab.onlay(&words).run();
    assert_eq!(lab.kept(), [".lock"]);
}

#[test]
fn what_is_replaced_on_the_way_in_is_refused() {
    let Some(lab) = Lab::open() else { return };
    if !tool_or_skip("/usr/bin/strace") {
        return;
    }
    lab.shell("a", "echo old >/etc/x").ok();
    lab.shell("b", "echo new >/etc/x").ok();
    let aside = lab.path("aside");
    let enter = || Stopped::at(&lab, &["shell", "a", "--", "cat", "/etc/x"], "unshare", 1);
    // Another directory is where the overlay was, or nothing.
    let session = enter();
    fs::rename(lab.overlay("a"), &aside).expect("our state");
    fs::rename(lab.overlay("b"), lab.overlay("a")).expect("our state");
    session.go_on().failed(1, &["overlay 'a' was replaced while it was being entered", "hint: try again"]);
    assert_eq!(lab.shell("a", "cat /etc/x").ok(), "new\n");
    let session = Stopped::at(&lab, &["shell", "c", "--", "true"], "unshare", 1);
    fs::rename(lab.overlay("c"), lab.path("c")).expect("our state");
    fs::rename(lab.overlay("a"), lab.overlay("c")).expect("our state");
    session.go_on().failed(1, &["overlay 'c' was replaced"]);
    fs::rename(lab.overlay("c"), lab.overlay("a")).expect("another is not taken for what was made in vain");
    let session = enter();
    fs::rename(lab.overlay("a"), lab.overlay("b")).expect("our state");
    session.go_on().failed(1, &["cannot open directory", "No such file or directory"]);
    // What was only moved away and back is as it was.
    fs::rename(&aside, lab.overlay("a")).expect("our state");
    let session = enter();
    fs::rename(lab.overlay("a"), &aside).expect("our state");
    fs::rename(&aside, lab.overlay("a")).expect("our state");
    assert_eq!(session.go_on().ok(), "old\n");
    assert_eq!(lab.shell("b", "cat /etc/x").ok(), "new\n");
}
