//! Whole erofs images.
//!
//! Invariants, whatever the bytes:
//! * reading ends, without a panic and without more memory than a few clusters and the directories that there are;
//! * every name that is walked can be looked up, and leads to the same inode;
//! * a file gives as many bytes as it says, or an error.

#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use onlay::image::erofs::Reader;
use onlay::image::file_system::{FileSystem, find, walk};
use onlay::image::tree::Kind;
use onlay::image::Error;

/// Holes and shared clusters cost nothing in an image; what is read here is bounded.
const MOST: u64 = 64 << 20;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("image");
    let Ok(reader) = Reader::new(Box::new(bytes.to_vec()), path) else { return };
    let image: Arc<dyn FileSystem> = Arc::new(reader);
    let (mut total, mut names) = (0, 0);
    let _ = walk(&*image, path, |path, found| -> Result<(), Error> {
        assert_eq!(find(&*image, path).ok().flatten().as_ref(), Some(found));
        let _ = image.xattrs(found);
        names += 1;
        let enough = Error::NotAnImage { path: "enough".into() };
        if names > 500 {
            return Err(enough);
        }
        let Kind::File(size) = found.kind else { return Ok(()) };
        let Ok(places) = Arc::clone(&image).open(found) else { return Ok(()) };
        let mut piece = vec![0; 64 << 10];
        let mut at = 0;
        loop {
            match places.read_at(at, &mut piece) {
                Ok(0) => break assert_eq!(at, size),
                Ok(length) => at += length as u64,
                Err(_) => break,
            }
            total += piece.len() as u64;
            if total > MOST {
                return Err(enough);
            }
        }
        Ok(())
    });
});
