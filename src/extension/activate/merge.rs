//! Laying what is linked over /usr and /opt.
//!
//! systemd's own `refresh` takes all extensions off before it lays the new ones, and in between their files are missing. Here
//! systemd-sysext works in a mount namespace of its own, where nobody sees that. What it has laid there is then put beneath what
//! lies on the host's directories, and that is taken off: there is no instant without files. The mounts are systemd's: it finds,
//! changes and removes them as if it had laid them itself. And where it refuses, nothing of the host was touched.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Error;
use crate::extension::{Class, SystemdVersion};
use crate::host::Host;
use crate::live::{self, Peer, go_to_host, in_workshop};
use crate::sys::{
    IoError, Mount, MountTable, Propagation, Root, Tree, attach, attach_beneath, clone_tree, detach_path,
    set_propagation,
};
use crate::tool;
use crate::tool::systemd_sysext::{PROGRAMS, SystemdSysext};

/// Since this release systemd reloads its units after merging, and can be told not to.
const KNOWS_RELOAD: u32 = 255;

/// How extensions were laid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// All that is to be merged was merged.
    Unchanged,
    /// The new ones were put beneath the old ones, which were then taken off.
    Beneath,
    /// By systemd's own `refresh`: for a moment, there were none.
    BySystemd,
    /// They were linked, and systemd merges them later in the boot.
    Linked,
}

/// One of the directories that are extended.
struct Hierarchy {
    /// Where it is, after all links.
    place: PathBuf,
    /// How many overlays of systemd-sysext lie on it.
    laid: usize,
    /// Whether what lies on top can be written.
    has_upper: bool,
}

/// The names of all that is merged now; empty where nothing is.
pub fn merged(host: &Host) -> Vec<String> {
    let places: Vec<PathBuf> = places(host);
    let mut names = Vec::new();
    for cover in live::covers(&host.mounts, &places) {
        for layer in cover.layers {
            if let Peer::Sysext { extensions } = layer {
                names.extend(extensions);
            }
        }
    }
    names.sort();
    names.dedup();
    names
}

/// Whether what extensions are merged over can be written now.
pub(super) fn is_writable(host: &Host) -> bool {
    let place = host.root.resolve("usr").map(|usr| host.root.join(usr));
    place.is_ok_and(|place| host.mounts.at(&place).is_some_and(Mount::is_writable))
}

/// The directories that could be written on a host as it was, and cannot be now.
pub(super) fn made_read_only(before: &Host) -> Result<Vec<PathBuf>, Error> {
    let after = Host::open(Path::new("/"))?;
    let could = |host: &Host, place: &Path| host.mounts.at(place).is_some_and(Mount::is_writable);
    let is_made_so = |place: &PathBuf| could(before, place) && !could(&after, place);
    Ok(places(before).into_iter().filter(is_made_so).collect())
}

/// Refuses where systemd would find its mounts under somebody else's, and could change nothing.
pub(super) fn check(host: &Host) -> Result<(), Error> {
    for cover in live::covers(&host.mounts, &places(host)) {
        let is_sysext = |layer: &Peer| matches!(layer, Peer::Sysext { .. });
        if cover.layers.iter().any(is_sysext) && !cover.layers.last().is_some_and(is_sysext) {
            return Err(Error::Under(cover.place));
        }
    }
    Ok(())
}

/// Merges what is linked.
pub(super) fn merge(systemd: SystemdVersion) -> Result<Way, Error> {
    go_to_host()?;
    let host = Host::open(Path::new("/"))?;
    let sysext = SystemdSysext::find(PROGRAMS[0])?;
    let knows_reload = systemd.major >= KNOWS_RELOAD;
    let hierarchies: Vec<Hierarchy> =
        places(&host).into_iter().map(|place| Hierarchy::of(&host, place)).collect();
    // A mutable one has an upper directory, which cannot be in two overlays at once.
    if hierarchies.iter().any(|hierarchy| hierarchy.has_upper || hierarchy.laid > 1) {
        sysext.refresh_silently(knows_reload).map_err(refused)?;
        return Ok(Way::BySystemd);
    }
    let trees =
        in_workshop(|| lay_aside(&sysext, knows_reload, &hierarchies)).map_err(|error| match error {
            live::Error::Tool(error) => refused(error),
            other => other.into(),
        })?;
    if put_on(&hierarchies, &trees).is_ok() {
        return Ok(Way::Beneath);
    }
    // Before Linux 6.5 there is no beneath.
    sysext.refresh_silently(knows_reload).map_err(refused)?;
    Ok(Way::BySystemd)
}

fn refused(error: tool::Error) -> Error {
    match error {
        tool::Error::Failed { words, .. } => Error::Refused { words },
        other => other.into(),
    }
}

/// The directories that are extended, as far as the host has them.
fn places(host: &Host) -> Vec<PathBuf> {
    let resolved = |name: &&str| Some(host.root.join(host.root.resolve(name).ok()?));
    Class::Sysext.hierarchies().iter().filter_map(resolved).collect()
}

impl Hierarchy {
    fn of(host: &Host, place: PathBuf) -> Hierarchy {
        let of_systemd = |mount: &&Mount| is_sysext(mount, &place);
        let laid = host.mounts.all().iter().filter(of_systemd).count();
        let top = host.mounts.at(&place).filter(of_systemd);
        let has_upper = top.is_some_and(|top| top.super_option("upperdir").is_some());
        Hierarchy { place, laid, has_upper }
    }
}

fn is_sysext(mount: &Mount, place: &Path) -> bool {
    mount.point == place && mount.kind == "overlay" && mount.source == "sysext"
}

/// What systemd lays on each of them, in a namespace that nobody sees: with all that is mounted below.
fn lay_aside(
    sysext: &SystemdSysext,
    knows_reload: bool,
    hierarchies: &[Hierarchy],
) -> Result<Vec<Option<Tree>>, live::Error> {
    // systemd lays them in a namespace of its own, from which they are to arrive here.
    set_propagation(Path::new("/"), Propagation::Shared)?;
    sysext.merge_anew(knows_reload)?;
    set_propagation(Path::new("/"), Propagation::Private)?;
    let mounts = MountTable::read()?;
    let root = Root::open("/")?;
    let tree = |hierarchy: &Hierarchy| {
        let place = &hierarchy.place;
        let is_laid = mounts.at(place).is_some_and(|mount| is_sysext(mount, place));
        is_laid.then(|| clone_tree(root.open_exact(place)?, place, true)).transpose()
    };
    Ok(hierarchies.iter().map(tree).collect::<Result<_, IoError>>()?)
}

/// Puts the new ones where the old ones are, and takes those off: first all that can fail.
fn put_on(hierarchies: &[Hierarchy], trees: &[Option<Tree>]) -> Result<(), IoError> {
    let root = Root::open("/")?;
    for (Hierarchy { place, laid, .. }, tree) in hierarchies.iter().zip(trees) {
        match tree {
            Some(tree) if *laid > 0 => attach_beneath(tree, root.open_exact(place)?, place)?,
            Some(tree) => attach(tree, root.open_exact(place)?, place)?,
            None => {}
        }
    }
    for Hierarchy { place, .. } in hierarchies.iter().filter(|hierarchy| hierarchy.laid > 0) {
        detach_path(place)?;
    }
    Ok(())
}
