//! The mount API of Linux 5.2 and later: trees that are made detached and attached where wanted
//! (fsopen(2), open_tree(2), mount_setattr(2), move_mount(2)).

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};

use super::{Context, IoError, io_error};

/// A mounted file system that is attached nowhere yet. It disappears when dropped unattached.
#[derive(Debug)]
pub struct Tree {
    fd: OwnedFd,
}

impl Tree {
    /// The descriptor of its topmost directory.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Flags of one mount, not of its file system (mount_setattr(2)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MountFlags {
    /// Nothing can be written through this mount.
    pub read_only: bool,
    /// Set-user-id, set-group-id and file capabilities have no effect.
    pub no_suid: bool,
    /// Device nodes cannot be opened.
    pub no_dev: bool,
    /// Programs cannot be executed.
    pub no_exec: bool,
    /// Access times are not updated.
    pub no_atime: bool,
}

impl MountFlags {
    /// Only `read_only`.
    pub const READ_ONLY: MountFlags =
        MountFlags { read_only: true, no_suid: false, no_dev: false, no_exec: false, no_atime: false };
    /// What /tmp and /run usually have.
    pub const NO_SUID_DEV: MountFlags =
        MountFlags { read_only: false, no_suid: true, no_dev: true, no_exec: false, no_atime: false };

    /// Reads them from a mount's options as mountinfo gives them ("ro,nosuid,relatime").
    pub fn parse(options: &str) -> MountFlags {
        let has = |name| options.split(',').any(|option| option == name);
        MountFlags {
            read_only: has("ro"),
            no_suid: has("nosuid"),
            no_dev: has("nodev"),
            no_exec: has("noexec"),
            no_atime: has("noatime"),
        }
    }

    fn bits(self) -> MountAttrFlags {
        let mut bits = MountAttrFlags::empty();
        bits.set(MountAttrFlags::MOUNT_ATTR_RDONLY, self.read_only);
        bits.set(MountAttrFlags::MOUNT_ATTR_NOSUID, self.no_suid);
        bits.set(MountAttrFlags::MOUNT_ATTR_NODEV, self.no_dev);
        bits.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, self.no_exec);
        bits.set(MountAttrFlags::MOUNT_ATTR_NOATIME, self.no_atime);
        bits
    }
}

/// How mounts made later spread to and from other namespaces (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// The host's new mounts arrive here; ours do not leave.
    Slave,
    /// Nothing arrives, nothing leaves.
    Private,
    /// Mounts arrive in copies of this namespace that are made later, and theirs here.
    Shared,
}

/// Makes a new file system of a kind without a device, such as `tmpfs` or `proc`.
pub fn new_filesystem(kind: &str, options: &[(&str, &str)], flags: MountFlags) -> Result<Tree, IoError> {
    let context = open_context(kind).context("mount a", kind)?;
    for (key, value) in options {
        rustix::mount::fsconfig_set_string(context.as_fd(), *key, *value)
            .map_err(|errno| explained("set mount option of", kind, &context, errno))?;
    }
    rustix::mount::fsconfig_create(context.as_fd())
        .map_err(|errno| explained("mount a", kind, &context, errno))?;
    mount_context(&context, flags).context("mount a", kind)
}

pub(super) fn open_context(kind: &str) -> Result<OwnedFd, Errno> {
    rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)
}

pub(super) fn mount_context(context: &OwnedFd, flags: MountFlags) -> Result<Tree, Errno> {
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags.bits()).map(|fd| Tree { fd })
}

/// The kernel's own words about the last failure on a file system context, if it has any.
pub(super) fn context_log(context: &OwnedFd) -> Option<String> {
    let mut lines = Vec::new();
    let mut buffer = [0u8; 512];
    while let Ok(length @ 1..) = rustix::io::read(context, &mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..length]);
        // Each message is "e text", "w text" or "i text".
        lines.push(line.get(2..).unwrap_or_default().trim_end().to_owned());
    }
    (!lines.is_empty()).then(|| lines.join("; "))
}

