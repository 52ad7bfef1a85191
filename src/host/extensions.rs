//! Extensions that systemd-sysext(8) or systemd-confext(8) have merged over a host: how their mounts are told from others, which
//! they are, and the host as it is without them.
//!
//! They come and go while the host runs, and bring files, and maybe a package database that tells of them. So what is merged is
//! a part of what tells a base from another.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::Host;
use crate::package::Identity;
use crate::sys::{
    Context, IoError, Mount, MountTable, Namespace, Namespaces, Propagation, Root, detach_path,
    has_capability, join, leave_for_new, set_propagation,
};

/// A host without what is merged over it, as long as this is kept.
#[derive(Debug)]
pub struct Bare {
    /// What is there then, to be read.
    pub root: Root,
    /// The mount namespace in which they are taken off.
    _namespace: Namespace,
}

/// Whether a mount is what systemd lays where extensions are merged.
pub fn is_extensions(mount: &Mount) -> bool {
    is_of_extensions(mount) && mount.root == Path::new("/")
}

/// Whether a mount is a directory of such a one: where that can be written, systemd keeps what it notes there (`.systemd-sysext`)
/// read-only.
pub fn is_inside_extensions(mount: &Mount) -> bool {
    is_of_extensions(mount) && mount.root != Path::new("/")
}

fn is_of_extensions(mount: &Mount) -> bool {
    mount.kind == "overlay" && (mount.source == "sysext" || mount.source == "confext")
}

/// The mount that lies below what is merged: the same one where nothing is.
pub fn below_extensions<'a>(table: &'a MountTable, mount: &'a Mount) -> &'a Mount {
    let mut found = mount;
    // Where somebody was killed while he merged, there are old ones on new ones. The bound only stops a table that is not a tree.
    for _ in table.all() {
        let below = table.all().iter().find(|below| below.id == found.parent && below.id != found.id);
        match below.filter(|_| is_extensions(found)) {
            Some(below) => found = below,
            None => break,
        }
    }
    found
}

impl Host {
    /// The mounts of extensions that can be seen in this system, parents before children.
    pub fn merged_extensions(&self) -> Vec<&Mount> {
        let visible = self.mounts.visible_below(self.root.path());
        visible.into_iter().filter(|mount| is_extensions(mount)).collect()
    }

