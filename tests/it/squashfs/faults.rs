//! Images that are cut off or damaged, disks that are full, sources that fail.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use onlay::image::Error;
use onlay::image::squashfs::{Options, Reader, Writer};
use onlay::image::tree::{Metadata, Tree};
use onlay::sys::Root;

use super::bed::{contents, fill, options, place, write};
use crate::kernel::Lab;

/// Whatever is wrong with an image, reading it ends, and says what.
#[test]
fn damaged_images_are_told_or_read_but_never_trusted() {
    let place = place();
    let [top, image] = ["top", "image"].map(|name| place.path().join(name));
    fs::create_dir(&top).expect("there is room");
    fill(&top, 400);
    let mut random = fastrand::Rng::with_seed(400);
    let [mut refused, mut accepted] = [0, 0];
    for way in ["zstd", "gzip", "xz:0", "lz4", "none"] {
        write(&top, &image, options(way, 2));
        let good = fs::read(&image).expect("it was written");
        let tables = u64::from_le_bytes(good[64..72].try_into().expect("eight bytes")) as usize;
        for round in 0..40 {
            let mut bad = good.clone();
            match round % 4 {
                0 => bad.truncate(random.usize(..good.len())),
                1 => bad[random.usize(..96)] = random.u8(..),
                2 => (0..random.usize(1..8))
                    .for_each(|_| bad[random.usize(tables..good.len())] ^= 1 << random.u8(..8)),
                _ => bad[random.usize(tables..good.len())] = random.u8(..),
            }
            let whole = Reader::new(Box::new(bad), Path::new("image")).and_then(|reader| reader.verify());
            match whole {
                Ok(_) => accepted += 1,
                Err(error) => {
                    assert!(error.to_string().contains("'image'"), "{error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 40, "{refused} refused, {accepted} accepted");
}

#[test]
fn what_cannot_be_read_leaves_no_image() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the source is broken"))
        }
    }
    let place = place();
    let image = place.path().join("image");
    let file = File::options().read(true).write(true).create_new(true).open(&image).expect("there is room");
    let dir = Root::open(place.path()).expect("our directory");
    for large in [0, 1 << 20] {
        let writer = Writer::new(&file, 0, &image, &dir, Options::new(0)).expect("it begins");
        let mut segment = writer.segment();
        let mut source = io::repeat(7).take(large).chain(Broken);
        let error = segment.store(&mut source, Path::new("/source/x")).expect_err("the source is broken");
        assert_eq!(error.to_string(), "cannot read '/source/x'");
        assert!(matches!(segment.close(), Err(Error::GivenUp { .. })) || large == 0);
        let finished = writer.finish(&Tree::new(Metadata::default()));
        assert!(matches!(finished, Err(Error::GivenUp { .. })), "{finished:?}");
    }
    let writer = Writer::new(&file, 0, &image, &dir, Options::new(0)).expect("it begins");
    drop(writer.segment());
    let finished = writer.finish(&Tree::new(Metadata::default()));
    assert!(matches!(finished, Err(Error::GivenUp { .. })), "a segment was not closed: {finished:?}");
    let mut head = [1; 4];
    let _ = std::os::unix::fs::FileExt::read_at(&file, &mut head, 0).expect("it is ours");
    assert_ne!(&head, b"hsqs");
}

/// On a full disk each writer is told so, and nothing stays of what waited for its turn.
#[test]
fn a_full_disk_is_told() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    let small = lab.path("small");
    lab.mount_tmpfs("size=1m", &small);
    let dir = Root::open(&small).expect("our directory");
    let image = small.join("image");
    let file = File::options().read(true).write(true).create_new(true).open(&image).expect("there is room");
    let noise = contents(&mut fastrand::Rng::with_seed(1), 16 << 20);
    // In the image itself, and in what waits for its turn.
    for is_first in [true, false] {
        file.set_len(0).expect("it is ours");
        let writer = Writer::new(&file, 0, &image, &dir, Options::new(0)).expect("it begins");
        let (mut first, mut second) = (writer.segment(), writer.segment());
        let segment = if is_first { &mut first } else { &mut second };
        let stored = segment.store(&mut &noise[..], Path::new("x")).map(drop);
        let closed = first.close().and(second.close());
        let finished = writer.finish(&Tree::new(Metadata::default()));
        let failures = [stored.err(), closed.err(), finished.err()].into_iter().flatten();
        let told: Vec<String> = failures.map(|error| onlay::sys::with_causes(&error)).collect();
        let what = if is_first { "write '" } else { "write a temporary file in '" };
        assert!(!told.is_empty() && told.iter().all(|text| text.contains(what)), "{told:?}");
        assert!(told.iter().all(|text| text.ends_with("No space left on device")), "{told:?}");
        file.set_len(0).expect("it is ours");
        let free = rustix::fs::statvfs(&small).expect("a file system");
        assert_eq!(free.f_bfree, free.f_blocks, "what was written is gone");
    }
}
