//! Which parts of a host an overlay shows, and how: a survey of its mounts.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::folder::RUN;
use super::stack::{self, Lower};
use crate::host::{below_extensions, is_extensions, is_inside_extensions};
use crate::sys::{Mount, MountFlags, MountTable};

/// The directory of an overlay that holds its layers.
pub(super) const DIRECTORY: &str = "layers";

/// A file system of the host that gets a writable layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Where it is, seen from the root of the view.
    pub point: PathBuf,
    /// What it covers.
    pub lower: Lower,
    /// Flags that the host's mount has and the overlay copies (not `ro`: that is the point).
    pub flags: MountFlags,
    /// Where extensions are merged, the mount point of the layer that this one is a part of: that of the file system below them.
    /// `None` where it is a layer by itself.
    pub part_of: Option<PathBuf>,
}

/// One part of the host's tree, in the way that an overlay shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A writable layer over it, kept with the overlay.
    Kept(Layer),
    /// A writable layer over it, in RAM: what lies on tmpfs on the host lives no longer here.
    Ram(Layer),
    /// The host's own, as it is.
    Own {
        /// Where.
        point: PathBuf,
        /// With all that is mounted below it.
        recursive: bool,
    },
    /// The host's own, but read-only.
    ReadOnly {
        /// Where.
        point: PathBuf,
    },
}

impl Part {
    /// Where it is, seen from the root of the view.
    pub fn point(&self) -> &Path {
        match self {
            Part::Kept(layer) | Part::Ram(layer) => &layer.point,
            Part::Own { point, .. } | Part::ReadOnly { point } => point,
        }
    }
}

/// Kinds of file systems that are windows into the kernel, not storage.
const KERNEL_WINDOWS: &[&str] = &[
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
];

/// Whether a kind of file system is a window into the kernel, not storage.
pub fn is_kernel_window(kind: &str) -> bool {
    KERNEL_WINDOWS.contains(&kind)
}

/// Where container engines and snapd mount what is not part of the host: a layer for each would
/// cost time and leave one directory behind for every container that ever ran.
const NOT_THE_HOST: &[&str] = &[
    "/snap",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/lib/snapd/snap",
];

/// Directories that the entering room makes itself.
const ENTRANCE: &[&str] = &["/dev", "/proc", "/run", "/sys", "/tmp"];

/// Surveys the mounts at and below a root. `own` are directories (canonical, seen from the root)
/// that stay the host's own; `is_dir` tells directories from files that were mounted on files.
/// Parents come before what is mounted in them.
pub fn survey(table: &MountTable, root: &Path, own: &[PathBuf], is_dir: impl Fn(&Path) -> bool) -> Vec<Part> {
    let mut parts = vec![Part::Kept(layer(table, root, Path::new("/"), table.at(root)))];
    for mount in table.visible_below(root) {
        let point = Path::new("/").join(mount.point.strip_prefix(root).unwrap_or(&mount.point));
        if point != Path::new("/") && !is_entrance(&point) && !own.iter().any(|own| point.starts_with(own)) {
            parts.extend(part(table, root, point, mount, &is_dir));
        }
    }
    parts.extend(own.iter().map(|point| Part::Own { point: point.clone(), recursive: true }));
    parts.sort_by(|a, b| a.point().cmp(b.point()));
    parts
}

/// Surveys the mounts at and below one of the entrance directories, such as /run: tmpfs gets a
/// layer in RAM, kernel windows stay, storage gets a layer that is kept.
pub fn survey_entrance(table: &MountTable, directory: &Path, is_dir: impl Fn(&Path) -> bool) -> Vec<Part> {
    let root = Path::new("/");
    let mut parts = vec![Part::Ram(layer(table, root, directory, table.at(directory)))];
    let is_ours = |point: &Path| point.starts_with(RUN);
    for mount in table.visible_below(directory).into_iter().filter(|mount| mount.point != directory) {
        let point = mount.point.clone();
        match mount.kind.as_str() {
            // What is unlocked has its layers there: nobody has business with them.
            _ if is_ours(&point) => {}
            "tmpfs" | "ramfs" | "devtmpfs" if is_dir(&point) => {
                parts.push(Part::Ram(layer(table, root, &point, Some(mount))));
            }
            "autofs" => {}
            kind if is_kernel_window(kind) => parts.push(Part::Own { point, recursive: false }),
            // A user's FUSE mount does not even let root in.
            kind if kind.starts_with("fuse") => {}
            _ => parts.extend(part(table, root, point, mount, &is_dir)),
        }
    }
    parts
}

