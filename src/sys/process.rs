//! Processes: forking, executing, waiting, and what a process may do.

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::{PidfdFlags, Signal, WaitIdOptions, WaitIdStatus, WaitOptions};
use rustix::thread::CapabilitySet;

use super::mount::{MountFlags, clone_tree, set_flags};
use super::{Context, IoError, Root, events_now, events_within};

/// A process id, as this process's namespace counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pid(rustix::process::Pid);

impl Pid {
    /// A positive number, or nothing.
    pub fn from_raw(raw: i32) -> Option<Pid> {
        if raw > 0 { rustix::process::Pid::from_raw(raw).map(Pid) } else { None }
    }

    /// This process.
    pub fn own() -> Pid {
        Pid(rustix::process::getpid())
    }

    /// The number.
    pub fn as_raw(self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    pub(super) fn inner(self) -> rustix::process::Pid {
        self.0
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_raw())
    }
}

/// Which side of a fork(2) this is.
#[derive(Debug)]
pub enum Forked {
    /// The new process.
    Child,
    /// The old process, and who the new one is.
    Parent(Pid),
}

/// Forks this process, which must have one thread: Onlay starts no threads before it forks.
pub fn fork() -> Result<Forked, IoError> {
    // SAFETY: with a single thread no lock can be held by a thread that the child lacks, so the
    // child may go on running ordinary code.
    let result = unsafe { libc::fork() };
    match Pid::from_raw(result) {
        Some(pid) => Ok(Forked::Parent(pid)),
        None if result == 0 => Ok(Forked::Child),
        None => Err(io::Error::last_os_error()).context("fork", "onlay"),
    }
}

/// Forks as [`fork`] does, but the new process is a child of this one's parent, who is told of its
/// end and can wait for it (`CLONE_PARENT` of clone(2)).
pub fn fork_sibling() -> Result<Forked, IoError> {
    let flags = libc::c_long::from(libc::CLONE_PARENT | libc::SIGCHLD);
    // SAFETY: as in `fork`; without a stack of its own, the child goes on on its copy of this one.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone,
            flags,
            0 as libc::c_long,
            0 as libc::c_long,
            0 as libc::c_long,
            0 as libc::c_long,
        )
    };
    match Pid::from_raw(result as i32) {
        Some(pid) => Ok(Forked::Parent(pid)),
        None if result == 0 => Ok(Forked::Child),
        None => Err(io::Error::last_os_error()).context("fork", "onlay"),
    }
}

/// Replaces this process by a program, found through PATH. Returns only when that failed.
pub fn exec(arguments: &[OsString], environment: &[(OsString, OsString)]) -> IoError {
    let name = arguments.first().map_or(OsStr::new(""), OsString::as_os_str);
    exec_by(name, arguments, environment, |arguments, environment| {
        // SAFETY: both arrays end in a null pointer and point to C strings that outlive the call.
        unsafe { libc::execvpe(*arguments, arguments, environment) };
    })
}

/// Begins this program anew from a read-only mount of its file that nobody else has; comes back at
/// once where its file lies on a read-only mount already. What runs in a container can get hold of
/// /proc/PID/exe of whoever comes in, for one by having a `#!/proc/self/exe` executed, and could
/// otherwise write into the file once it is no longer running.
pub fn run_from_read_only_mount() -> Result<(), IoError> {
    let path = Path::new("/proc/self/exe");
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).context("open", path)?;
    let mount = rustix::fs::fstatvfs(&file).context("examine the mount of", path)?;
    if mount.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        // Before Linux 6.14, what is executed by its descriptor is called by that number.
        return rustix::thread::set_name(c"onlay").context("name", "onlay");
    }
    // It is attached nowhere, and with its descriptor (which exec closes) goes the only right to change
    // its flags: mount_setattr(2) leaves alone what is in no namespace.
    let tree = clone_tree(&file, path, false)?;
    set_flags(&tree, MountFlags::READ_ONLY, MountFlags::default(), false, path)?;
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    Err(exec_by(path.as_os_str(), &arguments, &environment, |arguments, environment| {
        let (fd, flags) = (tree.as_fd().as_raw_fd(), libc::AT_EMPTY_PATH);
        // SAFETY: both arrays end in a null pointer and point to C strings that outlive the call; the
        // path is an empty C string, and the descriptor is open.
        unsafe { libc::syscall(libc::SYS_execveat, fd, c"".as_ptr(), arguments, environment, flags) };
    }))
}

