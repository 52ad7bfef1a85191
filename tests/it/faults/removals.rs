//! A removal that is stopped, or killed, while it clears the files: nobody waits for it, nobody
//! sees what it has set aside, and what is left of it is cleared.

use std::fs;

use crate::kernel::{Lab, Started, Stopped, tool_or_skip};

const STRACE: &str = "/usr/bin/strace";

fn lab() -> Option<Lab> {
    if tool_or_skip(STRACE) { Lab::open() } else { None }
}

/// Makes an overlay whose files take many calls to clear.
fn make(lab: &Lab, name: &str) {
    let fill = "echo old >/etc/x; i=0; while [ $i -lt 40 ]; do : >/srv/$i; i=$((i+1)); done";
    lab.shell(name, fill).ok();
}

/// Stops a removal in the midst of the files.
fn stop(lab: &Lab, name: &str) -> Stopped {
    let stopped = Stopped::at(lab, &["rm", name], "unlinkat", 20);
    assert_eq!(aside(lab).len(), 1, "{:?}", lab.kept());
    stopped
}

/// The names of what is no overlay any more.
fn aside(lab: &Lab) -> Vec<String> {
    lab.kept().into_iter().filter(|name| name.starts_with(".removed-")).collect()
}

fn listed(lab: &Lab) -> Vec<String> {
    let rows = lab.onlay(&["list", "--json"]).run().json();
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| format!("{} {}", row["name"], row["state"]).replace('"', "")).collect()
}

#[test]
fn nobody_waits_while_files_are_cleared() {
    let Some(lab) = lab() else { return };
    make(&lab, "a");
    make(&lab, "b");
    let removal = stop(&lab, "a");
    let before = aside(&lab);
    assert_eq!(listed(&lab), ["b idle"]);
    lab.onlay(&["rm", "a"]).run().failed(1, &["there is no overlay 'a'"]);
    assert_eq!(lab.shell("b", "cat /etc/x").ok(), "old\n");
    // Another of the same name, which can be removed, too, and made again.
    for _ in 0..2 {
        assert_eq!(lab.shell("a", "ls /srv; echo new >/etc/x; cat /etc/x").ok(), "new\n");
        let ran = lab.onlay(&["rm", "a"]).run();
        ran.ok();
        assert_eq!(ran.stderr, "onlay: removed 'a'\n", "it leaves to the other what is the other's");
    }
    lab.shell("a", "echo new >/etc/x").ok();
    let inside = lab.stay(&["a"]);
    assert_eq!(aside(&lab), before);
    removal.go_on().ok();
    assert_eq!(lab.kept(), [".lock", "a", "b"]);
    assert_eq!(lab.shell("a", "cat /etc/x").ok(), "new\n");
    inside.finish().ok();
}

#[test]
fn what_a_killed_removal_leaves_is_cleared_by_the_next_command_that_changes_something() {
    let Some(lab) = lab() else { return };
    make(&lab, "b");
    for next in [&["rm", "c"][..], &["rm", "missing"], &["shell", "new", "--", "true"]] {
        make(&lab, "a");
        make(&lab, "c");
        stop(&lab, "a").kill();
        let before = aside(&lab);
        assert_eq!(listed(&lab), ["b idle", "c idle"]);
        assert_eq!(lab.shell("b", "cat /etc/x").ok(), "old\n");
        lab.onlay(&["rm", "--dry-run", "b"]).run().ok();
        assert_eq!(aside(&lab), before, "who changes nothing of it leaves it alone");
        let ran = lab.onlay(next).run();
        assert_eq!(ran.code(), Some(i32::from(next == ["rm", "missing"])), "{}", ran.story());
        assert!(ran.stderr.contains("cleared what an interrupted run left: "), "{}", ran.stderr);
        assert!(aside(&lab).is_empty());
        lab.onlay(&["rm", "new", "c"]).run();
    }
    assert_eq!(lab.kept(), [".lock", "b"]);
}

#[test]
fn many_run_while_a_removal_is_killed() {
    let Some(lab) = lab() else { return };
    for name in ["a", "b", "c"] {
        make(&lab, name);
    }
    let removal = stop(&lab, "a");
    let all: Vec<Started> = (0..8)
        .map(|number| match number % 4 {
            0 => lab.onlay(&["rm", "b"]).start(),
            1 => lab.onlay(&["rm", "c"]).start(),
            2 => lab.onlay(&["shell", "-q", "a", "--", "true"]).start(),
            _ => lab.onlay(&["shell", "-q", "d", "--", "true"]).start(),
        })
        .collect();
    removal.kill();
    for run in all {
        let ran = run.finish();
        let is_refused = ran.stderr.contains("there is no overlay") || ran.stderr.contains("in use");
        assert!(ran.code() == Some(0) || is_refused, "{}", ran.story());
        assert!(!ran.stderr.contains("cannot"), "{}", ran.story());
    }
    lab.onlay(&["rm", "a", "d"]).run().ok();
    assert_eq!(lab.kept(), [".lock"]);
}

#[test]
fn the_new_name_is_on_the_disk_before_a_file_is_cleared() {
    let Some(lab) = lab() else { return };
    make(&lab, "a");
    let log = lab.path("log");
    let log_name = log.to_str().expect("our name");
    let strace = [STRACE, "-y", "-o", log_name, "-e", "trace=renameat,renameat2,fsync,unlinkat,flock"];
    lab.onlay(&["rm", "a"]).through(&strace).run().ok();
    let trace = fs::read_to_string(&log).expect("a log");
    let position = |words: &[&str]| {
        let is_it = |line: &str| words.iter().all(|word| line.contains(word));
        trace.lines().position(is_it).unwrap_or_else(|| panic!("{words:?} is not in {trace}"))
    };
    let steps = [
        position(&["rename", "\"a\"", ".removed-"]),
        position(&["fsync", "/overlays>"]),
        position(&["flock", ".entry.lock", "LOCK_UN"]),
        position(&["unlinkat", "/overlays/.removed-"]),
    ];
    assert!(steps.is_sorted(), "{steps:?}: {trace}");
}
