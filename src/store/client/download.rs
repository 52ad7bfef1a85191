//! Having an image come: into a partial file, which is looked at before it becomes an image of the host's.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{Candidate, Error, StoreError};
use crate::extension::ImageFiles;
use crate::fetch::{Expected, Partial};
use crate::package::Identity;
use crate::store::delta::{self, Old};
use crate::store::describe::{describe, lie};
use crate::store::index::Entry;
use crate::store::name::ImageName;
use crate::store::unpack::{LARGEST, unpack};
use crate::sys::Root;

/// How far a download is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The image.
    pub candidate: Candidate<'a>,
    /// So many bytes are there.
    pub done: u64,
}

/// How much of an image came, and how much of it was here: of older versions, and of a download that broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Fetched {
    /// Bytes that were fetched.
    pub fetched: u64,
    /// Bytes of the image that were not.
    pub reused: u64,
}

/// An older image at hand, open.
#[derive(Debug)]
pub struct Older {
    /// To read it.
    pub file: File,
    /// Where it is.
    pub path: PathBuf,
    /// Its SHA-256.
    pub sha256: Identity,
}

/// Has an image come, in a directory of images, by what older ones have of it where that is less. It is complete, what was signed,
/// and what its store says of it, or nothing stays but what came before the network died.
pub fn download(
    candidate: Candidate<'_>,
    digest: Identity,
    images: &Root,
    older: &[Older],
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(Partial, Fetched), Error> {
    let store = &candidate.catalog.store.name;
    let mut partial = Partial::open(images, digest)?;
    let fetched = match bring(candidate, &mut partial, older, progress) {
        Ok(fetched) => fetched,
        Err(problem) => {
            if !problem.may_pass() {
                partial.discard()?;
            }
            return Err(problem.of(store));
        }
    };
    let partial = unpacked(candidate, partial)?;
    match look_at(candidate, &partial) {
        Ok(()) => Ok((partial, fetched)),
        Err(problem) => {
            partial.discard()?;
            Err(problem.of(store))
        }
    }
}

/// Has all its bytes come, by whatever way is the shortest.
fn bring(
    candidate: Candidate<'_>,
    partial: &mut Partial,
    older: &[Older],
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Fetched, StoreError> {
    let Candidate { catalog, entry } = candidate;
    // What has come of the whole is gone on with.
    let mut built = None;
    if partial.length() == 0 && !older.is_empty() {
        built = build(candidate, partial, older)?;
    }
    let had = partial.length();
    let size = catalog.is_told.then_some(entry.size);
    // Of one whose size is told, that counts.
    let expected = Expected { size, limit: LARGEST };
    let mut tell = |done| progress(Progress { candidate, done });
    catalog.source.download(&entry.file, partial, expected, &mut tell)?;
    let all = partial.length();
    let fetched = built.unwrap_or(all.saturating_sub(had));
    Ok(Fetched { fetched, reused: all.saturating_sub(fetched) })
}

/// Builds it from older ones, where the store has what that takes, and says how many bytes were fetched for that; where it fails,
/// nothing is there, and the whole comes.
fn build(
    candidate: Candidate<'_>,
    partial: &mut Partial,
    older: &[Older],
) -> Result<Option<u64>, StoreError> {
    let Candidate { catalog, entry } = candidate;
    let old: Vec<Old<'_>> =
        older.iter().map(|one| Old { file: &one.file, path: &one.path, sha256: one.sha256 }).collect();
    let mut source = &catalog.source;
    let outcome = delta::build(entry, &old, &mut source, partial.file(), &partial.path());
    if let Some(built) = outcome.built {
        partial.filled()?;
        return Ok(Some(built.fetched));
    }
    partial.restart()?;
    Ok(None)
}

/// The image of one that came compressed as a whole, which goes.
fn unpacked(candidate: Candidate<'_>, packed: Partial) -> Result<Partial, Error> {
    let Candidate { catalog, entry } = candidate;
    let Some((_, packing)) =
        ImageName::parse_packed(last_of(entry)).filter(|(_, packing)| !packing.is_empty())
    else {
        return Ok(packed);
    };
    let mut image = packed.unpacked()?;
    match pour(entry, &packed, packing, &mut image) {
        Ok(()) => {
            packed.discard()?;
            Ok(image)
        }
        Err(problem) => {
            image.discard()?;
            // Where there was no room, what has come need not come again.
            if matches!(problem, StoreError::Packed { .. }) {
                packed.discard()?;
            }
            Err(problem.of(&catalog.store.name))
        }
    }
}

fn pour(entry: &Entry, packed: &Partial, packing: &str, image: &mut Partial) -> Result<(), StoreError> {
    let bad = |problem: String| StoreError::Packed { file: entry.file.clone(), problem };
    unpack(packed.file(), packing, LARGEST, bad, |bytes| Ok(image.append(bytes)?))
}

/// The name of its file, without directories of the store's.
fn last_of(entry: &Entry) -> &str {
    entry.file.rsplit('/').next().unwrap_or_default()
}

/// Whether it is what its store says of it.
fn look_at(candidate: Candidate<'_>, partial: &Partial) -> Result<(), StoreError> {
    let Candidate { catalog, entry } = candidate;
    let image = |problem| StoreError::Image { file: entry.file.clone(), problem: Box::new(problem) };
    let last = last_of(entry);
    let Some((name, packing)) = ImageName::parse_packed(last) else { return Ok(()) };
    let last = last.strip_suffix(packing).unwrap_or(last);
    let path = Path::new(&entry.file);
    let contents = ImageFiles::of(partial.file(), path).map_err(|error| image(error.into()))?;
    let described = describe(&contents, &name, last, path).map_err(image)?.entry;
    let size = partial.file().metadata().map(|found| found.len()).unwrap_or_default();
    match lie(entry, &described, size).filter(|_| catalog.is_told) {
        Some(what) => Err(StoreError::Lie { file: entry.file.clone(), what: what.to_owned() }),
        None => Ok(()),
    }
}
