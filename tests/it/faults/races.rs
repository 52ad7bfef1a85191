//! Many at once: they meet in one namespace, and nothing is removed under anybody.

use std::collections::BTreeSet;

use crate::kernel::{Lab, Started, names_in};

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
