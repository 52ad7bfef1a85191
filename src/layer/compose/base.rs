//! Showing a base that is not booted, as it would be when it is.

use std::path::{Path, PathBuf};

use super::Workshop;
use super::install::{CARRIED, KEPT};
use super::workshop::OVER_BASE;
use crate::host::{PackageSystem, selinux};
use crate::layer::Error;
use crate::overlay::{copy_attributes, copy_tree};
use crate::sys::{
    Features, FileKind, MountFlags, Namespaces, OverlaySpec, Propagation, RecordLock, Root, Xattrs, attach,
    clone_tree, leave_for_new, mount_overlay, set_flags, set_propagation, without_dots,
};

/// What a base is seen through: a tree that is there as files, and perhaps one directory laid over it that makes of it another.
#[derive(Debug)]
pub struct Lower {
    /// A deployment's directory.
    pub tree: Root,
    /// What is laid over it, with whiteouts and opaque directories.
    pub above: Option<Root>,
    /// What keeps it from being pruned as long as it is seen.
    pub keeper: Option<RecordLock>,
    /// How what boots is put together from it.
    pub shape: Shape,
}

/// How what boots is put together from a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// As OSTree does it: /etc has its defaults in /usr/etc, and /opt and what people have lie in /var.
    Deployment,
    /// It is the root itself, /etc with it.
    Snapshot {
        /// Directories over which other file systems are mounted, by their paths from the root.
        elsewhere: Vec<PathBuf>,
        /// The machine's own /var.
        var: PathBuf,
        /// Where what boots it is.
        boot: BootFiles,
    },
}

/// Where kernels of snapshots, and what they begin with, are found by what boots them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootFiles {
    /// In each snapshot's own /boot, by links to what boots next, or by GRUB's settings there.
    Within,
    /// In another file system at /boot, which snapshots share.
    Elsewhere,
    /// On the EFI system partition, where another program puts them, with entries that name a snapshot.
    Entries,
    /// Nobody here knows.
    Unknown,
}

impl Shape {
    /// Where /etc is, from the root of the tree.
    fn etc(&self) -> &'static str {
        match self {
            Shape::Deployment => "usr/etc",
            Shape::Snapshot { .. } => "etc",
        }
    }

    /// Whether what boots is made ready by others, and not in the tree.
    pub(super) fn boots_by_others(&self) -> bool {
        matches!(self, Shape::Snapshot { boot, .. } if *boot != BootFiles::Within)
    }

    /// Whether a directory, by its path from the root, is another file system in what boots.
    pub(super) fn is_elsewhere(&self, path: &str) -> bool {
        matches!(self, Shape::Snapshot { elsewhere, .. } if elsewhere.iter().any(|place| place == Path::new(path)))
    }
}

/// What package managers and their scripts take for granted below /var, as hier(7) has it, with its mode.
const SKELETON: &[(&str, u32)] = &[
    ("cache", 0o755),
    ("lib", 0o755),
    ("lib/misc", 0o755),
    ("log", 0o755),
    ("opt", 0o755),
    ("spool", 0o755),
    ("tmp", 0o1777),
];

/// Goes to a mount namespace of this process's own and shows the base in the workshop.
pub(super) fn show(workshop: &Workshop, lower: &Lower) -> Result<(), Error> {
    leave_for_new(Namespaces::MOUNT)?;
    set_propagation(Path::new("/"), Propagation::Private)?;
    let place = Root::open(workshop.base())?;
    // By their paths, so that they are reached through mounts of this namespace.
    let reached = |root: &Root| Root::open(root.path());
    let tree = reached(&lower.tree)?;
    let mounted = match &lower.above {
        None => {
            let mounted = clone_tree(&tree, tree.path(), false)?;
            set_flags(&mounted, MountFlags::READ_ONLY, MountFlags::default(), false, tree.path())?;
            mounted
        }
        Some(above) => {
            let [upper, work] = OVER_BASE.map(|name| workshop.empty(name));
            let (upper, work, above) = (reached(&upper?)?, reached(&work?)?, reached(above)?);
            // The root that is seen is the upper's own: closed to others, it would be so in the deployment, too.
            copy_attributes(&above, &upper)?;
            mount_overlay(&OverlaySpec {
                lower: &[&above, &tree],
                upper: &upper,
                work: &work,
                features: Features::default(),
                flags: MountFlags::READ_ONLY,
                source: "onlay-base",
            })?
        }
    };
    attach(&mounted, &place, place.path())?;
    let base = Root::open(workshop.base())?;
    furnish(&base, &workshop.var()?)?;
    if let Shape::Snapshot { var, .. } = &lower.shape {
        carry(&base, var, &workshop.var()?)?;
    }
    let etc = base.join(lower.shape.etc());
    for (from, to) in [(etc, base.join("etc")), (workshop.var()?.path().to_owned(), base.join("var"))] {
        let tree = clone_tree(Root::open(&from)?, &from, false)?;
        attach(&tree, Root::open(&to)?, &to)?;
    }
    label_var(&Root::open(workshop.base())?)
}

