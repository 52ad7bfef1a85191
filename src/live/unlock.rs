//! Unlocking: overlays are put together where nobody sees them, and then laid over the host's directories.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::boot::{self, BootUnit};
use super::kept;
use super::lock::{take_off, uncover};
use super::namespace::{go_to_host, in_namespace_of, in_workshop, others};
use super::record::{Live, ram_path, refuse_inside};
use super::{Error, LABEL, Record, Storage, places};
use crate::event::Events;
use crate::host::Host;
use crate::overlay::{
    self, Overlay, OverlayName, Overlays, Presence, Standing, directory_name, held_beyond, lend, lower_of,
    new_upper, note_packages_of, standing,
};
use crate::shell::Size;
use crate::sys::{
    Context, Features, IoError, Lock, Mount, MountFlags, MountTable, OverlaySpec, Pid, Root, Tree, attach,
    available_memory, clone_tree, detach_path, has_capability, mount_overlay, new_filesystem, set_flags,
    sync_file_system, unsuitable_upper,
};

/// What is to be unlocked, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The directories; none are the default ones.
    pub places: Vec<PathBuf>,
    /// Keep changes below the state directory instead of in RAM; `None` is what free memory says.
    pub on_disk: Option<bool>,
    /// Bounds changes in RAM.
    pub size: Option<Size>,
    /// Leave all mounts read-only: only a private namespace can make its own writable.
    pub read_only: bool,
    /// Begin with what this overlay holds of them.
    pub from: Option<OverlayName>,
    /// Lay it again at every boot, until it is locked.
    pub persistent: bool,
    /// Where state is kept.
    pub state: PathBuf,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What was unlocked.
#[derive(Debug)]
pub struct Unlocked {
    /// What was written down.
    pub record: Record,
    /// Processes in whose mount namespaces it is not seen.
    pub unreached: Vec<Pid>,
    /// How many names of the overlay that it began with lie elsewhere.
    pub left_out: u64,
    /// The package database, where it stays the host's own while places that packages install into are unlocked: it would
    /// speak of packages whose files are gone when those are locked.
    pub database: Option<PathBuf>,
}

/// Layers are all of the same features as those of named overlays: one may become the other, over another base.
const FEATURES: Features = Features { index: false, redirect_dir: false, metacopy: false, volatile: false };

/// Unlocks directories of the host: all of them, or none.
pub fn unlock(request: &Request, events: &mut dyn Events) -> Result<Unlocked, Error> {
    check_caller()?;
    if request.dry_run {
        go_to_host()?;
        let host = Host::open(Path::new("/"))?;
        let (record, _) = plan(&host, request)?;
        let from = Lender::of(request, &host)?;
        let left_out = from.map_or(Ok(0), |from| held_beyond(&from.overlay.dir, &record.places))?;
        let database = places::database_beside(&host, &record.places);
        return Ok(Unlocked { record, unreached: Vec::new(), left_out, database });
    }
    let live = Live::open()?;
    if let Some(record) = live.record()? {
        return Err(there_already(record)?);
    }
    let host = Host::open(Path::new("/"))?;
    let (record, unit) = plan(&host, request)?;
    let database = places::database_beside(&host, &record.places);
    kept::clear_remains(&request.state, None, events)?;
    kept::forget_left(&request.state)?;
    let from = Lender::of(request, &host)?;
    if let Some(from) = &from {
        overlay::settle(&from.overlay.dir, &host, events)?;
    }
    // Layers that were taken off are nobody's any more: these are others.
    live.forget_hold()?;
    live.write(&record)?;
    let left_out = from.as_ref().map_or(Ok(0), |from| held_beyond(&from.overlay.dir, &record.places))?;
    let lent = from.as_ref().map(|from| &from.overlay.dir);
    let laid = lay(&host, &record, &live, lent).and_then(|unreached| {
        if let Some(unit) = &unit {
            keep(unit, &record, &request.state)?;
        }
        Ok(unreached)
    });
    match laid {
        Ok(unreached) => {
            boot::take_off_at_shutdown(&host, &request.state);
            Ok(Unlocked { record, unreached, left_out, database })
        }
        Err(error) => {
            // The error that matters is the first one; what is left is told by `onlay status`, and 'onlay lock' takes it off.
            if undo(&record, &request.state).is_ok() {
                live.forget()?;
            }
            Err(error)
        }
    }
}

fn there_already(record: Record) -> Result<Error, Error> {
    let is_whole = record.is_whole(&MountTable::read()?);
    let Record { since, by, .. } = record;
    Ok(if is_whole { Error::Unlocked { since, by } } else { Error::BrokenOff { since, by } })
}

/// Takes off and clears what was laid only in part, or could not be kept.
fn undo(record: &Record, state: &Path) -> Result<(), Error> {
    // It may have come up in a namespace that could not be left.
    go_to_host()?;
    take_off(record)?;
    if record.persistent {
        kept::forget(state)?;
        // Without what is kept, it does nothing.
        let _ = boot::uninstall();
    }
    clear(record)
}

