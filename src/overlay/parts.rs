//! Where extensions are merged over a directory of the host, that is a mount of its own, but no file system of its own: what an
//! overlay writes there belongs to the layer of the file system below. So the directory of that layer is the upper of one more
//! overlay, over what is merged; and where nothing is merged any more, it is what it was before: a directory of the layer.
//!
//! ```text
//! layers/@root/upper/usr   the upper over /usr, whether extensions are merged there or not
//! layers/@root/work-usr    the work directory beside it, while they are
//! ```

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Error;
use super::changes::place::Place;
use super::diff::{uppers_in, without_submounts};
use super::layers::{self, directory_name, holder};
use super::rebase::make_parents;
use crate::host::Host;
use crate::sys::{IoError, Root, Xattrs};

/// A directory over which extensions are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExtendedPart {
    /// Where it is, seen from the root of the view.
    pub(super) point: PathBuf,
    /// The mount point of the layer that it is a part of.
    pub(super) holder: PathBuf,
}

/// A layer as it lies over a host.
#[derive(Debug)]
pub(super) struct Laid {
    /// Where, seen from the root of the view.
    pub(super) point: PathBuf,
    /// What was written there.
    pub(super) upper: Root,
    /// Directories of the upper, by their paths in it, of which what they contain lies elsewhere.
    pub(super) elsewhere: Vec<PathBuf>,
    /// It is a directory of another layer.
    pub(super) is_part: bool,
    /// It hides what it lies over.
    pub(super) is_opaque: bool,
}

/// The directory of a layer that is an upper by itself.
#[derive(Debug)]
pub(super) struct PartUpper {
    pub(super) upper: Root,
    pub(super) work: Root,
    /// Whether it hides all that lies below it: the overlay has removed the directory, and made another.
    pub(super) is_opaque: bool,
}

impl ExtendedPart {
    /// All of them that a host has.
    pub(super) fn all(host: &Host) -> Vec<ExtendedPart> {
        let root = host.root.path();
        let part = |mount: &crate::sys::Mount| {
            let inside = mount.point.strip_prefix(root).ok()?;
            Some(ExtendedPart {
                point: Path::new("/").join(inside),
                holder: holder(&host.mounts, root, mount)?,
            })
        };
        host.merged_extensions().into_iter().filter_map(part).collect()
    }

    /// Its path from the root of the layer that holds it.
    pub(super) fn inside(&self) -> &Path {
        self.point.strip_prefix(&self.holder).unwrap_or(Path::new(""))
    }
}

/// Opens the directory of a layer that is the upper where extensions are merged, and makes it where the overlay has nothing
/// there. `covered` is what the layer covers, without what is mounted below that; `None` where the overlay has removed the
/// directory, or put something else there.
pub(super) fn part_upper(
    storage: &Root,
    part: &ExtendedPart,
    covered: &Root,
) -> Result<Option<PartUpper>, Error> {
    let layer = Path::new(layers::DIRECTORY).join(directory_name(&part.holder));
    let layer = Root::from_fd(storage.open_exact(&layer)?, storage.join(&layer));
    let upper = layer.open_child(OsStr::new("upper"))?;
    make_parents(&upper, covered, part.inside())?;
    let Some((upper, is_opaque)) = open_part(&upper, part.inside())? else { return Ok(None) };
    let work = format!("work-{}", directory_name(&part.point));
    layer.make_dir(&work, 0o700)?;
    Ok(Some(PartUpper { upper, work: layer.open_child(OsStr::new(&work))?, is_opaque }))
}

/// A directory of an upper, and whether it hides what lies below.
fn open_part(upper: &Root, inside: &Path) -> Result<Option<(Root, bool)>, IoError> {
    let mut is_opaque = false;
    let mut place = Place::top(upper);
    for name in inside {
        place.push(name);
        if !place.exists()? {
            return Ok(None);
        }
        let marks = Xattrs::read(place.dir()?, Path::new(""))?;
        is_opaque |= marks.get("trusted.overlay.opaque") == Some(b"y".as_slice());
    }
    Ok(Some((place.dir()?.try_clone()?, is_opaque)))
}

/// The layers of an overlay, as they lie over a host now.
pub(super) fn laid(overlay: &Root, host: &Host) -> Result<Vec<Laid>, Error> {
    match overlay.open_child(OsStr::new(layers::DIRECTORY)) {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        layers => laid_of(&layers?, host),
    }
}

/// The same, of a directory that holds layers.
pub(super) fn laid_of(layers: &Root, host: &Host) -> Result<Vec<Laid>, Error> {
    let on_disk = uppers_in(layers)?;
    // Layers over single directories of the unlocked host are parts of nothing.
    let mut parts = ExtendedPart::all(host);
    parts.retain(|part| on_disk.iter().any(|(point, _)| *point == part.holder));
    let whole =
        |(point, upper)| Laid { point, upper, elsewhere: Vec::new(), is_part: false, is_opaque: false };
    let mut found: Vec<Laid> = on_disk.into_iter().map(whole).collect();
    // What an earlier version has kept there by itself is not seen.
    found.retain(|laid| parts.iter().all(|part| part.point != laid.point));
    for part in parts {
        let Some(of) = found.iter_mut().find(|laid| laid.point == part.holder && !laid.is_part) else {
            continue;
        };
        if let Some((upper, is_opaque)) = open_part(&of.upper, part.inside())? {
            of.elsewhere.push(part.inside().to_owned());
            let (point, elsewhere) = (part.point, Vec::new());
            found.push(Laid { point, upper, elsewhere, is_part: true, is_opaque });
        }
    }
    found.sort_by(|one, other| one.point.cmp(&other.point));
    Ok(found)
}

impl Laid {
    /// What it lies over, without what is mounted below that.
    pub(super) fn lower(&self, host: &Host) -> Result<Root, Error> {
        if self.is_opaque { Ok(super::diff::empty_tree()?) } else { without_submounts(host, &self.point) }
    }

    /// Whether nothing was written there.
    pub(super) fn is_empty(&self) -> Result<bool, IoError> {
        let entries = self.upper.entries()?;
        let is_elsewhere = |name: &OsStr| self.elsewhere.iter().any(|inside| inside.as_os_str() == name);
        Ok(entries.iter().all(|entry| is_elsewhere(&entry.name)))
    }
}
