//! Noting what a base has, for the day when it is another one, or was edited.
//!
//! It is noted when the last one leaves an overlay. A mark beside the layers says that somebody was in it since: where it is
//! found on entering, a crash came between, and what is new is noted then.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::seen::{self, Had, Moment, SeenFiles};
use super::side::Side;
use super::stamps::{self, Stamps};
use super::{LARGEST_TABLE, accounts, packages, shown};
use crate::host::{Base, Host};
use crate::overlay::changes::place::Place;
use crate::overlay::collection::RECORD;
use crate::overlay::copy::copy_tree;
use crate::overlay::diff::uppers;
use crate::overlay::name::OverlayName;
use crate::overlay::parts::{Laid, laid};
use crate::overlay::{Error, Overlay, layers};
use crate::sys::{Context, FileKind, IoError, Root};

/// In an overlay's directory: somebody was in it, and what it covers was not noted since.
const UNNOTED: &str = "unnoted";

/// Says that somebody enters an overlay, of which nothing is noted until [`note_base`]. It costs no sync: where a power
/// cut takes it back, that takes back what came later.
pub fn mark_unnoted(overlay: &Root) -> Result<(), IoError> {
    overlay.make_file(UNNOTED, 0o600).map(drop)
}

/// Takes [`mark_unnoted`] back.
pub(super) fn unmark(overlay: &Root) -> Result<(), IoError> {
    match rustix::fs::unlinkat(overlay, UNNOTED, rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error).context("remove", overlay.join(UNNOTED)),
    }
}

/// Notes what a crash has kept an earlier session from noting. Nobody is in the overlay.
pub fn note_unnoted(overlay: &Overlay, host: &Host) -> Result<(), Error> {
    if overlay.dir.lstat(UNNOTED)?.is_none() {
        return Ok(());
    }
    if note_settled(overlay, host)? { Ok(unmark(&overlay.dir)?) } else { Ok(()) }
}

/// Notes what an overlay has seen of its base, after the last one has left it.
pub fn note_base(name: &OverlayName, dir: &Root) -> Result<(), Error> {
    if uppers(dir)?
        .iter()
        .try_fold(true, |nothing, (_, upper)| Ok::<_, IoError>(nothing && upper.is_empty()?))?
    {
        return Ok(unmark(dir)?);
    }
    let overlay = Overlay::read(name, dir.try_clone()?)?;
    let host = Host::open(Path::new(&overlay.record.root))?;
    if note_settled(&overlay, &host)? { Ok(unmark(dir)?) } else { Ok(()) }
}

/// Notes what layers have seen of their base, which is the host as it is seen here.
pub fn note_base_of(overlay: &Overlay, host: &Host) -> Result<(), Error> {
    note_settled(overlay, host).map(drop)
}

/// Says whether there is nothing left to note.
fn note_settled(overlay: &Overlay, host: &Host) -> Result<bool, Error> {
    let all = laid(&overlay.dir, host)?;
    let base = &overlay.record.base;
    // Where the base was changed under the overlay, what it had is gone; and while its package manager is at work, what it
    // has is neither what it had nor what it will have.
    let is_empty = holds_nothing(&all)?;
    if is_empty || !is_settled(base, host) {
        return Ok(is_empty);
    }
    let layers = overlay.dir.open_child(OsStr::new(layers::DIRECTORY))?;
    let of = Noted { base, manifest: None, since: entered(&overlay.dir)?, beside: &[] };
    note(&Side::all(all, host)?, &layers, SeenFiles::read(&layers, base)?, &of, host)?;
    Ok(true)
}

/// When an overlay was last entered, which is the time of its record. What is laid over the running host has none, and is
/// noted when it cannot be written.
fn entered(overlay: &Root) -> Result<Option<Moment>, IoError> {
    Ok(overlay.lstat(RECORD)?.map(|stat| (stat.st_mtime as _, stat.st_mtime_nsec as _)))
}

fn holds_nothing(all: &[Laid]) -> Result<bool, IoError> {
    all.iter().try_fold(true, |nothing, laid| Ok(nothing && laid.is_empty()?))
}

/// Whether the host has the base that is known, and nobody is changing it.
fn is_settled(base: &Base, host: &Host) -> bool {
    *base == host.base() && packages::refuse_in_use(&host.root, Duration::ZERO).is_ok()
}

/// Notes what packages an overlay's base has, and what it covers already, while somebody is in it: who leaves might not
/// come to that, and the base might be another one then.
pub fn note_meanwhile(name: &OverlayName, dir: &Root) -> Result<(), Error> {
    let overlay = Overlay::read(name, dir.try_clone()?)?;
    let host = Host::open(Path::new(&overlay.record.root))?;
    note_packages_of(&overlay, &host)?;
    note_base_of(&overlay, &host)
}