/// An overlay that nobody is in, or enters, meanwhile.
struct Lender {
    overlay: Overlay,
    _entry: Lock,
}

impl Lender {
    /// The one that is asked for.
    fn of(request: &Request, host: &Host) -> Result<Option<Lender>, Error> {
        request.from.as_ref().map(|name| Lender::open(name, &request.state, host)).transpose()
    }

    fn open(name: &OverlayName, state: &Path, host: &Host) -> Result<Lender, Error> {
        let not_found = || overlay::Error::NotFound { name: name.clone() };
        let overlay = Overlays::open(state)?.ok_or_else(not_found)?.get(name)?;
        overlay.check_root(Path::new("/"))?;
        let presence = Presence::open(state)?;
        let entry = presence.lock_entry()?;
        presence.check_free(name)?;
        if matches!(standing(&overlay, host, &host.base())?, Standing::Behind | Standing::Edited(_)) {
            return Err(Error::Behind { name: name.clone() });
        }
        Ok(Lender { overlay, _entry: entry })
    }
}

pub(super) fn check_caller() -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    if !has_capability("CAP_SYS_ADMIN") {
        return Err(Error::NoCapability);
    }
    refuse_inside()
}

fn plan(host: &Host, request: &Request) -> Result<(Record, Option<BootUnit>), Error> {
    if let Some(held) = kept::held(&request.state)? {
        return Err(Error::Held { why: held.why });
    }
    let places = places::choose(host, &request.places)?;
    let unit = request.persistent.then(|| BootUnit::plan(host, &request.state, &places)).transpose()?;
    let storage = storage(request)?;
    let record = Record::new(storage, request.read_only, places, host.base());
    Ok((Record { persistent: request.persistent, ..record }, unit))
}

/// Has what was laid come back at boot. It is on disk before it is said to be there.
fn keep(unit: &BootUnit, record: &Record, state: &Path) -> Result<(), Error> {
    in_workshop(|| {
        uncover(&record.places)?;
        unit.install()?;
        // What is noted now is known also where the machine loses its power; and where it cannot be noted, following
        // another base asks more.
        let _ = note_packages_of(&record.overlay()?, &Host::open(Path::new("/"))?);
        Ok(())
    })?;
    sync_file_system(&Root::open(state)?)?;
    kept::write(state, record)?;
    // Where it cannot be told, it finds the unit at the next boot.
    let _ = boot::tell_of_unit();
    Ok(())
}

/// Below this much free memory, changes go to disk unless RAM was asked for.
const ENOUGH: u64 = 1 << 30;

fn storage(request: &Request) -> Result<Storage, Error> {
    let free = available_memory()?;
    let on_disk = request.persistent || request.on_disk.unwrap_or(request.size.is_none() && free < ENOUGH);
    if on_disk {
        let unique = format!("{}-{}", std::process::id(), now());
        return Ok(Storage::Disk { path: request.state.join(kept::FOLDER).join(unique) });
    }
    let size = request.size.map_or(free / 2, |size| size.bytes(total_memory()));
    if size > total_memory() {
        return Err(Error::NoRoom(format!("{} is more RAM than this machine has", Size::Bytes(size))));
    }
    Ok(Storage::Ram { size: size >> 20 << 20 })
}

fn now() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}

fn total_memory() -> u64 {
    let info = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion, reason = "32-bit machines count in other types")]
    let total = u64::from(info.totalram) * u64::from(info.mem_unit);
    total
}

/// Makes what holds the layers.
fn make_storage(record: &Record, live: &Live) -> Result<Root, Error> {
    match &record.storage {
        Storage::Ram { size } => {
            let place = live.ram()?;
            let options = [("mode", "0700"), ("size", &*size.to_string())];
            let tree = new_filesystem("tmpfs", &options, MountFlags::NO_SUID_DEV)?;
            attach(&tree, &place, place.path())?;
            Ok(Root::from_fd(tree.into_fd(), place.path()))
        }
        Storage::Disk { path } => {
            Root::open("/")?.make_dirs(path, 0o700)?;
            let made = Root::open(path)?;
            match unsuitable_upper(&made) {
                Some(reason) => Err(Error::Unsuitable { path: path.clone(), reason }),
                None => Ok(made),
            }
        }
    }
}

/// Clears what holds the layers; nothing is mounted of them any more.
pub(super) fn clear(record: &Record) -> Result<(), Error> {
    match &record.storage {
        Storage::Ram { .. } => {
            let place = ram_path();
            if MountTable::read()?.at(&place).is_some_and(|mount| mount.point == place) {
                detach_path(&place)?;
            }
            Ok(())
        }
        Storage::Disk { path } => {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
            match Root::open(parent) {
                Err(error) if error.is_not_found() => Ok(()),
                other => Ok(overlay::clear_tree(&other?, name)?),
            }
        }
    }
}

