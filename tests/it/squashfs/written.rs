//! What the kernel and squashfs-tools find in images that we wrote.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::mpsc;

use onlay::image::squashfs::{Options, Segment, StoredFile, Writer};
use onlay::image::tree::{Kind, Metadata, Node, Tree};
use onlay::image::{Error, read_directory};
use onlay::sys::Root;

use super::bed::{BLOCK, assert_same, described, fill, has_tools, mounted, options, place, write};
use crate::kernel::{kernel_or_skip, output, sh};

const WAYS: [&str; 6] = ["zstd", "zstd:15", "gzip", "xz:1", "lz4", "none"];

#[test]
fn the_kernel_finds_every_file_as_it_was() {
    if !kernel_or_skip() {
        return;
    }
    let place = place();
    let [top, image] = ["top", "image"].map(|name| place.path().join(name));
    for (way, seed) in WAYS.into_iter().zip(1..) {
        fs::create_dir(&top).expect("there is room");
        fill(&top, seed);
        write(&top, &image, options(way, 2));
        assert_same(&mounted(&image, described), &described(&top));
        fs::remove_dir_all(&top).expect("it is ours");
    }
}

#[test]
fn unsquashfs_finds_every_file_as_it_was() {
    if !has_tools() {
        return;
    }
    let place = place();
    let [top, image, unpacked] = ["top", "image", "unpacked"].map(|name| place.path().join(name));
    fs::create_dir(&top).expect("there is room");
    fill(&top, 100);
    for way in WAYS {
        write(&top, &image, options(way, 2));
        sh("unsquashfs -no-progress -d \"$1\" \"$2\"", &[&unpacked, &image]);
        assert_same(&described(&unpacked), &described(&top));
        fs::remove_dir_all(&unpacked).expect("it is ours");
        let superblock = output("unsquashfs", &["-s", image.to_str().expect("our path")]);
        let name = way.split(':').next().expect("a word").replace("none", "gzip");
        assert!(superblock.contains(&format!("Compression {name}\n")), "{superblock}");
        assert!(superblock.contains("Block size 4096\n"), "{superblock}");
        assert!(superblock.contains("Nov 14 22:13:20 2023"), "{superblock}");
        assert_eq!(superblock.contains("compression-level 3"), way == "zstd", "{superblock}");
        assert_eq!(superblock.contains("Inodes are uncompressed"), way == "none", "{superblock}");
        let content = sh("unsquashfs -cat \"$1\" deep/er/linked\\ too", &[&image]);
        assert_eq!(content, "two names");
    }
}

/// Bytes depend on nothing but contents: not on threads, nor on who is faster, nor on the directory they are in.
#[test]
fn the_same_bytes_come_from_any_number_of_threads() {
    let place = place();
    let tops = ["one", "two", "three"].map(|name| place.path().join(name));
    for (top, seed) in tops.iter().zip([7, 8, 7]) {
        fs::create_dir(top).expect("there is room");
        fill(top, seed);
    }
    let image = place.path().join("image");
    let mut first: Option<Vec<u8>> = None;
    for threads in [1, 2, 4] {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            write_segments(&tops, &image, options("zstd", threads), order);
            let bytes = fs::read(&image).expect("it was written");
            let expected = first.get_or_insert_with(|| bytes.clone());
            assert!(bytes == *expected, "{threads} threads, {order:?}");
        }
        // All at once.
        write_segments(&tops, &image, options("zstd", threads), [0, 0, 0]);
        assert!(Some(fs::read(&image).expect("it was written")) == first, "{threads} threads");
    }
    let names: Vec<_> = fs::read_dir(place.path()).expect("our directory").collect();
    assert_eq!(names.len(), 4, "nothing is left but the image: {names:?}");
}

/// Writes directories into segments of one image: each waits until those are full that come before it in `order`, or
/// for nothing where they have the same place.
fn write_segments(tops: &[std::path::PathBuf; 3], image: &Path, options: Options, order: [usize; 3]) {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(image);
    let file = file.expect("there is room");
    let dir = Root::open(image.parent().expect("a path")).expect("our directory");
    let writer = Writer::new(&file, 0, image, &dir, options).expect("it begins");
    let segments: Vec<Segment> = tops.iter().map(|_| writer.segment()).collect();
    let trees = std::thread::scope(|scope| {
        let (ended, ends) = mpsc::channel();
        let mut waiting: Vec<_> = tops.iter().zip(segments).zip(order).collect();
        waiting.sort_by_key(|(_, place)| *place);
        let mut last = 0;
        let mut threads = Vec::new();
        for ((top, mut segment), place) in waiting {
            if place != last {
                ends.recv().expect("the one before ends");
                last = place;
            }
            let ended = ended.clone();
            threads.push(scope.spawn(move || {
                let root = Root::open(top).expect("our directory");
                let tree = read_directory(&root, &mut |mut file, path| segment.store(&mut file, path));
                segment.close().expect("it is written");
                // Nobody waits for the last one.
                let _ = ended.send(());
                (top, tree.expect("it is read"))
            }));
        }
        threads.into_iter().map(|thread| thread.join().expect("it ends")).collect::<Vec<_>>()
    });
    let mut all = Tree::new(Metadata::default());
    for (top, number) in tops.iter().zip(0u8..) {
        let tree = &trees.iter().find(|(other, _)| *other == top).expect("each was read").1;
        graft(&mut all, &[b'0' + number], tree);
    }
    writer.finish(&all).expect("it is written");
}

