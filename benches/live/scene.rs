//! A machine of its own: process 1, its /proc, its /run in RAM, and mounts that nobody else sees, over the files of the
//! machine below.

use std::fs;
use std::path::Path;

use onlay::sys::{
    self, Forked, IoError, MountFlags, MountTable, Namespaces, Propagation, Root, attach, new_filesystem,
};
use rustix::mount::{MountPropagationFlags, mount_change};

/// Runs something as process 1 of such a machine, and waits for its end; whether it came to a good one. All other
/// processes of the machine end with it.
pub(crate) fn run(place: &Path, work: impl FnOnce(&Path)) -> bool {
    sys::leave_for_new(Namespaces::MOUNT.and(Namespaces::PID)).expect("namespaces");
    match sys::fork().expect("a fork") {
        Forked::Child => {
            set_up().expect("a machine of its own");
            work(place);
            sys::exit_now(0)
        }
        Forked::Parent(pid) => sys::wait(pid).is_ok_and(|ended| ended == sys::Ended::Exited(0)),
    }
}

/// Its `/` is one file system, and its mounts are shared with those who leave for a mount namespace of their own, as
/// systemd has it.
fn set_up() -> Result<(), IoError> {
    sys::set_propagation(Path::new("/"), Propagation::Private)?;
    for mount in MountTable::read()?.visible_below(Path::new("/")).into_iter().rev() {
        let stays = ["/sys", "/dev"].iter().any(|place| mount.point.starts_with(place));
        if !stays && mount.point != Path::new("/") {
            sys::detach_path(&mount.point)?;
        }
    }
    for (kind, point) in [("proc", "/proc"), ("tmpfs", "/run")] {
        let tree = new_filesystem(kind, &[], MountFlags::NO_SUID_DEV)?;
        attach(&tree, Root::open(point)?, Path::new(point))?;
    }
    extension();
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC).expect("all is ours");
    Ok(())
}

/// An extension for systemd-sysext, as small as one can be, that fits any host.
fn extension() {
    let release = Path::new("/run/extensions/bench/usr/lib/extension-release.d");
    fs::create_dir_all(release).expect("/run is ours");
    fs::write(release.join("extension-release.bench"), "ID=_any\n").expect("/run is ours");
}
