//! A second session in an overlay joins the first.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::kernel::{Lab, Started, make_dir, wait_until};

#[test]
fn a_second_session_sees_the_same_files_and_mounts() {
    let Some(lab) = Lab::open() else { return };
    let mut first = lab.onlay(&["shell", "-q", "a", "--", "sh"]).start();
    first.say("readlink /proc/self/ns/mnt; echo x >/tmp/x; echo y >/etc/y; echo ready");
    let namespace = first.wait_for("ready").lines().next().expect("a line").to_owned();
    let second =
        lab.onlay(&["shell", "a", "--", "sh", "-c", "readlink /proc/self/ns/mnt; cat /tmp/x /etc/y"]);
    let second = second.run();
    assert_eq!(second.ok(), format!("{namespace}\nx\ny\n"));
    assert!(second.stderr.contains("joined overlay 'a'"), "{}", second.stderr);
    assert!(second.stderr.contains("still in use"), "{}", second.stderr);
    first.say("exit");
    first.finish().ok();
}

#[test]
fn the_second_session_may_outlive_the_first() {
    let Some(lab) = Lab::open() else { return };
    for way in [&["a"][..], &["--temp", "t"]] {
        let first = lab.stay(way);
        let second = lab.stay(way);
        first.finish().ok();
        let name = way.last().expect("a name");
        let third = lab.onlay(&["shell", name, "--", "true"]).run();
        third.ok();
        assert!(third.stderr.contains("joined"), "{}", third.stderr);
        second.finish().ok();
    }
}

#[test]
fn an_isolated_overlay_is_joined_in_all_its_namespaces() {
    let Some(lab) = Lab::open() else { return };
    let script = "for kind in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$kind; done";
    let mut first = lab.onlay(&["shell", "-q", "--isolate", "--no-net", "a", "--", "sh"]).start();
    first.say(&format!("{script}; echo ready"));
    let namespaces = first.wait_for("ready").replace("ready\n", "");
    for words in [&["shell", "-q", "a"][..], &["shell", "-q", "--isolate", "a"]] {
        let ran = lab.onlay(&[words, &["--", "sh", "-c", script]].concat()).run();
        assert_eq!(ran.ok(), namespaces, "{words:?}");
    }
    let processes = lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", "echo /proc/[0-9]*"]).run().ok();
    assert!(processes.starts_with("/proc/1 /proc/2 "), "the first session's are seen: {processes}");
    first.finish().ok();
}

#[test]
fn who_joins_an_isolated_overlay_has_streams_and_a_code_as_ever() {
    let Some(lab) = Lab::open() else { return };
    let stays = lab.stay(&["--isolate", "a"]);
    let words = ["shell", "-q", "a", "--", "sh", "-c", "cat; echo err >&2; exit 7"];
    let ran = lab.onlay(&words).input(b"through\n").run();
    assert_eq!((ran.code(), ran.text().as_str(), ran.stderr.as_str()), (Some(7), "through\n", "err\n"));
    assert_eq!(lab.shell("a", "kill -TERM $$").killed_by(), Some(libc::SIGTERM));
    lab.onlay(&["shell", "-q", "a", "--", "no-such-program"]).run().failed(127, &["cannot execute"]);
    lab.onlay(&["shell", "-q", "a", "--", "/etc/file"]).run().failed(126, &["cannot execute"]);
    // What it leaves running stays, and nobody waits for it.
    lab.shell("a", "(while [ ! -e /tmp/stop ]; do sleep 0.02; done; echo late >/etc/late) & true").ok();
    lab.shell("a", "touch /tmp/stop; while [ ! -e /etc/late ]; do sleep 0.02; done").ok();
    stays.finish().ok();
}

#[test]
fn who_joins_an_isolated_overlay_gets_signals_and_ends_with_the_program() {
    let Some(lab) = Lab::open() else { return };
    let stays = lab.stay(&["--isolate", "a"]);
    let script = "trap 'echo got USR1' USR1; trap 'echo got TERM; exit 9' TERM; echo ready; while :; do sleep 0.01; done";
    let joined = lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", script]).start();
    joined.wait_for("ready");
    for (signal, answer) in [(libc::SIGUSR1, "got USR1"), (libc::SIGTERM, "got TERM")] {
        joined.signal(signal);
        joined.wait_for(answer);
    }
    assert_eq!(joined.finish().code(), Some(9));
    let words =
        ["shell", "-q", "a", "--", "sh", "-c", "echo $$ >/etc/victim; echo ready; while :; do sleep 1; done"];
    let joined = lab.onlay(&words).start();
    joined.wait_for("ready");
    assert_eq!(joined.kill().killed_by(), Some(libc::SIGKILL));
    let gone = "while [ -e /proc/$(cat /etc/victim) ]; do sleep 0.02; done; echo gone";
    assert_eq!(lab.shell("a", gone).ok(), "gone\n");
    stays.finish().ok();
}

