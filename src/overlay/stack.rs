//! Overlays upon overlays.
//!
//! The kernel lets overlays lie two deep (FILESYSTEM_MAX_STACK_DEPTH). A base that is itself two
//! deep (a composefs root that was unlocked) is not stacked upon; its layers are used instead, in
//! their order, which shows the same files.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::host::Host;
use crate::sys::{Mount, MountTable};

/// The read-only layers for an overlay over a directory, topmost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lower {
    /// Their paths on this machine.
    pub paths: Vec<PathBuf>,
    /// A mount that must be taken off (in a private namespace) to reach those of them that it
    /// covers.
    pub uncover: Option<PathBuf>,
}

impl Lower {
    /// Whether its layers have names. Where ostree (since 2025) unlocks an image, they are those of its own descriptors, which lead anybody
    /// else anywhere.
    pub fn is_named(&self) -> bool {
        !self.paths.iter().any(|path| path.starts_with("/proc/self/fd"))
    }
}

/// The deepest overlay that another may lie on.
const DEEPEST_LOWER: usize = 1;

/// Chooses the layers for an overlay over `directory`.
pub fn lower_of(table: &MountTable, directory: &Path) -> Lower {
    let merged = Lower { paths: vec![directory.to_owned()], uncover: None };
    let Some(mount) = table.at(directory).filter(|mount| mount.kind == "overlay") else { return merged };
    if depth(table, mount, 0) <= DEEPEST_LOWER {
        return merged;
    }
    // Below the mount's root, a layer's own subdirectory is what is seen; and of a bind mount, that of what was bound.
    let bound = mount.root.strip_prefix("/").unwrap_or(&mount.root);
    let inside = bound.join(directory.strip_prefix(&mount.point).unwrap_or(Path::new("")));
    let paths: Vec<PathBuf> = layers_of(mount).into_iter().map(|layer| layer.join(&inside)).collect();
    if paths.is_empty() {
        return merged;
    }
    let covered = paths.iter().any(|path| path.starts_with(&mount.point));
    Lower { paths, uncover: covered.then(|| mount.point.clone()) }
}

/// Whether extensions are merged over a host of which nothing can be laid on: they lie on an overlay (composefs), and what they are
/// made of only systemd's own mount namespace had.
pub fn has_deep_extensions(host: &Host) -> bool {
    let is_deep = |mount: &&Mount| depth(&host.mounts, mount, 0) > DEEPEST_LOWER;
    host.merged_extensions().iter().any(is_deep)
}

/// How many overlays lie on each other here.
fn depth(table: &MountTable, mount: &Mount, beneath: usize) -> usize {
    if mount.kind != "overlay" || beneath > 8 {
        return 0;
    }
    // No file system is a layer of itself: what has the name of a layer and lies on this very overlay covers the layer, or
    // the name is one of a mount namespace that is not ours, as in a container.
    let deepest = layers_of(mount)
        .iter()
        .filter_map(|layer| table.at_among(layer, |other| other.device != mount.device))
        .map(|below| depth(table, below, beneath + 1))
        .max();
    1 + deepest.unwrap_or(0)
}

/// The layers of a mounted overlay, topmost first: its upper, then its lowers. A relative path, as
/// `ostree admin unlock` leaves it, is relative to the directory that holds the mount point.
pub fn layers_of(mount: &Mount) -> Vec<PathBuf> {
    let beside = mount.point.parent().unwrap_or(Path::new("/"));
    let upper = mount.super_option("upperdir").map(|text| split(&text)).unwrap_or_default();
    let single = mount.super_options.split(',').filter_map(|option| option.strip_prefix("lowerdir="));
    let appended = mount.super_options.split(',').filter_map(|option| option.strip_prefix("lowerdir+="));
    let lower = single.flat_map(|text| split(OsStr::new(text))).chain(appended.map(PathBuf::from));
    upper.into_iter().chain(lower).map(|path| beside.join(path)).collect()
}

