//! How long it takes to run `/bin/true` in an overlay, beside others, in one run.
//!
//! Every round runs each contestant once, in turn, so that a busy moment of the machine hits all
//! alike; what is printed are medians and their ratios to Onlay's and to the floor. Peers that are not
//! installed are left out, and said. The floor is what the kernel itself takes: a fork, new namespaces, a
//! tmpfs, one overlay over `/`, /proc, /sys, /dev, /run and /tmp, pivot_root and exec, by hand.

#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::print_stdout, clippy::print_stderr)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use onlay::sys::{
    self, Features, Forked, IoError, MountFlags, Namespaces, OverlaySpec, Propagation, Root, attach,
    mount_overlay, new_filesystem,
};

const ROUNDS: usize = 100;
const SLOW_ROUNDS: usize = 10;

struct Contestant {
    name: &'static str,
    run: Box<dyn Fn() -> bool>,
    /// Takes a tenth of a second or more.
    slow: bool,
    times: Vec<Duration>,
}

fn main() -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        eprintln!("this bench mounts: run it as root");
        return ExitCode::FAILURE;
    }
    let work = tempfile::Builder::new()
        .prefix("onlay-bench")
        .tempdir_in("/var/tmp")
        .expect("a directory to work in");
    simple_host();
    let mut contestants = contestants(work.path());
    contestants.retain(|contestant| {
        let works = (contestant.run)();
        if !works {
            println!("left out: {} (not installed, or it does not run here)", contestant.name);
        }
        works
    });
    for round in 0..ROUNDS {
        for contestant in contestants.iter_mut().filter(|contestant| !contestant.slow || round < SLOW_ROUNDS)
        {
            let start = Instant::now();
            assert!((contestant.run)(), "{} failed", contestant.name);
            contestant.times.push(start.elapsed());
        }
    }
    report(&mut contestants);
    // Else the whole of `/` would be removed in the overlay, file by file, with the directory that it is in.
    sys::detach_path(&work.path().join("merged")).expect("a mount to take off");
    ExitCode::SUCCESS
}

fn report(contestants: &mut [Contestant]) {
    let mut medians = Vec::new();
    for contestant in contestants.iter_mut() {
        contestant.times.sort();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        let median = milliseconds(contestant.times[contestant.times.len() / 2]);
        medians.push((contestant.name, median, milliseconds(contestant.times[0])));
    }
    let of = |name: &str| {
        medians.iter().find(|(known, ..)| *known == name).map_or(f64::NAN, |&(_, median, _)| median)
    };
    let (floor, temporary, kept) = (of(FLOOR), of(TEMPORARY), of(KEPT));
    println!(
        "{:44} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "/bin/true in …", "median ms", "min ms", "x floor", "x --temp", "x named"
    );
    for &(name, median, least) in &medians {
        let (floors, temporaries, kepts) = (median / floor, median / temporary, median / kept);
        println!("{name:44} {median:9.2} {least:9.2} {floors:9.2} {temporaries:9.2} {kepts:9.2}");
    }
    println!("goals: Onlay at most 3 x floor; systemd-nspawn at least 25 x Onlay, bwrap at least 2 x Onlay");
}

const FLOOR: &str = "floor: namespaces and mounts by hand";
const TEMPORARY: &str = "onlay shell --temp";
const KEPT: &str = "onlay shell NAME (existing overlay)";

fn contestants(work: &Path) -> Vec<Contestant> {
    let state = work.join("state").into_os_string();
    let onlay = |arguments: &[&str]| {
        let mut all: Vec<OsString> =
            vec![env!("CARGO_BIN_EXE_onlay").into(), "--state".into(), state.clone()];
        all.extend(arguments.iter().map(OsString::from));
        all
    };
    let mut found = Vec::new();
    let mut add = |name, slow, run: Box<dyn Fn() -> bool>| {
        found.push(Contestant { name, run, slow, times: Vec::new() });
    };
    add("the process itself (fork, exec)", false, command(vec!["/bin/true".into()]));
    let floor_at = work.join("floor");
    std::fs::create_dir(&floor_at).expect("an empty directory");
    add(FLOOR, false, Box::new(move || floor(&floor_at)));
    add(TEMPORARY, false, command(onlay(&["shell", "-q", "--temp", "--", "/bin/true"])));
    add(KEPT, false, command(onlay(&["shell", "-q", "bench", "--", "/bin/true"])));
    add(
        "onlay shell --temp --isolate",
        false,
        command(onlay(&["shell", "-q", "--temp", "--isolate", "--", "/bin/true"])),
    );
    let merged = ready_overlay(work);
    for (name, options) in [
        ("bwrap over a ready overlay", &[][..]),
        ("bwrap --unshare-all over a ready overlay", &["--unshare-all"][..]),
    ] {
        let mut words: Vec<OsString> = vec!["bwrap".into()];
        words.extend(options.iter().map(OsString::from));
        words.extend(["--bind".into(), merged.clone().into(), "/".into()]);
        words.extend(
            ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/run", "/bin/true"]
                .map(Into::into),
        );
        add(name, false, command(words));
    }
    let nspawn =
        ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--overlay"].map(OsString::from);
    let layers = format!("+/:{}:/", work.join("toy-upper").display());
    std::fs::create_dir(work.join("toy-upper")).expect("an upper directory");
    std::fs::create_dir_all(work.join("toy/usr")).expect("a root directory");
    let toy = nspawn.into_iter().chain([
        layers.trim_start_matches('+').into(),
        "-D".into(),
        work.join("toy").into(),
    ]);
    add("systemd-nspawn over an overlay (toy)", true, command(toy.chain(["/bin/true".into()]).collect()));
    // runc, since crun refuses hybrid cgroups; the limits, since a container may lack the right to raise them.
    let podman = [
        "podman",
        "--runtime=runc",
        "--cgroup-manager=cgroupfs",
        "run",
        "--rm",
        "--network=host",
        "--ulimit=nofile=1024:1024",
        "--ulimit=nproc=1024:1024",
        "--rootfs",
    ]
    .map(OsString::from);
    let rootfs = format!("{}:O", merged.display());
    add(
        "podman run --rootfs DIR:O",
        true,
        command(podman.into_iter().chain([rootfs.into(), "/bin/true".into()]).collect()),
    );
    found
}

