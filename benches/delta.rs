//! What an update costs from one version of an image to the next: bytes, requests and processor time, beside the whole image,
//! `zstd --patch-from`, and zsync, all of one run over one web server, which is nginx: what it has answered and sent counts, by
//! its own log.
//!
//! `cargo bench --bench delta -- OLD.raw NEW.raw …`, with pairs of images; `benches/delta.sh` makes such of Debian's packages.
//! `scripts/install-test-tools --bench` has nginx, zstd and zsync.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods, clippy::print_stdout)]

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nginx::Nginx;
use onlay::fetch::{Address, Options, Source};
use onlay::package::Identity;
use onlay::store::Entry;
use onlay::store::delta::{self, Image, Old};

#[path = "delta/nginx.rs"]
mod nginx;

fn main() {
    let files: Vec<PathBuf> = std::env::args_os()
        .skip(1)
        .filter(|word| word != "--bench")
        .map(|word| std::path::absolute(word).expect("a path"))
        .collect();
    if files.is_empty() {
        println!("give pairs of images: cargo bench --bench delta -- OLD.raw NEW.raw …");
    }
    for pair in files.chunks_exact(2) {
        Comparison::new(&pair[0], &pair[1]).run();
    }
}

/// Two versions of an image, and a server of what is made of them.
struct Comparison<'a> {
    old: &'a Path,
    new: &'a Path,
    place: tempfile::TempDir,
    server: Nginx,
}

/// What something cost.
#[derive(Default)]
struct Cost {
    bytes: u64,
    requests: usize,
    client: Duration,
    publisher: Duration,
}

