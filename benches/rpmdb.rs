//! How long it takes to read a large rpm database and to replace it by a changed copy, next to a plain copy
//! of the file; and the memory that all of it needed at most.
//!
//! 2,029 packages with 313,000 files, made here; in the directory of the build, so that it is on a disk. The
//! change removes 20 packages and adds 20. Medians of nine runs.

#![allow(clippy::disallowed_macros, clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use onlay::package::header::{Builder, DependencyKind, Value, tag};
use onlay::pkgdb::rpm::{Access, Backend, Database, Delta, Opening, Prepared, check, create, prepare};
use onlay::sys::Root;

const RUNS: usize = 9;
const PACKAGES: usize = 2029;
const CHANGED: usize = 20;

fn main() {
    for backend in [Backend::Sqlite, Backend::Ndb] {
        measure(backend);
    }
    let status = fs::read_to_string("/proc/self/status").expect("this process");
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("memory at most: {}", peak.trim_start_matches("VmHWM:").trim());
}

fn measure(backend: Backend) {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("cargo made the directory above");
    let root = |name: &str| {
        fs::create_dir_all(place.path().join(name)).expect("our directory");
        Root::open(place.path().join(name)).expect("our directory")
    };
    let mut blobs = (0..PACKAGES).map(|number| Ok(package(number, 1).into()));
    let start = Instant::now();
    create(backend, &mut blobs, &root("base"), Duration::ZERO)
        .and_then(Prepared::commit)
        .expect("there is room");
    let made = start.elapsed();
    let file = place.path().join("base").join(backend.file_name());
    let size = fs::metadata(&file).expect("it is there").len() / 1_000_000;
    println!("{backend:?}: {PACKAGES} packages, {size} MB, made in {made:.2?}");

    let copied = place.path().join("copy");
    report("plain copy", || plain_copy(&file, &copied));
    report("plain copy, synced", || {
        plain_copy(&file, &copied);
        fs::File::open(&copied).and_then(|file| file.sync_all()).expect("it can be synced");
    });

    let opening = Opening { scratch: place.path(), patience: Duration::ZERO, access: Access::Read };
    let open = || Database::open_in(root("base"), backend, &opening).expect("it opens");
    let base = open();
    report("open, identities of all", || drop(open().identities().expect("it can be read")));
    report("open, names of all", || drop(open().packages().expect("it can be read")));
    report("open, owners of a path", || {
        let path = path_of(1234, 7);
        assert_eq!(open().owners(Path::new(&path)).expect("it can be read").len(), 1);
    });
    report("open, owners of 9500 paths", || {
        let paths: Vec<String> = (0..9500).map(|file| path_of(1 + file % 1990, file / 1990)).collect();
        let paths: Vec<&Path> = paths.iter().map(Path::new).collect();
        let mut count = 0;
        open().each_owner(&paths, &mut |_, _, _, _| count += 1).expect("it can be read");
        assert!(count >= 9500, "{count}");
    });
    report("open, who requires a name", || {
        let mut count = 0;
        let mut visit = |_, _: &[u8]| {
            count += 1;
            Ok(())
        };
        open().each_with(DependencyKind::Requires, ["capability7"], &mut visit).expect("it can be read");
        assert!(count > 0);
    });

    let stored = base.identities().expect("it can be read");
    let remove = stored.iter().step_by(PACKAGES / CHANGED).take(CHANGED).copied().collect();
    let add = (0..CHANGED).map(|number| package(number * (PACKAGES / CHANGED), 2)).collect();
    let delta = Delta { remove, add, above: base.highest().expect("it can be read"), ..Delta::default() };
    let target = root("target");
    report("copy changed and put in place, synced", || {
        prepare(&base, &delta, &target, &opening).and_then(Prepared::commit).expect("there is room");
    });
    report("check", || assert!(check(&base).expect("it can be read").is_empty()));
}

fn plain_copy(from: &Path, to: &Path) {
    let _ = fs::remove_file(to);
    fs::copy(from, to).expect("there is room");
}

fn report(what: &str, mut run: impl FnMut()) {
    let mut times = Vec::new();
    let mut busy = Vec::new();
    for _ in 0..RUNS {
        let (start, busy_before) = (Instant::now(), processor_time());
        run();
        times.push(start.elapsed());
        busy.push(processor_time().saturating_sub(busy_before));
    }
    times.sort();
    busy.sort();
    let (half, least) = (RUNS / 2, 0);
    println!("  {what}: {:.1?} (at least {:.1?}), processor {:.1?}", times[half], times[least], busy[half]);
}

