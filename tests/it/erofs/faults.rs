//! Images that are cut off or damaged.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use onlay::image::file_system::{self, FileSystem};
use onlay::image::squashfs::Options;
use onlay::image::{Error, Format};

use crate::squashfs::bed::{fill, options, place, write};

#[path = "../../../fuzz/invariants/erofs.rs"]
mod invariants;

/// Reads all of an image, and parts of its files.
fn read(bytes: Vec<u8>) -> Result<(), Error> {
    let image: Arc<dyn FileSystem> = file_system::open(Box::new(bytes), Path::new("image"))?;
    image.verify()?;
    file_system::walk(&*image, Path::new("image"), |_, found| -> Result<(), Error> {
        image.xattrs(found)?;
        let mut part = [0; 100];
        if let onlay::image::tree::Kind::File(size) = found.kind {
            Arc::clone(&image).open(found)?.read_at(size / 2, &mut part)?;
        }
        Ok(())
    })
}

/// Whatever is wrong with an image, reading it ends, and says what.
#[test]
fn damaged_images_are_told_or_read_but_never_trusted() {
    let place = place();
    let [top, image] = ["top", "image"].map(|name| place.path().join(name));
    fs::create_dir(&top).expect("there is room");
    fill(&top, 700);
    let mut random = fastrand::Rng::with_seed(700);
    let [mut refused, mut accepted] = [0, 0];
    for way in ["zstd", "lz4", "none"] {
        write(&top, &image, Options { format: Format::Erofs, block_size: 16 << 10, ..options(way, 2) });
        let mut good = fs::read(&image).expect("it was written");
        // Without a checksum, more of it is believed.
        good[1032] &= !1;
        let metadata = u32::from_le_bytes(good[1064..1068].try_into().expect("four bytes")) as usize * 4096;
        for round in 0..20 {
            let mut bad = good.clone();
            match round % 4 {
                0 => bad.truncate(random.usize(..good.len())),
                1 => bad[1024 + random.usize(..144)] = random.u8(..),
                2 => (0..random.usize(1..8))
                    .for_each(|_| bad[random.usize(metadata..good.len())] ^= 1 << random.u8(..8)),
                _ => bad[random.usize(metadata..good.len())] = random.u8(..),
            }
            if round % 5 == 0 {
                invariants::image(&bad);
            }
            match read(bad) {
                Ok(()) => accepted += 1,
                Err(error) => {
                    assert!(error.to_string().contains("image"), "{error}");
                    refused += 1;
                }
            }
        }
        good[1032] |= 1;
        good[1040] ^= 1;
        let error = read(good).expect_err("another number of inodes").to_string();
        assert!(error.contains("the checksum of its superblock is another one"), "{error}");
    }
    assert!(refused > 20, "{refused} refused, {accepted} accepted");
}

#[test]
fn what_is_not_read_here_is_named() {
    let place = place();
    let [top, image] = ["top", "image"].map(|name| place.path().join(name));
    fs::create_dir(&top).expect("there is room");
    write(&top, &image, Options { format: Format::Erofs, ..options("zstd", 1) });
    let mut good = fs::read(&image).expect("it was written");
    good[1032] &= !1;
    for (at, value, said) in [
        (1104, 0x80, "48-bit addresses"),
        (1105, 1, "compressed metadata"),
        (1105, 2, "features that are not known here (0x200)"),
        (1110, 1, "contents on further devices"),
    ] {
        let mut other = good.clone();
        other[at] |= value;
        let error = read(other).expect_err(said).to_string();
        assert!(error.contains(said) && error.contains("fsck.erofs --extract=DIR"), "{error}");
    }
}