/// Runs a command with closed streams; whether it worked.
fn command(words: Vec<OsString>) -> Box<dyn Fn() -> bool> {
    Box::new(move || {
        Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// A mount namespace for this process in which `/` is one file system, as it is for the floor, and /run is in RAM,
/// as it is wherever systemd runs: where it is not, what others write on the disk makes locks slow.
fn simple_host() {
    sys::leave_for_new(Namespaces::MOUNT)
        .and_then(|()| sys::set_propagation(Path::new("/"), Propagation::Private))
        .expect("a mount namespace");
    let table = sys::MountTable::read().expect("the mounts");
    for mount in table.visible_below(Path::new("/")).into_iter().rev() {
        let stays = ["/proc", "/sys", "/dev", "/run"].iter().any(|place| mount.point.starts_with(place));
        if !stays && mount.point != Path::new("/") {
            sys::detach_path(&mount.point).expect("a mount to take off");
        }
    }
    if table.at(Path::new("/run")).is_some_and(|mount| mount.point == Path::new("/")) {
        let ram = new_filesystem("tmpfs", &[("mode", "0755")], MountFlags::NO_SUID_DEV).expect("a tmpfs");
        attach(&ram, Root::open("/run").expect("a directory"), Path::new("/run")).expect("a mount");
    }
}

/// An overlay over `/` for those who cannot make their own.
fn ready_overlay(work: &Path) -> PathBuf {
    for name in ["ready", "merged"] {
        std::fs::create_dir(work.join(name)).expect("a directory");
    }
    let tree = overlay_of_root(&Root::open(work.join("ready")).expect("a directory")).expect("an overlay");
    let merged = Root::open(work.join("merged")).expect("a directory");
    attach(&tree, &merged, merged.path()).expect("a mount");
    work.join("merged")
}

fn overlay_of_root(storage: &Root) -> Result<sys::Tree, Box<dyn std::error::Error>> {
    storage.make_dir("upper", 0o755)?;
    storage.make_dir("work", 0o755)?;
    Ok(mount_overlay(&OverlaySpec {
        lower: &[&Root::open("/")?],
        upper: &storage.open_dir("upper")?,
        work: &storage.open_dir("work")?,
        features: Features::default(),
        flags: MountFlags::default(),
        source: "floor",
    })?)
}

/// The least that any such tool must do.
fn floor(at: &Path) -> bool {
    match sys::fork().expect("a fork") {
        Forked::Child => {
            let done = floor_in_child(at);
            eprintln!("floor: {done:?}");
            sys::exit_now(1)
        }
        Forked::Parent(pid) => sys::wait(pid).is_ok_and(|ended| ended == sys::Ended::Exited(0)),
    }
}

fn floor_in_child(at: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let all = Namespaces::MOUNT.and(Namespaces::PID).and(Namespaces::IPC).and(Namespaces::UTS);
    sys::leave_for_new(all)?;
    sys::set_propagation(Path::new("/"), Propagation::Private)?;
    let ram = new_filesystem("tmpfs", &[], MountFlags::default())?;
    attach(&ram, Root::open(at)?, at)?;
    let storage = Root::from_fd(ram.into_fd(), at);
    let tree = overlay_of_root(&storage)?;
    storage.make_dir("view", 0o755)?;
    attach(&tree, storage.open_dir("view")?, at)?;
    let view = Root::from_fd(tree.into_fd(), at);
    for name in ["dev", "run", "tmp"] {
        attach(&new_filesystem("tmpfs", &[], MountFlags::default())?, view.open_dir(name)?, Path::new(name))?;
    }
    attach(&new_filesystem("sysfs", &[], MountFlags::default())?, view.open_dir("sys")?, Path::new("sys"))?;
    match sys::fork()? {
        Forked::Parent(pid) => sys::exit_now(sys::wait(pid)?.shell_code()),
        Forked::Child => {
            attach(
                &new_filesystem("proc", &[], MountFlags::default())?,
                view.open_dir("proc")?,
                Path::new("proc"),
            )?;
            sys::enter_root(&view)?;
            let failed: IoError = sys::exec(&["/bin/true".into()], &[]);
            Err(failed.into())
        }
    }
}
