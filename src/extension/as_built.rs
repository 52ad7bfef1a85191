//! Whether an image is what Onlay built, by the manifest in it and that beside it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::Error;
use super::build::Manifest;
use super::build::manifest::{LARGEST, is_made_besides};
use super::database::places::DIRECTORY;
use crate::image::file_system::{self, FileSystem, Found, walk};
use crate::image::tree::Kind;
use crate::package::digest::{Algorithm, Digester};

/// Files are read in pieces.
const PIECE: usize = 128 << 10;

/// What was compared.
#[derive(Debug, Serialize)]
pub struct AsBuilt {
    /// The extension's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether the files are those that the manifest in the image is about.
    pub files: bool,
    /// Whether the image is the one that the manifest beside it is about; nothing where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<bool>,
}

impl AsBuilt {
    /// Compares; `None` where there is no manifest in the image.
    pub fn compare(image: &Arc<dyn FileSystem>, file: &File, path: &Path) -> Result<Option<AsBuilt>, Error> {
        let said = |manifest: &Manifest| !manifest.files.sha256.is_empty();
        let Some(manifest) = inside(image)?.filter(said) else { return Ok(None) };
        let files = digest_of_files(image, path, &manifest.name)? == manifest.files.sha256;
        let image = beside(file, path)?;
        Ok(Some(AsBuilt { name: manifest.name, version: manifest.version, files, image }))
    }

    /// Whether all is as it was built.
    pub fn is_sound(&self) -> bool {
        self.files && self.image != Some(false)
    }
}

/// The manifest in an image; one that makes no sense is none of ours.
fn inside(image: &Arc<dyn FileSystem>) -> Result<Option<Manifest>, Error> {
    let Some(place) = file_system::find(&**image, DIRECTORY.as_bytes())? else { return Ok(None) };
    for (_, found) in image.list(&place)? {
        if matches!(found.kind, Kind::File(_))
            && let Some(text) = file_system::read_file(image, &found, LARGEST)?
            && let Ok(manifest) = serde_json::from_slice(&text)
        {
            return Ok(Some(manifest));
        }
    }
    Ok(None)
}

/// The digest of all files, as the manifest has it.
fn digest_of_files(image: &Arc<dyn FileSystem>, path: &Path, name: &str) -> Result<String, Error> {
    let mut all = Digester::new(Algorithm::Sha256);
    walk(&**image, path, |path, found| -> Result<(), Error> {
        let is_ours = matches!(found.kind, Kind::File(_))
            && !std::str::from_utf8(path).is_ok_and(|path| is_made_besides(path, name));
        if is_ours {
            all.update(digest_of(image, found)?.as_bytes());
            all.update(b"  ");
            all.update(path);
            all.update(b"\n");
        }
        Ok(())
    })?;
    Ok(all.finish().to_string())
}

fn digest_of(image: &Arc<dyn FileSystem>, found: &Found) -> Result<String, Error> {
    let places = Arc::clone(image).open(found)?;
    let mut digest = Digester::new(Algorithm::Sha256);
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    loop {
        let length = places.read_at(at, &mut piece)?;
        digest.update(&piece[..length]);
        at += length as u64;
        if length < PIECE {
            return Ok(digest.finish().to_string());
        }
    }
}

/// Whether the image is what the manifest beside it says, where there is one.
fn beside(file: &File, path: &Path) -> Result<Option<bool>, Error> {
    let manifest = Manifest::beside(path).ok().flatten();
    let Some(said) = manifest.and_then(|manifest| manifest.image) else { return Ok(None) };
    Ok(Some(Algorithm::Sha256.digest_file(file, path)?.to_string() == said.sha256))
}
