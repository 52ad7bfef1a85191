//! What a named overlay changes on a host, over all its layers.

use std::path::{Path, PathBuf};

use super::changes::{self, Change, ChangeKind, Measure};
use super::layers::{self, mount_point};
use super::parts::laid;
use super::{Error, Overlay};
use crate::host::Host;
use crate::sys::{FileKind, IoError, Root, clone_tree};

/// Lists what an overlay changes, by path.
pub fn diff(overlay: &Overlay, host: &Host) -> Result<Vec<Change>, Error> {
    overlay.check_root(host.root.path())?;
    let mut found = Vec::new();
    for laid in laid(&overlay.dir, host)? {
        let (lower, point) = (laid.lower(host)?, &laid.point);
        let layer =
            changes::Layer { elsewhere: &laid.elsewhere, ..changes::Layer::new(&laid.upper, &lower, point) };
        let mut changes = changes::read_changes(&layer)?;
        // The root of a layer looks like the file system that it was laid over, not like the directory below that; that of a
        // part is told with the layer.
        if laid.is_part || !is_mounted(host, point) {
            changes.retain(|change| change.path != *point);
        }
        found.extend(changes.into_iter().filter(|change| !is_lock(change)));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Empty files by which package managers keep each other out. That one was opened says nothing.
const LOCKS: &[&str] = &[
    "/usr/lib/sysimage/dpkg/lock",
    "/usr/lib/sysimage/dpkg/lock-frontend",
    "/usr/lib/sysimage/dpkg/triggers/Lock",
    "/usr/lib/sysimage/rpm/.rpm.lock",
    "/var/cache/apt/archives/lock",
    "/var/lib/apt/lists/lock",
    "/var/lib/dpkg/lock",
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/triggers/Lock",
    "/var/lib/rpm/.rpm.lock",
];

fn is_lock(change: &Change) -> bool {
    change.kind != ChangeKind::Removed
        && (change.file, change.size) == (FileKind::File, 0)
        && LOCKS.iter().any(|lock| change.path == Path::new(lock))
}

/// Whether the host has a file system there now.
fn is_mounted(host: &Host, point: &Path) -> bool {
    let place = host.root.join(point);
    point == Path::new("/") || host.mounts.at(&place).is_some_and(|mount| mount.point == place)
}

/// How much the layers of an overlay hold.
pub fn measure(overlay: &Root) -> Result<Measure, IoError> {
    let mut sum = Measure::default();
    for (_, upper) in uppers(overlay)? {
        let measured = changes::measure(&upper)?;
        sum.entries += measured.entries;
        sum.bytes += measured.bytes;
    }
    Ok(sum)
}

/// The upper directories of an overlay, with their mount points.
pub(super) fn uppers(overlay: &Root) -> Result<Vec<(PathBuf, Root)>, IoError> {
    match overlay.open_child(layers::DIRECTORY.as_ref()) {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        layers => uppers_in(&layers?),
    }
}

/// The same, of a directory that holds layers.
pub(super) fn uppers_in(layers: &Root) -> Result<Vec<(PathBuf, Root)>, IoError> {
    let mut found = Vec::new();
    for entry in layers.entries()? {
        let Some(point) = entry.name.to_str().and_then(mount_point) else { continue };
        match layers.open_child(&entry.name)?.open_child("upper".as_ref()) {
            Ok(upper) => found.push((point, upper)),
            // A crash came between the layer's directory and its upper.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

/// What the host has at a mount point, without what is mounted below it. Where nothing is mounted
/// there now, its parent's directory is what the host shows; where that is gone, nothing is.
pub(super) fn without_submounts(host: &Host, point: &Path) -> Result<Root, Error> {
    let shown = match host.root.open_exact(point) {
        Ok(shown) => shown,
        Err(error) if error.is_not_found() => return Ok(empty_tree()?),
        Err(error) => return Err(error.into()),
    };
    let tree = clone_tree(shown, point, false)?;
    Ok(Root::from_fd(tree.into_fd(), host.root.join(point)))
}

pub(super) fn empty_tree() -> Result<Root, IoError> {
    let flags = crate::sys::MountFlags::READ_ONLY;
    let tree = crate::sys::new_filesystem("tmpfs", &[], flags)?;
    Ok(Root::from_fd(tree.into_fd(), "nothing"))
}
