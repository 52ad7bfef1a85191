//! The base without the extensions that are merged over it at the moment.

use std::path::{Path, PathBuf};

use super::{Class, Error};
use crate::host::{self, Host};
use crate::overlay::has_deep_extensions;
use crate::sys::{
    Mount, MountTable, Namespaces, Propagation, detach_path, has_capability, leave_for_new, set_propagation,
};

/// Shows a host as it is without merged extensions to `read`: in a mount namespace of a thread's own, where they are taken
/// off. Who may not do that sees them as a part of the base.
pub fn with_base<T: Send>(host: &Host, read: impl FnOnce(&Host) -> T + Send) -> Result<T, Error> {
    let merged = merged(host);
    if merged.is_empty() || !has_capability("CAP_SYS_ADMIN") {
        return Ok(read(host));
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            leave_for_new(Namespaces::MOUNT)?;
            set_propagation(Path::new("/"), Propagation::Private)?;
            merged.iter().try_for_each(|place| take_off(place))?;
            Ok(read(&Host::open(host.root.path())?))
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Shows a host to `read` as overlays see it: without merged extensions where nothing can be laid on those.
pub fn with_stackable<T: Send>(host: &Host, read: impl FnOnce(&Host) -> T + Send) -> Result<T, Error> {
    if has_deep_extensions(host) { with_base(host, read) } else { Ok(read(host)) }
}

/// Whether extensions are merged that [`with_base`] cannot take off for who calls it.
pub fn is_merged_for_all(host: &Host) -> bool {
    !has_capability("CAP_SYS_ADMIN") && !merged(host).is_empty()
}

/// Takes off all that is merged over a directory: where somebody was killed while he merged, there are old ones on new ones.
fn take_off(place: &Path) -> Result<(), Error> {
    detach_path(place)?;
    while is_extensions(MountTable::read()?.at(place), place) {
        detach_path(place)?;
    }
    Ok(())
}

/// The directories over which extensions are merged.
fn merged(host: &Host) -> Vec<PathBuf> {
    let names = [Class::Sysext, Class::Confext].into_iter().flat_map(Class::hierarchies);
    let places = names.filter_map(|name| Some(host.root.join(host.root.resolve(name).ok()?)));
    places.filter(|place| is_extensions(host.mounts.at(place), place)).collect()
}

fn is_extensions(mount: Option<&Mount>, place: &Path) -> bool {
    mount.is_some_and(|mount| mount.point == place && host::is_extensions(mount))
}
