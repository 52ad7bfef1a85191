//! What an update costs from one version of an image to the next: bytes, requests and processor time, side by side with the whole
//! image, `zstd --patch-from` and zsync.
//!
//! `cargo bench --bench delta -- OLD.raw NEW.raw …`, with pairs of images.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods, clippy::print_stdout)]

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use onlay::fetch::{Error, RangeSource, Sink};
use onlay::image::{FileSource, Source};
use onlay::package::Identity;
use onlay::store::delta::list::List;
use onlay::store::delta::patch::{self, Side};
use onlay::store::delta::{self, Old};
use onlay::store::{Beside, Entry, PatchFile};

fn main() {
    let files: Vec<PathBuf> =
        std::env::args_os().skip(1).filter(|word| word != "--bench").map(PathBuf::from).collect();
    if files.is_empty() {
        println!("give pairs of images: cargo bench --bench delta -- OLD.raw NEW.raw …");
    }
    for pair in files.chunks_exact(2) {
        compare(&pair[0], &pair[1]);
    }
}

fn compare(old: &Path, new: &Path) {
    let place = tempfile::tempdir_in("/var/tmp").expect("a temporary directory");
    let size = std::fs::metadata(new).expect("an image").len();
    println!("{} to {}", old.display(), new.display());
    row("whole image", size, 1, Duration::ZERO, Duration::ZERO);
    let opened = [old, new].map(|path| File::open(path).expect("an image"));
    let sources = [0, 1].map(|number| -> Arc<dyn Source> {
        Arc::new(FileSource::new(&opened[number], [old, new][number]).expect("an image"))
    });
    let identities = [old, new].map(|path| Identity::of(&std::fs::read(path).expect("an image")));
    let begin = processor();
    let cuts = sources.each_ref().map(|source| delta::cut(source).expect("an image"));
    let list = List::of(&cuts[1].pieces, identities[1]).expect("an image").to_bytes().expect("a list");
    let listed = processor().saturating_sub(begin);
    let begin = processor();
    let side =
        |number: usize| Side { source: &sources[number], sha256: identities[number], cut: &cuts[number] };
    let made = patch::make(&side(0), &side(1)).expect("a patch");
    let patched = processor().saturating_sub(begin);
    std::fs::write(place.path().join("image.raw.blocks"), &list).expect("there is room");
    std::fs::write(place.path().join("image.raw.patch"), &made).expect("there is room");
    std::fs::hard_link(new, place.path().join("image.raw"))
        .or_else(|_| std::fs::copy(new, place.path().join("image.raw")).map(drop))
        .expect("there is room");
    for (name, with_patch, publisher) in [("blocks", false, listed), ("patch", true, patched)] {
        let entry = Entry {
            file: "image.raw".into(),
            size,
            sha256: identities[1].to_string(),
            blocks: Some(Beside {
                file: "image.raw.blocks".into(),
                size: list.len() as u64,
                sha256: Identity::of(&list).to_string(),
            }),
            patches: with_patch
                .then(|| PatchFile {
                    from: identities[0].to_string(),
                    file: "image.raw.patch".into(),
                    size: made.len() as u64,
                    sha256: Identity::of(&made).to_string(),
                    compressor: None,
                })
                .into_iter()
                .collect(),
            ..Entry::default()
        };
        let mut source = Server { place: place.path(), bytes: 0, requests: 0 };
        let target = place.path().join("built");
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&target);
        let file = file.expect("there is room");
        let begin = processor();
        let known = Old { file: &opened[0], path: old, sha256: identities[0] };
        let outcome = delta::build(&entry, &[known], &mut source, &file, &target);
        let client = processor().saturating_sub(begin);
        assert!(outcome.attempts.is_empty() && outcome.built.is_some(), "{outcome:?}");
        row(name, source.bytes, source.requests, client, publisher);
    }
    println!("    (the list of blocks is {} bytes)", list.len());
}

fn row(name: &str, bytes: u64, requests: usize, client: Duration, publisher: Duration) {
    println!("  {name:24} {bytes:>10} bytes {requests:>4} requests  {client:>8.2?} {publisher:>8.2?}");
}

/// A directory that counts what is read of it.
struct Server<'a> {
    place: &'a Path,
    bytes: u64,
    requests: usize,
}

impl RangeSource for Server<'_> {
    fn read(&mut self, file: &str, ranges: &[Range<u64>], sink: &mut Sink<'_>) -> Result<(), Error> {
        let opened = File::open(self.place.join(file)).expect("it is there");
        for range in ranges {
            let mut bytes = vec![0; usize::try_from(range.end - range.start).expect("a small part")];
            opened.read_exact_at(&mut bytes, range.start).expect("it is as long");
            sink(range.start, &bytes)?;
            self.requests += 1;
            self.bytes += bytes.len() as u64;
        }
        Ok(())
    }

    fn whole(&mut self, file: &str, _: u64) -> Result<Vec<u8>, Error> {
        let bytes = std::fs::read(self.place.join(file)).expect("it is there");
        self.requests += 1;
        self.bytes += bytes.len() as u64;
        Ok(bytes)
    }
}

/// Processor time of this process.
fn processor() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
