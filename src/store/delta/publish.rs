//! What is published beside an image: the list of its blocks, and patches of older versions where they save something.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::build::{Old, hex};
use super::cut::digest as digest_of;
use super::list::{self, List};
use super::patch::{self, Patch, Side};
use super::{Cut, Error, apply_to_digest, cut};
use crate::image::{FileSource, Source};
use crate::package::Identity;
use crate::store::index::{Beside, Compressor, PatchFile};

/// A smaller image is downloaded as a whole.
const SMALLEST: u64 = 64 << 10;
/// A patch is worth its place in the store where it saves at least so many of a hundred bytes that are fetched without it.
const WORTH: u64 = 20;

/// A file to be published, with what an index says of it.
#[derive(Debug)]
pub struct Published<T> {
    /// What an index says of it.
    pub entry: T,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Makes the list of blocks of an image that is called `name` in a store; none of one that is small, or in too many pieces.
pub fn publish_list(name: &str, image: &Image) -> Result<Option<Published<Beside>>, Error> {
    if image.source.size() < SMALLEST {
        return Ok(None);
    }
    let Some(list) = List::of(&image.cut.pieces, image.sha256) else { return Ok(None) };
    let bytes = list.to_bytes()?;
    let entry = Beside {
        file: format!("{name}.blocks"),
        size: bytes.len() as u64,
        sha256: Identity::of(&bytes).to_string(),
    };
    Ok(Some(Published { entry, bytes }))
}

/// Makes the patch of an older image; none where it would save little.
pub fn publish_patch(name: &str, image: &Image, old: &Image) -> Result<Option<Published<PatchFile>>, Error> {
    let without = fetched_without(&image.cut, &old.cut);
    if image.source.size() < SMALLEST || without < SMALLEST / 2 {
        return Ok(None);
    }
    let bytes = patch::make(&old.side(), &image.side())?;
    let size = bytes.len() as u64;
    if size * 100 > without * (100 - WORTH) || size > patch::LARGEST {
        return Ok(None);
    }
    Ok(Some(Published { entry: read_patch(name, &bytes)?, bytes }))
}

/// What an index says of a patch that makes the image that is called `name`.
pub fn read_patch(name: &str, bytes: &[u8]) -> Result<PatchFile, Error> {
    let head = Patch::parse(bytes)?.head;
    let from = head.old.to_string();
    let compressor = head.packed.map(|(compression, block_size, fingerprint)| Compressor {
        compression: compression.to_string(),
        block_size,
        fingerprint: hex(&fingerprint),
    });
    Ok(PatchFile {
        file: format!("{name}.from-{}.patch", &from[..12]),
        from,
        size: bytes.len() as u64,
        sha256: Identity::of(bytes).to_string(),
        compressor,
    })
}

/// Whether a file is by its name a patch that makes an image.
pub fn is_patch_of(file: &str, image: &str) -> bool {
    let rest = file.strip_suffix(".patch").and_then(|file| file.strip_prefix(image));
    rest.is_some_and(|rest| rest.starts_with(".from-"))
}

/// An image with its pieces.
pub struct Image {
    source: Arc<dyn Source>,
    sha256: Identity,
    cut: Cut,
}

impl Image {
    /// Cuts an image.
    pub fn of(file: &File, path: &Path, sha256: Identity) -> Result<Image, Error> {
        let source: Arc<dyn Source> = Arc::new(FileSource::new(file, path)?);
        let cut = cut(&source)?;
        Ok(Image { source, sha256, cut })
    }

    fn side(&self) -> Side<'_> {
        Side { source: &self.source, sha256: self.sha256, cut: &self.cut }
    }
}

/// Bytes of the new image that the old one has not.
fn fetched_without(new: &Cut, old: &Cut) -> u64 {
    let known: HashSet<(u64, u32)> = old.pieces.iter().map(|piece| (piece.digest, piece.length)).collect();
    let missing = new.pieces.iter().filter(|piece| !known.contains(&(piece.digest, piece.length)));
    missing.map(|piece| u64::from(piece.length)).sum()
}

/// Whether a file is the list of blocks of an image.
pub fn check_list(bytes: &[u8], image: &dyn Source, sha256: Identity) -> Result<(), Error> {
    let list = List::parse(bytes)?;
    if list.sha256 != sha256 || list.size != image.size() || bytes.len() as u64 > list::LARGEST {
        return Err(Error::Other);
    }
    let mut at = 0;
    for (length, digest) in list.pieces {
        let mut piece = vec![0; length as usize];
        image.read_at(at, &mut piece)?;
        if digest_of(&piece) != digest {
            return Err(Error::Nonsense("its digests are those of other pieces"));
        }
        at += u64::from(length);
    }
    Ok(())
}

/// Whether a file is the patch that makes an image of an older one; where that is not at hand, whether it can be read.
pub fn check_patch(bytes: &[u8], sha256: Identity, from: &str, old: Option<&Old<'_>>) -> Result<(), Error> {
    let patch = Patch::parse(bytes)?;
    if patch.head.new != sha256 || Identity::parse(from) != Some(patch.head.old) {
        return Err(Error::Other);
    }
    let Some(old) = old else { return Ok(()) };
    let source = FileSource::new(old.file, old.path)?;
    match apply_to_digest(&patch, &source) {
        Ok(found) if found == sha256 => Ok(()),
        // Other programs may have the right one.
        Err(Error::Compressor) => Ok(()),
        Ok(_) => Err(Error::Wrong),
        Err(error) => Err(error),
    }
}
