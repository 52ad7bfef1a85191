//! Finishing what a package manager has left in the overlay, so that it can be committed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::run::PRIMED;
use super::users::{self, Accounts};
use super::var::{self, OPT, Var};
use super::{Layers, Lower, Shape, Workshop};
use crate::host::PackageSystem;
use crate::layer::{Error, Manifest, PLACE};
use crate::overlay::clear_tree;
use crate::sys::{FileKind, Root, write_new_unsynced};

/// Below the cache: a tree of files to be put into the overlay, and a list of what moves to where /opt is kept, by its paths from the root.
pub(super) const SEAL: &str = "seal";
pub(super) const MOVED: &str = "moved";

/// There, too: databases that have been made one file each.
pub(super) const PARKED: &str = "parked";

/// Below the cache: the base's lists of users, as they were before packages came.
pub(super) const BEFORE: &str = "before";

/// Read of lists of users and of paths at most.
const LIMIT: u64 = 16 << 20;

/// What dnf 5 remembers of what it did, below /usr; dnf 4 has it in /var.
const DNF_HISTORY: &str = "/usr/lib/sysimage/libdnf5/transaction_history.sqlite";

/// Lines for tmpfiles.d(5) of the same path: the first file by name counts, so that packages' own come before these.
const TMPFILES: &str = "usr/lib/tmpfiles.d/zz-onlay-layers.conf";

/// Lines for sysusers.d(5): the first file by name counts, and the numbers here are those that files belong to.
const SYSUSERS: &str = "usr/lib/sysusers.d/00-onlay-layers.conf";

/// Nothing of these is in a deployment: they are other file systems there, or the machine's own.
const NOT_DEPLOYED: &[&str] = &["boot", "dev", "proc", "run", "sys", "sysroot", "tmp", "var"];

/// What kernels and their scripts have in /boot.
const OF_KERNELS: &[&str] = &[
    "System.map",
    "config",
    "initramfs",
    "initrd",
    "loader",
    "sysctl.conf-",
    "symvers",
    "symtypes",
    "vmlinux",
    "vmlinuz",
];
/// The same of a snapshot, besides what its own list of file systems says.
const NOT_IN_SNAPSHOT: &[&str] = &["dev", "proc", "run", "sys", "tmp", "var"];

/// What packages and tools leave in /etc that is of no use, or the machine's own.
const NOT_DEFAULTS: &[&str] = &[
    ".pwd.lock",
    "group-",
    "gshadow-",
    "hostname",
    "hosts",
    "machine-id",
    "mtab",
    "passwd-",
    "resolv.conf",
    "shadow-",
    "subgid-",
    "subuid-",
];

/// What package managers leave beside their databases: locks, logs that were written back, and copies from before.
const BESIDE_DATABASE: &[&str] = &[
    ".dbenv.lock",
    ".keyring.lock",
    ".rpm.lock",
    "available-old",
    "diversions-old",
    "lock",
    "lock-frontend",
    "statoverride-old",
    "status-old",
    "triggers/Lock",
];

/// Writes what is to be put into the overlay; what of /var, /boot and other file systems cannot be in a deployment is returned.
pub(super) fn prepare(
    workshop: &Workshop,
    lower: &Lower,
    manifest: &Manifest,
) -> Result<Vec<PathBuf>, Error> {
    let cache = workshop.cache()?;
    clear_tree(&cache, OsStr::new(SEAL))?;
    cache.make_dir(SEAL, 0o700)?;
    let seal = cache.open_child(OsStr::new(SEAL))?;
    let layers = workshop.layers()?;
    let mut var = read_var(&layers, &cache)?;
    let mut moved: Vec<PathBuf> = var.opt.iter().map(|name| Path::new("var/opt").join(name)).collect();
    let is_anew = lower.shape == Shape::Deployment;
    if is_anew || !manifest.requests.is_empty() {
        put(&seal, PLACE, &manifest.to_bytes())?;
    }
    if let Shape::Snapshot { elsewhere, .. } = &lower.shape {
        moved.extend(move_opt(&layers, &lower.shape, &mut var)?);
        var.left_out.extend(left_out(&layers, elsewhere)?);
        var.lines = joined(&old_lines(&lower.tree, &layers)?, &var.lines);
    }
    if !var.lines.is_empty() {
        put(&seal, TMPFILES, var.lines.as_bytes())?;
    }
    // In a snapshot they are in /etc, which goes along with the files that belong to them.
    let users = if is_anew { new_users(&layers, &cache)? } else { String::new() };
    if !users.is_empty() {
        put(&seal, SYSUSERS, users.as_bytes())?;
    }
    let moved: Vec<u8> =
        moved.iter().flat_map(|path| [path.as_os_str().as_encoded_bytes(), b"\0"].concat()).collect();
    write_new_unsynced(&seal, MOVED, 0o600, &moved)?;
    let mut left_out = var.left_out;
    let mut parked = String::new();
    if let Some(root) = &layers.root {
        parked = park(root, &lower.tree)?;
        if is_anew {
            left_out.extend(of_boot(root)?);
        }
    }
    write_new_unsynced(&seal, PARKED, 0o600, parked.as_bytes())?;
    Ok(left_out)
}

