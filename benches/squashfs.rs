//! How long it takes to make a squashfs image of a directory, and how much memory, beside mksquashfs at the same level.
//!
//! `cargo bench --bench squashfs -- DIR…`: medians of five runs in turn, two threads each. Without a directory, of what is below
//! /usr/lib/x86_64-linux-gnu or the like (`/usr/lib`). Images go to a temporary directory.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods, clippy::print_stdout)]

use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use onlay::image::read_directory;
use onlay::image::squashfs::{Options, Reader, Writer};
use onlay::sys::Root;

const RUNS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match &arguments[..] {
        [verb, way, from, image] if verb == "write" => write(Path::new(from), Path::new(image), way),
        [verb, image] if verb == "verify" => verify(Path::new(image)),
        [] => compare(Path::new("/usr/lib")),
        directories => directories.iter().for_each(|directory| compare(Path::new(directory))),
    }
}

fn compare(from: &Path) {
    let place = tempfile::tempdir_in("/var/tmp").expect("a temporary directory");
    let image = |name: &str| place.path().join(name);
    let own = std::env::current_exe().expect("this program");
    let ways =
        [("zstd:3", "-comp zstd -Xcompression-level 3"), ("zstd:9", "-comp zstd -Xcompression-level 9")];
    for (way, options) in ways {
        let (ours, theirs) = (image("ours"), image("theirs"));
        let write = [own.as_os_str(), "write".as_ref(), way.as_ref(), from.as_os_str(), ours.as_os_str()];
        let script =
            format!("exec mksquashfs \"$0\" \"$1\" {options} -processors 2 -noappend -quiet -no-progress");
        let mksquashfs =
            ["sh".as_ref(), "-c".as_ref(), script.as_ref(), from.as_os_str(), theirs.as_os_str()];
        let verify = [own.as_os_str(), "verify".as_ref(), ours.as_os_str()];
        let mut figures: [Vec<Figures>; 3] = Default::default();
        for _ in 0..RUNS {
            for (words, figures) in [&write[..], &mksquashfs, &verify].iter().zip(&mut figures) {
                figures.push(Figures::of(words));
            }
        }
        println!("{} {way}", from.display());
        for (name, (figures, image)) in ["onlay", "mksquashfs", "onlay verifies"]
            .iter()
            .zip(figures.iter_mut().zip([&ours, &theirs, &ours]))
        {
            figures.sort_by_key(|found| found.wall);
            let Figures { wall, processor, memory } = figures[RUNS / 2];
            let size = image.metadata().expect("it was written").len();
            println!("  {name:15} {wall:6.2?} ({processor:6.2?})  {memory:4} MB  {} kB", size / 1000);
        }
    }
}

#[derive(Clone, Copy)]
struct Figures {
    wall: Duration,
    processor: Duration,
    /// The most that was held at once, in MB.
    memory: u64,
}

impl Figures {
    /// Of a program that must succeed, as time(1) of Python would tell.
    fn of(words: &[&std::ffi::OsStr]) -> Figures {
        const SCRIPT: &str = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=2); \
                              used = resource.getrusage(resource.RUSAGE_CHILDREN); \
                              print(used.ru_utime + used.ru_stime, used.ru_maxrss)";
        let start = Instant::now();
        let output =
            Command::new("python3").args(["-c", SCRIPT]).args(words).output().expect("python3 is there");
        let wall = start.elapsed();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("numbers");
        let mut numbers = text.split_whitespace().map(|word| word.parse::<f64>().expect("a number"));
        let processor = Duration::from_secs_f64(numbers.next().expect("the first of two"));
        Figures { wall, processor, memory: (numbers.next().expect("the second of two") / 1000.0) as u64 }
    }
}

fn write(from: &Path, image: &Path, way: &str) {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(image)
        .expect("there is room");
    let place = PathBuf::from(image.parent().expect("an absolute path"));
    let dir = Root::open(place).expect("it is there");
    let threads = NonZeroUsize::new(2).expect("it is not zero");
    let options =
        Options { threads, compression: way.parse().expect("one that there is"), ..Options::new(0) };
    let writer = Writer::new(&file, 0, image, &dir, options).expect("it begins");
    let mut segment = writer.segment();
    let root = Root::open(from).expect("it is there");
    let tree =
        read_directory(&root, &mut |mut file, path| segment.store(&mut file, path)).expect("it can be read");
    segment.close().expect("it can be written");
    writer.finish(&tree).expect("it can be written");
}

fn verify(image: &Path) {
    let file = File::open(image).expect("it is there");
    Reader::open(file, image).and_then(|reader| reader.verify()).expect("it is sound");
}