fn explained(operation: &'static str, kind: &str, context: &OwnedFd, errno: Errno) -> IoError {
    match context_log(context) {
        Some(log) => io_error(operation, kind, std::io::Error::new(std::io::Error::from(errno).kind(), log)),
        None => io_error(operation, kind, errno),
    }
}

/// Copies the mount that an open file lies on, from that file downwards; with the mounts below it
/// when `recursive` (a bind mount, but detached).
pub fn clone_tree(source: impl AsFd, name: &Path, recursive: bool) -> Result<Tree, IoError> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_NO_AUTOMOUNT;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    rustix::mount::open_tree(source.as_fd(), "", flags)
        .map(|fd| Tree { fd })
        .context("clone the mount of", name)
}

/// Attaches a tree on top of an open file or directory of this mount namespace.
pub fn attach(tree: &Tree, target: impl AsFd, name: &Path) -> Result<(), IoError> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree.as_fd(), "", target.as_fd(), "", flags).context("mount on", name)
}

/// Attaches a tree beneath what is mounted on a directory, which is given by the topmost mount's own root: it is seen when
/// that one is taken off, and there is no instant without either (move_mount(2) MOVE_MOUNT_BENEATH, Linux 6.5).
pub fn attach_beneath(tree: &Tree, top: impl AsFd, name: &Path) -> Result<(), IoError> {
    // rustix has no name for it yet.
    const BENEATH: u32 = 0x200;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH
        | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH
        | MoveMountFlags::from_bits_retain(BENEATH);
    rustix::mount::move_mount(tree.as_fd(), "", top.as_fd(), "", flags).context("mount beneath", name)
}

/// Sets and clears flags of a mount, or of it and all below.
pub fn set_flags(
    mount: impl AsFd,
    set: MountFlags,
    clear: MountFlags,
    recursive: bool,
    name: &Path,
) -> Result<(), IoError> {
    let attributes = MountAttributes {
        set: u64::from(set.bits().bits()),
        clear: u64::from(clear.bits().bits()),
        propagation: 0,
        user_namespace: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the descriptor is open, the path is an empty C string, and the structure is the
    // 32 bytes of `struct mount_attr` whose size is passed along.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error()).context("set mount flags of", name)
    }
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Sets the propagation of the mount at a path and of all below it.
pub fn set_propagation(path: &Path, propagation: Propagation) -> Result<(), IoError> {
    let flags = MountPropagationFlags::REC
        | match propagation {
            Propagation::Slave => MountPropagationFlags::DOWNSTREAM,
            Propagation::Private => MountPropagationFlags::PRIVATE,
            Propagation::Shared => MountPropagationFlags::SHARED,
        };
    rustix::mount::mount_change(path, flags).context("change mount propagation of", path)
}

/// Makes an attached mount the root of this namespace and lets the old root go (pivot_root(2)).
pub fn enter_root(root: impl AsFd) -> Result<(), IoError> {
    let slash = Path::new("/");
    rustix::process::fchdir(root.as_fd()).context("enter", slash)?;
    rustix::process::pivot_root(".", ".").context("pivot to the new", slash)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).context("let go of the old", slash)?;
    rustix::process::chdir("/").context("enter", slash)
}

/// Detaches what is mounted at a path, in this mount namespace; who uses it goes on using it.
pub fn detach_path(path: &Path) -> Result<(), IoError> {
    unmount(path, UnmountFlags::DETACH)
}

/// Unmounts what is mounted at a path, in this mount namespace and where that propagates to; EBUSY where it is used in
/// any of them.
pub fn unmount_path(path: &Path) -> Result<(), IoError> {
    unmount(path, UnmountFlags::empty())
}

fn unmount(path: &Path, flags: UnmountFlags) -> Result<(), IoError> {
    let name = CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_| Errno::INVAL)
        .context("unmount", path)?;
    rustix::mount::unmount(&*name, flags | UnmountFlags::NOFOLLOW).context("unmount", path)
}
