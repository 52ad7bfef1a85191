//! Directories with files of every kind, images of them, and what is in either.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{lchown, symlink};
use std::path::{Path, PathBuf};

use onlay::image::read_directory;
use onlay::image::squashfs::{Finished, Options, Writer};
use onlay::image::tree::{Kind, NodeId, Tree};
use onlay::sys::{Namespaces, Propagation, Root, Xattrs, leave_for_new, set_propagation};
use rustix::fs::{AtFlags, FileType, Mode, Timespec, Timestamps};
use sha2::{Digest, Sha256};

use crate::kernel::{output, tool_or_skip};

/// As many bytes as a block has here, so that small files have many.
pub(crate) const BLOCK: usize = 4096;

/// A time in the past, so that nothing is there by chance.
pub(crate) const TIME: u32 = 1_700_000_000;

/// A place for a test, on a disk, since memory may have no extended attributes of users.
pub(crate) fn place() -> tempfile::TempDir {
    tempfile::tempdir_in("/var/tmp").expect("there is room")
}

/// Whether squashfs-tools are there.
pub(crate) fn has_tools() -> bool {
    tool_or_skip("/usr/bin/mksquashfs") && tool_or_skip("/usr/bin/unsquashfs")
}

/// Whether root can be asked for owners, devices and attributes of the system.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) fn options(compression: &str, threads: usize) -> Options {
    Options {
        compression: compression.parse().expect("one of ours"),
        block_size: BLOCK as u32,
        threads: NonZeroUsize::new(threads).expect("some"),
        ..Options::new(TIME)
    }
}

/// Writes an image of directories, each in a segment and below a name of its own where there are several.
pub(crate) fn write(directory: &Path, image: &Path, options: Options) -> Finished {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(image);
    let file = file.expect("there is room");
    let dir = Root::open(image.parent().expect("a path")).expect("our directory");
    let writer = Writer::new(&file, 0, image, &dir, options).expect("it begins");
    let mut segment = writer.segment();
    let root = Root::open(directory).expect("our directory");
    let tree =
        read_directory(&root, &mut |mut file, path| segment.store(&mut file, path)).expect("it is read");
    segment.close().expect("it is written");
    let finished = writer.finish(&tree).expect("it is written");
    assert_eq!(finished.size, file.metadata().expect("it is there").len());
    finished
}

/// Random contents, half of which can be compressed.
pub(crate) fn contents(random: &mut fastrand::Rng, length: usize) -> Vec<u8> {
    let letters = if random.bool() { 256 } else { 7 };
    std::iter::repeat_with(|| random.u32(..letters) as u8).take(length).collect()
}

/// Fills a directory with files of every kind and size that can make a difference.
pub(crate) fn fill(top: &Path, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let write = |name: &[u8], content: &[u8]| {
        let path = top.join(std::ffi::OsStr::from_bytes(name));
        fs::write(&path, content).expect("there is room");
        path
    };
    for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 5 * BLOCK + 17, 64 * BLOCK + 1] {
        for copy in ["a", "b"] {
            let content = contents(&mut random, length);
            write(format!("{length}{copy}").as_bytes(), &content);
            write(format!("{length}{copy}-again").as_bytes(), &content);
        }
    }
    write(b"zeros-small", &[0; 100]);
    write(b"zeros", &[0; 3 * BLOCK]);
    let mut holes = File::create(top.join("holes")).expect("there is room");
    holes.seek(SeekFrom::Start(10 * BLOCK as u64 + 5)).expect("a file");
    holes.write_all(&contents(&mut random, BLOCK)).expect("there is room");
    holes.set_len(20 * BLOCK as u64 + 3).expect("there is room");
    write(&[b'n'; 255], b"long name");
    write(b"no utf-8 \xff\xfe \n", b"odd name");
    let linked = write(b"linked", b"two names");
    fs::create_dir_all(top.join("deep/er/still")).expect("there is room");
    fs::create_dir(top.join("empty")).expect("there is room");
    fs::hard_link(&linked, top.join("deep/er/linked too")).expect("there is room");
    let large = top.join(format!("{}a", 5 * BLOCK + 17));
    fs::hard_link(large, top.join("deep/large")).expect("there is room");
    symlink("../linked", top.join("deep/link")).expect("there is room");
    symlink("x".repeat(4000), top.join("far")).expect("there is room");
    rustix::net::bind(
        rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None)
            .expect("a socket"),
        &rustix::net::SocketAddrUnix::new(top.join("socket")).expect("a short path"),
    )
    .expect("there is room");
    make_node(&top.join("pipe"), FileType::Fifo, 0);
    random_tree(&mut random, &top.join("random"), 4);
    decorate(top, &mut random);
}

fn make_node(path: &Path, kind: FileType, device: u64) {
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, Mode::from_raw_mode(0o640), device).expect("root may");
}

fn random_tree(random: &mut fastrand::Rng, top: &Path, depth: u32) {
    fs::create_dir(top).expect("there is room");
    for number in 0..random.u32(..40) {
        let path = top.join(format!("{number}{}", "x".repeat(random.usize(..30))));
        match random.u32(..8) {
            0 if depth > 0 => random_tree(random, &path, depth - 1),
            1 => symlink(format!("to {number}"), path).expect("there is room"),
            _ => {
                let length = random.usize(..3 * BLOCK);
                fs::write(path, contents(random, length)).expect("there is room");
            }
        }
    }
}

