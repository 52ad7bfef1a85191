//! Those who lay something over /usr, and take it off again.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::median;

const ROUNDS: usize = 101;

/// Commands that come back to where they began; each is measured. Who takes something off is itself run from it, so
/// only lazily can it be done.
struct Contestant {
    name: &'static str,
    steps: Vec<Step>,
}

struct Step {
    name: &'static str,
    words: Vec<OsString>,
    times: Vec<Duration>,
}

impl Contestant {
    fn new(name: &'static str) -> Contestant {
        Contestant { name, steps: Vec::new() }
    }

    fn step(mut self, name: &'static str, words: &[&str]) -> Contestant {
        let words = words.iter().map(OsString::from).collect();
        self.steps.push(Step { name, words, times: Vec::new() });
        self
    }

    /// One round; whether all of it worked.
    fn run(&mut self) -> bool {
        self.steps.iter_mut().all(|step| {
            let start = Instant::now();
            let is_done = succeeds(&step.words);
            step.times.push(start.elapsed());
            is_done
        })
    }
}

/// Whether a command can be run, and succeeds.
pub(crate) fn succeeds(words: &[OsString]) -> bool {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Measures them, and prints what came of it.
pub(crate) fn run(place: &Path) {
    let mut all = contestants(place);
    all.retain_mut(|contestant| {
        let works = contestant.run();
        contestant.steps.iter_mut().for_each(|step| step.times.clear());
        if !works {
            println!("left out: {} (not installed, or it does not run here)", contestant.name);
        }
        works
    });
    for _ in 0..ROUNDS {
        for contestant in &mut all {
            assert!(contestant.run(), "{} failed", contestant.name);
        }
    }
    report(all);
}

const TRUE: &str = "/bin/true";
const ONLAY: &str = "onlay";

fn report(all: Vec<Contestant>) {
    let mut rows: Vec<(String, f64, f64)> = Vec::new();
    for mut step in all.into_iter().flat_map(|contestant| contestant.steps) {
        let median = median(&mut step.times);
        rows.push((step.name.to_owned(), median, super::milliseconds(step.times[0])));
    }
    let of = |wanted: &str| {
        rows.iter().find(|(name, ..)| name == wanted).map_or(f64::NAN, |(_, median, _)| *median)
    };
    let (start, unlock) = (of(TRUE), of(UNLOCK));
    println!("{:58} {:>9} {:>9} {:>9} {:>9}", "/usr of a host", "median ms", "own ms", "min ms", "x unlock");
    for (name, median, least) in &rows {
        let (own, times) = (median - start, median / unlock);
        println!("{name:58} {median:9.2} {own:9.2} {least:9.2} {times:9.2}");
    }
    println!("goals: unlock and lock of Onlay less than 5 ms of their own each\n");
}

const UNLOCK: &str = "onlay unlock /usr";

fn contestants(place: &Path) -> Vec<Contestant> {
    let path = |name: &str| place.join(name).to_str().expect("our name").to_owned();
    let (state, upper, work) = (path("state"), path("upper"), path("work"));
    for made in [&state, &upper, &work] {
        std::fs::create_dir(made).expect("our directory");
    }
    let layers = format!("lowerdir=/usr,upperdir={upper},workdir={work}");
    let program = env!("CARGO_BIN_EXE_onlay");
    vec![
        Contestant::new("the process itself").step(TRUE, &[TRUE]),
        Contestant::new(ONLAY)
            .step(UNLOCK, &[program, "--state", &state, "unlock", "/usr"])
            .step("onlay lock --discard", &[program, "--state", &state, "lock", "--discard"]),
        Contestant::new("mount")
            .step(
                "mount -t overlay, on directories that are there",
                &["mount", "-t", "overlay", "overlay", "-o", &layers, "/usr"],
            )
            .step("umount --lazy", &["umount", "--lazy", "/usr"]),
        Contestant::new("systemd-sysext")
            .step("systemd-sysext merge, one small directory", &["systemd-sysext", "merge"])
            .step("systemd-sysext unmerge", &["systemd-sysext", "unmerge"]),
        Contestant::new("what ostree does")
            .step("what 'ostree admin unlock' does, by commands", &["sh", "-ec", OSTREE])
            .step("umount --lazy, and removing the layers", &["sh", "-ec", OSTREE_UNDO]),
        Contestant::new("ostree").step("ostree --version: that it starts", &["ostree", "--version"]),
    ]
}

/// Layers of their own for each unlock, with the mode of /usr, and an overlay of them
/// (ostree_sysroot_deployment_unlock() of libostree).
const OSTREE: &str = r#"
    dir=$(mktemp --directory /var/tmp/ostree-unlock-ovl.XXXXXX)
    mkdir --mode="$(stat --format=%a /usr)" "$dir/upper" "$dir/work"
    mount -t overlay overlay -o "lowerdir=/usr,upperdir=$dir/upper,workdir=$dir/work" /usr"#;

/// What nothing of ostree's does: only a reboot does.
const OSTREE_UNDO: &str = "umount --lazy /usr; rm -r /var/tmp/ostree-unlock-ovl.*";
