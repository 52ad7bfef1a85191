//! What we find in images that mksquashfs wrote, and in ours.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use onlay::image::squashfs::{Inode, InodeKind, Reader};
use onlay::image::tree::{Kind, Metadata, Node, Tree};

use super::bed::{assert_same, described, digest, fill, has_tools, lines, options, place, write};
use crate::kernel::sh;

/// All that our reader finds, as of a directory.
fn read(image: &Path) -> Vec<String> {
    let file = fs::File::open(image).expect("it was written");
    let reader = Reader::open(file, image).expect("it is an image");
    let mut tree = Tree::new(Metadata::default());
    let mut known = HashMap::new();
    for (number, walked) in reader.walk().enumerate() {
        let walked = walked.expect("it can be read");
        let inode = &walked.inode;
        let node = node(&reader, inode);
        if walked.path.is_empty() {
            *tree.metadata_mut(tree.root()) = node.metadata;
        } else if let Some(id) = known.get(&inode.reference) {
            tree.link(&walked.path, *id).expect("names are there once");
        } else {
            let id = tree.insert(&walked.path, node).expect("names are there once");
            known.insert(inode.reference, id);
        }
        if number % 97 == 0 {
            let again = reader.find(&walked.path).expect("it can be read");
            assert_eq!(again.as_ref(), Some(inode));
        }
    }
    assert_eq!(reader.find(b"not/there").expect("it can be read"), None);
    for (reference, id) in known {
        let links = reader.inode(reference).expect("it was read").links;
        let is_directory = matches!(tree.node(id).kind, Kind::Directory(_));
        assert!(is_directory || links == tree.node(id).names());
    }
    lines(&tree)
}

fn node(reader: &Reader, inode: &Inode) -> Node<(u64, String)> {
    let kind = match &inode.kind {
        InodeKind::Directory { .. } => Kind::Directory(std::collections::BTreeMap::new()),
        InodeKind::File(file) => Kind::File(digest(reader.contents(file))),
        InodeKind::Symlink(target) => Kind::Symlink(target.clone()),
        InodeKind::CharacterDevice(device) => Kind::CharacterDevice(*device),
        InodeKind::BlockDevice(device) => Kind::BlockDevice(*device),
        InodeKind::Fifo => Kind::Fifo,
        InodeKind::Socket => Kind::Socket,
    };
    let xattrs = reader.xattrs(inode).expect("it can be read");
    let Inode { mode, uid, gid, mtime, .. } = *inode;
    Node::new(Metadata { mode, uid, gid, mtime: i64::from(mtime), xattrs }, kind)
}

#[test]
fn images_of_mksquashfs_are_read_whatever_they_are_made_of() {
    if !has_tools() {
        return;
    }
    let place = place();
    let [top, image] = ["top", "image"].map(|name| place.path().join(name));
    fs::create_dir(&top).expect("there is room");
    fill(&top, 200);
    fs::create_dir(top.join("many")).expect("there is room");
    for number in 0..3000 {
        fs::write(top.join(format!("many/{number}")), b"").expect("there is room");
    }
    let expected = described(&top);
    for options in [
        "-comp gzip",
        "-comp gzip -Xcompression-level 1 -Xwindow-size 9 -Xstrategy huffman_only",
        "-comp xz -b 4096",
        "-comp xz -Xbcj x86,arm -Xdict-size 8192 -b 16384",
        "-comp lz4",
        "-comp lz4 -Xhc -b 1M",
        "-comp zstd -b 1M",
        "-comp zstd -Xcompression-level 3 -b 4096 -always-use-fragments",
        "-comp zstd -no-fragments -no-exports -no-duplicates",
        "-comp zstd -noI -noD -noF -noX -noId",
    ] {
        let script = format!("mksquashfs \"$1\" \"$2\" -noappend -no-progress -quiet {options}");
        sh(&script, &[&top, &image]);
        assert_same(&read(&image), &expected);
    }
    let reader = Reader::open(fs::File::open(&image).expect("it was written"), &image).expect("an image");
    let verified = reader.verify().expect("it is sound");
    assert_eq!(verified.names + 1, expected.len() as u64);
}

#[test]
fn our_own_images_are_read() {
    let place = place();
    let [top, image] = ["top", "image"].map(|name| place.path().join(name));
    for (seed, way) in (300..).zip(["zstd", "zstd:22", "gzip", "xz:1", "lz4", "none"]) {
        fs::create_dir(&top).expect("there is room");
        fill(&top, seed);
        write(&top, &image, options(way, 2));
        assert_same(&read(&image), &described(&top));
        fs::remove_dir_all(&top).expect("it is ours");
    }
}
