//! From what was chosen to what can be added: images that are on the host already, and those that come.

use std::path::PathBuf;

use super::{Candidate, Error, Progress, StoreError, download};
use crate::extension::activate::{Images, Incoming};
use crate::package::Identity;
use crate::package::digest::Algorithm;
use crate::store::name::ImageName;
use crate::sys::Root;

/// An image that can be added.
#[derive(Debug)]
pub enum Brought {
    /// It is on the host already.
    Stored(PathBuf),
    /// It has come.
    Incoming(Incoming),
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
    let called = ImageName::parse(last).map_or_else(|| last.to_owned(), |name| name.to_string());
    if is_stored(images.directory(), &called, digest)? {
        return Ok(Brought::Stored(images.directory().join(&called)));
    }
    let image = download(candidate, digest, images, progress)?;
    let (name, version) = (entry.name.clone(), entry.version.clone());
    Ok(Brought::Incoming(Incoming { image, called: called.into(), name, version }))
}

/// Whether the host has the image.
fn is_stored(images: &Root, file: &str, digest: Identity) -> Result<bool, Error> {
    let found = match images.open_exact_file(file) {
        Err(error) if error.is_not_found() => return Ok(false),
        other => other?,
    };
    let stored = Algorithm::Sha256.digest_file(&found, &images.join(file))?;
    Ok(Identity::parse(&stored.to_string()) == Some(digest))
}