/// Calls one of the ways to execute, with the two arrays that they take. What comes back is why that failed.
fn exec_by(
    name: &OsStr,
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
    execute: impl FnOnce(*const *const libc::c_char, *const *const libc::c_char),
) -> IoError {
    let pairs = environment.iter().map(|(key, value)| [key.as_bytes(), b"=", value.as_bytes()].concat());
    let prepared = c_strings(arguments.iter().map(|argument| argument.as_bytes().to_vec()))
        .and_then(|arguments| Ok((arguments, c_strings(pairs)?)));
    match prepared {
        Ok((arguments, environment)) => {
            let (argument_pointers, environment_pointers) = (pointers(&arguments), pointers(&environment));
            execute(argument_pointers.as_ptr(), environment_pointers.as_ptr());
            super::io_error("execute", name, io::Error::last_os_error())
        }
        Err(error) => super::io_error("execute", name, error),
    }
}

fn c_strings(items: impl Iterator<Item = Vec<u8>>) -> Result<Vec<CString>, io::Error> {
    items.map(|item| CString::new(item).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))).collect()
}

fn pointers(items: &[CString]) -> Vec<*const libc::c_char> {
    items.iter().map(|item| item.as_ptr()).chain([std::ptr::null()]).collect()
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Exited(u8),
    /// By a signal.
    Killed(i32),
}

impl Ended {
    /// What a shell shows in `$?`.
    pub fn shell_code(self) -> u8 {
        match self {
            Ended::Exited(code) => code,
            Ended::Killed(signal) => 128u8.wrapping_add(signal as u8),
        }
    }
}

/// Waits until a child ends.
pub fn wait(pid: Pid) -> Result<Ended, IoError> {
    loop {
        match rustix::process::waitpid(Some(pid.inner()), WaitOptions::empty()) {
            Ok(Some((_, status))) => {
                if let Some(code) = status.exit_status() {
                    return Ok(Ended::Exited(code as u8));
                }
                if let Some(signal) = status.terminating_signal() {
                    return Ok(Ended::Killed(signal));
                }
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for process", pid.to_string()),
        }
    }
}

/// Collects one ended child of any kind without waiting; `None` where none has ended, an error
/// (ECHILD) where there is no child at all.
pub fn reap_any() -> Result<Option<(Pid, Ended)>, IoError> {
    match rustix::process::wait(WaitOptions::NOHANG) {
        Ok(Some((pid, status))) => {
            let ended = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Ended::Exited(code as u8),
                (None, Some(signal)) => Ended::Killed(signal),
                (None, None) => return Ok(None),
            };
            Ok(Some((Pid(pid), ended)))
        }
        Ok(None) => Ok(None),
        Err(error) => Err(error).context("wait for", "children"),
    }
}

/// A descriptor that stands for one process and becomes readable when it ends (pidfd_open(2)).
#[derive(Debug)]
pub struct Pidfd {
    fd: OwnedFd,
}

impl Pidfd {
    /// For a process of this PID namespace.
    pub fn open(pid: Pid) -> Result<Pidfd, IoError> {
        rustix::process::pidfd_open(pid.inner(), PidfdFlags::empty())
            .map(|fd| Pidfd { fd })
            .context("watch process", pid.to_string())
    }

    /// For a child of this process; an error (ECHILD) for anybody else.
    pub fn of_child(pid: Pid) -> Result<Pidfd, IoError> {
        let pidfd = Self::open(pid)?;
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::PidFd(pidfd.as_fd()), look)
            .context("watch child", pid.to_string())?;
        Ok(pidfd)
    }

    /// A copy of one of its descriptors (pidfd_getfd(2), Linux 5.6).
    pub fn copy_of(&self, descriptor: i32) -> Result<OwnedFd, IoError> {
        rustix::process::pidfd_getfd(&self.fd, descriptor, rustix::process::PidfdGetfdFlags::empty())
            .context("copy descriptor", descriptor.to_string())
    }

    /// Whether the process has ended (also when nobody has waited for it yet).
    pub fn has_ended(&self) -> bool {
        events_now(&self.fd, PollFlags::IN).contains(PollFlags::IN)
    }

    /// The same, as soon as it is so, or after so long.
    pub fn has_ended_within(&self, patience: Duration) -> bool {
        events_within(&self.fd, PollFlags::IN, patience).contains(PollFlags::IN)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) -> Result<(), IoError> {
        let Some(named) = Signal::from_named_raw(signal) else {
            return Err(Errno::INVAL).context("send signal", signal.to_string());
        };
        rustix::process::pidfd_send_signal(&self.fd, named).context("send signal", signal.to_string())
    }

    /// Waits for it, where it is a child of this process.
    pub fn wait(&self) -> Result<Ended, IoError> {
        loop {
            let options = WaitIdOptions::EXITED;
            match rustix::process::waitid(rustix::process::WaitId::PidFd(self.fd.as_fd()), options) {
                Ok(Some(status)) => return Ok(ended_of(&status)),
                Ok(None) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("wait for", "process"),
            }
        }
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn ended_of(status: &WaitIdStatus) -> Ended {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended::Exited(code as u8),
        (None, signal) => Ended::Killed(signal.unwrap_or(libc::SIGKILL)),
    }
}