    /// The names of what is merged; empty where nothing is.
    pub fn extension_names(&self) -> Vec<String> {
        if self.merged_extensions().is_empty() {
            return Vec::new();
        }
        let names = release_files(&self.root).into_iter();
        let mut names: Vec<String> =
            names.filter_map(|(_, file)| Some(file.to_str()?.strip_prefix(PREFIX)?.to_owned())).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The system without extensions; `None` where none are merged, or who asks may not take them off for himself.
    pub fn without_extensions(&self) -> Result<Option<Bare>, IoError> {
        let places: Vec<PathBuf> =
            self.merged_extensions().into_iter().map(|mount| mount.point.clone()).collect();
        if places.is_empty() || !has_capability("CAP_SYS_ADMIN") {
            return Ok(None);
        }
        // A thread of its own cannot be had by who has left for another PID namespace.
        let (home, directory) = (Namespace::mount_of_thread()?, Root::open(".")?);
        leave_for_new(Namespaces::MOUNT)?;
        let bare = take_all_off(&places, Propagation::Private).and_then(|()| {
            Ok(Bare { root: Host::open(self.root.path())?.root, _namespace: Namespace::mount_of_thread()? })
        });
        join(&home)?;
        rustix::process::fchdir(&directory).context("go back to", directory.path())?;
        bare.map(Some)
    }

    /// Leaves for a mount namespace in which no extensions are merged over this system, and all else is as the host has it, also what is
    /// mounted later. The current directory is the one of that path there, or the root where there is none.
    pub fn leave_extensions(self) -> Result<Host, IoError> {
        let places: Vec<PathBuf> =
            self.merged_extensions().into_iter().map(|mount| mount.point.clone()).collect();
        let directory = std::env::current_dir();
        leave_for_new(Namespaces::MOUNT)?;
        take_all_off(&places, Propagation::Slave)?;
        let is_there = directory.is_ok_and(|path| std::env::set_current_dir(path).is_ok());
        if !is_there {
            std::env::set_current_dir("/").context("go to", "/")?;
        }
        Host::open(self.root.path())
    }
}

/// Takes off what is merged, in a mount namespace that nobody else is in.
fn take_all_off(places: &[PathBuf], propagation: Propagation) -> Result<(), IoError> {
    set_propagation(Path::new("/"), propagation)?;
    places.iter().try_for_each(|place| take_off(place))
}

fn take_off(place: &Path) -> Result<(), IoError> {
    while MountTable::read()?.at(place).is_some_and(|mount| mount.point == place && is_extensions(mount)) {
        detach_path(place)?;
    }
    Ok(())
}

/// Where what is merged says what it is, below the root: by these directories, in files that begin so; and the manifests of
/// images that Onlay has built, which have all contents in them.
const RELEASES: [&str; 2] = ["usr/lib/extension-release.d", "etc/extension-release.d"];
const PREFIX: &str = "extension-release.";
const MANIFESTS: &str = "usr/share/onlay/extensions";

/// More than this is no file of the kind.
const LARGEST: u64 = 64 << 10;

/// What tells a set of merged extensions from any other, for as long as their images are the same: their names, and a digest.
/// `None` where nothing is merged.
pub(super) fn identity(host: &Host) -> Option<String> {
    let names = host.extension_names();
    if names.is_empty() {
        return None;
    }
    let manifests = files(&host.root, MANIFESTS);
    let mut text = Vec::new();
    for (directory, name) in release_files(&host.root).into_iter().chain(manifests) {
        let path = Path::new(directory).join(&name);
        let Ok(Some(stat)) = host.root.lstat(&path) else { continue };
        let (size, time, inode) = (stat.st_size, (stat.st_mtime, stat.st_mtime_nsec), stat.st_ino);
        text.extend(format!("{} {size} {time:?} {inode} ", path.display()).into_bytes());
        // What is larger is known by the rest.
        text.extend(host.root.read(&path, LARGEST).unwrap_or_default());
        text.push(0);
    }
    let digest = Identity::of(&text).to_string();
    Some(format!("{} {}", names.join(" "), digest.get(..16).unwrap_or(&digest)))
}

fn release_files(root: &Root) -> Vec<(&'static str, OsString)> {
    RELEASES
        .iter()
        .flat_map(|directory| files(root, directory))
        .filter(|(_, name)| is_release(name))
        .collect()
}

fn is_release(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

/// The names in a directory, in their order; none where it cannot be read.
fn files(root: &Root, directory: &'static str) -> Vec<(&'static str, OsString)> {
    let entries = root.open_dir(directory).and_then(|dir| dir.entries()).unwrap_or_default();
    let mut names: Vec<OsString> = entries.into_iter().map(|entry| entry.name).collect();
    names.sort();
    names.into_iter().map(|name| (directory, name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_extensions_is_found() {
        let table = MountTable::parse(
            "1 0 8:1 / / rw - ext4 /dev/sda rw\n\
             2 1 0:9 / /usr ro - overlay sysext ro,lowerdir=/run/x/usr:/usr\n\
             3 2 0:8 / /usr ro - overlay sysext ro,lowerdir=/run/y/usr:/usr\n\
             4 1 8:2 / /opt rw - ext4 /dev/sdb rw\n\
             5 4 0:7 / /opt ro - overlay sysext ro,lowerdir=/run/x/opt:/opt\n\
             6 1 0:6 / /etc ro - overlay confext ro,lowerdir=/run/x/etc:/etc\n",
        );
        let below = |place: &str| below_extensions(&table, table.at(Path::new(place)).expect("a mount")).id;
        assert_eq!([below("/usr"), below("/opt"), below("/etc"), below("/")], [1, 4, 1, 1]);
    }
}