/// Splits a `lowerdir` value: `:` separates (`::` introduces data-only layers, which cannot be
/// used here and are left out), `\` escapes.
fn split(value: &OsStr) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut current = Vec::new();
    let mut bytes = value.as_bytes().iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => current.extend(bytes.next()),
            b':' if current.is_empty() => break,
            b':' => found.push(std::mem::take(&mut current)),
            other => current.push(other),
        }
    }
    if !current.is_empty() {
        found.push(current);
    }
    found.into_iter().map(|path| PathBuf::from(std::ffi::OsString::from_vec(path))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lower(table: &str, directory: &str) -> Lower {
        lower_of(&MountTable::parse(table), Path::new(directory))
    }

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn a_plain_file_system_and_one_overlay_are_stacked_upon() {
        let table = "1 0 8:1 / / rw - ext4 /dev/sda rw\n\
                     2 1 0:9 / /usr ro - overlay o ro,lowerdir=/usr,upperdir=/u/up,workdir=/u/work\n";
        assert_eq!(lower(table, "/"), Lower { paths: paths(&["/"]), uncover: None });
        assert_eq!(lower(table, "/usr"), Lower { paths: paths(&["/usr"]), uncover: None });
    }

    #[test]
    fn an_unlocked_composefs_root_gives_its_layers() {
        let table = "1 0 0:5 / / ro - overlay composefs ro,lowerdir=/run/cfs::/sysroot/objects\n\
                     2 1 8:1 / /var rw - ext4 /dev/sda rw\n\
                     3 1 0:9 / /usr rw - overlay overlay rw,lowerdir=usr,upperdir=/var/tmp/x/upper\n";
        let expected = Lower { paths: paths(&["/var/tmp/x/upper", "/usr"]), uncover: Some("/usr".into()) };
        assert_eq!(lower(table, "/usr"), expected);
        assert_eq!(lower(table, "/"), Lower { paths: paths(&["/"]), uncover: None });
    }

    #[test]
    fn layers_that_were_given_as_descriptors_have_no_names() {
        let over = |root: &str| {
            format!(
                "{root}\n3 1 0:9 / /usr rw - overlay overlay rw,lowerdir=usr,upperdir=/proc/self/fd/12/upper\n"
            )
        };
        let composefs =
            over("1 0 0:5 / / ro - overlay composefs ro,lowerdir+=/run/cfs,datadir+=/sysroot/objects");
        assert!(!lower(&composefs, "/usr").is_named());
        // What is stacked upon as it is needs none.
        assert!(lower(&over("1 0 8:1 / / ro - ext4 /dev/sda ro"), "/usr").is_named());
    }

    #[test]
    fn a_part_of_a_root_that_is_an_overlay_is_stacked_upon() {
        let table = "1 0 0:9 / / rw - overlay o rw,lowerdir=/made/elsewhere,upperdir=/made/up,workdir=/made/work\n\
                     2 1 0:9 /usr /usr ro - overlay o rw,lowerdir=/made/elsewhere,upperdir=/made/up,workdir=/made/work\n";
        assert_eq!(lower(table, "/usr"), Lower { paths: paths(&["/usr"]), uncover: None });
    }

    #[test]
    fn of_a_deep_overlay_a_bound_directory_gives_that_of_its_layers() {
        let table = "1 0 0:5 / / ro - overlay composefs ro,lowerdir=/run/cfs::/sysroot/objects\n\
                     2 1 8:1 / /var rw - ext4 /dev/sda rw\n\
                     3 1 0:9 / /usr rw - overlay overlay rw,lowerdir=usr,upperdir=/var/tmp/x/upper\n\
                     4 1 0:9 /lib /srv rw - overlay overlay rw,lowerdir=/usr,upperdir=/var/tmp/x/upper\n";
        assert_eq!(lower(table, "/srv/a").paths, paths(&["/var/tmp/x/upper/lib/a", "/usr/lib/a"]));
    }

    #[test]
    fn layers_are_split_as_the_kernel_escapes_them() {
        let split = |text: &str| split(OsStr::new(text));
        assert_eq!(split("/a:/b\\:c:/d"), paths(&["/a", "/b:c", "/d"]));
        assert_eq!(split("/a::/data"), paths(&["/a"]));
        assert!(split("").is_empty());
    }
}