/// Every process that this one can see, by the /proc that it sees.
pub fn processes() -> impl Iterator<Item = Pid> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?))
}

/// When a process started, in clock ticks since boot: with its id, it tells it from later ones
/// (proc_pid_stat(5), field 22). `proc` is a /proc of this process's PID namespace.
pub fn process_start_time(proc: &Root, pid: Pid) -> Option<u64> {
    let stat = proc.read(format!("{pid}/stat"), 4096).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name in parentheses may hold spaces and parentheses itself.
    let after_name = &stat[stat.rfind(')')? + 1..];
    after_name.split_whitespace().nth(19)?.parse().ok()
}

/// The words that a process was started with; its name in brackets where it has none (of a kernel
/// thread, or after its end), as ps(1) shows it. It may have written anything there itself.
pub fn command_line(pid: Pid) -> Vec<String> {
    let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = String::from_utf8_lossy(&read("cmdline")).into_owned();
    match line.trim_end_matches('\0') {
        "" => vec![format!("[{}]", String::from_utf8_lossy(&read("comm")).trim_end())],
        words => words.split('\0').map(str::to_owned).collect(),
    }
}

/// Asks the kernel to send this process a signal when its parent ends.
pub fn die_with_parent(signal: i32) -> Result<(), IoError> {
    rustix::process::set_parent_process_death_signal(Signal::from_named_raw(signal))
        .context("set the death signal of", "onlay")
}

/// Keeps others from looking into this process until it executes a program: only with
/// CAP_SYS_PTRACE may they trace it, read its memory, or open what is behind its /proc/PID/exe, /fd, /cwd
/// and /root (`PR_SET_DUMPABLE` of prctl(2); ptrace(2), "Ptrace access mode checking").
pub fn refuse_tracing() -> Result<(), IoError> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context("keep tracers from", "onlay")
}

/// Lets this process have as many files open as it may at most; by default it is far fewer, for the sake of programs that use
/// select(2) (getrlimit(2), `RLIMIT_NOFILE`).
pub fn allow_many_files() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    // Where that is refused, fewer have to do.
    let _ = rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: limit.maximum, ..limit },
    );
}

/// Ends this process by the signal that ended its child, so that whoever waits sees the same.
/// Returns when the signal does not end a process.
pub fn raise_as_self(signal: i32) {
    let limit = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    // The child has dumped core if it was to; a second core of ours would only mislead.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, limit);
    super::signal::restore_signals();
    // SAFETY: SIG_DFL runs no code; raise takes any number and has no memory effects.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Whether this process has a capability in its effective set, by its kernel name ("CAP_SYS_ADMIN").
pub fn has_capability(name: &str) -> bool {
    let Some(wanted) = capability(name) else { return false };
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted))
}

/// Takes capabilities away from this process and all it will execute.
pub fn drop_capabilities(names: &[&str]) -> Result<(), IoError> {
    let mut dropped = CapabilitySet::empty();
    for name in names {
        let one = capability(name).ok_or(Errno::INVAL).context("drop capability", name)?;
        match rustix::thread::remove_capability_from_bounding_set(one) {
            // A kernel that does not know the capability cannot give it either.
            Ok(()) | Err(Errno::INVAL) => dropped |= one,
            Err(error) => return Err(error).context("drop capability", name),
        }
    }
    let mut sets = rustix::thread::capabilities(None).context("read capabilities of", "onlay")?;
    sets.effective -= dropped;
    sets.permitted -= dropped;
    sets.inheritable -= dropped;
    rustix::thread::set_capabilities(None, sets).context("drop capabilities of", "onlay")
}

/// The names of capabilities in a set of bits, as libcap writes them ("cap_chown"); those without a name are numbers.
pub fn capability_names(set: u64) -> Vec<String> {
    let numbers = (0..u64::BITS).filter(|number| set >> number & 1 == 1);
    let name = |number: u32| match CAPABILITIES.get(number as usize) {
        Some((name, _)) => format!("cap_{}", name.to_ascii_lowercase()),
        None => number.to_string(),
    };
    numbers.map(name).collect()
}

fn capability(name: &str) -> Option<CapabilitySet> {
    let short = name.strip_prefix("CAP_")?;
    CAPABILITIES.iter().find(|(known, _)| *known == short).map(|(_, set)| *set)
}

