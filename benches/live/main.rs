//! How long it takes to unlock /usr and to lock it again, beside others who lay something over it, and to find who
//! uses what was laid, in one run.
//!
//! All of it happens in a machine that is made for it (`scene`), whose process 1 is this program: the host that the
//! bench runs on is never unlocked. It has a hundred processes, none of which uses what is taken off. Every round
//! runs each contestant once, in turn, so that a busy moment of the machine hits all alike; what is printed are medians,
//! with what `/bin/true` takes to be started taken off where it says "own". Peers that are not installed are left
//! out, and said; `scripts/install-test-tools --bench` gets them.

#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::print_stdout, clippy::print_stderr)]

mod contestants;
mod holders;
mod scene;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Processes of the machine that does nothing else, as many as a small host has.
const IDLE: usize = 100;

fn main() -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        eprintln!("this bench mounts: run it as root");
        return ExitCode::FAILURE;
    }
    let place = tempfile::Builder::new()
        .prefix("onlay-bench")
        .tempdir_in("/var/tmp")
        .expect("a directory to work in");
    if scene::run(place.path(), measure) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure(place: &Path) {
    let idle = holders::start(IDLE);
    contestants::run(place);

    drop(idle);
    holders::run(place);
}

/// Sorts what was measured and gives the median.
fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    milliseconds(times[times.len() / 2])
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
