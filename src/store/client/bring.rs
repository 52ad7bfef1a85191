//! From what was chosen to what can be added: images that are on the host already, and those that come.

use std::fs::File;
use std::path::PathBuf;

use super::{Candidate, Error, Fetched, Older, Progress, StoreError, download};
use crate::extension::activate::{Images, Incoming};
use crate::package::Identity;
use crate::store::name::ImageName;
use crate::sys::{Context, Root};

/// So many older images are looked into.
const MOST_OLDER: usize = 3;

/// An image that can be added.
#[derive(Debug)]
pub enum Brought {
    /// It is on the host already.
    Stored(PathBuf),
    /// It has come, at so many bytes.
    Incoming(Incoming, Fetched),
}

/// Has an image come, unless it is there.
pub fn bring(
    candidate: Candidate<'_>,
    images: &Images,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Brought, Error> {
    let Candidate { catalog, entry } = candidate;
    let image =
        || StoreError::Index(format!("what it says of {} is no SHA-256", entry.file)).of(&catalog.store.name);
    let digest = entry.digest().ok_or_else(image)?;
    let last = entry.file.rsplit('/').next().unwrap_or_default();
    let (called, packing) = match ImageName::parse_packed(last) {
        Some((name, packing)) => (name.to_string(), packing),
        None => (last.to_owned(), ""),
    };
    // What is in a compressed one is known when it has come.
    if packing.is_empty() && is_stored(images.directory(), &called, digest)? {
        return Ok(Brought::Stored(images.directory().join(&called)));
    }
    let older = older(candidate, images)?;
    let (image, fetched) = download(candidate, digest, images.directory(), &older, progress)?;
    let (name, version) = (entry.name.clone(), entry.version.clone());
    Ok(Brought::Incoming(Incoming { image, called: called.into(), name, version }, fetched))
}

/// The newest images of the extension that are here, where the store tells how to build from such.
fn older(candidate: Candidate<'_>, images: &Images) -> Result<Vec<Older>, Error> {
    let entry = candidate.entry;
    if entry.blocks.is_none() && entry.patches.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for stored in images.of(&entry.name)?.into_iter().rev().take(MOST_OLDER) {
        let file = File::open(&stored.path).context("open", &stored.path)?;
        let sha256 = Identity::of_file(&file, &stored.path)?;
        found.push(Older { file, path: stored.path, sha256 });
    }
    Ok(found)
}

/// Whether the host has the image.
fn is_stored(images: &Root, file: &str, digest: Identity) -> Result<bool, Error> {
    let found = match images.open_exact_file(file) {
        Err(error) if error.is_not_found() => return Ok(false),
        other => other?,
    };
    Ok(Identity::of_file(&found, &images.join(file))? == digest)
}
