//! What must hold of erofs images, whatever their bytes.

use std::path::Path;
use std::sync::Arc;

use onlay::image::Error;
use onlay::image::erofs::Reader;
use onlay::image::file_system::{FileSystem, Found, find, walk};
use onlay::image::tree::Kind;

/// Holes and shared clusters cost nothing in an image; what is read here is bounded.
const MOST: u64 = 64 << 20;
/// So many names are looked at.
const NAMES: u32 = 100;

/// Reading ends, without a panic; every name that is walked can be looked up, and leads to the same inode; a file gives as
/// many bytes as it says, or an error.
pub(crate) fn image(bytes: &[u8]) {
    let path = Path::new("image");
    let Ok(reader) = Reader::new(Box::new(bytes.to_vec()), path) else { return };
    let image: Arc<dyn FileSystem> = Arc::new(reader);
    let (mut left, mut names) = (MOST, 0);
    let _ = walk(&*image, path, |path, found| -> Result<(), Error> {
        assert_eq!(find(&*image, path).ok().flatten().as_ref(), Some(found));
        let _ = image.xattrs(found);
        names += 1;
        if names > NAMES || !is_whole(&image, found, &mut left) {
            return Err(Error::NotAnImage { path: "that is enough".into() });
        }
        Ok(())
    });
}

/// Reads a file; says whether there is more to be read of others.
fn is_whole(image: &Arc<dyn FileSystem>, found: &Found, left: &mut u64) -> bool {
    let Kind::File(size) = found.kind else { return true };
    let Ok(places) = Arc::clone(image).open(found) else { return true };
    let mut piece = vec![0; 64 << 10];
    let mut at = 0;
    while let Ok(length) = places.read_at(at, &mut piece) {
        if length == 0 {
            assert_eq!(at, size);
            return true;
        }
        at += length as u64;
        *left = left.saturating_sub(piece.len() as u64);
        if *left == 0 {
            return false;
        }
    }
    true
}
