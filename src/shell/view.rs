//! What the view shows where the kernel's own file systems are: /proc, /sys, /dev, /run and /tmp.
//!
//! With the host in view, /run and what else is tmpfs get a layer in RAM. Sockets cannot be reached
//! through a layer (the lower socket's inode is not the overlay's), and a named pipe there is
//! another pipe: so no script inside talks to the host's systemd, D-Bus or udev by accident, while
//! all files can be read. /proc/sys and /sys are read-only, and the block devices are not there: a
//! boot loader's script must not find the disk. Name services are let through.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode as FileMode};
use rustix::io::Errno;

use super::SHARED;
use super::plan::INSIDE;
use crate::host::Host;
use crate::host::selinux::LABEL;
use crate::overlay::{
    self, Mode, OverlayName, Part, directory_name, is_kernel_window, new_upper, survey, survey_entrance,
};
use crate::sys::{
    Context, FileKind, IoError, Mount, MountFlags, MountTable, Root, Tree, Xattrs, attach, clone_tree,
    detach_path, new_filesystem, set_flags,
};

/// Where name services listen; without them users and hosts of the network have no names inside.
const NAME_SERVICES: &[&str] =
    &["/run/nscd", "/run/systemd/resolve", "/run/systemd/userdb", "/var/lib/sss/pipes"];

/// Parts of /proc through which the kernel is set, not read.
const PROC_SETTINGS: &[&str] = &["proc/sys", "proc/sysrq-trigger", "proc/irq"];

/// Parts of /proc that a container has no business with (as systemd-nspawn hides and locks them, and one
/// more that root may write without any capability).
const PROC_LOCKED: &[&str] = &[
    "proc/acpi",
    "proc/asound",
    "proc/bus",
    "proc/dynamic_debug",
    "proc/fs",
    "proc/irq",
    "proc/scsi",
    "proc/sys",
];
const PROC_HIDDEN: &[&str] =
    &["proc/kallsyms", "proc/kcore", "proc/keys", "proc/sysrq-trigger", "proc/timer_list"];

/// Kinds below /sys that stay writable: tracers set their probes there.
const TRACING: &[&str] = &["bpf", "debugfs", "tracefs"];

/// Everything that the view is made of, but what only exists at the moment of entering.
pub(super) fn parts(host: &Host, own: &[PathBuf], mode: Mode, unguarded: bool) -> Vec<Part> {
    let is_dir =
        |path: &Path| rustix::fs::stat(path).is_ok_and(|stat| FileKind::of(&stat) == FileKind::Directory);
    let mut parts = survey(&host.mounts, host.root.path(), own, is_dir);
    if mode != Mode::Host {
        // Among those that are cloned alone: a /proc or /dev of the host in a tree that somebody builds.
        parts.retain(|part| !matches!(part, Part::Own { recursive: false, .. }));
        return parts;
    }
    let window = |point: &str| Part::Own { point: PathBuf::from(point), recursive: true };
    parts.extend([window("/proc"), window("/sys")]);
    match (host.is_running, unguarded) {
        (true, false) => {
            parts.extend(survey_entrance(&host.mounts, Path::new("/run"), is_dir));
            parts.extend(survey_entrance(&host.mounts, Path::new("/dev"), is_dir));
        }
        (true, true) => parts.extend([window("/run"), window("/dev")]),
        (false, false) => parts.extend(survey_entrance(&host.mounts, Path::new("/dev"), is_dir)),
        (false, true) => parts.push(window("/dev")),
    }
    parts
}