/// How long this thread has had a processor (/proc/PID/schedstat): others do not make that longer.
fn processor_time() -> Duration {
    let text = fs::read_to_string("/proc/self/schedstat").expect("the kernel counts");
    Duration::from_nanos(text.split(' ').next().and_then(|word| word.parse().ok()).expect("a number"))
}

/// Files of a package: few have many.
fn files(number: usize) -> usize {
    match number % 50 {
        0 => 2600,
        rest => 40 + rest * 3,
    }
}

fn path_of(number: usize, file: usize) -> String {
    format!("{}{}", directory(number, file), basename(number, file))
}

fn directory(number: usize, file: usize) -> String {
    format!("/usr/share/package{number}/part{}/", file / 12)
}

fn basename(number: usize, file: usize) -> String {
    format!("file-{file}-of-{}.data", number % 97)
}

/// A header as large as those that people have.
fn package(number: usize, version: u32) -> Vec<u8> {
    let count = files(number);
    let text = |text: String| Value::String(text.into_bytes());
    let strings = |count: usize, make: &dyn Fn(usize) -> String| {
        Value::Strings((0..count).map(|index| make(index).into_bytes()).collect())
    };
    let numbers = |make: &dyn Fn(usize) -> u32| Value::Int32((0..count).map(make).collect());
    let digest =
        |index: usize| format!("{:064x}", (number as u128 + 1) * 0x9e37_79b9_7f4a_7c15 * (index as u128 + 1));
    let relations = 20;
    Builder::new()
        .add(tag::NAME, text(format!("package{number}")))
        .add(tag::VERSION, text(format!("{version}.{number}")))
        .add(tag::RELEASE, text("1".to_owned()))
        .add(tag::ARCH, text("x86_64".to_owned()))
        .add(tag::GROUP, text("Unspecified".to_owned()))
        .add(tag::SUMMARY, Value::Translated(vec![vec![b's'; 60]]))
        .add(tag::BASENAMES, strings(count, &|file| basename(number, file)))
        .add(tag::DIRNAMES, strings(count.div_ceil(12), &|part| directory(number, part * 12)))
        .add(tag::DIR_INDEXES, numbers(&|file| file as u32 / 12))
        .add(tag::FILE_MODES, Value::Int16(vec![0o100_644; count]))
        .add(tag::FILE_DIGESTS, strings(count, &digest))
        .add(tag::FILE_DIGEST_ALGORITHM, Value::Int32(vec![8]))
        .add(tag::FILE_FLAGS, numbers(&|_| 0))
        .add(tag::FILE_SIZES, numbers(&|file| file as u32))
        .add(tag::FILE_MTIMES, numbers(&|_| 1_700_000_000))
        .add(tag::FILE_LINK_TOS, strings(count, &|_| String::new()))
        .add(tag::FILE_USER_NAME, strings(count, &|_| "root".to_owned()))
        .add(tag::FILE_GROUP_NAME, strings(count, &|_| "root".to_owned()))
        .add(tag::FILE_INODES, numbers(&|file| file as u32 + 1))
        .add(
            tag::REQUIRE_NAME,
            strings(relations, &|index| format!("capability{}", (number + index * 7) % 500)),
        )
        .add(tag::REQUIRE_FLAGS, Value::Int32(vec![0; relations]))
        .add(tag::REQUIRE_VERSION, strings(relations, &|_| String::new()))
        .add(tag::PROVIDE_NAME, strings(5, &|index| format!("capability{}", (number * 5 + index) % 500)))
        .add(tag::PROVIDE_FLAGS, Value::Int32(vec![0; 5]))
        .add(tag::PROVIDE_VERSION, strings(5, &|_| String::new()))
        .dribble(tag::SIG_MD5, Value::Binary(digest(0).as_bytes()[..16].to_vec()))
        .dribble(tag::INSTALL_TIME, Value::Int32(vec![1_700_000_000]))
        .dribble(tag::FILE_STATES, Value::Char(vec![0; count]))
        .dribble(tag::INSTALL_TID, Value::Int32(vec![1_700_000_000]))
        .build()
}
