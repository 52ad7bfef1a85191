//! Mounting the parts of a host as one view, in a mount namespace of its own.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::Error;
use super::attributes;
use super::layers::{self, Layer, Part};
use super::parts::{ExtendedPart, part_upper};
use crate::event::{Event, Events};
use crate::sys::{
    Context, Features, FileKind, IoError, MountError, MountFlags, OverlaySpec, Root, Tree, attach,
    clone_tree, detach_path, mount_overlay, set_flags,
};

/// Where the writable layers of a view are.
#[derive(Debug)]
pub struct Storage<'a> {
    /// Holds the layers that are kept with the overlay; they are in RAM, too, for one in RAM.
    pub kept: &'a Root,
    /// Holds the layers over what is in RAM on the host.
    pub ram: &'a Root,
    /// Files that lie over the host's own, seen in the view but part of neither base nor changes.
    pub additions: Option<&'a Root>,
    /// What mountinfo(5) shows as the source of the view's root.
    pub label: &'a str,
}

/// The mount options that the kernel supports for a lower layer that changes between mounts:
/// everything optional off (`ovl_allow_offline_changes` in fs/overlayfs/super.c).
pub(super) const FEATURES: Features =
    Features { index: false, redirect_dir: false, metacopy: false, volatile: false };

/// Mounts the parts, the root at the directory `at`, and gives the view's root. What is the host's
/// own is cloned from below `root_of_host`.
pub fn assemble(
    parts: &[Part],
    storage: &Storage<'_>,
    root_of_host: &Path,
    at: &Root,
    events: &mut dyn Events,
) -> Result<Root, Error> {
    // A layer below a mount that must come off is reached before it does.
    let mut opened: Vec<(&Part, Option<Vec<Root>>)> = Vec::with_capacity(parts.len());
    for part in parts {
        let lower = match part {
            Part::Kept(layer) | Part::Ram(layer) if layer.lower.uncover.is_none() => Some(open_lower(layer)?),
            _ => None,
        };
        opened.push((part, lower));
    }
    let sources = clone_sources(parts, root_of_host, events);
    // The kernel warns of an upper that lies in another which is mounted, and not where that comes later.
    let mut early = Vec::with_capacity(parts.len());
    for (part, lower) in &mut opened {
        early.push(match part {
            Part::Kept(layer) if layer.part_of.is_some() && lower.is_some() => {
                mount_layer(layer, lower.take(), false, storage, root_of_host, events)?
            }
            _ => None,
        });
    }
    let mut view: Option<Root> = None;
    for (((part, lower), source), early) in opened.into_iter().zip(sources).zip(early) {
        let target = match &view {
            None => at.try_clone()?,
            Some(view) => match mount_target(view, part.point()) {
                Ok(target) => target,
                Err(error) => {
                    tell_missing(part.point(), why_no_target(&error), events);
                    continue;
                }
            },
        };
        let tree = match part {
            Part::Kept(_) if early.is_some() => early,
            Part::Kept(layer) => mount_layer(layer, lower, false, storage, root_of_host, events)?,
            Part::Ram(layer) => mount_layer(layer, lower, true, storage, root_of_host, events)?,
            Part::Own { .. } | Part::ReadOnly { .. } => source,
        };
        let Some(tree) = tree else { continue };
        if view.is_some() && is_directory(&tree, part.point())? != is_directory(&target, part.point())? {
            tell_missing(part.point(), SOMETHING_ELSE.to_owned(), events);
            continue;
        }
        attach(&tree, &target, part.point())?;
        if view.is_none() {
            view = Some(Root::from_fd(tree.into_fd(), "/"));
        }
    }
    Ok(view.expect("a survey begins with the root"))
}

/// Makes the pair of directories of a layer, unless they are there, and opens them. The upper gets
/// mode, owner, label and access lists of what it covers, since the overlay's root shows them.
pub fn new_upper(storage: &Root, name: &str, covered: &Root) -> Result<(Root, Root), Error> {
    let layer = Path::new(layers::DIRECTORY).join(name);
    let (upper, work) = (layer.join("upper"), layer.join("work"));
    let open = |path: &Path| storage.open_exact(path).map(|fd| Root::from_fd(fd, storage.join(path)));
    match open(&upper) {
        Err(error) if error.is_not_found() => {
            for directory in [Path::new(layers::DIRECTORY), &layer, &work] {
                storage.make_dir(directory, 0o700)?;
            }
            // It has its name when it looks like what it covers, and not before.
            let draft = layer.join("upper.new");
            storage.make_dir(&draft, 0o700)?;
            copy_attributes(covered, &open(&draft)?)?;
            rustix::fs::renameat(storage, &draft, storage, &upper).context("create", storage.join(&upper))?;
            Ok((open(&upper)?, open(&work)?))
        }
        opened => Ok((opened?, open(&work)?)),
    }
}

/// Gives a directory the mode, owner, label and access lists of another.
pub fn copy_attributes(from: &Root, to: &Root) -> Result<(), IoError> {
    let itself = OsStr::new(".");
    let is_wanted = |name: &[u8]| name.starts_with(b"security.") || name.starts_with(b"system.posix_acl_");
    attributes::copy_attributes((from, itself), (to, itself), is_wanted)
}