#[test]
fn what_cannot_be_joined_as_asked_is_refused() {
    let Some(lab) = Lab::open() else { return };
    let cases: &[(&[&str], &[&str], &str)] = &[
        (&["a"], &["--isolate", "a"], "is running with the host in view, not isolated"),
        (&["a"], &["--unguarded", "a"], "is running guarded, not unguarded"),
        (&["a"], &["--temp", "a"], "is running on disk, not in RAM"),
        (&["--isolate", "a"], &["--temp", "a"], "is running on disk, not in RAM"),
        (&["a"], &["--no-home", "a"], "is running with the host's /root and /home, not without"),
        (
            &["--isolate", "a"],
            &["--isolate", "--no-net", "a"],
            "is running with the host's network, not without",
        ),
    ];
    for (first, second, words) in cases {
        let inside = lab.stay(first);
        let ran = lab.onlay(&[&["shell"], *second, &["--", "true"]].concat()).run();
        ran.failed(1, &["overlay 'a'", words, "shell a' joins it as it is"]);
        inside.finish().ok();
    }
    lab.shell("kept", "true").ok();
    lab.onlay(&["shell", "--temp", "kept", "--", "true"])
        .run()
        .failed(1, &["'kept' exists and is kept on disk"]);
}

#[test]
fn a_temporary_overlay_is_joined_by_its_name() {
    let Some(lab) = Lab::open() else { return };
    let first = lab.stay(&["--temp", "t"]);
    lab.shell("t", "echo x >/etc/x").ok();
    assert_eq!(lab.onlay(&["shell", "-q", "--temp", "t", "--", "cat", "/etc/x"]).run().ok(), "x\n");
    lab.onlay(&["diff", "t"]).run().failed(1, &["lives in RAM"]);
    let free = "hint: it is free when the last one has left; '";
    lab.onlay(&["rm", "t"]).run().failed(1, &["overlay 't' is in use by process", free]);
    assert!(lab.kept().is_empty());
    first.finish().ok();
}

#[test]
fn processes_left_behind_keep_the_overlay_in_use() {
    let Some(lab) = Lab::open() else { return };
    // It ends when the file is there: no longer than the test needs it.
    let script = "(while [ ! -e /home/user/stop ]; do sleep 0.02; done; echo late >/etc/late) & true";
    let left = lab.onlay(&["shell", "a", "--", "sh", "-c", script]).run();
    left.ok();
    assert!(left.stderr.contains("processes still run in 'a'"), "{}", left.stderr);
    lab.onlay(&["rm", "a"]).run().failed(1, &["overlay 'a' is in use by process"]);
    let row = &lab.onlay(&["list", "--json"]).run().json()[0];
    assert_eq!((row["state"].as_str(), row["pid"].is_u64()), (Some("host"), true), "{row}");
    let joined = lab.onlay(&["shell", "a", "--", "touch", "/etc/joined"]).run();
    assert!(joined.stderr.contains("joined"), "{}", joined.stderr);
    fs::write(lab.tree.join("home/user/stop"), "").expect("homes are shared");
    wait_until("the overlay is free", || lab.onlay(&["list", "--json"]).run().json()[0]["state"] == "idle");
    assert_eq!(lab.shell("a", "ls /etc/joined /etc/late").ok(), "/etc/joined\n/etc/late\n");
    lab.onlay(&["rm", "a"]).run().ok();
}

#[test]
fn what_ends_a_moment_later_does_not_keep_the_overlay_in_use() {
    let Some(lab) = Lab::open() else { return };
    // It signals, so that somebody has to answer for it meanwhile.
    let script = "(sleep 0.1; kill -0 $$; echo late >/etc/late) & true";
    let left = lab.onlay(&["shell", "a", "--", "sh", "-c", script]).run();
    left.ok();
    assert!(!left.stderr.contains("still"), "{}", left.stderr);
    assert_eq!(lab.shell("a", "cat /etc/late").ok(), "late\n");
    lab.onlay(&["rm", "a"]).run().ok();
}