fn part(
    table: &MountTable,
    root: &Path,
    point: PathBuf,
    mount: &Mount,
    is_dir: &impl Fn(&Path) -> bool,
) -> Option<Part> {
    match mount.kind.as_str() {
        // Looking into one that is not mounted yet would mount it on the host.
        "autofs" => None,
        // It is seen with the rest of what is merged.
        _ if is_inside_extensions(mount) => None,
        kind if is_kernel_window(kind) => Some(Part::Own { point, recursive: false }),
        _ if is_strictly_below_any(&point, NOT_THE_HOST) || !is_dir(&mount.point) || !has_name(&point) => {
            Some(Part::ReadOnly { point })
        }
        _ => Some(Part::Kept(layer(table, root, &point, Some(mount)))),
    }
}

fn layer(table: &MountTable, root: &Path, point: &Path, mount: Option<&Mount>) -> Layer {
    let directory = root.join(point.strip_prefix("/").unwrap_or(point));
    let mut flags = mount.map(Mount::flags).unwrap_or_default();
    flags.read_only = false;
    let part_of = mount.and_then(|mount| holder(table, root, mount));
    Layer { point: point.to_owned(), lower: stack::lower_of(table, &directory), flags, part_of }
}

/// The mount point, seen from `root`, of the file system that lies below merged extensions; `None` of any other mount, and where
/// that is mounted at the same place. They come and go, and what was written there is the file system's.
pub(super) fn holder(table: &MountTable, root: &Path, mount: &Mount) -> Option<PathBuf> {
    let below = below_extensions(table, mount);
    if !is_extensions(mount) || below.point == mount.point || mount.point == root {
        return None;
    }
    let inside = below.point.strip_prefix(root).unwrap_or(Path::new(""));
    Some(Path::new("/").join(inside))
}

/// Whether a place is at or below a directory that the entering room makes itself.
pub(super) fn is_entrance(point: &Path) -> bool {
    ENTRANCE.iter().any(|directory| point.starts_with(directory))
}

fn is_strictly_below_any(point: &Path, directories: &[&str]) -> bool {
    directories.iter().any(|directory| point.starts_with(directory) && point != Path::new(directory))
}

/// The name of a layer's directory: `@root`, or the mount point as systemd.unit(5) escapes paths.
pub fn directory_name(point: &Path) -> String {
    let bytes = point.as_os_str().as_bytes();
    let bytes = bytes.strip_prefix(b"/").unwrap_or(bytes);
    if bytes.is_empty() {
        return "@root".to_owned();
    }
    let mut name = String::with_capacity(bytes.len());
    for (index, &byte) in bytes.iter().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if index == 0 => name.push_str("\\x2e"),
            b':' | b'_' | b'.' => name.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => name.push(char::from(byte)),
            _ => name.push_str(&format!("\\x{byte:02x}")),
        }
    }
    name
}

/// Whether a layer's directory can have its name: NAME_MAX bounds it, and escapes make it longer.
fn has_name(point: &Path) -> bool {
    directory_name(point).len() <= 255
}