/// Fills, before anything is mounted, the layers in RAM that hide parts of the host.
pub(super) fn prepare_ram(parts: &[Part], ram: &Root, name: &OverlayName) -> Result<(), overlay::Error> {
    for part in parts {
        let Part::Ram(layer) = part else { continue };
        let lower = Root::open(&layer.lower.paths[0])?;
        match layer.point.to_str() {
            Some("/dev") => {
                let (upper, _) = new_upper(ram, &directory_name(&layer.point), &lower)?;
                hide_devices(&lower, &upper)?;
            }
            Some("/run") => {
                let (upper, _) = new_upper(ram, &directory_name(&layer.point), &lower)?;
                mark_inside(&upper, name)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// A whiteout for each block device but loop devices that are free, which are nobody's disk; for the device
/// mapper, which makes and takes away disks; and for watchdogs, which reset the machine once opened.
fn hide_devices(dev: &Root, upper: &Root) -> Result<(), IoError> {
    let Ok(devices) = Root::open("/sys/class/block") else { return Ok(()) };
    let names = devices.entries()?.into_iter().map(|device| device.name.to_string_lossy().replace('!', "/"));
    let is_free_loop = |name: &str| {
        name.starts_with("loop")
            && !Path::new("/sys/class/block").join(name).join("loop/backing_file").exists()
    };
    let disks = names.filter(|name| !is_free_loop(name));
    let others = ["mapper/control", "watchdog", "watchdog0"].into_iter().filter(|name| dev.exists(name));
    for name in disks.chain(others.map(str::to_owned)) {
        if let Some(above) = Path::new(&name).parent() {
            upper.make_dirs(above, 0o755)?;
        }
        whiteout(upper, &name)?;
    }
    Ok(())
}

fn whiteout(upper: &Root, name: &str) -> Result<(), IoError> {
    match rustix::fs::mknodat(upper, name, FileType::CharacterDevice, FileMode::empty(), 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error).context("hide", upper.join(name)),
    }
}

/// Says in the view's /run which overlay it is, and shows nothing else of `/run/onlay`. Nor is
/// init's pipe there: nobody would read it, and who writes to it would wait for ever.
fn mark_inside(run: &Root, name: &OverlayName) -> Result<(), IoError> {
    whiteout(run, "initctl")?;
    run.make_dir("onlay", 0o755)?;
    let dir = run.open_child("onlay".as_ref())?;
    Xattrs::set(&dir, Path::new(""), b"trusted.overlay.opaque", b"y")?;
    write_name(&dir, name)
}

/// Says in a `/run/onlay` which overlay the view is of.
pub(super) fn write_name(dir: &Root, name: &OverlayName) -> Result<(), IoError> {
    let file = dir.make_file(INSIDE, 0o644)?;
    rustix::io::write(file, format!("{name}\n").as_bytes()).context("write", dir.join(INSIDE)).map(|_| ())
}

/// Completes a view in which the host's processes are seen.
pub(super) fn complete_for_host(
    view: &Root,
    ram: &Root,
    host: &Host,
    unguarded: bool,
    name: &OverlayName,
) -> Result<(), IoError> {
    mount_fresh(view, "tmp", ram, 0o1777)?;
    if !host.is_running {
        let run = mount_fresh(view, "run", ram, 0o755)?;
        fill_run(run.as_ref(), name)?;
    }
    if unguarded {
        return Ok(());
    }
    for setting in PROC_SETTINGS {
        lock(view, setting)?;
    }
    lock_sys(view, &host.mounts)?;
    if host.is_running {
        // The host's root was opened in the namespace that has been left, from which nothing can be cloned.
        let root = Root::open("/")?;
        for directory in NAME_SERVICES {
            let_through(&root, view, directory)?;
        }
    }
    Ok(())
}

/// Takes off such windows below the directories that stay the host's own, in a namespace where the
/// view is attached at `view`.
pub(super) fn close_windows(view: &Path, host: &Host, own: &[PathBuf]) -> Result<(), IoError> {
    // An automounter's is none.
    let is_window = |mount: &&Mount| is_kernel_window(&mount.kind) && mount.kind != "autofs";
    let is_in_own = |mount: &&Mount| {
        let inside = mount.point.strip_prefix(host.root.path()).unwrap_or(&mount.point);
        own.iter().any(|own| Path::new("/").join(inside).starts_with(own))
    };
    if !host.mounts.all().iter().filter(is_window).any(|mount| is_in_own(&mount)) {
        return Ok(());
    }
    while let Some(window) = MountTable::read()?.visible_below(view).into_iter().find(is_window) {
        detach_path(&window.point)?;
    }
    Ok(())
}

/// Completes a view in namespaces of its own, but for /proc, which must come from inside the PID
/// namespace.
pub(super) fn complete_for_isolation(
    view: &Root,
    ram: &Root,
    mounts: &MountTable,
    private_network: bool,
    name: &OverlayName,
) -> Result<(), IoError> {
    mount_fresh(view, "tmp", ram, 0o1777)?;
    let run = mount_fresh(view, "run", ram, 0o755)?;
    fill_run(run.as_ref(), name)?;
    if let Some(run) = &run {
        show_resolver(view, run, private_network)?;
    }
    let locked = MountFlags { read_only: true, no_exec: true, ..MountFlags::NO_SUID_DEV };
    let sys = new_filesystem("sysfs", &[], locked)?;
    mount_in(view, "sys", sys)?;
    let has_cgroup2 = mounts.at(Path::new("/sys/fs/cgroup")).is_some_and(|mount| mount.kind == "cgroup2");
    if has_cgroup2 {
        mount_in(view, "sys/fs/cgroup", new_filesystem("cgroup2", &[], locked)?)?;
    }
    // Nodes in the base, in an overlay that was entered otherwise before, or in /home: none can be opened.
    let no_devices = MountFlags { no_dev: true, ..MountFlags::default() };
    set_flags(view, no_devices, MountFlags::default(), true, view.path())?;
    own_devices(view, ram)
}

/// Mounts a /proc of this PID namespace, with what a container may not set or see covered.
pub(super) fn mount_proc() -> Result<(), IoError> {
    let view = Root::open("/")?;
    let flags = MountFlags { no_exec: true, ..MountFlags::NO_SUID_DEV };
    mount_in(&view, "proc", new_filesystem("proc", &[], flags)?)?;
    for name in PROC_LOCKED {
        lock(&view, name)?;
    }
    for name in PROC_HIDDEN.iter().filter(|name| view.exists(name)) {
        let null = clone_tree(view.open_exact("dev/null")?, Path::new(name), false)?;
        mount_in(&view, name, null)?;
    }
    Ok(())
}

/// A small /dev with what every program may expect (as systemd-nspawn(1) gives it). It is the one place
/// where nodes can be opened, and the filter lets only harmless ones be made.
fn own_devices(view: &Root, ram: &Root) -> Result<(), IoError> {
    let flags = MountFlags { no_suid: true, ..MountFlags::default() };
    let tree = new_filesystem("tmpfs", &[("mode", "0755"), ("size", "4m")], flags)?;
    let Some(dev) = mount_in(view, "dev", tree)? else { return Ok(()) };
    for (name, major, minor) in
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)]
    {
        let number = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(&dev, name, FileType::CharacterDevice, FileMode::empty(), number)
            .and_then(|()| {
                rustix::fs::chmodat(&dev, name, FileMode::from_raw_mode(0o666), rustix::fs::AtFlags::empty())
            })
            .context("create device", dev.join(name))?;
    }
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("core", "/proc/kcore"),
    ] {
        rustix::fs::symlinkat(target, &dev, name).context("create link", dev.join(name))?;
    }
    for directory in ["pts", "shm", "mqueue"] {
        dev.make_dir(directory, 0o755)?;
    }
    label_as(Path::new("/dev"), &dev, ".");
    for entry in dev.entries()? {
        label_as(&Path::new("/dev").join(&entry.name), &dev, &entry.name.to_string_lossy());
    }
    let quiet = MountFlags { no_exec: true, ..MountFlags::NO_SUID_DEV };
    let terminals = MountFlags { no_suid: true, no_exec: true, ..MountFlags::default() };
    let pts = new_filesystem("devpts", &[("mode", "0620"), ("ptmxmode", "0666"), ("gid", "5")], terminals)?;
    mount_in(view, "dev/pts", pts)?;
    mount_fresh(view, "dev/shm", ram, 0o1777)?;
    mount_in(view, "dev/mqueue", new_filesystem("mqueue", &[], quiet)?)?;
    Ok(())
}

