//! An overlay's view, put together to be read while nobody, or somebody, is in it.
//!
//! An upper directory is mounted once, so it is no upper here: it lies as a read-only layer on what it covers, below an
//! upper in RAM that nobody writes. That is done in a mount namespace of a thread's own, and is gone with the thread.

use std::path::Path;

use super::assemble::{FEATURES, new_upper};
use super::diff::{uppers, without_submounts};
use super::folder::run_directory;
use super::{Error, Overlay, layers};
use crate::host::Host;
use crate::sys::{
    MountFlags, Namespaces, OverlaySpec, Propagation, Root, attach, leave_for_new, mount_overlay,
    new_filesystem, set_propagation,
};

/// Shows an overlay's view over a host to `read`.
pub(super) fn with_view<T: Send>(
    overlay: &Overlay,
    host: &Host,
    read: impl FnOnce(&Root) -> Result<T, Error> + Send,
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
            read(&put_together(&dir, &host)?)
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
    let mut view: Option<Root> = None;
    for (point, upper) in uppers(overlay)? {
        let lower = without_submounts(host, &point)?;
        let (above, work) = new_upper(&ram, &layers::directory_name(&point), &upper)?;
        let spec = OverlaySpec {
            lower: &[&upper, &lower],
            upper: &above,
            work: &work,
            features: FEATURES,
            flags: MountFlags::READ_ONLY,
            source: "onlay",
        };
        let tree = mount_overlay(&spec)?;
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