/// The mount point that a layer's directory stands for; `None` for a name that is none of ours.
pub fn mount_point(name: &str) -> Option<PathBuf> {
    if name == "@root" {
        return Some(PathBuf::from("/"));
    }
    let mut bytes = vec![b'/'];
    let mut rest = name.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'-' => bytes.push(b'/'),
            b'\\' => {
                let digits = tail.strip_prefix(b"x")?.get(..2)?;
                bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                rest = &tail[3..];
            }
            other => bytes.push(other),
        }
    }
    let whole = !bytes.ends_with(b"/") && !bytes.windows(2).any(|pair| pair == b"//");
    let point = PathBuf::from(OsString::from_vec(bytes));
    (whole && directory_name(&point) == name).then_some(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
1 0 8:1 / / ro,relatime - btrfs /dev/sda ro
2 1 0:2 / /proc rw - proc proc rw
3 1 0:3 / /run rw,nosuid - tmpfs tmpfs rw
4 3 0:4 / /run/user/0 rw,nodev - tmpfs tmpfs rw
5 3 0:5 / /run/netns/a rw - nsfs nsfs rw
6 1 8:2 / /var rw,nodev - btrfs /dev/sda rw
7 6 0:7 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw,lowerdir=/l,upperdir=/u
8 1 8:3 / /home rw - xfs /dev/sdb rw
9 8 8:4 / /home/a/disk rw - xfs /dev/sdc rw
10 1 8:5 /etc/hosts /etc/hosts rw - ext4 /dev/sdd rw
11 1 0:8 / /boot/efi rw - autofs systemd-1 rw
12 3 8:6 / /run/media/stick rw - ext4 /dev/sde rw
";

    fn points(parts: &[Part]) -> Vec<(String, &'static str)> {
        parts
            .iter()
            .map(|part| {
                let kind = match part {
                    Part::Kept(_) => "kept",
                    Part::Ram(_) => "ram",
                    Part::Own { .. } => "own",
                    Part::ReadOnly { .. } => "read-only",
                };
                (part.point().display().to_string(), kind)
            })
            .collect()
    }

    fn owned(pairs: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
        pairs.iter().map(|&(point, kind)| (point.to_owned(), kind)).collect()
    }

    #[test]
    fn every_file_system_gets_its_layer() {
        let table = MountTable::parse(TABLE);
        let own = [PathBuf::from("/home"), PathBuf::from("/root")];
        let parts = survey(&table, Path::new("/"), &own, |path| path != Path::new("/etc/hosts"));
        let expected = owned(&[
            ("/", "kept"),
            ("/etc/hosts", "read-only"),
            ("/home", "own"),
            ("/root", "own"),
            ("/var", "kept"),
            ("/var/lib/docker/overlay2/x/merged", "read-only"),
        ]);
        assert_eq!(points(&parts), expected);
        let Part::Kept(var) = &parts[4] else { panic!("a layer") };
        assert!(var.flags.no_dev && !var.flags.read_only);
    }

    #[test]
    fn what_extensions_lie_over_belongs_to_the_file_system_below_them() {
        let table = format!(
            "{TABLE}20 1 0:20 / /usr ro - overlay sysext ro,lowerdir=/x:/usr\n\
             21 6 0:21 / /var/opt ro - overlay sysext ro,lowerdir=/x:/var/opt\n\
             22 8 0:22 / /home ro - overlay sysext ro,lowerdir=/x:/home\n\
             23 20 0:20 /.systemd-sysext /usr/.systemd-sysext ro - overlay sysext ro,lowerdir=/x:/usr\n"
        );
        let parts = survey(&MountTable::parse(&table), Path::new("/"), &[], |_| true);
        let part_of = |point: &str| {
            let part = parts.iter().find(|part| part.point() == Path::new(point)).expect("a part");
            let Part::Kept(layer) = part else { panic!("a layer") };
            layer.part_of.clone()
        };
        assert_eq!(part_of("/usr"), Some("/".into()));
        assert_eq!(part_of("/var/opt"), Some("/var".into()));
        assert_eq!((part_of("/home"), part_of("/var")), (None, None));
        assert!(parts.iter().all(|part| !part.point().starts_with("/usr/.systemd-sysext")));
    }

    #[test]
    fn homes_that_are_not_the_hosts_get_layers() {
        let table = MountTable::parse(TABLE);
        let parts = survey(&table, Path::new("/"), &[], |_| true);
        let found = points(&parts);
        assert!(
            found.contains(&("/home".into(), "kept")) && found.contains(&("/home/a/disk".into(), "kept"))
        );
    }

    #[test]
    fn run_has_layers_in_ram() {
        // What is unlocked has its layers in RAM below a directory of ours, which is not shown.
        let table = format!("{TABLE}90 1 0:90 / /run/onlay/live/ram rw - tmpfs tmpfs rw\n");
        let parts = survey_entrance(&MountTable::parse(&table), Path::new("/run"), |_| true);
        let expected = owned(&[
            ("/run", "ram"),
            ("/run/media/stick", "kept"),
            ("/run/netns/a", "own"),
            ("/run/user/0", "ram"),
        ]);
        assert_eq!(points(&parts), expected);
    }

    #[test]
    fn a_tree_elsewhere_is_seen_from_its_own_root() {
        let table = MountTable::parse(
            "1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 8:2 / /srv/tree/var rw - xfs /dev/sdb rw\n",
        );
        let parts = survey(&table, Path::new("/srv/tree"), &[], |_| true);
        assert_eq!(points(&parts), owned(&[("/", "kept"), ("/var", "kept")]));
        let Part::Kept(root) = &parts[0] else { panic!("a layer") };
        assert_eq!(root.lower.paths, [PathBuf::from("/srv/tree")]);
    }

    #[test]
    fn directory_names_lead_back_to_mount_points() {
        for (point, name) in [
            ("/", "@root"),
            ("/var", "var"),
            ("/var/lib", "var-lib"),
            ("/mnt/my-disk", "mnt-my\\x2ddisk"),
            ("/a b", "a\\x20b"),
            ("/.snapshots", "\\x2esnapshots"),
            ("/@root", "\\x40root"),
        ] {
            assert_eq!(directory_name(Path::new(point)), name);
            assert_eq!(mount_point(name).as_deref(), Some(Path::new(point)));
        }
        for bad in ["a\\x2", "a\\q", "x\\xzz", "", "-", "a\\x41"] {
            assert_eq!(mount_point(bad), None, "{bad}");
        }
    }
}
