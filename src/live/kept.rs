//! What is kept over reboots: `STATE/live/kept.json`, a record like that of what is unlocked now, but on disk.
//!
//! It is written when all is laid, and removed before the layers are cleared: so it never speaks of layers that are not
//! whole. What else is in `STATE/live` is what a reboot or a crash left of an unlock that has ended, and is worth nothing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::record::{read_file, remove_file, why_held};
use super::{Error, Left, Record, Storage};
use crate::event::{Event, Events};
use crate::host::Host;
use crate::overlay::{self, Overlays};
use crate::sys::{FileKind, Mount, Root, replace_file, sync_dir};

/// The directory of a state directory that holds layers over the running host.
pub(super) const FOLDER: &str = "live";
const RECORD: &str = "kept.json";
/// What packages have left in /var that went with an unlock as the host went down.
const LEFT: &str = "left.json";
/// More than this is none of ours.
const LARGEST: u64 = 16 << 20;

/// What is kept, but is not laid now.
#[derive(Debug)]
pub struct Held {
    /// What is known of it; `None` where that is damaged.
    pub record: Option<Record>,
    /// Why it is not laid, in words.
    pub why: String,
}

/// What is kept in a state directory; `None` where nothing is.
pub(super) fn read(state: &Path) -> Result<Option<Record>, Error> {
    let Some(folder) = open(state)? else { return Ok(None) };
    let Some(record) = read_file(&folder, RECORD)? else { return Ok(None) };
    if record.persistent && is_in(&record, &folder) {
        Ok(Some(record))
    } else {
        Err(Error::Damaged { path: folder.join(RECORD) })
    }
}

/// A record of what is kept, made anew from the layers themselves where the old one is damaged.
pub(super) fn rescued(state: &Path) -> Result<Record, Error> {
    let unclear = || Error::Unclear { path: state.join(FOLDER) };
    let folder = open(state)?.ok_or_else(unclear)?;
    let entries = folder.entries()?;
    let all: Vec<Root> = entries.iter().filter_map(|entry| folder.open_child(&entry.name).ok()).collect();
    // What was kept has notes of its base; what a crash left of another unlock has none.
    let with_base = all.iter().filter_map(|layers| Some((layers, overlay::last_seen(layers)?)));
    let [(layers, base)] = &with_base.collect::<Vec<_>>()[..] else { return Err(unclear()) };
    let names = layers.open_dir("layers")?.entries()?;
    let mut places: Vec<PathBuf> =
        names.iter().filter_map(|entry| overlay::mount_point(entry.name.to_str()?)).collect();
    places.sort();
    let storage = Storage::Disk { path: layers.path().to_owned() };
    Ok(Record { persistent: true, ..Record::new(storage, false, places, base.clone()) })
}

/// Whether layers are in a directory, by whatever path.
fn is_in(record: &Record, folder: &Root) -> bool {
    let parent = match &record.storage {
        Storage::Disk { path } => path.parent().and_then(|parent| Root::open(parent).ok()),
        Storage::Ram { .. } => None,
    };
    parent.is_some_and(|parent| parent.is_same(folder).unwrap_or_default())
}

/// Keeps it from now on.
pub(super) fn write(state: &Path, record: &Record) -> Result<(), Error> {
    Ok(replace_file(&Root::open(state.join(FOLDER))?, RECORD, &record.to_text())?)
}

/// Keeps it no longer.
pub(super) fn forget(state: &Path) -> Result<(), Error> {
    if let Some(folder) = open(state)? {
        remove_file(&folder, RECORD)?;
        sync_dir(&folder)?;
    }
    Ok(())
}

/// The state directory that layers are in.
pub(super) fn state_of(record: &Record) -> Option<&Path> {
    match &record.storage {
        Storage::Disk { path } => path.parent()?.parent(),
        Storage::Ram { .. } => None,
    }
}

/// What is kept in a state directory while nothing of it is laid; `None` where nothing is kept. The host is as it is in
/// the caller's mount namespace.
pub fn held(state: &Path) -> Result<Option<Held>, Error> {
    let (record, why) = match read(state) {
        Ok(None) => return Ok(None),
        Ok(Some(record)) => (Some(record), why_held().unwrap_or_else(why_not_tried)),
        Err(error @ Error::Damaged { .. }) => (None, error.to_string()),
        Err(error) => return Err(error),
    };
    Ok(Some(Held { record, why }))
}

