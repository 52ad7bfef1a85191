//! kill -9, of everybody, at any moment.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::kernel::{Lab, command, names_in, wait_until};

/// The seed of a run can be set, to see a failure again.
fn random() -> fastrand::Rng {
    let seed = std::env::var("ONLAY_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    fastrand::Rng::with_seed(seed)
}

fn is_free(lab: &Lab) -> bool {
    let rows = lab.onlay(&["list", "--json"]).run().json();
    rows.as_array().expect("rows").iter().all(|row| row["state"] == "idle")
}

fn kill_at_random(lab: &Lab, rounds: usize, words: &[&str], check: impl Fn(usize)) {
    let mut random = random();
    for round in 0..rounds {
        let started = lab.onlay(words).start();
        std::thread::sleep(Duration::from_micros(random.u64(0..20_000)));
        started.kill();
        wait_until("nobody is in it", || is_free(lab));
        check(round);
    }
}

#[test]
fn of_the_program_at_random_moments_of_making() {
    let Some(lab) = Lab::open() else { return };
    kill_at_random(&lab, 50, &["shell", "-q", "a", "--", "true"], |round| {
        assert_eq!(lab.shell("a", "echo x >/etc/x; cat /etc/x").ok(), "x\n", "round {round}");
        lab.onlay(&["rm", "a"]).run().ok();
        assert_eq!(lab.kept(), [".lock"], "round {round}");
    });
}

#[test]
fn of_the_program_at_random_moments_of_entering() {
    let Some(lab) = Lab::open() else { return };
    lab.shell("a", "echo x >/etc/x").ok();
    for way in [&["shell", "-q", "a"][..], &["shell", "-q", "--isolate", "a"]] {
        kill_at_random(&lab, 30, &[way, &["--", "sh", "-c", "sleep 0.1"]].concat(), |round| {
            assert_eq!(lab.shell("a", "cat /etc/x").ok(), "x\n", "round {round}");
        });
    }
}

#[test]
fn of_the_program_at_random_moments_of_removing() {
    let Some(lab) = Lab::open() else { return };
    let fill = "i=0; while [ $i -lt 40 ]; do mkdir -p /srv/$i/a/b; echo x >/srv/$i/a/b/x; i=$((i+1)); done";
    lab.shell("a", fill).ok();
    kill_at_random(&lab, 40, &["rm", "a"], |round| {
        let count = lab.shell("a", "ls /srv | wc -l").ok();
        let left = count.trim();
        assert!(left == "40" || left == "0", "round {round}: {left}");
        assert_eq!(lab.kept(), [".lock", "a"], "round {round}");
        if left == "0" {
            lab.shell("a", fill).ok();
        }
    });
}

/// Starts an overlay in which a process lives on when the program is killed; its number.
fn orphan(lab: &Lab) -> i32 {
    // The command dies with the program, what it started does not.
    let script = "(while [ ! -e /home/user/stop ]; do sleep 0.02; done) & echo orphan $! end; wait";
    let started = lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", script]).start();
    let shown = started.wait_for(" end");
    let number = shown.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("its number");
    fs::write(lab.tree.join("home/user/number"), shown).expect("a file");
    let pid = started.pid();
    started.kill();
    wait_until("the program is gone", || !Path::new(&format!("/proc/{pid}/exe")).exists());
    number
}

#[test]
fn of_the_program_while_others_live_on() {
    let Some(lab) = Lab::open() else { return };
    let number = orphan(&lab);
    let namespace = fs::read_link(format!("/proc/{number}/ns/mnt")).expect("it lives on");
    let row = &lab.onlay(&["list", "--json"]).run().json()[0];
    assert_eq!(row["state"], "host", "{row}");
    lab.onlay(&["rm", "a"]).run().failed(1, &["overlay 'a' is in use by process"]);
    // Who enters joins it: the upper directory is not mounted twice.
    let ran = lab.onlay(&["shell", "a", "--", "readlink", "/proc/self/ns/mnt"]).run();
    assert_eq!(ran.ok().trim(), namespace.to_str().expect("text"));
    assert!(ran.stderr.contains("joined overlay 'a'") && ran.stderr.contains("in use"), "{}", ran.stderr);
    lab.onlay(&["rm", "a"]).run().failed(1, &["in use"]);
    fs::write(lab.tree.join("home/user/stop"), "").expect("a file");
    wait_until("the overlay is free", || is_free(&lab));
    lab.onlay(&["rm", "a"]).run().ok();
}

#[test]
fn of_the_program_while_others_live_on_in_a_namespace_of_their_own() {
    let Some(lab) = Lab::open() else { return };
    // Their namespace cannot be joined for the overlay's, but it keeps the upper directory mounted.
    let script = "unshare -m sh -c 'while [ ! -e /home/user/stop ]; do sleep 0.02; done' & echo ready; wait";
    let started = lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", script]).start();
    started.wait_for("ready");
    let pid = started.pid();
    started.kill();
    wait_until("the program is gone", || !Path::new(&format!("/proc/{pid}/exe")).exists());
    lab.onlay(&["rm", "a"]).run().failed(1, &["overlay 'a' is in use"]);
    fs::write(lab.tree.join("home/user/stop"), "").expect("a file");
    wait_until("the overlay is free", || lab.onlay(&["rm", "a"]).run().code() == Some(0));
}

#[test]
fn of_who_stays_for_background_processes() {
    let Some(lab) = Lab::open() else { return };
    let script = "(while [ ! -e /home/user/stop ]; do sleep 0.02; done) & true";
    lab.shell("a", script).ok();
    let state = lab.state.to_str().expect("our name");
    let keepers: Vec<i32> = names_in("/proc".as_ref())
        .iter()
        .filter_map(|name| name.parse().ok())
        .filter(|number: &i32| {
            let words = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
            let text = String::from_utf8_lossy(&words).into_owned();
            text.contains(state) && text.contains("--state")
        })
        .collect();
    assert_eq!(keepers.len(), 1, "one process stays");
    let keeper = onlay::sys::Pid::from_raw(keepers[0]).expect("a process id");
    onlay::sys::send(keeper, libc::SIGKILL).expect("it stays");
    wait_until("it is gone", || fs::read(format!("/proc/{keeper}/exe")).is_err());
    lab.onlay(&["rm", "a"]).run().failed(1, &["in use"]);
    let joined = lab.onlay(&["shell", "a", "--", "touch", "/home/user/stop"]).run();
    assert!(joined.stderr.contains("joined"), "{}", joined.story());
    wait_until("the overlay is free", || is_free(&lab));
    lab.onlay(&["rm", "a"]).run().ok();
}

#[test]
fn of_the_first_process_of_an_isolated_overlay() {
    let Some(lab) = Lab::open() else { return };
    let session = lab.stay(&["--isolate", "a"]);
    let pid = session.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("it lives");
    let first = children.trim().parse().ok().and_then(onlay::sys::Pid::from_raw).expect("one child");
    onlay::sys::send(first, libc::SIGKILL).expect("it lives");
    assert_eq!(session.finish().killed_by(), Some(libc::SIGKILL));
    lab.shell("a", "true").ok();
    lab.onlay(&["rm", "a"]).run().ok();
}

#[test]
fn of_the_program_ends_an_isolated_overlay() {
    let Some(lab) = Lab::open() else { return };
    let script = "(while :; do sleep 1; done) & echo inside; read -r line";
    let session = lab.onlay(&["shell", "-q", "--isolate", "a", "--", "sh", "-c", script]).start();
    session.wait_for("inside");
    session.kill();
    wait_until("all of it is gone", || is_free(&lab));
    lab.onlay(&["rm", "a"]).run().ok();
}

#[test]
fn of_all_and_then_their_namespaces_number_is_anothers() {
    let Some(lab) = Lab::open() else { return };
    let session = lab.stay(&["a"]);
    let record = lab.folder().join("a.json");
    let text = fs::read_to_string(&record).expect("it is in use");
    session.kill();
    wait_until("nobody is in it", || is_free(&lab));
    // The kernel gives a number again soon; the record is made to name one that is taken already.
    let mut stranger =
        command("/usr/bin/unshare").args(["--mount", "sleep", "1000"]).spawn().expect("unshare");
    let own = fs::read_link("/proc/self/ns/mnt").expect("a link");
    let place = format!("/proc/{}/ns/mnt", stranger.id());
    wait_until("it has a namespace", || fs::read_link(&place).is_ok_and(|link| link != own));
    let mut record_now: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    record_now["namespace"] = fs::metadata(&place).expect("it lives").ino().into();
    fs::write(&record, record_now.to_string()).expect("a file");
    let ran = lab.onlay(&["shell", "a", "--", "cat", "/run/onlay/inside"]).run();
    stranger.kill().and_then(|()| stranger.wait()).expect("ours to end");
    assert_eq!(ran.ok(), "a\n", "{}", ran.story());
    assert!(!ran.stderr.contains("joined"), "{}", ran.stderr);
}

#[test]
fn of_the_program_that_nobody_has_waited_for() {
    let Some(lab) = Lab::open() else { return };
    let words = lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", "echo inside; sleep 1000"]).words();
    let mut program = command(&words[0]);
    program.args(&words[1..]).stdout(std::process::Stdio::piped());
    let mut child = program.spawn().expect("the program starts");
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("a line");
    child.kill().expect("ours to end");
    // A zombie now. What it ran dies with it, in its own time.
    wait_until("it can be entered", || lab.shell("a", "true").code() == Some(0));
    wait_until("it can be removed", || lab.onlay(&["rm", "a"]).run().code() == Some(0));
    child.wait().expect("ours to wait for");
}
