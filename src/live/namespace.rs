//! Mount namespaces: the host's, a workshop of our own, and those of services that nothing arrives in.

use std::collections::BTreeMap;
use std::path::Path;

use super::Error;
use crate::sys::{
    Context, IoError, MountTable, Namespace, Namespaces, Pid, Propagation, join, leave_for_new, processes,
    set_propagation,
};

/// Goes to the mount namespace of process 1, unless it is this one.
pub fn go_to_host() -> Result<(), Error> {
    let first = Pid::from_raw(1).expect("a number of a process");
    let go = || {
        let host = Namespace::mount_of(first)?;
        if host.identity()? != Namespace::mount_of(Pid::own())?.identity()? {
            return join(&host);
        }
        // In the same namespace, but below another root (chroot(2)).
        let (ours, its) = (identity("/")?, identity("/proc/1/root/.")?);
        if ours == its { Ok(()) } else { join(&host) }
    };
    go().map_err(Error::NoHost)?;
    // In a PID namespace of a unit's own (PrivatePIDs=), process 1 is the unit's, and what it sees of /run is the host's: what
    // is laid there would be there alone, and be told of to the host.
    let run = MountTable::read()?.at(Path::new("/run")).is_some_and(|mount| mount.is_slave);
    if run { Err(Error::NotTheHost) } else { Ok(()) }
}

fn identity(path: &str) -> Result<(u64, u64), IoError> {
    let stat = rustix::fs::stat(path).context("examine", path)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Does something in a mount namespace that is a copy of this one, where nothing that is mounted is seen by others, and
/// comes back.
pub fn in_workshop<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let back = Namespace::mount_of(Pid::own())?;
    leave_for_new(Namespaces::MOUNT)?;
    let done =
        set_propagation(Path::new("/"), Propagation::Private).map_err(Error::from).and_then(|()| work());
    join(&back)?;
    done
}

/// Every mount namespace but this one, by one process that is in it.
pub(super) fn others() -> Result<Vec<Pid>, Error> {
    let own = Namespace::mount_of(Pid::own())?.identity()?;
    let mut found = BTreeMap::new();
    for pid in processes() {
        // It may have ended meanwhile.
        let Ok(stat) = rustix::fs::stat(format!("/proc/{pid}/ns/mnt")) else { continue };
        if stat.st_ino != own {
            found.entry(stat.st_ino).or_insert(pid);
        }
    }
    Ok(found.into_values().collect())
}

/// Does something in the mount namespace of a process, and comes back. `None` where that cannot be entered.
pub(super) fn in_namespace_of<T>(pid: Pid, work: impl FnOnce() -> T) -> Result<Option<T>, Error> {
    let back = Namespace::mount_of(Pid::own())?;
    let Ok(there) = Namespace::mount_of(pid) else { return Ok(None) };
    if join(&there).is_err() {
        return Ok(None);
    }
    let done = work();
    join(&back)?;
    Ok(Some(done))
}
