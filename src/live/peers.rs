//! Who else lays something over directories of the host, and how each is told: by what mountinfo(5) says of its mount.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::LABEL;
use crate::overlay::layers_of;
use crate::sys::{Mount, MountTable};

/// Whose an overlay on a directory is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
#[non_exhaustive]
pub enum Peer {
    /// Ours.
    Onlay,
    /// systemd-sysext(8).
    Sysext {
        /// What is merged, the topmost first.
        extensions: Vec<String>,
    },
    /// systemd-confext(8).
    Confext {
        /// What is merged, the topmost first.
        extensions: Vec<String>,
    },
    /// `ostree admin unlock`, which is also what `rpm-ostree usroverlay` does, and `bootc usr-overlay` on a host of OSTree's.
    OstreeUnlock,
    /// `ostree admin unlock --hotfix`, which lasts until another deployment is booted.
    OstreeHotfix,
    /// Somebody else's; `bootc usr-overlay` on a host without OSTree is among them.
    Other {
        /// What mountinfo shows as its source.
        source: String,
        /// Whether it can be written.
        writable: bool,
    },
}

/// All that lies on one directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cover {
    /// The directory.
    pub place: PathBuf,
    /// The overlays on it, the lowest first.
    pub layers: Vec<Peer>,
}

impl Peer {
    /// Whose a mounted overlay is.
    pub(super) fn of(mount: &Mount) -> Peer {
        let upper = mount.super_option("upperdir").unwrap_or_default();
        let is_in = |name: &str| {
            Path::new(&upper).iter().any(|part| part.as_encoded_bytes().starts_with(name.as_bytes()))
        };
        match mount.source.to_str() {
            Some(LABEL) => Peer::Onlay,
            Some("sysext") => Peer::Sysext { extensions: extensions(mount) },
            Some("confext") => Peer::Confext { extensions: extensions(mount) },
            _ if is_in("ostree-unlock-ovl.") || is_ostrees(mount, &upper) => Peer::OstreeUnlock,
            _ if is_in(".usr-ovl-upper") => Peer::OstreeHotfix,
            _ => Peer::Other {
                source: mount.source.to_string_lossy().into_owned(),
                writable: mount.is_writable() && !upper.is_empty(),
            },
        }
    }
}

/// Whether an overlay is one that ostree (since 2025) lays over /usr by the descriptors of its directories, whose names nobody knows later.
fn is_ostrees(mount: &Mount, upper: &OsStr) -> bool {
    mount.source == "overlay"
        && mount.super_option("lowerdir").is_some_and(|lower| lower == "usr")
        && Path::new(upper).starts_with("/proc/self/fd")
}

/// The names in `/run/systemd/sysext/extensions/NAME/usr` and `…/confexts/NAME/etc`, where systemd mounts extensions
/// before it lays them.
fn extensions(mount: &Mount) -> Vec<String> {
    let name = |layer: PathBuf| {
        let is_holder = |part: &OsStr| part == "extensions" || part == "confexts";
        let mut parts = layer.iter().skip_while(|part| !is_holder(part));
        Some(parts.nth(1)?.to_string_lossy().into_owned())
    };
    layers_of(mount).into_iter().filter_map(name).collect()
}

/// What lies on each of some directories, where anything does.
pub fn covers(table: &MountTable, places: &[PathBuf]) -> Vec<Cover> {
    let cover = |place: &PathBuf| {
        let layers: Vec<Peer> = stacked(table, place).into_iter().map(Peer::of).collect();
        (!layers.is_empty()).then(|| Cover { place: place.clone(), layers })
    };
    places.iter().filter_map(cover).collect()
}

/// Our overlay on a directory, where nothing lies on it.
pub(super) fn laid<'a>(table: &'a MountTable, place: &Path) -> Option<&'a Mount> {
    table.at(place).filter(|mount| mount.point == place && mount.source == LABEL)
}

