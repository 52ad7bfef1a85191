//! Finding who uses what was laid over /usr, among a thousand processes.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::contestants::succeeds;
use super::{median, milliseconds};

/// How many processes there are, each with eight open descriptors.
const PROCESSES: usize = 1000;
/// How many of them use what was laid.
const HOLDERS: usize = 10;
const ROUNDS: usize = 11;

/// Processes that are there and do nothing.
pub(crate) struct Sleepers(Vec<Child>);

/// Starts some. Each has five files and directories of /usr open besides its standard streams: those are the ones that
/// must be looked at.
pub(crate) fn start(count: usize) -> Sleepers {
    let script =
        "exec sleep infinity 3</usr 4</usr/bin 5</usr/lib/os-release 6</usr/bin/env 7</usr/bin/sleep";
    let start = |_| {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("a shell")
    };
    let started = Sleepers((0..count).map(start).collect());
    for child in &started.0 {
        let link = format!("/proc/{}/exe", child.id());
        while !std::fs::read_link(&link).is_ok_and(|program| program.ends_with("sleep")) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    started
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().and_then(|()| child.wait()).expect("it is our child");
        }
    }
}

/// Measures it, and prints what came of it.
pub(crate) fn run(place: &Path) {
    let state = place.join("state");
    let onlay = |words: &[&str]| -> Vec<OsString> {
        let program = [env!("CARGO_BIN_EXE_onlay"), "--state"].map(OsString::from).into_iter();
        program.chain([state.clone().into()]).chain(words.iter().map(OsString::from)).collect()
    };
    let before = start(PROCESSES - HOLDERS);
    assert!(succeeds(&onlay(&["unlock", "/usr"])), "unlock");
    let after = start(HOLDERS);
    check(&onlay(&["lock", "--dry-run"]));
    println!(
        "{:58} {:>9} {:>9}",
        format!("{HOLDERS} of {PROCESSES} processes use files of it"),
        "median ms",
        "min ms"
    );
    for (name, words) in [
        ("onlay lock --dry-run", onlay(&["lock", "--dry-run"])),
        ("onlay status --json", onlay(&["status", "--json"])),
        ("fuser --mount /usr", ["fuser", "--mount", "/usr"].map(OsString::from).to_vec()),
    ] {
        if !succeeds(&words) {
            println!("left out: {name} (not installed, or it does not run here)");
            continue;
        }
        let mut times = times(&words);
        println!("{name:58} {:9.2} {:9.2}", median(&mut times), milliseconds(times[0]));
    }
    println!("goals: Onlay less than 150 ms");
    drop(after);
    assert!(succeeds(&onlay(&["lock", "--discard"])), "lock");
    drop(before);
}

fn times(words: &[OsString]) -> Vec<Duration> {
    let time = |_| {
        let start = Instant::now();
        assert!(succeeds(words), "{words:?}");
        start.elapsed()
    };
    (0..ROUNDS).map(time).collect()
}

/// They are all found, and no others are.
fn check(words: &[OsString]) {
    let output = Command::new(&words[0]).args(&words[1..]).output().expect("the program");
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.lines().filter(|line| line.contains("exe,files,maps")).count();
    assert_eq!(found, HOLDERS, "{text}");
}