#[test]
fn an_isolated_overlay_ends_with_its_command() {
    let Some(lab) = Lab::open() else { return };
    let script = "(while :; do sleep 1; done) & true";
    let left = lab.onlay(&["shell", "a", "--isolate", "--", "sh", "-c", script]).run();
    left.ok();
    assert!(!left.stderr.contains("still"), "{}", left.stderr);
    lab.onlay(&["rm", "a"]).run().ok();
}

#[test]
fn sessions_meet_also_before_there_is_any_state() {
    let Some(mut lab) = Lab::open() else { return };
    let state = lab.path("later/state");
    let first = lab
        .onlay(&["shell", "-q", "--", "sh", "-c", "echo inside; read -r line || true"])
        .state(&state)
        .start();
    first.wait_for("inside");
    let second = lab.onlay(&["shell", "--", "true"]).state(&state).run();
    assert!(second.stderr.contains("joined overlay 'default'"), "{}", second.story());
    first.finish().ok();
    lab.uses(&state);
}

const STAY: &str = "echo inside; read -r line || true";

fn names(lab: &Lab, state: &Path) -> Vec<String> {
    let rows = lab.onlay(&["list", "--json"]).state(state).run().json();
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn one_in_ram_is_found_also_after_somebody_has_made_the_state() {
    let Some(mut lab) = Lab::open() else { return };
    // Twice by hand, at last by the program itself; each time it is another directory.
    for round in 0..3 {
        let state = lab.path("later/state");
        let link = lab.path(format!("link{round}"));
        symlink("later/state", &link).expect("a link");
        let stay = ["shell", "-q", "--temp", "t", "--", "sh", "-c", STAY];
        let first = lab.onlay(&stay).state(if round == 1 { &link } else { &state }).start();
        first.wait_for("inside");
        let joined = |state: &Path| {
            for words in [&["shell", "t", "--", "true"][..], &["shell", "--temp", "t", "--", "true"]] {
                let ran = lab.onlay(words).state(state).run();
                assert!(ran.stderr.contains("joined overlay 't'"), "{}", ran.story());
            }
        };
        assert_eq!(names(&lab, &state), ["t"]);
        joined(&link);
        let stranger = lab.path("later/other");
        assert!(names(&lab, &stranger).is_empty(), "another state that is not there");
        let apart = lab.onlay(&["shell", "--temp", "t", "--", "true"]).state(&stranger).run();
        assert!(apart.code() == Some(0) && !apart.stderr.contains("joined"), "{}", apart.story());
        if round == 2 {
            lab.onlay(&["shell", "-q", "kept", "--", "true"]).state(&state).run().ok();
            assert_eq!(names(&lab, &state), ["kept", "t"]);
        } else {
            make_dir(&state, 0o700);
            assert_eq!(names(&lab, &link), ["t"]);
        }
        joined(&state);
        joined(&link);
        assert!(names(&lab, &lab.state).is_empty(), "another state that is there");
        first.finish().ok();
        assert!(!names(&lab, &state).contains(&"t".to_owned()));
        lab.uses(&state);
        fs::remove_dir_all(&state).expect("it was made");
        make_dir(&stranger, 0o700);
        lab.onlay(&["shell", "-q", "--temp", "--", "true"]).state(&stranger).run().ok();
        lab.uses(&stranger);
        fs::remove_dir(&stranger).expect("it is empty");
    }
}

#[test]
fn many_meet_while_somebody_makes_the_state() {
    let Some(mut lab) = Lab::open() else { return };
    for round in 0..5 {
        let state = lab.path(format!("later{round}"));
        let stay = [
            "shell",
            "-q",
            "--temp",
            "t",
            "--",
            "sh",
            "-c",
            "readlink /proc/self/ns/mnt; read -r line || true",
        ];
        let start = |_| lab.onlay(&stay).state(&state).start();
        let mut sessions: Vec<Started> = (0..4).map(start).collect();
        make_dir(&state, 0o700);
        sessions.extend((0..4).map(start));
        let namespaces: BTreeSet<String> = sessions.iter().map(|session| session.wait_for("]")).collect();
        assert_eq!(namespaces.len(), 1, "round {round}: {namespaces:?}");
        assert_eq!(names(&lab, &state), ["t"]);
        for session in sessions {
            session.finish().ok();
        }
        lab.uses(&state);
    }
}
