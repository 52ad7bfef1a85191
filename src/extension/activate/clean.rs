//! Versions that stay, so that they can be gone back to, and those that go.

use std::path::PathBuf;

use super::change::Change;
use super::images::{Images, Stored};
use super::record::Record;
use super::{Error, enabled, refresh, users};
use crate::extension::order;

/// Removes all images but the newest `keep` of each extension, or of some. One that this root has enabled, that is merged, or
/// that another deployment or snapshot has enabled, stays. Gives those that went, or would.
pub fn clean(change: &Change<'_>, keep: usize, names: Option<&[String]>) -> Result<Vec<Stored>, Error> {
    let _lock = refresh::lock()?;
    let Some(images) = Images::open(change.state)? else { return Ok(Vec::new()) };
    let mut used: Vec<PathBuf> = enabled(&change.host.root)?.into_iter().map(|link| link.image).collect();
    used.extend(Record::read()?.active.into_iter().map(|active| active.path));
    let mut all = images.all()?;
    all.retain(|image| names.is_none_or(|names| names.contains(&image.name)));
    let mut gone = Vec::new();
    for image in &all {
        let newer = all.iter().filter(|other| {
            other.name == image.name && order::compare(&other.version, &image.version).is_gt()
        });
        let is_old = newer.count() >= keep;
        if is_old
            && !used.contains(&image.path)
            && users::others_with(&image.path, &change.host, change.state)?.is_empty()
        {
            gone.push(image.clone());
        }
    }
    if !change.dry_run {
        gone.iter().try_for_each(|image| images.remove(image))?;
    }
    Ok(gone)
}

/// The image of an extension that is older than the one that is enabled, and newer than all others that are.
pub fn before(change: &Change<'_>, name: &str) -> Result<Stored, Error> {
    let links = enabled(&change.host.root)?;
    let now =
        links.iter().find(|link| link.name == name).ok_or_else(|| Error::NotEnabled(name.to_owned()))?;
    let images = Images::open(change.state)?.map(|images| images.of(name)).transpose()?.unwrap_or_default();
    let is_older = |image: &Stored| order::compare(&image.version, &now.version()).is_lt();
    let older = images.into_iter().rfind(is_older);
    older.ok_or_else(|| Error::NothingBefore { name: name.to_owned(), version: now.version() })
}
