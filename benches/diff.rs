//! How long it takes to read what changed, and that it does not depend on the size of the base.
//!
//! A lower of 10,000 and one of 100,000 files; over each, an upper that mentions 10,000 files: 60 %
//! added, 30 % changed, 5 % copied up but unchanged, 5 % removed. Medians of five runs, in a
//! temporary directory. Needs root, for the whiteouts.

#![allow(clippy::disallowed_macros, clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use onlay::overlay::changes::{Layer, measure, read_changes};
use onlay::sys::Root;
use rustix::fs::{CWD, FileType, Mode};

const RUNS: usize = 5;
const IN_UPPER: usize = 10_000;
const IN_A_DIRECTORY: usize = 100;

fn main() {
    for files in [10_000, 100_000] {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let (lower, upper) = (scratch.path().join("lower"), scratch.path().join("upper"));
        furnish(&lower, &upper, files);
        let lower = Root::open(lower).expect("it opens");
        let upper = Root::open(upper).expect("it opens");
        let layer = Layer::new(&upper, &lower, Path::new("/"));
        let mut found = 0;
        let reading = median(|| found = read_changes(&layer).expect("it can be read").len());
        let measuring = median(|| {
            measure(&upper).expect("it can be measured");
        });
        println!(
            "base of {files:6} files: {found} changes read in {reading:.1?}, measured in {measuring:.1?}"
        );
    }
}

fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}

fn furnish(lower: &Path, upper: &Path, files: usize) {
    for index in 0..files {
        write(&path(lower, index), &index.to_string());
    }
    // Spread over the base: every tenth, where it has ten times as many.
    let step = files / IN_UPPER;
    for index in 0..IN_UPPER {
        let (old, new) = (path(lower, index * step), path(upper, index * step));
        match index % 20 {
            0 => {
                make_parent(&new);
                rustix::fs::mknodat(CWD, &new, FileType::CharacterDevice, Mode::empty(), 0)
                    .expect("a whiteout is made");
            }
            1 => {
                make_parent(&new);
                assert!(copy(&old, &new), "cp copies {}", old.display());
            }
            2..=7 => write(&new, &"x".repeat((index * step).to_string().len())),
            _ => write(&new.with_extension("new"), "new"),
        }
    }
}

fn path(root: &Path, index: usize) -> std::path::PathBuf {
    root.join(format!("directory-{}", index / IN_A_DIRECTORY)).join(format!("file-{index}"))
}

fn write(path: &Path, content: &str) {
    make_parent(path);
    fs::write(path, content).expect("a file is written");
}

fn make_parent(path: &Path) {
    fs::create_dir_all(path.parent().expect("a file lies somewhere")).expect("a directory is made");
}

/// Copies content and time.
fn copy(from: &Path, to: &Path) -> bool {
    let copied = fs::copy(from, to).and_then(|_| fs::metadata(from)?.modified());
    copied.and_then(|time| fs::File::open(to)?.set_modified(time)).is_ok()
}
