//! The disk that deployments are on: where it is, and how it is written to.

use std::path::{Path, PathBuf};

use super::origin::Origin;
use super::sysroot::Deployment;
use crate::layer::Error;
use crate::sys::{
    Mount, MountFlags, MountTable, Namespaces, Propagation, Root, leave_for_new, replace_public, set_flags,
    set_propagation,
};

/// Where a running system has the top of its disk.
const SYSROOT: &str = "/sysroot";

/// The top of the running system's disk, where it can be written to: for others it is mounted read-only.
pub(super) fn to_write() -> Result<Root, Error> {
    write_to_sysroot()?;
    // Reached through the mounts of now: what was opened before leads to those of others.
    Ok(Root::open(SYSROOT)?)
}

/// Goes to a mount namespace of this process's own in which the system's disk can be written to.
fn write_to_sysroot() -> Result<(), Error> {
    let place = Path::new(SYSROOT);
    let is_read_only = |mount: &Mount| mount.point == place && mount.flags().read_only;
    if !MountTable::read()?.at(place).is_some_and(is_read_only) {
        return Ok(());
    }
    leave_for_new(Namespaces::MOUNT)?;
    set_propagation(Path::new("/"), Propagation::Slave)?;
    let sysroot = Root::open(place)?;
    set_flags(&sysroot, MountFlags::default(), MountFlags::READ_ONLY, false, place)?;
    Ok(())
}

/// Writes what a deployment says of where it comes from.
pub(super) fn write_origin(disk: &Root, tree: &Deployment, origin: &Origin) -> Result<(), Error> {
    let path = Origin::path_of(&tree.path);
    let dir = disk.open_dir(path.parent().unwrap_or(Path::new("")))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // As ostree writes it: it says where software comes from, which is no secret.
    Ok(replace_public(&dir, &name, 0o644, origin.to_string().as_bytes())?)
}

/// The top of the disk that a deployment is on, which lies in `ostree/deploy/OS/deploy/NAME`.
pub(super) fn of_deployment(deployment: &Path) -> Option<PathBuf> {
    let above = deployment.parent()?;
    let deploy = above.parent()?.parent()?;
    let is_one = above.ends_with("deploy") && deploy.ends_with("ostree/deploy");
    is_one.then(|| deploy.parent()?.parent().map(Path::to_owned)).flatten()
}

/// The system that such a deployment is one of: OS.
pub(super) fn system_of_deployment(deployment: &Path) -> Option<String> {
    of_deployment(deployment)?;
    Some(deployment.parent()?.parent()?.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_leads_to_its_disk() {
        let of = |path: &str| of_deployment(Path::new(path));
        assert_eq!(of("/mnt/ostree/deploy/debian/deploy/abc.0").as_deref(), Some(Path::new("/mnt")));
        let system = system_of_deployment(Path::new("/mnt/ostree/deploy/debian/deploy/abc.0"));
        assert_eq!(system.as_deref(), Some("debian"));
        for other in ["/", "/mnt", "/mnt/ostree/deploy/debian/var", "/mnt/deploy/debian/deploy/abc.0"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