/// An empty file system in RAM.
pub(super) fn temporary_tree(mode: &str, size: Option<&str>) -> Result<Tree, IoError> {
    let mut options = vec![("mode", mode)];
    options.extend(size.map(|size| ("size", size)));
    new_filesystem("tmpfs", &options, MountFlags::NO_SUID_DEV)
}

/// Shows a directory of the RAM storage that was made for this view, as if it were a file system.
fn mount_fresh(view: &Root, place: &str, ram: &Root, mode: u32) -> Result<Option<Root>, IoError> {
    let name = format!("fresh-{}", place.replace('/', "-"));
    ram.make_dir(&name, 0o700)?;
    let dir = ram.open_child(name.as_ref())?;
    rustix::fs::chmodat(ram, &name, FileMode::from_raw_mode(mode), rustix::fs::AtFlags::empty())
        .context("set mode of", dir.path())?;
    label_as(&Path::new("/").join(place), &dir, ".");
    mount_in(view, place, clone_tree(&dir, Path::new(place), false)?)
}

/// Gives what takes a file's place the label that this machine has on that: where SELinux confines programs, as package managers' scripts start them, what they
/// may do there goes by it. Of another kind of file it is none, and who may give none goes on with the one that the kernel gave.
fn label_as(path: &Path, dir: &Root, name: &str) {
    let (parent, last) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default());
    let Ok(parent) = Root::open(parent) else { return };
    let kind = |dir: &Root, name: &OsStr| dir.lstat(name).ok().flatten().map(|stat| FileKind::of(&stat));
    if kind(&parent, last) != kind(dir, name.as_ref()) {
        return;
    }
    if let Some(label) = Xattrs::read(&parent, Path::new(last)).ok().as_ref().and_then(|own| own.get(LABEL)) {
        let _ = Xattrs::set(dir, Path::new(name), LABEL.as_bytes(), label);
    }
}

