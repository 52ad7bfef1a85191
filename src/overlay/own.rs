//! What an overlay changes by itself, where extensions are merged over its base now, or were when it was last entered.
//!
//! They come and go, and what they bring is nobody's change. So the overlay is compared with the base without them ([`bare`]), and what
//! it has only copied of them is left out: that was noted when the last one left it ([`super::rebase`]). What it has itself is told, also where
//! an extension that is merged has the very same, by which it would look as if nothing had been changed.
//!
//! [`bare`]: crate::host::Bare

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::changes::place::Place;
use super::changes::{Change, ChangeKind};
use super::diff::diff;
use super::parts::{Laid, laid};
use super::rebase::{Attributes, Content, Had, NotedPackage, SeenFiles, noted_packages};
use super::{Error, Overlay, Packages, layers};
use crate::host::Host;
use crate::sys::{FileKind, Root};

/// Lists what an overlay changes by itself, by path. `bare` shows the base without extensions; `shown` is what the overlay changes of the
/// base with those that are merged now, where they are those that it knows.
pub fn diff_itself(overlay: &Overlay, bare: &Host, shown: Option<&[Change]>) -> Result<Vec<Change>, Error> {
    let changes = diff(overlay, bare)?;
    let Some(layers) = open_layers(overlay)? else { return Ok(changes) };
    let seen = SeenFiles::read(&layers, &overlay.record.base)?;
    let shown: Option<HashSet<&Path>> =
        shown.map(|shown| shown.iter().map(|change| change.path.as_path()).collect());
    let all = laid(&overlay.dir, bare)?;
    let mut copied = HashSet::new();
    for change in &changes {
        let is_there = matches!(change.kind, ChangeKind::Added | ChangeKind::Changed | ChangeKind::Metadata);
        let is_copy = is_there
            && match seen.get(&change.path) {
                Some(Had::Content(content, attributes)) => is_in(&all, &change.path, content, attributes)?,
                Some(Had::Nothing | Had::Hidden | Had::BesideExtension(_)) => false,
                // Nobody has left it since: what looks like what is seen below it is a copy of that.
                Some(Had::Uncertain) | None => {
                    shown.as_ref().is_some_and(|shown| !shown.contains(&*change.path))
                }
            };
        if is_copy {
            copied.insert(change.path.clone());
        }
    }
    Ok(without(changes, &copied))
}

/// Leaves those out that are copies, but not directories of what stays.
fn without(changes: Vec<Change>, copied: &HashSet<PathBuf>) -> Vec<Change> {
    let kept = changes.iter().filter(|change| !copied.contains(&change.path));
    let above: HashSet<PathBuf> =
        kept.flat_map(|change| change.path.ancestors().skip(1)).map(Path::to_owned).collect();
    let stays = |change: &Change| {
        !copied.contains(&change.path) || (change.file == FileKind::Directory && above.contains(&change.path))
    };
    changes.into_iter().filter(stays).collect()
}

/// Whether the overlay has just this under a path.
fn is_in(all: &[Laid], path: &Path, content: &Content, attributes: &Attributes) -> Result<bool, Error> {
    let (Some(layer), Some(name)) =
        (all.iter().rfind(|laid| path.starts_with(&laid.point)), path.file_name())
    else {
        return Ok(false);
    };
    let inside = path.strip_prefix(&layer.point).unwrap_or(path);
    let mut place = Place::at(&layer.upper, inside.parent().unwrap_or(Path::new("")));
    if !place.exists()? {
        return Ok(false);
    }
    let dir = place.dir()?;
    Ok(Attributes::of(dir, name)? == *attributes && Content::of(dir, name)? == *content)
}

/// Leaves out of the packages of an overlay, compared with those of the base without extensions, what the overlay has only copied of
/// the database of those.
pub fn leave_out_copies(packages: &mut Packages, overlay: &Overlay) -> Result<(), Error> {
    let Some(layers) = open_layers(overlay)? else { return Ok(()) };
    let noted: HashSet<NotedPackage> = noted_packages(&layers, &overlay.record.base)?.into_iter().collect();
    packages.leave_out(&noted);
    Ok(())
}

fn open_layers(overlay: &Overlay) -> Result<Option<Root>, Error> {
    match overlay.dir.open_child(OsStr::new(layers::DIRECTORY)) {
        Err(error) if error.is_not_found() => Ok(None),
        other => Ok(Some(other?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_what_stays_stay() {
        let change = |path: &str, file| Change {
            path: path.into(),
            kind: ChangeKind::Added,
            file,
            size: 0,
            from: None,
        };
        let names = ["/usr/a", "/usr/a/copied", "/usr/a/own", "/usr/b", "/usr/b/copied"];
        let kinds =
            [FileKind::Directory, FileKind::File, FileKind::File, FileKind::Directory, FileKind::File];
        let changes = names.iter().zip(kinds).map(|(path, kind)| change(path, kind)).collect();
        let copied = ["/usr/a", "/usr/a/copied", "/usr/b", "/usr/b/copied"].map(PathBuf::from).into();
        let left: Vec<PathBuf> = without(changes, &copied).into_iter().map(|change| change.path).collect();
        assert_eq!(left, ["/usr/a", "/usr/a/own"].map(PathBuf::from));
    }
}
