//! How long it takes to make an extension of packages, and how much memory, beside the way by hand: `dpkg -x` of each, then
//! `mksquashfs` at the same level; and beside what both must do at least: decompress all payloads on two threads, and
//! compress all files once on two threads.
//!
//! `cargo bench --bench build -- DIR…`, each with `.deb` files. Medians of five runs in turn; images and trees go to a
//! temporary directory.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods, clippy::print_stdout)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const RUNS: usize = 5;

/// Levels that are compared.
const LEVELS: &[u8] = &[3, 9, 15];

fn main() {
    let directories: Vec<PathBuf> =
        std::env::args_os().skip(1).filter(|word| word != "--bench").map(PathBuf::from).collect();
    if directories.is_empty() {
        println!(
            "give directories with .deb files, such as 'apt-get download' fills: cargo bench --bench build -- DIR…"
        );
    }
    for directory in directories {
        let mut packages: Vec<PathBuf> = std::fs::read_dir(&directory)
            .expect("a directory")
            .map(|entry| std::path::absolute(entry.expect("an entry").path()).expect("a path"))
            .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .collect();
        packages.sort();
        assert!(!packages.is_empty(), "there are no packages in {}", directory.display());
        compare(&directory, &packages);
    }
}

fn compare(directory: &Path, packages: &[PathBuf]) {
    let place = tempfile::tempdir_in("/var/tmp").expect("a temporary directory");
    let at = |name: &str| place.path().join(name);
    run(&shell("for package; do dpkg -x \"$package\" unpacked; done", packages), place.path());
    let size = run(&shell("du -sm unpacked | cut -f1", &[]), place.path()).text;
    println!("{}: {} packages, {} MB unpacked", directory.display(), packages.len(), size.trim());
    std::fs::create_dir(at("out")).expect("ours");
    for level in LEVELS {
        let mksquashfs = format!(
            "mksquashfs tree by-hand.raw -comp zstd -Xcompression-level {level} -processors 2 -noappend -quiet -no-progress"
        );
        let ways = [
            ("onlay build", build(packages, *level)),
            (
                "by hand",
                shell(
                    &format!("rm -rf tree; for package; do dpkg -x \"$package\" tree; done; {mksquashfs}"),
                    packages,
                ),
            ),
            (
                "floor: decompress",
                shell(
                    "printf '%s\\0' \"$@\" | xargs -0 -n1 -P2 sh -c 'dpkg-deb --fsys-tarfile \"$0\" >/dev/null'",
                    packages,
                ),
            ),
            ("floor: compress", shell(&mksquashfs.replace(" tree ", " unpacked "), &[])),
        ];
        let mut figures: Vec<Vec<Figures>> = vec![Vec::new(); ways.len()];
        for _ in 0..RUNS {
            for ((_, words), figures) in ways.iter().zip(&mut figures) {
                figures.push(run(words, place.path()));
            }
        }
        println!("  zstd {level}");
        let mut medians = Vec::new();
        for ((name, _), figures) in ways.iter().zip(&mut figures) {
            figures.sort_by_key(|found| found.wall);
            let Figures { wall, processor, memory, .. } = &figures[RUNS / 2];
            println!("    {name:18} {wall:6.2?} ({processor:6.2?})  {memory:4} MB");
            medians.push(*wall);
        }
        let floor = medians[2] + medians[3];
        println!(
            "    onlay build: {:.2} times the floor, {:.1} times faster than by hand; {} kB, by hand {} kB",
            medians[0].as_secs_f64() / floor.as_secs_f64(),
            medians[1].as_secs_f64() / medians[0].as_secs_f64(),
            size_of(&at("out").join("bench_1_x86-64.raw")),
            size_of(&at("by-hand.raw")),
        );
    }
}

/// The program on an empty base that lacks whatever is needed.
fn build(packages: &[PathBuf], level: u8) -> Vec<OsString> {
    let mut words: Vec<OsString> =
        [env!("CARGO_BIN_EXE_onlay"), "build", "bench", "--version", "1", "--replace", "--unfit"]
            .map(OsString::from)
            .to_vec();
    words.extend(["--quiet", "--output", "out", "--compression"].map(OsString::from));
    words.push(format!("zstd:{level}").into());
    for package in packages {
        words.extend(["--package".into(), package.into()]);
    }
    words
}

fn shell(script: &str, arguments: &[PathBuf]) -> Vec<OsString> {
    let words = ["sh", "-ec", script, "sh"].map(OsString::from);
    words.into_iter().chain(arguments.iter().map(OsString::from)).collect()
}

fn size_of(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len() / 1000)
}

#[derive(Clone)]
struct Figures {
    wall: Duration,
    processor: Duration,
    /// The most that one process held at once, in MB.
    memory: u64,
    text: String,
}

/// Runs a program that must succeed, measured as time(1) would.
fn run(words: &[OsString], place: &Path) -> Figures {
    const SCRIPT: &str = "import resource, subprocess, sys; \
                          done = subprocess.run(sys.argv[1:], check=True, stdout=subprocess.PIPE); \
                          used = resource.getrusage(resource.RUSAGE_CHILDREN); \
                          print(used.ru_utime + used.ru_stime, used.ru_maxrss, done.stdout.decode())";
    let start = Instant::now();
    let mut python = Command::new("python3");
    let output =
        python.args(["-c", SCRIPT]).args(words).current_dir(place).output().expect("python3 is there");
    let wall = start.elapsed();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("numbers");
    let mut parts = text.splitn(3, ' ');
    let mut number = || parts.next().and_then(|word| word.trim().parse::<f64>().ok()).expect("a number");
    let processor = Duration::from_secs_f64(number());
    let memory = (number() / 1000.0) as u64;
    Figures { wall, processor, memory, text: parts.next().unwrap_or_default().to_owned() }
}