/// Where a deployment has its databases, nothing can be written: they must be whole without logs. Those of rpm's and dnf's that were
/// changed, and now are so, each by its path and a zero.
fn park(root: &Root, tree: &Root) -> Result<String, Error> {
    let system = PackageSystem::find_kind(tree, "rpm").filter(|system| system.format == "sqlite");
    let history = Path::new(DNF_HISTORY).to_owned();
    let mut parked = String::new();
    for path in system.map(|system| system.database).into_iter().chain([history]) {
        let (parent, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
        let dir = match root.open_dir(parent.strip_prefix("/").unwrap_or(parent)) {
            Err(error) if error.is_not_found() => continue,
            dir => dir?,
        };
        if crate::pkgdb::rpm::park(&dir, &name.to_string_lossy())? {
            parked.push_str(&format!("{}\0", path.display()));
        }
    }
    Ok(parked)
}

/// Files that packages have in /boot, but for what belongs to a kernel, which is seen to elsewhere.
fn of_boot(root: &Root) -> Result<Vec<PathBuf>, Error> {
    let boot = match root.open_dir("boot") {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        boot => boot?,
    };
    let is_kernels = |name: &OsStr| {
        let name = name.as_encoded_bytes();
        OF_KERNELS.iter().any(|begin| name.strip_prefix(b".").unwrap_or(name).starts_with(begin.as_bytes()))
    };
    let others = boot.entries()?.into_iter().filter(|entry| !is_kernels(&entry.name));
    let mut paths: Vec<PathBuf> = others.map(|entry| Path::new("/boot").join(entry.name)).collect();
    paths.sort();
    Ok(paths)
}

/// Takes out of the layers what is of no use in a deployment.
pub(super) fn tidy(layers: &Layers, lower: &Lower) -> Result<(), Error> {
    if let Some(root) = &layers.root {
        let (always, elsewhere) = match &lower.shape {
            Shape::Deployment => (NOT_DEPLOYED, &[][..]),
            Shape::Snapshot { elsewhere, .. } => (NOT_IN_SNAPSHOT, &elsewhere[..]),
        };
        for place in always.iter().map(Path::new).chain(elsewhere.iter().map(PathBuf::as_path)) {
            clear_place(root, place)?;
        }
        if let Some(system) = PackageSystem::find(&lower.tree) {
            let directory = system.database.parent().unwrap_or(Path::new("/"));
            let directory = directory.strip_prefix("/").unwrap_or(directory);
            for name in BESIDE_DATABASE {
                remove_file(root, &directory.join(name))?;
            }
        }
    }
    if let Some(etc) = &layers.etc {
        for name in NOT_DEFAULTS {
            remove_file(etc, Path::new(name))?;
        }
    }
    Ok(())
}

/// What packages have put into /opt where that is another file system: it moves to where deployments have it, with a link made at boot.
fn move_opt(layers: &Layers, shape: &Shape, var: &mut Var) -> Result<Vec<PathBuf>, Error> {
    let Some(root) = layers.root.as_ref().filter(|_| shape.is_elsewhere("opt")) else {
        return Ok(Vec::new());
    };
    if !root.is_dir("opt")? {
        return Ok(Vec::new());
    }
    let opt = root.open_child(OsStr::new("opt"))?;
    let mut moved = Vec::new();
    for entry in opt.entries()? {
        // What is a link there leads to what was moved before.
        if opt.is_dir(&entry.name)? {
            let name = var::escaped(Path::new(&entry.name));
            var.lines.push_str(&format!("L /opt/{name} - - - - {OPT}/{name}\n"));
            moved.push(Path::new("opt").join(&entry.name));
        }
    }
    moved.sort();
    Ok(moved)
}

/// Files in the layer of the root that will not be seen, since something is mounted over them.
fn left_out(layers: &Layers, elsewhere: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let Some(root) = &layers.root else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let mut ahead: Vec<PathBuf> =
        elsewhere.iter().filter(|place| *place != Path::new("opt")).cloned().collect();
    while let Some(directory) = ahead.pop() {
        if !is_directory(root, &directory)? {
            continue;
        }
        for path in root.open_dir(&directory)?.entries()?.into_iter().map(|entry| directory.join(entry.name))
        {
            let Some(stat) = root.lstat_exact(&path)? else { continue };
            match FileKind::of(&stat) {
                FileKind::Directory => ahead.push(path),
                FileKind::File | FileKind::Symlink => found.push(Path::new("/").join(path)),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The lines that changes before this one have made; those of what has gone from where /opt is kept have gone, too.
fn old_lines(tree: &Root, layers: &Layers) -> Result<String, Error> {
    let text = match tree.read(TMPFILES, LIMIT) {
        Err(error) if error.is_not_found() => return Ok(String::new()),
        bytes => String::from_utf8_lossy(&bytes?).into_owned(),
    };
    let mut lines = String::new();
    for line in text.lines() {
        let moved = line.rsplit(' ').next().filter(|target| Path::new(target).starts_with(OPT));
        let hidden = match (moved, &layers.root) {
            (Some(target), Some(root)) => root.lstat_exact(target)?,
            _ => None,
        };
        if hidden.is_none_or(|stat| FileKind::of(&stat) != FileKind::CharDevice) {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    Ok(lines)
}

/// Lines, and those of others that are not among them.
fn joined(old: &str, new: &str) -> String {
    let known: BTreeSet<&str> = old.lines().collect();
    let more = new.lines().filter(|line| !known.contains(line));
    old.lines().chain(more).flat_map(|line| [line, "\n"]).collect()
}

/// Clears a directory by its path, or whatever is there.
fn clear_place(root: &Root, place: &Path) -> Result<(), Error> {
    let (parent, name) = (place.parent().unwrap_or(Path::new("")), place.file_name().unwrap_or_default());
    if parent.as_os_str().is_empty() || is_directory(root, parent)? {
        clear_tree(&root.open_dir(parent)?, name)?;
    }
    Ok(())
}

/// Whether a layer has a directory there: it may have hidden it, or made something else of it.
fn is_directory(root: &Root, path: &Path) -> Result<bool, Error> {
    Ok(root.lstat_exact(path)?.is_some_and(|stat| FileKind::of(&stat) == FileKind::Directory))
}

fn read_var(layers: &Layers, cache: &Root) -> Result<Var, Error> {
    let Some(layer) = &layers.var else { return Ok(Var::default()) };
    var::read(layer, &var::primed(&cache.read(PRIMED, LIMIT)?))
}

/// Lines for who is in the layers' lists and not in the base's, which a step has put aside.
fn new_users(layers: &Layers, cache: &Root) -> Result<String, Error> {
    let Some(etc) = &layers.etc else { return Ok(String::new()) };
    let text = |root: &Root, path: &str| match root.read(path, LIMIT) {
        Err(error) if error.is_not_found() => Ok(None),
        bytes => bytes.map(|bytes| Some(String::from_utf8_lossy(&bytes).into_owned())),
    };
    let of_base = |name: &str| text(cache, &format!("{BEFORE}/{name}")).map(Option::unwrap_or_default);
    let old = Accounts { passwd: of_base("passwd")?, group: of_base("group")? };
    let new = Accounts {
        passwd: text(etc, "passwd")?.unwrap_or_else(|| old.passwd.clone()),
        group: text(etc, "group")?.unwrap_or_else(|| old.group.clone()),
    };
    Ok(users::lines(&old, &new))
}

fn put(dir: &Root, path: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = Path::new(path);
    let (parent, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
    dir.make_dirs(parent, 0o755)?;
    Ok(write_new_unsynced(&dir.open_dir(parent)?, &name.to_string_lossy(), 0o644, bytes)?)
}

fn remove_file(dir: &Root, path: &Path) -> Result<(), Error> {
    let parent = match dir.open_dir(path.parent().unwrap_or(Path::new(""))) {
        Err(error) if error.is_not_found() => return Ok(()),
        other => other?,
    };
    let name = path.file_name().unwrap_or_default();
    match rustix::fs::unlinkat(&parent, name, rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT | rustix::io::Errno::ISDIR) => Ok(()),
        Err(error) => Err(crate::sys::io_error("remove", parent.join(name), error).into()),
    }
}
