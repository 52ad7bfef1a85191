//! An overlay's view, put together to be read while nobody is in it, and nobody may enter.
//!
//! The upper is mounted as what it is: as one more lower layer the kernel refuses it where it lies below the directory
//! that it covers, which is the usual case. That is done in a mount namespace of a thread's own, and is gone with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::assemble::{FEATURES, new_upper};
use super::diff::without_submounts;
use super::folder::run_directory;
use super::parts::{ExtendedPart, laid, part_upper};
use super::{Error, Overlay, Presence, layers};
use crate::host::Host;
use crate::sys::{
    MountFlags, Namespaces, OverlaySpec, Propagation, Root, Tree, attach, clone_tree, leave_for_new,
    mount_overlay, new_filesystem, set_flags, set_propagation,
};

/// Shows an overlay's view over a host to `read`, and the host as it is seen beside it, while nobody is in the overlay, and nobody
/// goes in.
pub fn view_alone<T: Send>(
    overlay: &Overlay,
    host: &Host,
    state: &Path,
    read: impl FnOnce(&Root, &Host) -> T + Send,
) -> Result<T, Error> {
    let presence = Presence::open(state)?;
    let entry = presence.lock_entry()?;
    presence.check_free(&overlay.name)?;
    let usage = presence.use_alone(&overlay.name)?;
    let usage = usage.ok_or_else(|| Error::InUse { name: overlay.name.clone(), user: None })?;
    // Others may go into other overlays meanwhile.
    entry.release()?;
    let result = with_view(overlay, host, |view, host| Ok(read(view, host)));
    let _entry = presence.lock_entry()?;
    presence.leave(&overlay.name, usage)?;
    result
}

/// Shows an overlay's view over a host to `read`. The caller holds the overlay as one who is in it does.
pub(super) fn with_view<T: Send>(
    overlay: &Overlay,
    host: &Host,
    read: impl FnOnce(&Root, &Host) -> Result<T, Error> + Send,
) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            leave_for_new(Namespaces::MOUNT)?;
            set_propagation(Path::new("/"), Propagation::Slave)?;
            // What is to be mounted must be reached through mounts of this namespace.
            let host = Host::open(host.root.path())?;
            let dir = Root::open(overlay.dir.path())?;
            if !dir.is_same(&overlay.dir)? {
                let (name, path) = (overlay.name.clone(), dir.path().to_owned());
                return Err(Error::Replaced { name, path });
            }
            read(&put_together(&dir, &host)?, &host)
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn put_together(overlay: &Root, host: &Host) -> Result<Root, Error> {
    let place = run_directory()?;
    let ram = new_filesystem("tmpfs", &[("mode", "0700")], MountFlags::default())?;
    attach(&ram, &place, place.path())?;
    let ram = Root::from_fd(ram.into_fd(), place.path());
    ram.make_dir("view", 0o700)?;
    let trees = trees(overlay, host)?;
    // What was saved of an unlocked host may have no layer for the root.
    let has_root = trees.first().is_some_and(|(point, _)| point == Path::new("/"));
    let mut view = if has_root { None } else { Some(root_alone(host, &ram)?) };
    for (point, tree) in trees {
        // By their paths, the root is the first.
        let target = match &view {
            None => ram.open_dir("view")?,
            Some(view) => match view.open_dir(&point) {
                // The overlay has removed what it was mounted on.
                Err(error) if error.is_not_found() => continue,
                other => other?,
            },
        };
        attach(&tree, &target, &point)?;
        view.get_or_insert_with(|| Root::from_fd(tree.into_fd(), "/"));
    }
    view.map_or_else(|| Ok(ram.open_dir("view")?), Ok)
}

/// All layers of an overlay, mounted over a host, by their paths.
fn trees(overlay: &Root, host: &Host) -> Result<Vec<(PathBuf, Tree)>, Error> {
    let mut works = BTreeMap::new();
    for part in ExtendedPart::all(host) {
        let covered = without_submounts(host, &part.holder)?;
        new_upper(overlay, &layers::directory_name(&part.holder), &covered)?;
        let upper = part_upper(overlay, &part, &covered)?;
        works.extend(upper.map(|upper| (part.point, upper.work)));
    }
    let mut laid = laid(overlay, host)?;
    // The kernel warns of an upper that lies in another which is mounted, and not where that comes later.
    laid.sort_by_key(|laid| !laid.is_part);
    let mut found = Vec::with_capacity(laid.len());
    for laid in laid {
        let lower = laid.lower(host)?;
        let work = match works.remove(&laid.point) {
            Some(work) => work,
            None => new_upper(overlay, &layers::directory_name(&laid.point), &lower)?.1,
        };
        let spec = OverlaySpec {
            lower: &[&lower],
            upper: &laid.upper,
            work: &work,
            features: FEATURES,
            flags: MountFlags::READ_ONLY,
            source: "onlay",
        };
        let tree = mount_overlay(&spec)?;
        found.push((laid.point, tree));
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

/// Attaches what the host has at its root, without what is mounted below.
fn root_alone(host: &Host, ram: &Root) -> Result<Root, Error> {
    let point = Path::new("/");
    let tree = clone_tree(host.root.open_exact(point)?, point, false)?;
    set_flags(&tree, MountFlags::READ_ONLY, MountFlags::default(), false, point)?;
    attach(&tree, &ram.open_dir("view")?, point)?;
    Ok(Root::from_fd(tree.into_fd(), "/"))
}