/// Shows an empty directory in place of Onlay's own state: what is kept there is not for what
/// runs inside, and the upper directories could not be read through the overlay anyway (ELOOP).
pub(super) fn hide_state(view: &Root, ram: &Root, state: &Path, root: &Path) -> Result<(), IoError> {
    let absolute = std::path::absolute(state).context("resolve", state)?;
    // The view has it where it really is, not where a link to it is.
    let state = match Root::open("/")?.resolve(absolute) {
        Err(error) if error.is_not_found() => return Ok(()),
        resolved => resolved?,
    };
    let Ok(inside) = state.strip_prefix(root) else { return Ok(()) };
    if view.open_exact(inside).is_err() {
        return Ok(());
    }
    ram.make_dir("nothing", 0o700)?;
    let nothing = clone_tree(ram.open_child("nothing".as_ref())?, &state, false)?;
    set_flags(&nothing, MountFlags::READ_ONLY, MountFlags::default(), false, &state)?;
    mount_in(view, inside, nothing).map(|_| ())
}

/// Shows a directory of the caller's inside, as [`SHARED`], with what is mounted in it.
pub(super) fn show_shared(view: &Root, shared: &Path) -> Result<(), IoError> {
    let inside = Path::new(SHARED).strip_prefix("/").expect("it is absolute");
    view.make_dirs(inside, 0o700)?;
    let tree = clone_tree(Root::open(shared)?, shared, true)?;
    mount_in(view, inside, tree).map(|_| ())
}

/// The host's resolver configuration often is a link into /run.
fn show_resolver(view: &Root, run: &Root, private_network: bool) -> Result<(), IoError> {
    let Ok(link) = rustix::fs::readlink("/etc/resolv.conf", Vec::new()) else { return Ok(()) };
    let link = PathBuf::from(OsStr::new(link.to_str().unwrap_or_default()));
    let target = Path::new("/etc").join(link);
    let Ok(host) = Root::open("/") else { return Ok(()) };
    let Ok(resolved) = host.resolve(&target) else { return Ok(()) };
    let Ok(inside) = resolved.strip_prefix("/run") else { return Ok(()) };
    if let Some(above) = inside.parent().filter(|above| !above.as_os_str().is_empty()) {
        run.make_dirs(above, 0o755)?;
        if !private_network {
            // The whole directory, since resolvers replace the file rather than write it. There they also
            // listen, to answer with the host's network.
            return let_through(&host, view, Path::new("/run").join(above));
        }
    }
    run.make_file(inside, 0o644)?;
    let_through(&host, view, &resolved)
}

fn fill_run(run: Option<&Root>, name: &OverlayName) -> Result<(), IoError> {
    let Some(run) = run else { return Ok(()) };
    run.make_dirs("onlay", 0o755)?;
    run.make_dir("lock", 0o1777)?;
    rustix::fs::chmodat(run, "lock", FileMode::from_raw_mode(0o1777), rustix::fs::AtFlags::empty())
        .context("set mode of", run.join("lock"))?;
    write_name(&run.open_child("onlay".as_ref())?, name)
}

/// Shows something of the host, read-only, at its own place.
fn let_through(host: &Root, view: &Root, path: impl AsRef<Path>) -> Result<(), IoError> {
    let path = path.as_ref();
    let Ok(source) = host.open_exact(path) else { return Ok(()) };
    let tree = clone_tree(source, path, false)?;
    set_flags(&tree, MountFlags::READ_ONLY, MountFlags::default(), false, path)?;
    mount_in(view, path, tree).map(|_| ())
}

/// Covers a part of the view with itself, read-only.
fn lock(view: &Root, name: &str) -> Result<(), IoError> {
    let Ok(source) = view.open_exact(name) else { return Ok(()) };
    let tree = clone_tree(source, Path::new(name), true)?;
    set_flags(&tree, MountFlags::READ_ONLY, MountFlags::default(), true, Path::new(name))?;
    mount_in(view, name, tree).map(|_| ())
}

fn lock_sys(view: &Root, mounts: &MountTable) -> Result<(), IoError> {
    let Ok(sys) = view.open_exact("sys") else { return Ok(()) };
    set_flags(sys, MountFlags::READ_ONLY, MountFlags::default(), true, Path::new("/sys"))?;
    for mount in mounts.visible_below(Path::new("/sys")) {
        if !TRACING.contains(&mount.kind.as_str()) {
            continue;
        }
        if let Ok(traced) = view.open_exact(&mount.point) {
            set_flags(traced, MountFlags::default(), MountFlags::READ_ONLY, false, &mount.point)?;
        }
    }
    Ok(())
}

/// Attaches a tree at a place of the view and gives its topmost directory; `None` where the view has no such place.
fn mount_in(view: &Root, place: impl AsRef<Path>, tree: Tree) -> Result<Option<Root>, IoError> {
    let place = place.as_ref();
    let Ok(target) = view.open_exact(place) else { return Ok(None) };
    attach(&tree, &target, place)?;
    Ok(Some(Root::from_fd(tree.into_fd(), place)))
}