/// What tells the kernel's command line that nothing is to be laid at this boot.
pub(super) const SWITCH: &str = "onlay.unlock=no";

fn why_not_tried() -> String {
    // In a container, the first process is told what else a kernel is.
    let is_told = |path: &str| {
        let words = std::fs::read(path).unwrap_or_default();
        words.split(|byte| b" \n\0".contains(byte)).any(|word| word == SWITCH.as_bytes())
    };
    if ["/proc/cmdline", "/proc/1/cmdline"].into_iter().any(is_told) {
        format!("the kernel's command line says {SWITCH}")
    } else {
        "it was not tried at this boot".to_owned()
    }
}

/// What is left in a state directory of unlocks that have ended: layers that nobody knows of any more.
pub fn remains(state: &Path, unlocked: Option<&Record>) -> Result<Vec<PathBuf>, Error> {
    let Some(folder) = open(state)? else { return Ok(Vec::new()) };
    let known = match read(state) {
        Ok(kept) => kept.into_iter().chain(unlocked.cloned()),
        // Nobody can tell which of them are worth something.
        Err(Error::Damaged { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // By their names, which no two have: more than one path may lead here.
    let known: Vec<OsString> = known
        .filter_map(|record| Some(record.directory().file_name()?.to_owned()))
        .chain([RECORD.into(), LEFT.into()])
        .collect();
    let entries = folder.entries()?.into_iter().filter(|entry| !known.contains(&entry.name));
    let mut found: Vec<PathBuf> = entries.map(|entry| folder.join(entry.name)).collect();
    found.sort();
    Ok(found)
}

/// Clears those. Nobody lays any meanwhile: the caller holds [`super::Live`].
pub(super) fn clear_remains(
    state: &Path,
    unlocked: Option<&Record>,
    events: &mut dyn Events,
) -> Result<(), Error> {
    let remains = remains(state, unlocked)?;
    clear_all(state, remains, events)
}

/// Clears all layers of a state directory in which nobody can tell what is kept, and what says so.
pub(super) fn clear_damaged(state: &Path, events: &mut dyn Events) -> Result<(), Error> {
    forget(state)?;
    clear_remains(state, None, events)
}

/// Notes for those who come after a reboot what packages have left.
pub(super) fn note_left(state: &Path, left: &[Left]) -> Result<(), Error> {
    if left.is_empty() {
        return forget_left(state);
    }
    let folder = state.join(FOLDER);
    Root::open("/")?.make_dirs(&folder, 0o700)?;
    // A name that is no text is not told.
    let left: Vec<&Left> = left.iter().filter(|left| left.path.to_str().is_some()).collect();
    let text = serde_json::to_vec_pretty(&left).expect("paths that are text, strings and numbers");
    Ok(replace_file(&Root::open(&folder)?, LEFT, &text)?)
}

/// What was noted of that, as far as it is still there. What cannot be understood tells nothing.
pub fn left(state: &Path) -> Result<Vec<Left>, Error> {
    let Some(folder) = open(state)? else { return Ok(Vec::new()) };
    let text = match folder.read(LEFT, LARGEST) {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        other => other?,
    };
    let mut left: Vec<Left> = serde_json::from_slice(&text).unwrap_or_default();
    left.retain(|left| left.path.symlink_metadata().is_ok());
    Ok(left)
}

/// What was left before is told no more.
pub(super) fn forget_left(state: &Path) -> Result<(), Error> {
    open(state)?.map_or(Ok(()), |folder| Ok(remove_file(&folder, LEFT)?))
}

fn clear_all(state: &Path, remains: Vec<PathBuf>, events: &mut dyn Events) -> Result<(), Error> {
    let Some(folder) = open(state)? else { return Ok(()) };
    for what in remains {
        let name = what.file_name().unwrap_or_default();
        // What resists is in nobody's way, and is tried again by whoever comes next.
        events.tell(match overlay::clear_tree(&folder, name) {
            Ok(()) => Event::Cleared { what },
            Err(error) => Event::NotCleared { what, reason: error.cause() },
        });
    }
    Ok(())
}

/// Opens what holds layers; `None` where there never were any.
fn open(state: &Path) -> Result<Option<Root>, Error> {
    // Refuses a state directory that others may write.
    Overlays::open(state)?;
    match Root::open(state.join(FOLDER)) {
        Err(error) if error.is_not_found() => Ok(None),
        other => Ok(Some(other?)),
    }
}

/// Why a directory of the host does not outlive a reboot, in words; `None` where it does, as far as can be seen.
pub(super) fn why_fleeting(host: &Host, path: &Path) -> Option<&'static str> {
    let in_memory = ["/run", "/tmp", "/dev", "/proc", "/sys"];
    if in_memory.iter().any(|place| path.starts_with(place)) {
        return Some("what is there is gone then");
    }
    let mut path = path.to_owned();
    // An overlay's upper may lie in another overlay, and so on; the kernel bounds that to two.
    for _ in 0..4 {
        let mount = host.mounts.at(&path)?;
        match mount.kind.as_str() {
            "tmpfs" | "ramfs" | "devtmpfs" => return Some("it is in RAM"),
            "overlay" => {}
            _ => return None,
        }
        let upper = mount.super_option("upperdir")?;
        match place_of_upper(host, mount, Path::new(&upper)) {
            Some(found) => path = found,
            None => break,
        }
    }
    Some("it is in an overlay, and it cannot be seen where that one's own files are")
}

/// Where an overlay's upper is, by the path that it was mounted with. Who mounted it before this root was the root (an initrd, whoever
/// boots a container) had a directory above it: without that one's name, it is the path here, if what is there is of the size
/// that the overlay itself tells, which is that of its upper's file system.
fn place_of_upper(host: &Host, mount: &Mount, upper: &Path) -> Option<PathBuf> {
    let is_there = |path: &Path| host.root.lstat(path).is_ok_and(|stat| is_directory(stat.as_ref()));
    let whole = mount.point.parent().unwrap_or(Path::new("/")).join(upper);
    if is_there(&whole) {
        return Some(whole);
    }
    let size = size_of(host, &mount.point)?;
    let names: Vec<_> = upper.strip_prefix("/").ok()?.iter().collect();
    let tails = (1..names.len()).map(|above| Path::new("/").join(names[above..].iter().collect::<PathBuf>()));
    tails.into_iter().find(|path| is_there(path) && size_of(host, path) == Some(size))
}

/// What tells the sizes of file systems apart: their blocks, of how many bytes, and their inodes.
fn size_of(host: &Host, path: &Path) -> Option<(u64, u64, u64)> {
    let sizes = rustix::fs::fstatfs(host.root.open_exact(path).ok()?).ok()?;
    #[allow(
        clippy::useless_conversion,
        clippy::cast_sign_loss,
        reason = "32-bit machines count in other types"
    )]
    Some((sizes.f_blocks.into(), sizes.f_bsize as u64, sizes.f_files.into()))
}

