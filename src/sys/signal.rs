//! Signals as something to read (signalfd(2)), and to hand on.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{Context, IoError, Pid};

/// Blocks some signals for this process and reads them instead.
#[derive(Debug)]
pub struct SignalFd {
    fd: OwnedFd,
}

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalInfo {
    /// Which.
    pub signal: i32,
    /// Whether the kernel sent it (a key on the terminal, a hang-up), not a process.
    pub from_kernel: bool,
    /// The process that sent it; others than those of this PID namespace, and the kernel, have no number here.
    pub sender: Option<Pid>,
}

impl SignalFd {
    /// Starts to collect these signals. A child inherits the block and lifts it with
    /// [`restore_signals`].
    pub fn block(signals: &[i32]) -> Result<SignalFd, IoError> {
        let set = signal_set(signals);
        // SAFETY: the set is initialised; the old mask is not asked for.
        let blocked = unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if blocked != 0 {
            return Err(io::Error::last_os_error()).context("block", "signals");
        }
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error()).context("watch", "signals");
        }
        // SAFETY: the kernel just made this descriptor for us.
        Ok(SignalFd { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// The next signal that has come, if any.
    pub fn next(&self) -> Option<SignalInfo> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer has the size that is passed, and is read only when all of it was
        // written.
        let (length, info) = unsafe {
            let length = libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), size);
            (length, (length == size as isize).then(|| info.assume_init()))
        };
        debug_assert!(length <= size as isize);
        info.map(|info| SignalInfo {
            signal: info.ssi_signo as i32,
            from_kernel: info.ssi_code == libc::SI_KERNEL,
            sender: i32::try_from(info.ssi_pid).ok().and_then(Pid::from_raw),
        })
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Ignores a signal in this process and, unless restored, in what it executes.
pub fn ignore(signal: i32) {
    // SAFETY: SIG_IGN runs no code.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Gives a signal its default action in this process.
pub fn default_action(signal: i32) {
    // SAFETY: SIG_DFL runs no code.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Undoes what this process did to signals, as a command expects at its start: Rust ignores
/// SIGPIPE, and [`SignalFd::block`] blocks. What the caller ignores (nohup(1)) stays ignored.
pub fn restore_signals() {
    // SAFETY: SIG_DFL runs no code.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let none = signal_set(&[]);
    // SAFETY: the set is initialised; the old mask is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
}

/// Sends a signal to a process.
pub fn send(pid: Pid, signal: i32) -> Result<(), IoError> {
    // SAFETY: kill has no memory effects.
    if unsafe { libc::kill(pid.as_raw(), signal) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error()).context("send a signal to process", pid.to_string())
    }
}

fn signal_set(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the whole set before anything is added or read.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for &signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}