/// Puts overlays together and lays them over the host's directories. Gives the processes that they do not reach.
pub(super) fn lay(host: &Host, record: &Record, live: &Live, from: Option<&Root>) -> Result<Vec<Pid>, Error> {
    let storage = make_storage(record, live)?;
    let trees = put_all_together(host, record, &storage, from)?;
    let host = Host::open(Path::new("/"))?;
    let before: Vec<(u64, u64)> =
        record.places.iter().map(|place| identity(place)).collect::<Result<_, _>>()?;
    for (place, tree) in record.places.iter().zip(&trees) {
        attach(tree, host.root.open_exact(place)?, place)?;
    }
    if !record.read_only {
        for (place, tree) in record.places.iter().zip(&trees) {
            set_flags(tree, MountFlags::default(), MountFlags::READ_ONLY, false, place)?;
        }
    }
    serve_others(record, &trees, &before)
}

/// Writable overlays over all places, attached nowhere.
pub(super) fn put_all_together(
    host: &Host,
    record: &Record,
    storage: &Root,
    from: Option<&Root>,
) -> Result<Vec<Tree>, Error> {
    in_workshop(|| {
        // What is mounted must be reached through mounts of this namespace.
        let storage = Root::open(storage.path())?;
        record.places.iter().map(|place| put_together(host, place, &storage, from)).collect()
    })
}

/// A writable overlay over a directory with all that is mounted in it, attached nowhere; read-only as a mount.
fn put_together(host: &Host, place: &Path, storage: &Root, from: Option<&Root>) -> Result<Tree, Error> {
    let below = host.mounts.visible_below(place).into_iter().filter(|mount| mount.point != place);
    let mut submounts = Vec::new();
    for mount in below {
        let covered = Root::open("/")?.open_exact(&mount.point)?;
        submounts.push((mount.point.clone(), clone_tree(covered, &mount.point, false)?));
    }
    let lower = lower_of(&host.mounts, place);
    let opened = lower.paths.iter().filter(|_| lower.uncover.is_none()).map(Root::open);
    let mut lowers: Vec<Root> = opened.collect::<Result<_, _>>()?;
    let covered = Root::open(place)?;
    let flags = host.mounts.at(place).map(Mount::flags).unwrap_or_default();
    let (upper, work) = new_upper(storage, &directory_name(place), &covered)?;
    if let Some(overlay) = from {
        lend(overlay, place, &upper)?;
    }
    if let Some(mount) = &lower.uncover {
        detach_path(mount)?;
        lowers = lower.paths.iter().map(Root::open).collect::<Result<_, _>>()?;
    }
    let spec = OverlaySpec {
        lower: &lowers.iter().collect::<Vec<_>>(),
        upper: &upper,
        work: &work,
        features: FEATURES,
        flags: MountFlags { read_only: true, ..flags },
        source: LABEL,
    };
    let tree = mount_overlay(&spec)?;
    attach(&tree, Root::open(place)?, place)?;
    for (point, submount) in submounts {
        attach(&submount, Root::open("/")?.open_exact(&point)?, &point)?;
    }
    Ok(clone_tree(&tree, place, true)?)
}

fn identity(place: &Path) -> Result<(u64, u64), IoError> {
    let stat = rustix::fs::stat(place).context("examine", place)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Namespaces in which nothing arrives (`MountFlags=private`) get read-only mounts of their own, where they show the
/// host's directory. Gives the processes whose namespaces could not be served.
fn serve_others(record: &Record, trees: &[Tree], before: &[(u64, u64)]) -> Result<Vec<Pid>, Error> {
    let mut unreached = Vec::new();
    for pid in others()? {
        let shows = |(place, was): (&PathBuf, &(u64, u64))| {
            let path = Path::new("/proc").join(pid.to_string()).join("root").join(relative(place));
            identity(&path).is_ok_and(|is| is == *was)
        };
        let missing: Vec<bool> = record.places.iter().zip(before).map(shows).collect();
        if !missing.contains(&true) {
            continue;
        }
        let served =
            missing.iter().zip(record.places.iter().zip(trees)).filter(|(is_missing, _)| **is_missing);
        let mut clones = Vec::new();
        for (_, (place, tree)) in served {
            let clone = clone_tree(tree, place, true)?;
            set_flags(&clone, MountFlags::READ_ONLY, MountFlags::default(), false, place)?;
            clones.push((place, clone));
        }
        let attach_all = || {
            clones.iter().try_for_each(|(place, clone)| {
                let root = Root::open("/")?;
                attach(clone, root.open_exact(place)?, place)
            })
        };
        if !matches!(in_namespace_of(pid, attach_all)?, Some(Ok(()))) {
            unreached.push(pid);
        }
    }
    Ok(unreached)
}

fn relative(place: &Path) -> &Path {
    place.strip_prefix(OsStr::new("/")).unwrap_or(place)
}
