//! Mounting an overlay on every kernel from 6.1 on.
//!
//! Layers are given by descriptor where the kernel takes that (6.13 and later), else as one
//! `lowerdir+` string each (6.8 and later), else as one `lowerdir` string. A descriptor that is not taken is EBADF on
//! 6.12; it is EOPNOTSUPP before 6.5, where overlayfs had no parser of its own: there every option is taken as text,
//! and is only read when the file system is made.
//!
//! The kernel explains few refusals; [`MountError`] names them, after looking at what it does not
//! say.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::mount::{context_log, mount_context, open_context};
use super::{MountFlags, Root, Tree};

/// `OVERLAYFS_SUPER_MAGIC` of statfs(2).
pub const OVERLAYFS_MAGIC: u64 = 0x794c_7630;

/// Which optional features an overlay uses; all are pinned, since a kernel's defaults differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// Keep hard links whole on copy-up. Not allowed where a lower layer changes between mounts.
    pub index: bool,
    /// Rename directories by reference. Not allowed where a lower layer changes between mounts.
    pub redirect_dir: bool,
    /// Copy up metadata alone. Not allowed where a lower layer changes between mounts.
    pub metacopy: bool,
    /// Never sync; the upper is worth nothing after a crash.
    pub volatile: bool,
}

/// What to mount.
#[derive(Debug)]
pub struct OverlaySpec<'a> {
    /// Read-only layers, the topmost first.
    pub lower: &'a [&'a Root],
    /// Where changes go.
    pub upper: &'a Root,
    /// Scratch space on the same file system as `upper`.
    pub work: &'a Root,
    /// Features of the file system.
    pub features: Features,
    /// Flags of the mount.
    pub flags: MountFlags,
    /// The word that mountinfo shows as its source.
    pub source: &'a str,
}

/// Why an overlay could not be mounted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// CAP_SYS_ADMIN is missing.
    #[error("not allowed to mount: CAP_SYS_ADMIN is missing")]
    NotPermitted,
    /// The kernel was built without overlayfs, or its module cannot be loaded.
    #[error("this kernel has no overlayfs")]
    NoOverlayfs,
    /// The upper directory lies on a file system that cannot carry one.
    #[error("'{}' cannot hold an overlay: {reason}", path.display())]
    UnsuitableUpper {
        /// The upper directory.
        path: PathBuf,
        /// What it lacks.
        reason: &'static str,
    },
    /// The upper is part of an overlay that is still mounted somewhere. The kernel refuses that only
    /// with the feature `index`.
    #[error("'{}' is still mounted elsewhere", path.display())]
    UpperBusy {
        /// The upper directory.
        path: PathBuf,
    },
    /// A crash left a volatile upper behind.
    #[error("'{}' was in use with 'volatile' when the machine stopped", path.display())]
    CrashedVolatile {
        /// The upper directory.
        path: PathBuf,
    },
    /// A lower layer cannot be one: its file system folds case or is automounted.
    #[error("'{}' ({kind}) cannot lie under an overlay", path.display())]
    UnsuitableLower {
        /// The layer.
        path: PathBuf,
        /// Its kind of file system, as far as known.
        kind: &'static str,
    },
    /// The file system that holds the upper is full.
    #[error("no space left on the file system of '{}'", path.display())]
    Full {
        /// The work directory.
        path: PathBuf,
    },
    /// The file system that holds the upper is read-only.
    #[error("'{}' is on a read-only file system", path.display())]
    ReadOnlyUpper {
        /// The upper directory.
        path: PathBuf,
    },
    /// An overlay already lies two deep below (FILESYSTEM_MAX_STACK_DEPTH).
    #[error("'{}' is already an overlay upon an overlay", path.display())]
    TooDeep {
        /// The layer that is too deep.
        path: PathBuf,
    },
    /// None of the above; `log` is what the kernel said, which may be nothing.
    #[error("cannot mount an overlay on '{}'{}", path.display(), said(log.as_deref()))]
    Refused {
        /// The topmost lower layer.
        path: PathBuf,
        /// The kernel's message.
        log: Option<String>,
        /// The cause.
        source: std::io::Error,
    },
}

fn said(log: Option<&str>) -> String {
    log.map(|text| format!(" ({text})")).unwrap_or_default()
}

