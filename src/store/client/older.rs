//! An image from older ones of the same extension that the host has, where that is less than a download.

use std::fs::File;
use std::path::PathBuf;

use super::{Candidate, StoreError};
use crate::extension::activate::Images;
use crate::fetch::{Address, Partial};
use crate::package::Identity;
use crate::package::digest::Algorithm;
use crate::store::delta::{self, Old};
use crate::sys::unnamed_file;

/// So many of them are looked at, the newest first.
const MOST: usize = 2;

/// Builds an image of a web server's; `false` where all of it has to come. Where some has come before, that goes on.
pub(super) fn build(
    candidate: Candidate<'_>,
    images: &Images,
    partial: &mut Partial,
) -> Result<bool, StoreError> {
    let Candidate { catalog, entry } = candidate;
    let is_far = catalog.source.addresses().iter().any(|address| matches!(address, Address::Web(_)));
    let has_none = entry.blocks.is_none() && entry.patches.is_empty();
    if !is_far || has_none || partial.length() > 0 {
        return Ok(false);
    }
    let known = older(&entry.name, images);
    let old: Vec<Old<'_>> =
        known.iter().map(|(file, path, sha256)| Old { file, path, sha256: *sha256 }).collect();
    let target = unnamed_file(images.directory())?;
    let mut source = &catalog.source;
    let outcome = delta::build(entry, &old, &mut source, &target, &partial.path());
    if outcome.built.is_some() {
        partial.fill(&target)?;
    }
    Ok(outcome.built.is_some())
}

/// Images of an extension that the host has. One that cannot be read is none.
fn older(name: &str, images: &Images) -> Vec<(File, PathBuf, Identity)> {
    let mut found = Vec::new();
    for stored in images.of(name).unwrap_or_default().into_iter().rev().take(MOST) {
        let Some(file) = stored.path.file_name() else { continue };
        let Ok(opened) = images.directory().open_exact_file(file) else { continue };
        let Ok(digest) = Algorithm::Sha256.digest_file(&opened, &stored.path) else { continue };
        found.extend(Identity::parse(&digest.to_string()).map(|sha256| (opened, stored.path, sha256)));
    }
    found
}
