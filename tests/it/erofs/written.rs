//! What the kernel and erofs-utils find in images that we wrote.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use onlay::image::squashfs::{Options, Writer};
use onlay::image::tree::{Kind, Metadata, Node, Tree};
use onlay::image::{Error, Format, file_system};
use onlay::sys::Root;

use super::{found, opened};
use crate::kernel::{command, kernel_or_skip, sh, tool_or_skip};
use crate::squashfs::bed::{assert_same, contents, described, fill, mounted, options, place, write};

fn erofs(way: &str, block_size: u32, threads: usize) -> Options {
    Options { format: Format::Erofs, block_size, ..options(way, threads) }
}

/// Fills a directory, also with what is larger than a block, in part zeros, and a directory of many blocks.
fn fill_more(top: &Path, seed: u64) {
    fill(top, seed);
    let mut random = fastrand::Rng::with_seed(seed);
    fs::write(top.join("large"), contents(&mut random, 700_001)).expect("there is room");
    fs::write(top.join("text"), "some words again and again ".repeat(40_000)).expect("there is room");
    let mut holes = vec![0; 300_000];
    holes.extend(contents(&mut random, 100_000));
    holes.resize(1_000_001, 0);
    fs::write(top.join("with holes"), holes).expect("there is room");
    fs::create_dir(top.join("many")).expect("there is room");
    for number in 100..300 {
        fs::write(top.join(format!("many/{}{number}", "n".repeat(200))), b"").expect("there is room");
    }
}

#[test]
fn the_kernel_and_our_reader_find_every_file_as_it_was() {
    let place = place();
    let [top, image] = ["top", "image"].map(|name| place.path().join(name));
    fs::create_dir(&top).expect("there is room");
    fill_more(&top, 1);
    let expected = described(&top);
    for (way, block_size) in [
        ("zstd", 4096),
        ("zstd", 128 << 10),
        ("zstd:15", 1 << 20),
        ("lz4", 16 << 10),
        ("lz4", 128 << 10),
        ("none", 128 << 10),
    ] {
        write(&top, &image, erofs(way, block_size, 2));
        assert_same(&found(&image), &expected);
        let verified = opened(&image).and_then(|reader| reader.verify()).expect("it is sound");
        assert_eq!(verified.names + 1, expected.len() as u64);
        if kernel_or_skip() {
            assert_same(&mounted(&image, described), &expected);
        }
    }
}

#[test]
fn erofs_utils_find_no_fault() {
    if !tool_or_skip("/usr/bin/fsck.erofs") {
        return;
    }
    let place = place();
    let [top, image] = ["top", "image"].map(|name| place.path().join(name));
    fs::create_dir(&top).expect("there is room");
    fill_more(&top, 50);
    for way in ["none", "lz4", "zstd"] {
        write(&top, &image, erofs(way, 128 << 10, 2));
        let checked = command("fsck.erofs").arg("--extract").arg(&image).output().expect("it starts");
        let words = String::from_utf8_lossy(&checked.stderr);
        // Debian 12 has one that is older than what is compressed here.
        if way != "none" && words.contains("unidentified incompatible feature") {
            continue;
        }
        assert!(checked.status.success(), "{way}: {words}");
        let dumped = sh("dump.erofs -s \"$1\"", &[&image]);
        assert!(dumped.contains("sb_csum") && dumped.contains("22:13:20"), "{dumped}");
    }
}

/// Bytes depend on nothing but contents.
#[test]
fn the_same_files_give_the_same_image() {
    let place = place();
    let [top, image] = ["top", "image"].map(|name| place.path().join(name));
    fs::create_dir(&top).expect("there is room");
    fill_more(&top, 60);
    for way in ["zstd", "lz4", "none"] {
        let made = [1, 2, 5].map(|threads| {
            write(&top, &image, erofs(way, 16 << 10, threads));
            fs::read(&image).expect("it was written")
        });
        assert!(made[0] == made[1] && made[1] == made[2], "{way}");
    }
}

/// As many zeros as anybody wants.
struct Zeros;

impl Read for Zeros {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.fill(0);
        Ok(buffer.len())
    }
}

/// A hole costs an index, not its zeros, and positions beyond 4 GiB are those of the file.
#[test]
fn files_may_be_larger_than_four_gigabytes() {
    let place = place();
    let image = place.path().join("image");
    let dir = Root::open(place.path()).expect("our directory");
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&image);
    let file = file.expect("there is room");
    let writer = Writer::new(&file, 0, &image, &dir, erofs("zstd", 1 << 20, 2)).expect("it begins");
    let mut segment = writer.segment();
    let mut content = Zeros.take((4 << 30) + 5).chain(&b"behind four gigabytes"[..]);
    let stored = segment.store(&mut content, Path::new("memory")).expect("it is written");
    segment.close().expect("it is written");
    let mut tree = Tree::new(Metadata::default());
    let node = Node::new(Metadata::default(), Kind::File(stored));
    tree.insert(b"sparse", node).expect("it fits");
    let size = writer.finish(&tree).expect("it is written").size;
    assert!(size < 10 << 20, "{size}");
    let reader = opened(&image).expect("an image");
    let found = file_system::find(&*reader, b"sparse").expect("it can be read").expect("it is there");
    let places = Arc::clone(&reader).open(&found).expect("a file");
    let mut end = [0; 30];
    let count = places.read_at((4 << 30) + 1, &mut end).expect("it can be read");
    assert_eq!(&end[..count], b"\0\0\0\0behind four gigabytes");
    if kernel_or_skip() {
        let (length, end) = mounted(&image, |at| {
            let file = File::open(at.join("sparse")).expect("it is there");
            let mut end = [0; 25];
            file.read_exact_at(&mut end, (4 << 30) + 1).expect("it can be read");
            (file.metadata().expect("it is there").len(), end)
        });
        assert_eq!((length, &end), ((4 << 30) + 26, b"\0\0\0\0behind four gigabytes"));
    }
}

#[test]
fn what_erofs_has_no_room_for_is_refused() {
    let place = place();
    let image = place.path().join("image");
    let file = File::options().read(true).write(true).create_new(true).open(&image).expect("there is room");
    let dir = Root::open(place.path()).expect("our directory");
    for way in ["gzip", "xz"] {
        let refused = Writer::new(&file, 0, &image, &dir, erofs(way, 4096, 1)).err().expect("it is refused");
        assert!(refused.to_string().contains("that takes lz4, zstd or none"), "{refused}");
    }
    let writer = Writer::new(&file, 0, &image, &dir, erofs("zstd", 4096, 1)).expect("it begins");
    let mut metadata = Metadata::default();
    metadata.xattrs.0.insert(b"odd.kind".to_vec(), Vec::new());
    match writer.finish(&Tree::new(metadata)) {
        Err(Error::Unrepresentable { problem, .. }) => assert!(problem.contains("odd.kind"), "{problem}"),
        other => panic!("{other:?}"),
    }
}