/// Mounts an overlay, attached nowhere.
pub fn mount_overlay(spec: &OverlaySpec<'_>) -> Result<Tree, MountError> {
    let mut way = Way::Descriptors;
    loop {
        match mount_by(way, spec) {
            Ok(tree) => return Ok(tree),
            Err(Refusal { instead: Some(older), .. }) => way = older,
            Err(refusal) => return Err(diagnose(spec, refusal)),
        }
    }
}

/// How layers are named to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Descriptors,
    LowerPlus,
    Joined,
}

impl Way {
    /// The older way to try, where this one is not known to the kernel.
    fn instead(self, errno: Errno) -> Option<Way> {
        match (self, errno) {
            (Way::Descriptors, Errno::BADF | Errno::INVAL) => Some(Way::LowerPlus),
            (Way::Descriptors, Errno::OPNOTSUPP) | (Way::LowerPlus, Errno::INVAL) => Some(Way::Joined),
            _ => None,
        }
    }
}

struct Refusal {
    errno: Errno,
    log: Option<String>,
    /// The kernel may not know this way of naming layers; another may work.
    instead: Option<Way>,
}

impl Refusal {
    fn of(errno: Errno) -> Refusal {
        Refusal { errno, log: None, instead: None }
    }
}

fn mount_by(way: Way, spec: &OverlaySpec<'_>) -> Result<Tree, Refusal> {
    if way == Way::Descriptors || can_be_named(spec) {
        return mount_named(way, spec, |layer| layer.path().as_os_str().to_owned());
    }
    let number = |layer: &Root| OsString::from(layer.as_fd().as_raw_fd().to_string());
    among_descriptors(|| mount_named(way, spec, number)).unwrap_or_else(|errno| Err(Refusal::of(errno)))
}

/// Mounts with layers named as `name` says, where the way is by text.
fn mount_named(way: Way, spec: &OverlaySpec<'_>, name: impl Fn(&Root) -> OsString) -> Result<Tree, Refusal> {
    let context = open_context("overlay").map_err(Refusal::of)?;
    let explained = |errno| Refusal { log: context_log(&context), ..Refusal::of(errno) };
    set_layers(way, &context, spec, name)
        .map_err(|errno| Refusal { instead: way.instead(errno), ..explained(errno) })?;
    set_features(&context, spec)
        .and_then(|()| rustix::mount::fsconfig_create(context.as_fd()))
        .map_err(explained)?;
    mount_context(&context, spec.flags).map_err(Refusal::of)
}

fn set_layers(
    way: Way,
    context: &OwnedFd,
    spec: &OverlaySpec<'_>,
    name: impl Fn(&Root) -> OsString,
) -> Result<(), Errno> {
    use rustix::mount::{fsconfig_set_fd, fsconfig_set_string};
    match way {
        Way::Descriptors => {
            for lower in spec.lower {
                fsconfig_set_fd(context.as_fd(), "lowerdir+", lower.as_fd())?;
            }
            fsconfig_set_fd(context.as_fd(), "upperdir", spec.upper.as_fd())?;
            return fsconfig_set_fd(context.as_fd(), "workdir", spec.work.as_fd());
        }
        Way::LowerPlus => {
            for lower in spec.lower {
                fsconfig_set_string(context.as_fd(), "lowerdir+", name(lower))?;
            }
        }
        Way::Joined => {
            let names: Vec<OsString> = spec.lower.iter().copied().map(&name).collect();
            fsconfig_set_string(context.as_fd(), "lowerdir", names.join(OsStr::new(":")))?;
        }
    }
    fsconfig_set_string(context.as_fd(), "upperdir", name(spec.upper))?;
    fsconfig_set_string(context.as_fd(), "workdir", name(spec.work))
}

fn set_features(context: &OwnedFd, spec: &OverlaySpec<'_>) -> Result<(), Errno> {
    use rustix::mount::{fsconfig_set_flag, fsconfig_set_string};
    let on = |value| if value { "on" } else { "off" };
    let features = &spec.features;
    let set = |key: &str, value: &str| fsconfig_set_string(context.as_fd(), key, value);
    set("source", spec.source)?;
    set("index", on(features.index))?;
    set("redirect_dir", on(features.redirect_dir))?;
    set("metacopy", on(features.metacopy))?;
    set("xino", "off")?;
    if features.volatile {
        fsconfig_set_flag(context.as_fd(), "volatile")?;
    }
    Ok(())
}

/// The longest text that fsconfig(2) takes.
const LONGEST: usize = 255;