fn is_directory(stat: Option<&rustix::fs::Stat>) -> bool {
    stat.is_some_and(|stat| FileKind::of(stat) == FileKind::Directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Base, BaseKind};
    use crate::sys::MountTable;

    fn host(table: &str) -> Host {
        Host { root: Root::open("/").expect("it opens"), is_running: true, mounts: MountTable::parse(table) }
    }

    #[test]
    fn what_is_in_memory_is_fleeting() {
        let host = host(
            "1 0 8:1 / / rw - ext4 /dev/sda rw\n\
             2 1 0:2 / /opt rw - tmpfs tmpfs rw\n\
             3 1 0:3 / /usr ro - overlay composefs ro,lowerdir=/a::/b\n\
             4 1 0:4 / /etc rw - overlay overlay rw,lowerdir=/etc,upperdir=/var,workdir=/w\n\
             5 1 0:5 / /srv rw - overlay overlay rw,lowerdir=/srv,upperdir=/opt,workdir=/w\n\
             6 1 0:6 / /mnt rw - overlay overlay rw,lowerdir=/mnt,upperdir=/nowhere/to/be/seen,workdir=/w\n",
        );
        let is_fleeting = |path: &str| why_fleeting(&host, Path::new(path)).is_some();
        for path in ["/opt/onlay", "/run/x", "/tmp/onlay", "/srv", "/mnt/x"] {
            assert!(is_fleeting(path), "{path}");
        }
        for path in ["/usr/bin/onlay", "/etc/systemd/system", "/root", "/", "/runner", "/var/tmp"] {
            assert!(!is_fleeting(path), "{path}");
        }
    }

    /// A record of layers below a state directory.
    fn record(state: &Path, id: &str) -> Record {
        let base = Base {
            kind: BaseKind::Plain,
            id: String::new(),
            os: "Debian".into(),
            packages: None,
            extensions: None,
        };
        let storage = Storage::Disk { path: state.join(FOLDER).join(id) };
        let record = Record::new(storage, false, vec!["/usr".into()], base);
        Record { persistent: true, ..record }
    }

    #[test]
    fn what_is_kept_comes_back_and_all_else_is_remains() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path();
        assert!(read(state).expect("readable").is_none());
        assert!(remains(state, None).expect("readable").is_empty());
        let layers = |id: &str| state.join(FOLDER).join(id);
        for id in ["1-1", "2-2", "3-3"] {
            std::fs::create_dir_all(layers(id).join("layers/usr/upper/x")).expect("directories");
        }
        let (kept, now) = (record(state, "1-1"), record(state, "2-2"));
        write(state, &kept).expect("writable");
        assert_eq!(read(state).expect("readable").as_ref(), Some(&kept));
        assert_eq!(state_of(&kept), Some(state));
        assert_eq!(remains(state, Some(&now)).expect("readable"), [layers("3-3")]);
        // Also by another path to it.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(state, &link).expect("a link");
        assert_eq!(read(&link).expect("readable").as_ref(), Some(&kept));
        assert_eq!(remains(&link, Some(&now)).expect("readable"), [link.join("live/3-3")]);
        let mut told = Vec::new();
        clear_remains(state, Some(&now), &mut told).expect("cleared");
        assert_eq!(told, [Event::Cleared { what: layers("3-3") }]);
        assert!(layers("1-1").exists() && layers("2-2").exists() && !layers("3-3").exists());
        forget(state).expect("forgotten");
        forget(state).expect("nothing to do");
        assert!(read(state).expect("readable").is_none());
        assert_eq!(remains(state, None).expect("readable"), [layers("1-1"), layers("2-2")]);
    }

    #[test]
    fn a_damaged_record_is_no_reason_to_clear_anything() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path();
        std::fs::create_dir_all(state.join("live/1-1/layers")).expect("directories");
        let whole = record(state, "1-1").to_text();
        for text in [&whole[..whole.len() / 2], b"", b"{}", &record(Path::new("/else"), "1-1").to_text()] {
            std::fs::write(state.join("live/kept.json"), text).expect("ours");
            assert!(matches!(read(state), Err(Error::Damaged { .. })));
            assert!(remains(state, None).expect("readable").is_empty());
            let held = held(state).expect("readable").expect("something is kept");
            assert!(held.record.is_none() && held.why.contains("damaged"), "{}", held.why);
        }
        // Nor is it known what was over which base.
        assert!(matches!(rescued(state), Err(Error::Unclear { .. })));
        let kept = record(state, "2-2");
        let seen = state.join("live/2-2/layers/@seen");
        std::fs::create_dir_all(&seen).expect("directories");
        for name in ["usr/upper", "var-lib-dpkg/upper"] {
            std::fs::create_dir_all(state.join("live/2-2/layers").join(name)).expect("directories");
        }
        std::fs::write(seen.join("packages.of"), serde_json::to_vec(&kept.base).expect("text"))
            .expect("ours");
        let rescued = rescued(state).expect("it tells enough itself");
        assert_eq!((&rescued.storage, &rescued.base), (&kept.storage, &kept.base));
        assert_eq!(rescued.places, ["/usr", "/var/lib/dpkg"].map(PathBuf::from));
        assert_eq!(state_of(&rescued), Some(state));
        clear_damaged(state, &mut ()).expect("cleared");
        assert_eq!(std::fs::read_dir(state.join("live")).expect("it is there").count(), 0);
    }
}
