//! What we find in images that mkfs.erofs wrote.

use std::fs;
use std::path::{Path, PathBuf};

use onlay::image::file_system;

use super::{found, opened};
use crate::kernel::{command, kernel_or_skip, tool_or_skip};
use crate::squashfs::bed::{BLOCK, assert_same, contents, described, fill, mounted, place};

/// The program, or another version of it: `ONLAY_TEST_MKFS_EROFS=/path/to/it`.
fn program() -> Option<PathBuf> {
    let other = std::env::var_os("ONLAY_TEST_MKFS_EROFS").map(PathBuf::from);
    let program = other.unwrap_or("/usr/bin/mkfs.erofs".into());
    tool_or_skip(program.to_str().expect("our path")).then_some(program)
}

/// With -x1, attributes of two files are shared already.
const OPTIONS: &[&str] = &[
    "",
    "-x-1",
    "-x1 -Eforce-inode-extended",
    "-Enoinline_data",
    "-Eforce-inode-compact --all-root",
    "--chunksize=4096",
    "--chunksize=65536 -Eforce-chunk-indexes",
    "-zlz4",
    "-zlz4 -Elegacy-compress",
    "-zlz4hc,12 -C65536",
    "-zlz4hc -C16384 -Elegacy-compress",
    "-zlz4hc -C65536 -Eztailpacking",
    "-zlz4 -Eztailpacking,legacy-compress",
    "-zlz4 -Efragments -C32768",
    "-zlz4hc -Eall-fragments,ztailpacking -C65536",
    "-zlz4 -Efragments,dedupe,ztailpacking,legacy-compress",
    "-zlz4hc -Ededupe -C8192",
    "-zlzma",
    "-zlzma,9 -C65536 -Efragments,ztailpacking",
    "-zlzma -Ededupe -C131072",
    "-zdeflate -C16384",
    "-zdeflate,9 -Eall-fragments,dedupe -C65536",
    "-zlibdeflate,9 -Eztailpacking -C65536",
    "-zzstd -C65536",
    "-zzstd,level=19 -Efragments,ztailpacking -C262144",
    "-zzstd -Ededupe,legacy-compress",
    "-zlz4:zstd,level=5 -C1048576",
    "-b512",
    "-b1024 -zlz4",
    "-Exattr-name-filter --xattr-prefix=user.so --xattr-prefix=security.se",
    "-zlz4 -Efragments --xattr-prefix=user.some",
];

#[test]
fn images_of_mkfs_erofs_are_read_whatever_they_are_made_of() {
    let Some(program) = program() else { return };
    let place = place();
    let [top, image] = ["top", "image"].map(|name| place.path().join(name));
    fs::create_dir(&top).expect("there is room");
    fill(&top, 900);
    let mut random = fastrand::Rng::with_seed(900);
    fs::write(top.join("large"), contents(&mut random, 900_001)).expect("there is room");
    let text = (0..60_000).fold(String::new(), |text, number| text + &format!("line {}\n", number % 977));
    fs::write(top.join("text"), &text).expect("there is room");
    fs::write(top.join("text again"), &text[BLOCK / 2..]).expect("there is room");
    fs::create_dir(top.join("many")).expect("there is room");
    for number in 0..400 {
        fs::write(top.join(format!("many/{number}{}", "n".repeat(100))), b"x").expect("there is room");
    }
    let make = |options: &str| {
        let _ = fs::remove_file(&image);
        let mut mkfs = command(&program);
        mkfs.arg("-d0").args(options.split(' ').filter(|option| !option.is_empty()));
        mkfs.arg(&image).arg(&top).output().expect("it starts")
    };
    // Debian 12's cannot do the longest names.
    if !make("").status.success() {
        fs::remove_file(top.join("n".repeat(255))).expect("it is there");
    }
    let (mut tried, mut refused) = (0, String::new());
    for options in OPTIONS {
        let made = make(options);
        // Versions have other algorithms and options: Debian 12's has a dozen of these.
        if !made.status.success() {
            refused += &format!("{options}: {}\n", String::from_utf8_lossy(&made.stderr));
            continue;
        }
        let ours = found(&image);
        if kernel_or_skip() {
            // What the options keep of times and attributes, the kernel knows.
            assert_same(&ours, &mounted(&image, described));
        } else {
            assert_eq!(ours.len(), described(&top).len());
        }
        opened(&image)
            .and_then(|reader| reader.verify())
            .unwrap_or_else(|error| panic!("{options}: {error}"));
        tried += 1;
    }
    assert!(tried >= 10, "{tried}; {refused}");
}

/// Images of versions and algorithms that not every machine has a program for; `tests/data/README` says how they were made.
#[test]
fn images_of_all_algorithms_are_read() {
    let text = (1..=9000).fold(String::new(), |text, number| text + &format!("{number}\n"));
    for name in
        ["lzma", "lzma-fragments", "deflate-tail", "deflate-dedupe", "zstd", "zstd-fragments", "lz4-full"]
    {
        let image = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/erofs/{name}.erofs"));
        let ours = found(&image);
        assert_eq!(ours.len(), 5, "{ours:?}");
        let reader = opened(&image).expect("an image");
        for (path, expected) in [("text", &text[..]), ("again", &text[6000..]), ("small", "small\n")] {
            let file = file_system::find(&*reader, path.as_bytes()).expect("it can be read");
            let file = file.expect("it is there");
            let content = file_system::read_file(&reader, &file, 1 << 20).expect("it can be read");
            assert!(content.as_deref() == Some(expected.as_bytes()), "{name}: {path}");
        }
        if kernel_or_skip() {
            assert_same(&ours, &mounted(&image, described));
        }
    }
}