/// All that exist (capabilities(7)), in the order of their numbers.
const CAPABILITIES: &[(&str, CapabilitySet)] = &[
    ("CHOWN", CapabilitySet::CHOWN),
    ("DAC_OVERRIDE", CapabilitySet::DAC_OVERRIDE),
    ("DAC_READ_SEARCH", CapabilitySet::DAC_READ_SEARCH),
    ("FOWNER", CapabilitySet::FOWNER),
    ("FSETID", CapabilitySet::FSETID),
    ("KILL", CapabilitySet::KILL),
    ("SETGID", CapabilitySet::SETGID),
    ("SETUID", CapabilitySet::SETUID),
    ("SETPCAP", CapabilitySet::SETPCAP),
    ("LINUX_IMMUTABLE", CapabilitySet::LINUX_IMMUTABLE),
    ("NET_BIND_SERVICE", CapabilitySet::NET_BIND_SERVICE),
    ("NET_BROADCAST", CapabilitySet::NET_BROADCAST),
    ("NET_ADMIN", CapabilitySet::NET_ADMIN),
    ("NET_RAW", CapabilitySet::NET_RAW),
    ("IPC_LOCK", CapabilitySet::IPC_LOCK),
    ("IPC_OWNER", CapabilitySet::IPC_OWNER),
    ("SYS_MODULE", CapabilitySet::SYS_MODULE),
    ("SYS_RAWIO", CapabilitySet::SYS_RAWIO),
    ("SYS_CHROOT", CapabilitySet::SYS_CHROOT),
    ("SYS_PTRACE", CapabilitySet::SYS_PTRACE),
    ("SYS_PACCT", CapabilitySet::SYS_PACCT),
    ("SYS_ADMIN", CapabilitySet::SYS_ADMIN),
    ("SYS_BOOT", CapabilitySet::SYS_BOOT),
    ("SYS_NICE", CapabilitySet::SYS_NICE),
    ("SYS_RESOURCE", CapabilitySet::SYS_RESOURCE),
    ("SYS_TIME", CapabilitySet::SYS_TIME),
    ("SYS_TTY_CONFIG", CapabilitySet::SYS_TTY_CONFIG),
    ("MKNOD", CapabilitySet::MKNOD),
    ("LEASE", CapabilitySet::LEASE),
    ("AUDIT_WRITE", CapabilitySet::AUDIT_WRITE),
    ("AUDIT_CONTROL", CapabilitySet::AUDIT_CONTROL),
    ("SETFCAP", CapabilitySet::SETFCAP),
    ("MAC_OVERRIDE", CapabilitySet::MAC_OVERRIDE),
    ("MAC_ADMIN", CapabilitySet::MAC_ADMIN),
    ("SYSLOG", CapabilitySet::SYSLOG),
    ("WAKE_ALARM", CapabilitySet::WAKE_ALARM),
    ("BLOCK_SUSPEND", CapabilitySet::BLOCK_SUSPEND),
    ("AUDIT_READ", CapabilitySet::AUDIT_READ),
    ("PERFMON", CapabilitySet::PERFMON),
    ("BPF", CapabilitySet::BPF),
    ("CHECKPOINT_RESTORE", CapabilitySet::CHECKPOINT_RESTORE),
];

/// Makes this process the leader of a new session without a terminal (setsid(2)).
pub fn new_session() -> Result<(), IoError> {
    rustix::process::setsid().map(|_| ()).context("start a session for", "onlay")
}

/// Closes every descriptor but the standard streams and the given ones: a process that others can
/// look into through /proc must not hold a way out of their view.
pub fn close_all_but(kept: &[BorrowedFd<'_>]) {
    let mut kept: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd() as u32).filter(|&fd| fd > 2).collect();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept.into_iter().map(Some).chain([None]) {
        let last = fd.map_or(u32::MAX, |fd| fd - 1);
        if first <= last {
            // SAFETY: what is closed is used by nothing that runs from here on; the caller ends
            // in exec or exit and never comes back to code that owns descriptors.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
        first = fd.map_or(u32::MAX, |fd| fd + 1);
    }
}

/// Ends this process at once, without running what the parent's copy of it will run.
pub fn exit_now(code: u8) -> ! {
    // SAFETY: _exit runs no handlers and does not return.
    unsafe { libc::_exit(i32::from(code)) }
}

/// Gives the standard streams to /dev/null.
pub fn let_go_of_streams() -> Result<(), IoError> {
    let path = "/dev/null";
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    let null = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).context("open", path)?;
    rustix::stdio::dup2_stdin(&null)
        .and_then(|()| rustix::stdio::dup2_stdout(&null))
        .and_then(|()| rustix::stdio::dup2_stderr(&null))
        .context("open", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_split_into_its_words() {
        let own: Vec<String> = std::env::args().collect();
        assert_eq!(command_line(Pid::own()), own);
    }

    #[test]
    fn the_table_has_every_capability_at_its_number() {
        for (number, (name, set)) in CAPABILITIES.iter().enumerate() {
            assert_eq!(set.bits(), 1 << number, "{name}");
        }
        assert_eq!(CAPABILITIES.len(), 41, "CAP_CHECKPOINT_RESTORE (40) is the last");
    }
}