/// Notes what packages the base of layers has, which is the host as it is seen here.
pub fn note_packages_of(overlay: &Overlay, host: &Host) -> Result<(), Error> {
    let base = &overlay.record.base;
    if !is_settled(base, host) {
        return Ok(());
    }
    packages::note(&host.root, &overlay.dir.open_child(OsStr::new(layers::DIRECTORY))?, (base, None))
}

/// Copies what was noted of the base that layers lie over into an overlay that is being made over the same.
pub fn adopt_seen(overlay: &Root, from: &Root) -> Result<(), Error> {
    let layers = from.open_child(OsStr::new(layers::DIRECTORY))?;
    let seen = match layers.open_child(OsStr::new(seen::DIRECTORY)) {
        Err(error) if error.is_not_found() => return Ok(()),
        other => other?,
    };
    let layers = overlay.open_child(OsStr::new(layers::DIRECTORY))?;
    layers.make_dir(seen::DIRECTORY, 0o700)?;
    Ok(copy_tree(&seen, &layers.open_child(OsStr::new(seen::DIRECTORY))?)?)
}

/// What a base is noted by.
pub(super) struct Noted<'a> {
    pub(super) base: &'a Base,
    /// What tells its packages, where that is known.
    pub(super) manifest: Option<&'a str>,
    /// From when on its files may have been others than those that an overlay has seen.
    pub(super) since: Option<Moment>,
    /// Names of which is known what the base has without the extensions that are merged over it.
    pub(super) beside: &'a [(PathBuf, Had)],
}

/// Notes what is seen of a base, and its packages.
pub(super) fn note(
    sides: &[Side],
    layers: &Root,
    mut seen: SeenFiles,
    of: &Noted<'_>,
    host: &Host,
) -> Result<(), Error> {
    let is_first = !seen.is_known();
    let mut is_new = false;
    of.beside.iter().for_each(|(path, had)| seen.note_beside_extension(path, had));
    for side in sides {
        is_new |= seen.note(&side.read()?, &side.lower, &side.point, of.since)?;
    }
    let diversions = packages::Diversions::of(&host.root, |path| read_own(sides, path))?;
    let tables = packages::tables_of_files(&host.root);
    for side in sides {
        let layer = side.layer();
        let also = diversions.places.iter().chain(&tables);
        let inside = also.filter_map(|path| Some((path.clone(), layer.inside(path)?)));
        is_new |= seen.note_also(&side.lower, inside)?;
    }
    note_shown(sides, layers, host)?;
    if is_new {
        // What was noted of this base before stays, as it was then.
        if is_first {
            seen::note_diversions(layers, &diversions.of_base)?;
        }
        let stamps = if is_first { Stamps::default() } else { stamps::noted(layers)? };
        for side in sides {
            accounts::note(&side.layer(), layers, &seen)?;
        }
        seen.write(layers, of.base)?;
        stamps::note(layers, &stamps, &seen, &host.root)?;
    }
    if packages::is_own(host, |path| sides.iter().any(|side| side.has(path))) {
        packages::note(&host.root, layers, (of.base, of.manifest))?;
    }
    Ok(())
}

/// Notes what packages of the overlay have as directories and links in the base alone.
fn note_shown(sides: &[Side], layers: &Root, host: &Host) -> Result<(), Error> {
    let listed = packages::listed(&host.root, |directory| {
        let side = sides.iter().find(|side| side.has(directory))?;
        let mut place = Place::at(&side.upper, &side.layer().inside(directory)?);
        place.dir().ok()?.try_clone().ok()
    })?;
    let mut found = BTreeMap::new();
    for side in sides {
        let layer = side.layer();
        let inside = listed.iter().filter_map(|path| Some((path.clone(), layer.inside(path)?)));
        shown::find(&side.upper, &side.lower, inside, &mut found)?;
    }
    Ok(shown::note(layers, &found)?)
}

/// What the uppers have under a path of the view.
fn read_own(sides: &[Side], path: &Path) -> Result<Option<Vec<u8>>, IoError> {
    let Some(side) = sides.iter().find(|side| side.has(path)) else { return Ok(None) };
    let inside = side.layer().inside(path).unwrap_or_default();
    let mut place = Place::at(&side.upper, inside.parent().unwrap_or(Path::new("")));
    let (dir, name) = (place.dir()?, inside.file_name().unwrap_or_default());
    let is_file = dir.lstat(name)?.is_some_and(|stat| FileKind::of(&stat) == FileKind::File);
    if is_file { dir.read(name, LARGEST_TABLE).map(Some) } else { Ok(None) }
}