fn is_empty(lower: &[Root]) -> Result<bool, IoError> {
    for layer in lower {
        if !layer.is_empty()? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn open_lower(layer: &Layer) -> Result<Vec<Root>, IoError> {
    layer.lower.paths.iter().map(Root::open).collect()
}

fn mount_layer(
    layer: &Layer,
    lower: Option<Vec<Root>>,
    is_ram: bool,
    storage: &Storage<'_>,
    root_of_host: &Path,
    events: &mut dyn Events,
) -> Result<Option<Tree>, Error> {
    let store = if is_ram { storage.ram } else { storage.kept };
    let mut lower = match (lower, &layer.lower.uncover) {
        (Some(lower), _) => lower,
        (None, uncover) => {
            if let Some(mount) = uncover {
                detach_path(mount)?;
            }
            open_lower(layer)?
        }
    };
    let mut is_hidden = false;
    let (upper, work) = match &layer.part_of {
        None => new_upper(store, &layers::directory_name(&layer.point), &lower[0])?,
        Some(holder) => {
            let covered = own_clone(root_of_host, holder, false)?;
            let covered = Root::from_fd(covered.into_fd(), holder);
            new_upper(store, &layers::directory_name(holder), &covered)?;
            let part = ExtendedPart { point: layer.point.clone(), holder: holder.clone() };
            // Where the overlay has nothing, or something else, the view has no place for it either.
            let Some(part) = part_upper(store, &part, &covered)? else { return Ok(None) };
            if part.is_opaque {
                is_hidden = true;
                storage.ram.make_dir(NOTHING, 0o755)?;
                lower = vec![storage.ram.open_dir(NOTHING)?];
            }
            (part.upper, part.work)
        }
    };
    if is_ram && is_empty(&lower)? {
        // A layer over nothing is a directory.
        let tree = clone_tree(&upper, &layer.point, false)?;
        set_flags(&tree, layer.flags, MountFlags::default(), false, &layer.point)?;
        return Ok(Some(tree));
    }
    let is_root = layer.point == Path::new("/");
    let inside = layer.point.strip_prefix("/").unwrap_or(&layer.point);
    // Those for a directory that has a layer of its own lie there.
    let additions =
        storage.additions.and_then(|all| if is_root { all.try_clone() } else { all.open_dir(inside) }.ok());
    let stacked: Vec<&Root> = additions.iter().filter(|_| !is_hidden).chain(&lower).collect();
    let spec = OverlaySpec {
        lower: &stacked,
        upper: &upper,
        work: &work,
        features: FEATURES,
        flags: layer.flags,
        source: if is_root { storage.label } else { "onlay" },
    };
    match mount_overlay(&spec) {
        Err(error @ MountError::UnsuitableLower { .. }) if !is_root => {
            events.tell(Event::ReadOnlyPart { path: layer.point.clone(), reason: error.to_string() });
            read_only_clone(root_of_host, &layer.point).map(Some).map_err(Error::from)
        }
        other => other.map(Some).map_err(Error::from),
    }
}

/// In the storage in RAM: what a layer lies over that hides what it lies over.
const NOTHING: &str = "below-nothing";

/// Clones what is the host's own, before any mount is taken off.
fn clone_sources(parts: &[Part], root_of_host: &Path, events: &mut dyn Events) -> Vec<Option<Tree>> {
    let mut sources = Vec::with_capacity(parts.len());
    for part in parts {
        let cloned = match part {
            Part::Kept(_) | Part::Ram(_) => None,
            Part::Own { point, recursive } => Some(own_clone(root_of_host, point, *recursive)),
            Part::ReadOnly { point } => Some(read_only_clone(root_of_host, point)),
        };
        sources.push(match cloned {
            Some(Err(error)) => {
                tell_missing(part.point(), error.cause(), events);
                None
            }
            Some(Ok(tree)) => Some(tree),
            None => None,
        });
    }
    sources
}

/// What lies below the entrance directories is the machine's, whatever tree is laid over.
fn own_clone(root_of_host: &Path, point: &Path, recursive: bool) -> Result<Tree, IoError> {
    let owner = if layers::is_entrance(point) { Path::new("/") } else { root_of_host };
    let source = Root::open(owner)?.open_exact(point)?;
    clone_tree(source, point, recursive)
}

fn read_only_clone(root_of_host: &Path, point: &Path) -> Result<Tree, IoError> {
    let tree = own_clone(root_of_host, point, false)?;
    set_flags(&tree, MountFlags::READ_ONLY, MountFlags::default(), false, point)?;
    Ok(tree)
}

/// The place in the view, which may have been removed or replaced inside the overlay.
fn mount_target(view: &Root, point: &Path) -> Result<Root, IoError> {
    Ok(Root::from_fd(view.open_exact(point)?, PathBuf::from(point)))
}

fn is_directory(file: impl AsFd, name: &Path) -> Result<bool, IoError> {
    let stat = rustix::fs::fstat(file).context("examine", name)?;
    Ok(FileKind::of(&stat) == FileKind::Directory)
}

fn tell_missing(point: &Path, reason: String, events: &mut dyn Events) {
    events.tell(Event::MissingPart { path: point.to_owned(), reason });
}

const SOMETHING_ELSE: &str = "the overlay has something else there";

fn why_no_target(error: &IoError) -> String {
    match error.source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => "the overlay has nothing there".to_owned(),
        Some(Errno::LOOP | Errno::NOTDIR) => SOMETHING_ELSE.to_owned(),
        _ => error.cause(),
    }
}
