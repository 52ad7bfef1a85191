//! Which directories are unlocked.

use std::path::{Path, PathBuf};

use super::peers::{Peer, stacked};
use super::{Error, LABEL};
use crate::host::Host;
use crate::overlay::{is_kernel_window, lower_of};
use crate::sys::MountTable;

/// Where programs and libraries of packages are: /usr, and on a host that has not merged them into it, what is beside it.
const SOFTWARE: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt"];

/// What package managers keep beside the database: without it they would speak of packages that are gone.
const STATE: &[&str] = &["/var/lib/apt", "/var/lib/dnf", "/var/lib/libdnf5", "/var/lib/zypp"];

/// The directories that live and die together, so that the package database stays true: what packages install, their
/// configuration, the database wherever it is, and what package managers know. Those that there are, links resolved,
/// none below another.
pub fn default_places(host: &Host) -> Vec<PathBuf> {
    let database = host.package_system().and_then(|system| Some(system.database.parent()?.to_owned()));
    let wanted = SOFTWARE.iter().chain(&["/etc"]).chain(STATE).map(PathBuf::from).chain(database);
    let is_directory = |path: &PathBuf| host.root.open_dir(path).is_ok();
    let found = wanted.filter_map(|path| host.root.resolve(path).ok()).filter(is_directory);
    without_nested(found.filter(|path| path != Path::new("/")).collect())
}

/// Whether a path lies in what `unlock` laid over a directory, by the mounts of a process: another mount on it is not ours.
pub fn is_laid(mounts: &MountTable, path: &Path) -> bool {
    mounts.at(path).is_some_and(|mount| mount.source == LABEL)
}

/// The directories that were asked for, or the default ones.
pub(super) fn choose(host: &Host, asked: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let places = if asked.is_empty() {
        default_places(host)
    } else {
        without_nested(asked.iter().map(|path| resolved(host, path)).collect::<Result<_, _>>()?)
    };
    for place in &places {
        refuse_covered(host, place)?;
    }
    Ok(places)
}

/// The package database, where it lies beside places that packages install into.
pub(super) fn database_beside(host: &Host, places: &[PathBuf]) -> Option<PathBuf> {
    let is_software = |place: &PathBuf| SOFTWARE.iter().any(|software| place.starts_with(software));
    let database = host.root.resolve(host.package_system()?.database).ok()?;
    let is_beside = !places.iter().any(|place| database.starts_with(place));
    (is_beside && places.iter().any(is_software)).then_some(database)
}

/// Refuses directories that another program has laid something over meanwhile.
pub(super) fn refuse_covered_again(host: &Host, places: &[PathBuf]) -> Result<(), Error> {
    places.iter().try_for_each(|place| refuse_covered(host, place))
}

fn resolved(host: &Host, path: &Path) -> Result<PathBuf, Error> {
    let found = host.root.resolve(path)?;
    let unsuitable = |reason| Error::Unsuitable { path: path.to_owned(), reason };
    if host.root.open_dir(&found).is_err() {
        return Err(unsuitable("it is not a directory"));
    }
    if found.to_str().is_none() {
        // It could not be written down.
        return Err(unsuitable("its name is not UTF-8"));
    }
    if found == Path::new("/") {
        return Err(unsuitable("name directories in it"));
    }
    let run = ["/run", "/dev", "/proc", "/sys", "/tmp"].iter().find(|place| found.starts_with(place));
    if run.is_some() || host.mounts.at(&found).is_some_and(|mount| is_kernel_window(&mount.kind)) {
        return Err(unsuitable(
            "it is the running system's own, and can be written as far as it is meant to be",
        ));
    }
    if found.starts_with("/var/lib/onlay") || Path::new("/var/lib/onlay").starts_with(&found) {
        return Err(unsuitable("Onlay's own state is there"));
    }
    Ok(found)
}

/// Sorted, without what lies below another.
fn without_nested(mut places: Vec<PathBuf>) -> Vec<PathBuf> {
    places.sort();
    places.dedup();
    let mut kept: Vec<PathBuf> = Vec::new();
    for place in places {
        if !kept.last().is_some_and(|last| place.starts_with(last)) {
            kept.push(place);
        }
    }
    kept
}

/// What lies on a directory by another's hand would be hidden, or hide ours. Extensions that are merged stay below.
fn refuse_covered(host: &Host, place: &Path) -> Result<(), Error> {
    let Some(mount) = stacked(&host.mounts, place).pop() else { return Ok(()) };
    let whose = match Peer::of(mount) {
        Peer::Onlay => "an unlock of Onlay's that was broken off",
        Peer::OstreeUnlock => "'ostree admin unlock', which made it writable until the next boot",
        Peer::OstreeHotfix => {
            "'ostree admin unlock --hotfix', which made it writable until another deployment is booted"
        }
        // The layers of extensions cannot be reached, and no overlay lies on two.
        Peer::Sysext { .. } if is_too_deep(host, place) => {
            "systemd-sysext over an overlay: 'systemd-sysext unmerge' takes that off"
        }
        Peer::Confext { .. } if is_too_deep(host, place) => {
            "systemd-confext over an overlay: 'systemd-confext unmerge' takes that off"
        }
        Peer::Sysext { .. } | Peer::Confext { .. } | Peer::Other { .. } => return Ok(()),
    };
    Err(Error::Covered { path: place.to_owned(), whose: whose.to_owned() })
}

fn is_too_deep(host: &Host, place: &Path) -> bool {
    lower_of(&host.mounts, place).paths != [place]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_another_is_left_out() {
        let places = ["/usr/lib/sysimage/rpm", "/usr", "/etc", "/usr", "/usrlocal"].map(PathBuf::from);
        assert_eq!(without_nested(places.to_vec()), ["/etc", "/usr", "/usrlocal"].map(PathBuf::from));
    }
}