/// Puts a tree below a name of another, without its hard links.
fn graft(all: &mut Tree<StoredFile>, name: &[u8], tree: &Tree<StoredFile>) {
    let mut waiting = vec![(name.to_vec(), tree.root())];
    while let Some((path, id)) = waiting.pop() {
        let node = tree.node(id);
        let kind = match &node.kind {
            Kind::Directory(_) => Kind::Directory(std::collections::BTreeMap::new()),
            other => other.clone(),
        };
        // Sockets are bound anew, owners and times of directories may differ: only contents matter here.
        let metadata = Metadata { xattrs: node.metadata.xattrs.clone(), ..Metadata::default() };
        all.insert(&path, Node::new(metadata, kind)).expect("each name is there once");
        waiting.extend(tree.children(id).map(|(name, child)| ([&path[..], b"/", name].concat(), child)));
    }
}

#[test]
fn what_is_there_twice_is_stored_once() {
    let place = place();
    let [top, image] = ["top", "image"].map(|name| place.path().join(name));
    fs::create_dir(&top).expect("there is room");
    let mut random = fastrand::Rng::with_seed(3);
    let large: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(100 * BLOCK).collect();
    let small = &large[..BLOCK / 2];
    let mut other = large.clone();
    *other.last_mut().expect("it has bytes") ^= 1;
    for name in ["a", "b", "c"] {
        fs::write(top.join(format!("zlarge-{name}")), &large).expect("there is room");
        fs::write(top.join(format!("small-{name}")), small).expect("there is room");
    }
    let once = write(&top, &image, options("zstd", 2)).size;
    assert!(once < 102 * BLOCK as u64, "{once}");
    fs::write(top.join("other"), &other).expect("there is room");
    let twice = write(&top, &image, options("zstd", 2)).size;
    assert!(twice >= once + 99 * BLOCK as u64, "one bit makes another file: {twice}");
    if kernel_or_skip() {
        assert_same(&mounted(&image, described), &described(&top));
    }
}

/// Directories with an index, more than 64 Ki names and users, and files beyond 4 GiB.
#[test]
fn large_numbers_are_no_matter() {
    if !kernel_or_skip() || !has_tools() {
        return;
    }
    let place = place();
    let image = place.path().join("image");
    let file = File::options().read(true).write(true).create_new(true).open(&image).expect("there is room");
    let dir = Root::open(place.path()).expect("our directory");
    let writer = Writer::new(&file, 0, &image, &dir, Options::new(0)).expect("it begins");
    let mut segment = writer.segment();
    let huge_size = (4u64 << 30) + 100_000;
    let end = vec![b'x'; 100_000];
    let mut huge = std::io::repeat(0).take(4 << 30).chain(&end[..]);
    let huge = segment.store(&mut huge, Path::new("huge")).expect("it is written");
    segment.close().expect("it is written");
    let mut tree = Tree::new(Metadata { mode: 0o755, ..Metadata::default() });
    tree.insert(b"huge", Node::new(Metadata::default(), Kind::File(huge))).expect("it fits");
    tree.insert(b"many", Node::directory(Metadata { mode: 0o755, ..Metadata::default() })).expect("it fits");
    for number in 0..70_000u32 {
        let metadata = Metadata { uid: number % 60_000, mode: 0o600, ..Metadata::default() };
        tree.insert(format!("many/file {number}").as_bytes(), Node::new(metadata, Kind::Fifo))
            .expect("it fits");
    }
    assert_eq!(writer.finish(&tree).expect("it is written").inodes, 70_003);
    mounted(&image, |at| {
        use std::os::unix::fs::MetadataExt;
        for number in [0u32, 1, 9, 10, 35_000, 59_999, 60_000, 69_999] {
            let found = at.join(format!("many/file {number}")).symlink_metadata().expect("it can be found");
            assert_eq!(found.uid(), number % 60_000);
        }
        assert!(!at.join("many/file 70000").exists());
        assert_eq!(fs::read_dir(at.join("many")).expect("it can be read").count(), 70_000);
        let found = at.join("huge").metadata().expect("it can be found");
        assert_eq!(found.len(), huge_size);
        assert!(found.blocks() < 1024, "{} blocks", found.blocks());
        let content = File::open(at.join("huge")).expect("it can be read");
        let mut end = vec![0; 100_010];
        std::os::unix::fs::FileExt::read_exact_at(&content, &mut end, huge_size - 100_010)
            .expect("it is so long");
        assert!(end[..10] == [0; 10] && end[10..].iter().all(|byte| *byte == b'x'));
    });
    let listed = sh("unsquashfs -lln \"$1\" | grep -c 'many/file'", &[&image]);
    assert_eq!(listed.trim(), "70000");
    for number in 60_000..65_600u32 {
        let metadata = Metadata { uid: number, ..Metadata::default() };
        tree.insert(format!("many/more {number}").as_bytes(), Node::new(metadata, Kind::Fifo))
            .expect("it fits");
    }
    let writer = Writer::new(&file, 0, &image, &dir, Options::new(0)).expect("it begins");
    tree_without_contents_is_refused(writer, &tree);
}

fn tree_without_contents_is_refused(writer: Writer, tree: &Tree<StoredFile>) {
    let mut segment = writer.segment();
    let again = vec![b'x'; 200_000];
    segment.store(&mut &again[..], Path::new("huge")).expect("it is written");
    segment.close().expect("it is written");
    match writer.finish(tree) {
        Err(Error::Unrepresentable { path, problem, .. }) => {
            assert!(path.starts_with("/many"), "{}", path.display());
            assert_eq!(problem, "there are more than 65,535 users and groups");
        }
        other => panic!("{other:?}"),
    }
}
