//! Changes that are carried between a named overlay, which has a layer for each file system, and layers that lie over
//! single directories of the host.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Error;
use super::assemble::new_upper;
use super::changes::marks::Prefix;
use super::changes::place::Place;
use super::changes::upper::Upper;
use super::copy::copy_tree;
use super::diff::{uppers, without_submounts};
use super::layers::directory_name;
use super::rebase::make_parents;
use crate::host::{Host, below_extensions};
use crate::sys::{FileKind, Root};

/// Copies what a layer over one directory of the host holds into an overlay's layer of the file system that the
/// directory is in. `overlay` is the overlay's directory; the host is as it is without that layer.
pub fn adopt(overlay: &Root, host: &Host, place: &Path, upper: &Root) -> Result<(), Error> {
    if upper.is_empty()? {
        return Ok(());
    }
    let of = |mount| below_extensions(&host.mounts, mount).point.clone();
    let point = host.mounts.at(place).map_or_else(|| PathBuf::from("/"), of);
    let lower = without_submounts(host, &point)?;
    let (layer, _) = new_upper(overlay, &directory_name(&point), &lower)?;
    let inside = place.strip_prefix(&point).unwrap_or(Path::new(""));
    make_parents(&layer, &lower, inside)?;
    Ok(copy_tree(upper, Place::at(&layer, inside).dir()?)?)
}

/// Copies what an overlay holds of one directory of the host into an empty layer over that.
pub fn lend(overlay: &Root, place: &Path, upper: &Root) -> Result<(), Error> {
    let all = uppers(overlay)?;
    let Some((point, layer)) = all.iter().rfind(|(point, _)| place.starts_with(point)) else { return Ok(()) };
    let inside = place.strip_prefix(point).unwrap_or(Path::new(""));
    let mut at = layer.try_clone()?;
    for part in inside {
        let Some(stat) = at.lstat(part)? else { return Ok(()) };
        if FileKind::of(&stat) != FileKind::Directory {
            // The overlay has removed it, or put something else there.
            return Err(Error::NotADirectory { path: place.to_owned() });
        }
        at = at.open_child(OsStr::new(part))?;
    }
    Ok(copy_tree(&at, upper)?)
}

/// How many names an overlay holds outside of some directories, which [`lend`] leaves out.
pub fn held_beyond(overlay: &Root, places: &[PathBuf]) -> Result<u64, Error> {
    let mut held = 0;
    for (point, upper) in uppers(overlay)? {
        for (path, _) in Upper::read(&upper, Prefix::Trusted)?.paths() {
            let whole = point.join(path);
            let is_on_the_way = places.iter().any(|place| place.starts_with(&whole));
            let is_inside = places.iter().any(|place| whole.starts_with(place));
            held += u64::from(!is_inside && !is_on_the_way);
        }
    }
    Ok(held)
}
