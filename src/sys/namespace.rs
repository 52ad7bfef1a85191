//! Namespaces (namespaces(7)): leaving for new ones, joining those of a process.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use super::{Context, IoError, Pid};

/// A set of kinds of namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespaces(UnshareFlags);

impl Namespaces {
    /// Mounts.
    pub const MOUNT: Namespaces = Namespaces(UnshareFlags::NEWNS);
    /// Process ids; takes effect for children.
    pub const PID: Namespaces = Namespaces(UnshareFlags::NEWPID);
    /// System V IPC and POSIX message queues.
    pub const IPC: Namespaces = Namespaces(UnshareFlags::NEWIPC);
    /// Host name.
    pub const UTS: Namespaces = Namespaces(UnshareFlags::NEWUTS);
    /// The visible root of the cgroup tree.
    pub const CGROUP: Namespaces = Namespaces(UnshareFlags::NEWCGROUP);
    /// Network.
    pub const NET: Namespaces = Namespaces(UnshareFlags::NEWNET);

    /// Both sets.
    #[must_use]
    pub fn and(self, other: Namespaces) -> Namespaces {
        Namespaces(self.0 | other.0)
    }
}

/// Leaves the given namespaces for new ones of this process alone (unshare(2)).
pub fn leave_for_new(namespaces: Namespaces) -> Result<(), IoError> {
    // SAFETY: unshare is unsafe for CLONE_FILES, which no constant of this type contains.
    unsafe { rustix::thread::unshare_unsafe(namespaces.0) }.context("make new namespaces for", "onlay")
}

/// One namespace of a process.
#[derive(Debug)]
pub struct Namespace {
    fd: OwnedFd,
    path: PathBuf,
    kind: LinkNameSpaceType,
}

impl Namespace {
    /// The mount namespace of a process.
    pub fn mount_of(pid: Pid) -> Result<Namespace, IoError> {
        Self::open(pid, "mnt", LinkNameSpaceType::Mount)
    }

    /// The mount namespace of this thread, which may have left its process's.
    pub fn mount_of_thread() -> Result<Namespace, IoError> {
        Self::open("thread-self", "mnt", LinkNameSpaceType::Mount)
    }

    /// The PID namespace of a process. Who enters it stays outside; children are in it.
    pub fn processes_of(pid: Pid) -> Result<Namespace, IoError> {
        Self::open(pid, "pid", LinkNameSpaceType::ProcessID)
    }

    /// Every other namespace that Onlay may have made for a process, in an order in which they can be
    /// joined: the mount namespace last, since /proc is looked up before it.
    pub fn surroundings_of(pid: Pid) -> Result<Vec<Namespace>, IoError> {
        [
            ("cgroup", LinkNameSpaceType::ControlGroup),
            ("ipc", LinkNameSpaceType::InterProcessCommunication),
            ("uts", LinkNameSpaceType::HostNameAndNISDomainName),
            ("net", LinkNameSpaceType::Network),
            ("mnt", LinkNameSpaceType::Mount),
        ]
        .into_iter()
        .map(|(name, kind)| Self::open(pid, name, kind))
        .collect()
    }

    fn open(pid: impl std::fmt::Display, name: &str, kind: LinkNameSpaceType) -> Result<Namespace, IoError> {
        let path = PathBuf::from(format!("/proc/{pid}/ns/{name}"));
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&path, flags, Mode::empty()).context("open namespace", &path)?;
        Ok(Namespace { fd, path, kind })
    }

    /// A second handle on the same namespace.
    pub fn try_clone(&self) -> Result<Namespace, IoError> {
        let fd = self.fd.try_clone().context("duplicate", &self.path)?;
        Ok(Namespace { fd, path: self.path.clone(), kind: self.kind })
    }

    /// The inode number that tells it from others while it lives.
    pub fn identity(&self) -> Result<u64, IoError> {
        rustix::fs::fstat(&self.fd).context("examine", &self.path).map(|stat| stat.st_ino)
    }
}

/// Enters a namespace (setns(2)).
pub fn join(namespace: &Namespace) -> Result<(), IoError> {
    rustix::thread::move_into_link_name_space(namespace.fd.as_fd(), Some(namespace.kind))
        .context("enter namespace", &namespace.path)
}

/// Switches the loopback interface of this network namespace on (netdevice(7)).
pub fn bring_up_loopback() -> Result<(), IoError> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)
        .context("open a socket for", "lo")?;
    // SAFETY: all zeroes is a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is initialised and of the kind that this ioctl reads.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()).context("switch on", "lo") }
}