/// Labels what is in the base's /var as its policy has it, where the kernel of now goes by labels: programs that it confines, as scripts start them, would
/// find what is Onlay's there.
fn label_var(base: &Root) -> Result<(), Error> {
    let var = base.open_dir("var")?;
    if Xattrs::read(&var, Path::new(""))?.get(selinux::LABEL).is_none() {
        return Ok(());
    }
    let Some(list) = selinux::policy(base)? else { return Ok(()) };
    let labels = selinux::read(base, &list)?;
    let mut waiting = vec![PathBuf::from("var")];
    while let Some(path) = waiting.pop() {
        let Some(stat) = base.lstat_exact(&path)? else { continue };
        let (kind, place) = (FileKind::of(&stat), Path::new("/").join(&path));
        let label = labels.attribute(place.as_os_str().as_encoded_bytes(), kind);
        if let Some(label) = label.map_err(selinux::Error::from)? {
            // A policy that this kernel does not have may have labels that it does not know.
            let _ = Xattrs::set(base, &path, selinux::LABEL.as_bytes(), &label);
        }
        if kind == FileKind::Directory {
            waiting.extend(base.open_dir(&path)?.entries()?.into_iter().map(|entry| path.join(entry.name)));
        }
    }
    Ok(())
}

/// Makes what is to be in an empty /var: the skeleton, what the base's links lead to, and the way to its package database.
fn furnish(base: &Root, var: &Root) -> Result<(), Error> {
    for &(path, mode) in SKELETON {
        var.make_dir(path, mode)?;
    }
    link(var, "run", "/run")?;
    link(var, "lock", "/run/lock")?;
    for place in ["", "usr"] {
        for entry in base.open_dir(place)?.entries()? {
            let link = Path::new(place).join(&entry.name);
            let Ok(target) = base.read_link_exact(&link) else { continue };
            let target = Path::new("/").join(place).join(target);
            let clean = without_dots(&target);
            if let Ok(below) = clean.strip_prefix("/var") {
                var.make_dirs(below, 0o755)?;
            }
        }
    }
    let Some(system) = package_system(base)? else { return Ok(()) };
    let directory = system.database.parent().unwrap_or(Path::new("/"));
    let usual = if system.kind == "dpkg" { "lib/dpkg" } else { "lib/rpm" };
    let target = Path::new("../..").join(directory.strip_prefix("/").unwrap_or(directory));
    link(var, usual, &target.to_string_lossy())
}

/// A tree's package database. One in /var is the machine's own, and with the base's /var it was left out of what boots.
pub(in crate::layer) fn package_system(tree: &Root) -> Result<Option<PackageSystem>, Error> {
    let system = PackageSystem::find(tree);
    match &system {
        Some(found) if found.database.starts_with("/var") => {
            Err(Error::DatabaseInVar { path: found.database.clone() })
        }
        _ => Ok(system),
    }
}

/// Brings what the packages of a snapshot keep in /var of themselves, such as which of their services were enabled once: as the snapshot
/// has kept it, or where nobody has put it there yet, as the machine has it.
fn carry(base: &Root, machine: &Path, var: &Root) -> Result<(), Error> {
    let from = match base.open_dir(KEPT) {
        Err(error) if error.is_not_found() => match Root::open(machine) {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        },
        other => other?,
    };
    for place in CARRIED {
        let Ok(source) = from.open_exact(place) else { continue };
        let source = Root::from_fd(source, from.join(place));
        let place = Path::new(place);
        var.make_dirs(place, 0o755)?;
        copy_tree(&source, &var.open_dir(place)?)?;
    }
    Ok(())
}

fn link(dir: &Root, name: &str, target: &str) -> Result<(), Error> {
    match rustix::fs::symlinkat(target, dir, name) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(crate::sys::io_error("make", dir.join(name), error).into()),
    }
}
