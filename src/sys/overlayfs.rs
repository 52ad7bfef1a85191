//! Mounting an overlay on every kernel from 6.1 on.
//!
//! Layers are given by descriptor where the kernel takes that (6.13 and later), else as one
//! `lowerdir+` string each (6.8 and later), else as one `lowerdir` string. Which failure means "not known here"
//! was tried on 6.18, 6.12 and 6.1: EBADF or EOPNOTSUPP for the first, EINVAL for the second.
//!
//! The kernel explains few refusals; [`MountError`] names them, after looking at what it does not
//! say.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

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
    let mut refusal = None;
    for way in [Way::Descriptors, Way::LowerPlus, Way::Joined] {
        match mount_by(way, spec) {
            Ok(tree) => return Ok(tree),
            Err(error) if error.unknown_way => {}
            Err(error) => {
                refusal = Some(error);
                break;
            }
        }
    }
    let refusal = refusal.unwrap_or(Refusal { errno: Errno::INVAL, log: None, unknown_way: true });
    Err(diagnose(spec, refusal))
}

/// How layers are named to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Descriptors,
    LowerPlus,
    Joined,
}

struct Refusal {
    errno: Errno,
    log: Option<String>,
    /// The kernel does not know this way of naming layers; another may work.
    unknown_way: bool,
}

fn mount_by(way: Way, spec: &OverlaySpec<'_>) -> Result<Tree, Refusal> {
    let refuse = |errno| Refusal { errno, log: None, unknown_way: false };
    let context = open_context("overlay").map_err(refuse)?;
    set_layers(way, &context, spec).map_err(|errno| Refusal {
        errno,
        log: context_log(&context),
        unknown_way: match way {
            Way::Descriptors => matches!(errno, Errno::BADF | Errno::OPNOTSUPP | Errno::INVAL),
            Way::LowerPlus => errno == Errno::INVAL,
            Way::Joined => false,
        },
    })?;
    set_features(&context, spec)
        .and_then(|()| rustix::mount::fsconfig_create(context.as_fd()))
        .map_err(|errno| Refusal { errno, log: context_log(&context), unknown_way: false })?;
    mount_context(&context, spec.flags).map_err(refuse)
}

fn set_layers(way: Way, context: &OwnedFd, spec: &OverlaySpec<'_>) -> Result<(), Errno> {
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
                fsconfig_set_string(context.as_fd(), "lowerdir+", layer_path(lower))?;
            }
        }
        Way::Joined => {
            fsconfig_set_string(context.as_fd(), "lowerdir", joined(spec.lower))?;
        }
    }
    fsconfig_set_string(context.as_fd(), "upperdir", layer_path(spec.upper))?;
    fsconfig_set_string(context.as_fd(), "workdir", layer_path(spec.work))
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

/// A path by which the kernel finds this very directory: its own name, for whoever reads mountinfo
/// later, unless something hides it.
fn layer_path(layer: &Root) -> PathBuf {
    let same = rustix::fs::stat(layer.path()).and_then(|named| {
        rustix::fs::fstat(layer).map(|open| (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino))
    });
    if layer.path().is_absolute() && same == Ok(true) {
        layer.path().to_owned()
    } else {
        PathBuf::from(format!("/proc/self/fd/{}", layer.as_fd().as_raw_fd()))
    }
}

/// One string for all layers; in it `:` separates and `\` escapes.
fn joined(layers: &[&Root]) -> OsString {
    let mut text = Vec::new();
    for layer in layers {
        if !text.is_empty() {
            text.push(b':');
        }
        for &byte in layer_path(layer).as_os_str().as_bytes() {
            if byte == b':' || byte == b'\\' {
                text.push(b'\\');
            }
            text.push(byte);
        }
    }
    OsString::from_vec(text)
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
