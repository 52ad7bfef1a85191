//! An extension that is a directory, as an image: the same directory gives the same bytes.

use std::fs::File;
use std::path::Path;

use super::Error;
use crate::image::read_directory;
use crate::image::squashfs::{Options, Writer};
use crate::sys::{Root, unnamed_file};

/// Makes an image of a directory, a file without a name on the file system of `place`.
pub(super) fn squash(directory: &Path, place: &Root) -> Result<File, Error> {
    let file = unnamed_file(place)?;
    let writer = Writer::new(&file, 0, directory, place, Options::new(0))?;
    let mut segment = writer.segment();
    let root = Root::open(directory)?;
    let tree = read_directory(&root, &mut |mut file, path| segment.store(&mut file, path))?;
    segment.close()?;
    writer.finish(&tree)?;
    Ok(file)
}