/// Whether the kernel finds all layers by their own names, which whoever reads mountinfo later can use: nothing hides
/// them, and the text needs no escapes (kernels differ in what they unescape, and the oldest take no comma at all).
fn can_be_named(spec: &OverlaySpec<'_>) -> bool {
    let length = |layer: &Root| layer.path().as_os_str().len();
    let joined: usize = spec.lower.iter().map(|layer| length(layer) + 1).sum();
    joined <= LONGEST
        && length(spec.upper).max(length(spec.work)) <= LONGEST
        && spec.lower.iter().chain([&spec.upper, &spec.work]).all(|layer| {
            let is_plain = !layer.path().as_os_str().as_bytes().iter().any(|byte| b",:\\".contains(byte));
            is_plain && layer.path().is_absolute() && is_found_by_name(layer)
        })
}

fn is_found_by_name(layer: &Root) -> bool {
    let named = rustix::fs::stat(layer.path()).map(|stat| (stat.st_dev, stat.st_ino));
    named.is_ok() && named == rustix::fs::fstat(layer).map(|stat| (stat.st_dev, stat.st_ino))
}

/// Acts in the directory where each open file has its number for a name: the shortest names that there are, and
/// nothing can hide them.
fn among_descriptors<T>(act: impl FnOnce() -> T) -> Result<T, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let back = rustix::fs::open(".", flags, Mode::empty())?;
    rustix::process::chdir("/proc/self/fd")?;
    let result = act();
    rustix::process::fchdir(back)?;
    Ok(result)
}

/// Turns an errno into a fact, by looking where the kernel is silent.
fn diagnose(spec: &OverlaySpec<'_>, refusal: Refusal) -> MountError {
    let upper = || spec.upper.path().to_owned();
    match refusal.errno {
        Errno::PERM | Errno::ACCESS => return MountError::NotPermitted,
        Errno::NODEV => return MountError::NoOverlayfs,
        Errno::BUSY => return MountError::UpperBusy { path: upper() },
        Errno::NOSPC | Errno::DQUOT => return MountError::Full { path: spec.work.path().to_owned() },
        Errno::ROFS => return MountError::ReadOnlyUpper { path: upper() },
        _ => {}
    }
    if let Some(reason) = unsuitable_upper(spec.upper) {
        return MountError::UnsuitableUpper { path: upper(), reason };
    }
    // A mount that is read-only, of a file system that is not, is EINVAL.
    let is_read_only = rustix::fs::fstatvfs(spec.upper)
        .is_ok_and(|stat| stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
    if is_read_only {
        return MountError::ReadOnlyUpper { path: upper() };
    }
    if spec.work.exists("work/incompat/volatile") {
        return MountError::CrashedVolatile { path: upper() };
    }
    for lower in spec.lower {
        match magic(lower) {
            Some(OVERLAYFS_MAGIC) => return MountError::TooDeep { path: lower.path().to_owned() },
            Some(other) => {
                if let Some(kind) = case_folding(other) {
                    return MountError::UnsuitableLower { path: lower.path().to_owned(), kind };
                }
            }
            None => {}
        }
    }
    MountError::Refused {
        path: spec.lower.first().map_or_else(upper, |lower| lower.path().to_owned()),
        log: refusal.log,
        source: refusal.errno.into(),
    }
}

/// What a directory lacks to be an upper, as far as its kind of file system tells.
pub fn unsuitable_upper(upper: &Root) -> Option<&'static str> {
    match magic(upper)? {
        OVERLAYFS_MAGIC => Some("it lies on an overlay itself"),
        0x4d44 | 0x2011_bab0 => Some("FAT and exFAT have no extended attributes"),
        0x6969 => Some("NFS has no whiteouts"),
        0x517b | 0xfe53_4d42 | 0xff53_4d42 => Some("SMB has no whiteouts"),
        0x0102_1997 => Some("9p has no whiteouts"),
        0x7371_7368 | 0xe0f5_e1e2 | 0x9660 => Some("its file system is read-only by design"),
        _ => None,
    }
}

/// File systems whose names ignore case; overlayfs refuses them as lower layers.
fn case_folding(magic: u64) -> Option<&'static str> {
    match magic {
        0x4d44 => Some("FAT"),
        0x2011_bab0 => Some("exFAT"),
        0x5346_544e => Some("NTFS"),
        0xfe53_4d42 | 0xff53_4d42 => Some("SMB"),
        _ => None,
    }
}

fn magic(directory: &Root) -> Option<u64> {
    // `f_type` is signed on some machines, and 32 bits wide on others.
    rustix::fs::fstatfs(directory).ok().map(|status| u64::from(status.f_type as u32))
}