/// The overlays that are mounted on a directory, the lowest first. Where the directory is bound on itself, what is laid on it
/// arrives beneath the bind mount, too, and goes again with it (propagation, mount_namespaces(7)): it counts once.
pub(super) fn stacked<'a>(table: &'a MountTable, place: &Path) -> Vec<&'a Mount> {
    let mut found: Vec<&Mount> = Vec::new();
    let mut top = table.at(place).filter(|mount| mount.point == place);
    while let Some(mount) = top {
        if !found.iter().any(|above| above.device == mount.device) {
            found.push(mount);
        }
        top = table
            .all()
            .iter()
            .find(|below| below.id == mount.parent && below.point == place && below.id != mount.id);
        if found.len() > table.all().len() {
            break;
        }
    }
    found.into_iter().filter(|mount| mount.kind == "overlay").rev().collect()
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Onlay => write!(f, "onlay unlock"),
            Peer::Sysext { extensions } => write!(f, "systemd-sysext ({})", extensions.join(", ")),
            Peer::Confext { extensions } => write!(f, "systemd-confext ({})", extensions.join(", ")),
            Peer::OstreeUnlock => write!(f, "ostree admin unlock"),
            Peer::OstreeHotfix => write!(f, "ostree admin unlock --hotfix"),
            Peer::Other { source, writable } => {
                let how = if *writable { "writable" } else { "read-only" };
                write!(f, "an overlay of somebody else's ('{source}', {how})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
1 0 8:1 / / ro - ext4 /dev/sda ro
2 1 0:40 / /usr ro - overlay sysext ro,lowerdir+=/run/systemd/sysext/meta/usr,lowerdir+=/run/systemd/sysext/extensions/gdb/usr,lowerdir+=/run/systemd/sysext/extensions/strace/usr,lowerdir+=/usr
3 2 0:41 / /usr rw - overlay onlay-live rw,lowerdir+=/usr,upperdir=/run/onlay/live/ram/layers/usr/upper,workdir=/w
4 1 0:42 / /etc rw - overlay overlay rw,lowerdir=usr,upperdir=/var/tmp/ostree-unlock-ovl.AB12CD/upper,workdir=/w
5 1 0:43 / /opt rw - overlay overlay rw,lowerdir=usr,upperdir=.usr-ovl-upper,workdir=.usr-ovl-work
6 1 8:2 / /var rw - ext4 /dev/sdb rw
7 1 0:44 / /srv rw - overlay transient rw,lowerdir=/srv,upperdir=/run/x/upper,workdir=/run/x/work
9 1 0:46 / /home rw - overlay overlay rw,lowerdir=usr,upperdir=/proc/self/fd/12/upper,workdir=/proc/self/fd/12/work,uuid=on
8 1 0:45 / /mnt ro - overlay confext ro,lowerdir=/run/systemd/sysext/meta/etc:/run/systemd/sysext/confexts/site/etc:/mnt
";

    #[test]
    fn what_lies_on_each_other_is_told_from_below() {
        let table = MountTable::parse(TABLE);
        let of = |place: &str| {
            let words: Vec<String> = covers(&table, &[PathBuf::from(place)])
                .iter()
                .flat_map(|cover| cover.layers.iter().map(Peer::to_string))
                .collect();
            words.join(" < ")
        };
        assert_eq!(of("/usr"), "systemd-sysext (gdb, strace) < onlay unlock");
        assert_eq!(of("/etc"), "ostree admin unlock");
        assert_eq!(of("/home"), "ostree admin unlock");
        assert_eq!(of("/opt"), "ostree admin unlock --hotfix");
        assert_eq!(of("/srv"), "an overlay of somebody else's ('transient', writable)");
        assert_eq!(of("/mnt"), "systemd-confext (site)");
        assert_eq!(of("/var"), "");
        assert_eq!(of("/usr/bin"), "");
    }

    #[test]
    fn what_arrived_beneath_a_bind_mount_counts_once() {
        let table = MountTable::parse(
            "1 0 0:9 / / rw shared:1 - overlay root rw,lowerdir=/l,upperdir=/u,workdir=/w\n\
             2 3 0:9 /usr /usr ro shared:1 - overlay root rw,lowerdir=/l,upperdir=/u,workdir=/w\n\
             3 1 0:41 / /usr rw shared:2 - overlay onlay-live rw,lowerdir+=/usr,upperdir=/x/upper,workdir=/x/work\n\
             4 2 0:41 / /usr rw shared:2 - overlay onlay-live rw,lowerdir+=/usr,upperdir=/x/upper,workdir=/x/work\n",
        );
        let sources: Vec<_> = stacked(&table, Path::new("/usr")).iter().map(|mount| &mount.source).collect();
        assert_eq!(sources, ["root", LABEL]);
    }
}