impl Comparison<'_> {
    fn new<'a>(old: &'a Path, new: &'a Path) -> Comparison<'a> {
        let place = tempfile::tempdir_in("/var/tmp").expect("a temporary directory");
        let served = place.path().join("served");
        std::fs::create_dir(&served).expect("a directory of ours");
        std::fs::copy(new, served.join("image.raw")).expect("there is room");
        let server = Nginx::start(place.path(), &served);
        Comparison { old, new, place, server }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn served(&self, name: &str) -> PathBuf {
        self.place.path().join("served").join(name)
    }

    fn run(&self) {
        println!("{} to {}", self.old.display(), self.new.display());
        let size = std::fs::metadata(self.new).expect("an image").len();
        row("whole image", &Cost { bytes: size, requests: 1, ..Cost::default() });
        for level in ["3", "19"] {
            row(&format!("zstd -{level} --patch-from"), &self.patch_from(level));
        }
        match self.zsync() {
            Some(cost) => row("zsync", &cost),
            None => println!("  zsync is not there"),
        }
        self.ours();
    }

    fn patch_from(&self, level: &str) -> Cost {
        let patch = self.at("patch.zst");
        let words = ["zstd", "-q", "-f", "--long=27", "--single-thread", "--patch-from"].map(OsStr::new);
        let level = format!("-{level}");
        let ends =
            [self.old.as_os_str(), self.new.as_os_str(), level.as_ref(), "-o".as_ref(), patch.as_os_str()];
        let publisher = run(&[&words[..], &ends].concat());
        let built = self.at("built");
        let ends = [self.old.as_os_str(), "-d".as_ref(), patch.as_os_str(), "-o".as_ref(), built.as_os_str()];
        let client = run(&[&words[..], &ends].concat());
        let bytes = std::fs::metadata(&patch).expect("it was made").len();
        Cost { bytes, requests: 1, client, publisher }
    }

    /// What zsync fetches; `None` where it is not installed.
    fn zsync(&self) -> Option<Cost> {
        Command::new("zsyncmake").arg("-V").output().ok()?;
        let (list, image) = (self.served("image.zsync"), self.served("image.raw"));
        let address = format!("{}/image.raw", self.server.url());
        let make = ["zsyncmake".as_ref(), "-o".as_ref(), list.as_os_str(), "-u".as_ref(), address.as_ref()];
        let publisher = run(&[&make[..], &[image.as_os_str()]].concat());
        let built = self.at("built-by-zsync");
        let address = format!("{}/image.zsync", self.server.url());
        // zsync may wait in vain.
        let fetch = ["timeout", "60", "zsync", "-q", "-i"].map(OsStr::new);
        let ends = [self.old.as_os_str(), "-o".as_ref(), built.as_os_str(), address.as_ref()];
        let client = self.counted(|| run(&[&fetch[..], &ends].concat()));
        self.expect_new(&built);
        Some(Cost { publisher, ..client })
    }

    /// What was built is the new image.
    fn expect_new(&self, built: &Path) {
        let [built, new] = [built, self.new].map(|path| std::fs::read(path).expect("an image"));
        assert!(built == new, "another image was built");
    }

    fn ours(&self) {
        let open = |path: &Path| File::open(path).expect("an image");
        let identities =
            [self.old, self.new].map(|path| Identity::of(&std::fs::read(path).expect("an image")));
        let begin = processor();
        let image = |path: &Path, sha256| Image::of(&open(path), path, sha256).expect("an image");
        let new = image(self.new, identities[1]);
        let list = delta::publish_list("image.raw", &new).expect("a list").expect("it is not small");
        let listed = processor().saturating_sub(begin);
        let old = image(self.old, identities[0]);
        let patch = delta::publish_patch("image.raw", &new, &old).expect("a patch");
        let patched = processor().saturating_sub(begin);
        std::fs::write(self.served(&list.entry.file), &list.bytes).expect("there is room");
        if let Some(file) = &patch {
            std::fs::write(self.served(&file.entry.file), &file.bytes).expect("there is room");
        }
        let mut entry = Entry {
            file: "image.raw".into(),
            size: std::fs::metadata(self.new).expect("an image").len(),
            sha256: identities[1].to_string(),
            blocks: Some(list.entry),
            ..Entry::default()
        };
        let (url, singly) = (self.server.url(), self.server.url_of_single_ranges());
        let built = |entry: &Entry, url: &str| self.build(entry, identities[0], url);
        row("onlay, blocks", &Cost { publisher: listed, ..built(&entry, &url) });
        row("the same, singly", &Cost { publisher: listed, ..built(&entry, &singly) });
        if let Some(patch) = patch {
            entry.patches.push(patch.entry);
            row("onlay, patch", &Cost { publisher: patched, ..built(&entry, &url) });
        }
        println!("  (of that, {} bytes are the list of blocks)", list.bytes.len());
    }

    fn build(&self, entry: &Entry, sha256: Identity, url: &str) -> Cost {
        let (target, opened) = (self.at("built-by-onlay"), File::open(self.old).expect("an image"));
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&target);
        let file = file.expect("there is room");
        let address = Address::parse(url).expect("an address");
        let mut source = Source::new(vec![address], Options::default());
        let cost = self.counted(|| {
            let begin = processor();
            let known = Old { file: &opened, path: self.old, sha256 };
            let outcome = delta::build(entry, &[known], &mut source, &file, &target);
            assert!(outcome.attempts.is_empty() && outcome.built.is_some(), "{outcome:?}");
            processor().saturating_sub(begin)
        });
        self.expect_new(&target);
        cost
    }

    /// What is fetched of the server meanwhile.
    fn counted(&self, client: impl FnOnce() -> Duration) -> Cost {
        self.server.asked();
        let client = client();
        let asked = self.server.asked();
        Cost { bytes: asked.iter().sum(), requests: asked.len(), client, publisher: Duration::ZERO }
    }
}

fn row(name: &str, cost: &Cost) {
    let Cost { bytes, requests, client, publisher } = cost;
    let [client, publisher] = [client, publisher].map(Duration::as_secs_f64);
    println!("  {name:22} {bytes:>10} bytes {requests:>4} requests {client:>7.2} s {publisher:>7.2} s");
}

/// Runs a program that must succeed; its processor time, and that of what it has started.
fn run(words: &[&OsStr]) -> Duration {
    const SCRIPT: &str = "import resource, subprocess, sys; \
                          subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE); \
                          used = resource.getrusage(resource.RUSAGE_CHILDREN); \
                          print(used.ru_utime + used.ru_stime)";
    let mut python = Command::new("python3");
    let output = python.args(["-c", SCRIPT]).args(words).output().expect("python3 is there");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    let seconds = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
    Duration::from_secs_f64(seconds)
}

/// Processor time of this process.
fn processor() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
