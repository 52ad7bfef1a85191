//! Having an image come: into a partial file, which is looked at before it becomes an image of the host's.

use std::path::Path;

use super::{Candidate, Error, StoreError, older};
use crate::extension::ImageFiles;
use crate::extension::activate::Images;
use crate::fetch::{Expected, Partial};
use crate::package::Identity;
use crate::store::describe::{describe, lie};
use crate::store::name::ImageName;

/// No image that anybody ships has so many bytes; of one whose size is told, that counts.
const LARGEST: u64 = 64 << 30;

/// How far a download is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The image.
    pub candidate: Candidate<'a>,
    /// So many bytes are there.
    pub done: u64,
}

/// Has an image come, in a directory of images. It is complete, what was signed, and what its store says of it, or nothing
/// stays but what came before the network died.
pub fn download(
    candidate: Candidate<'_>,
    digest: Identity,
    images: &Images,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Partial, Error> {
    let store = &candidate.catalog.store.name;
    let mut partial = Partial::open(images.directory(), digest)?;
    if let Err(problem) = bring(candidate, images, &mut partial, progress) {
        if !problem.may_pass() {
            partial.discard()?;
        }
        return Err(problem.of(store));
    }
    match look_at(candidate, &partial) {
        Ok(()) => Ok(partial),
        Err(problem) => {
            partial.discard()?;
            Err(problem.of(store))
        }
    }
}

/// Has all its bytes come, by whatever way is the shortest.
fn bring(
    candidate: Candidate<'_>,
    images: &Images,
    partial: &mut Partial,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), StoreError> {
    let Candidate { catalog, entry } = candidate;
    let size = catalog.is_told.then_some(entry.size);
    let expected = Expected { size, limit: LARGEST };
    let mut tell = |done| progress(Progress { candidate, done });
    // What was built is looked at like what has come.
    if older::build(candidate, images, partial)? {
        tell(entry.size);
    }
    Ok(catalog.source.download(&entry.file, partial, expected, &mut tell)?)
}

/// Whether it is what its store says of it.
fn look_at(candidate: Candidate<'_>, partial: &Partial) -> Result<(), StoreError> {
    let Candidate { catalog, entry } = candidate;
    let image = |problem| StoreError::Image { file: entry.file.clone(), problem: Box::new(problem) };
    let last = entry.file.rsplit('/').next().unwrap_or_default();
    let Some(name) = ImageName::parse(last) else { return Ok(()) };
    let path = Path::new(&entry.file);
    let contents = ImageFiles::of(partial.file(), path).map_err(|error| image(error.into()))?;
    let described = describe(&contents, &name, last, path).map_err(image)?.entry;
    let size = partial.file().metadata().map(|found| found.len()).unwrap_or_default();
    match lie(entry, &described, size).filter(|_| catalog.is_told) {
        Some(what) => Err(StoreError::Lie { file: entry.file.clone(), what: what.to_owned() }),
        None => Ok(()),
    }
}