/// Gives modes, times, attributes, and for root owners, devices and capabilities.
fn decorate(top: &Path, random: &mut fastrand::Rng) {
    if is_root() {
        make_node(&top.join("null"), FileType::CharacterDevice, rustix::fs::makedev(1, 3));
        make_node(&top.join("disk"), FileType::BlockDevice, rustix::fs::makedev(259, 70_000));
    }
    let mut all = paths(top);
    all.push(top.to_owned());
    // What is below first: times of what is above stay.
    for path in all.iter().rev() {
        let root = Root::open(path.parent().expect("a path")).expect("our directory");
        let name = Path::new(path.file_name().expect("a name"));
        let is_plain = path.symlink_metadata().is_ok_and(|found| found.is_file() || found.is_dir());
        if is_root() {
            lchown(path, Some(random.u32(..400)), Some(random.u32(..400))).expect("root may");
        }
        if is_plain {
            let mode = Mode::from_raw_mode(0o700 | random.u32(..0o10000));
            rustix::fs::chmodat(rustix::fs::CWD, path, mode, AtFlags::empty()).expect("it is ours");
        }
        if is_plain && random.u8(..4) == 0 {
            let length = 10 + random.usize(..3) * 100;
            let value = contents(random, length);
            Xattrs::set(&root, name, b"user.some", &value).expect("a file system with attributes");
            Xattrs::set(&root, name, b"user.other", b"same for all").expect("a file system with attributes");
        }
        if is_plain && is_root() && random.u8(..4) == 0 {
            let label = b"system_u:object_r:bin_t:s0\0";
            Xattrs::set(&root, name, b"security.selinux", label).expect("a file system with attributes");
        }
        if is_root() && path.symlink_metadata().is_ok_and(|found| found.is_file()) && random.u8(..4) == 0 {
            let capability = [&0x0200_0000u32.to_le_bytes()[..], &0x2000u32.to_le_bytes(), &[0; 12]].concat();
            Xattrs::set(&root, name, b"security.capability", &capability).expect("root may");
        }
        if is_root() && random.u8(..8) == 0 {
            Xattrs::set(&root, name, b"trusted.x", b"").expect("root may");
        }
        let time = Timespec { tv_sec: i64::from(random.u32(..4_000_000_000)), tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(rustix::fs::CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("it is ours");
    }
}

/// Everything below a directory, directories before what is in them.
fn paths(top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut names: Vec<PathBuf> =
        fs::read_dir(top).expect("our directory").map(|entry| entry.expect("our directory").path()).collect();
    names.sort();
    for path in names {
        let is_dir = path.symlink_metadata().expect("it is there").is_dir();
        found.push(path.clone());
        if is_dir {
            found.extend(paths(&path));
        }
    }
    found
}

/// All that there is to know of a directory, one line for each name.
pub(crate) fn described(directory: &Path) -> Vec<String> {
    let root = Root::open(directory).expect("our directory");
    let tree = read_directory(&root, &mut |file, _| Ok(digest(file))).expect("it can be read");
    lines(&tree)
}

/// The length and digest of contents.
pub(crate) fn digest(mut content: impl Read) -> (u64, String) {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        let count = content.read(&mut buffer).expect("it can be read");
        if count == 0 {
            break;
        }
        length += count as u64;
        hasher.update(&buffer[..count]);
    }
    let hex = hasher.finalize().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    (length, hex)
}

/// A tree as text, hard links by the first name of each.
pub(crate) fn lines(tree: &Tree<(u64, String)>) -> Vec<String> {
    let mut found = Vec::new();
    let mut first = std::collections::HashMap::new();
    let mut waiting: Vec<(Vec<u8>, NodeId)> = vec![(Vec::new(), tree.root())];
    while let Some((path, id)) = waiting.pop() {
        let node = tree.node(id);
        let shown =
            String::from_utf8_lossy(&path).into_owned() + &format!(" {:x?}", Sha256::digest(&path)[0]);
        let one = first.entry(id).or_insert_with(|| shown.clone());
        let what = match &node.kind {
            Kind::Directory(names) => format!("directory {}", names.len()),
            other => format!("{other:?}"),
        };
        found.push(format!("{shown} {:?} {what} is {one}", node.metadata));
        let below = tree.children(id).map(|(name, child)| ([&path[..], b"/", name].concat(), child));
        waiting.extend(below.collect::<Vec<_>>().into_iter().rev());
    }
    found
}

/// Says what is different, not all that is the same.
pub(crate) fn assert_same(found: &[String], expected: &[String]) {
    if found != expected {
        let more: Vec<&String> = found.iter().filter(|line| !expected.contains(line)).take(5).collect();
        let less: Vec<&String> = expected.iter().filter(|line| !found.contains(line)).take(5).collect();
        panic!("{} and {} lines: {more:#?} instead of {less:#?}", found.len(), expected.len());
    }
}

/// Mounts an image by the kernel, in a mount namespace of its own, and looks at it.
pub(crate) fn mounted<T: Send>(image: &Path, look: impl FnOnce(&Path) -> T + Send) -> T {
    let at = tempfile::tempdir().expect("there is room");
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            leave_for_new(Namespaces::MOUNT).expect("root may leave its mount namespace");
            set_propagation(Path::new("/"), Propagation::Private).expect("they are ours");
            let paths = [image, at.path()].map(|path| path.to_str().expect("our paths are UTF-8"));
            output("mount", &["-o", "loop,ro", paths[0], paths[1]]);
            let found = look(at.path());
            output("umount", &[paths[1]]);
            found
        });
        looking.join().expect("the image can be mounted and looked at")
    })
}
