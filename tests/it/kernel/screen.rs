//! Running the program on a terminal.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Instant;

use super::{LIMIT, Onlay, STEP, command};

/// A pseudo-terminal, and what is typed on it and shown.
pub(crate) struct Screen {
    master: OwnedFd,
    child: Child,
    shown: String,
}

impl Screen {
    /// Starts a run on a terminal of its own, of this many lines and columns.
    #[allow(unsafe_code, reason = "a session with a terminal is made between fork and exec")]
    pub(crate) fn start(run: &Onlay<'_>, size: (u16, u16)) -> Screen {
        let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
        let flags = flags | rustix::pty::OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).expect("a terminal");
        rustix::pty::grantpt(&master).and_then(|()| rustix::pty::unlockpt(&master)).expect("a terminal");
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).expect("its other end");
        let mut screen_size = rustix::termios::tcgetwinsize(&master).expect("a size");
        (screen_size.ws_row, screen_size.ws_col) = size;
        rustix::termios::tcsetwinsize(&master, screen_size).expect("a size");
        let words = run.words();
        let mut command = command(&words[0]);
        command.args(&words[1..]).env("TERM", "dumb");
        let stream = || Stdio::from(slave.try_clone().expect("a descriptor"));
        command.stdin(stream()).stdout(stream()).stderr(stream());
        // SAFETY: both calls are system calls.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            });
        }
        let child = command.spawn().expect("the program starts");
        Screen { master, child, shown: String::new() }
    }

    pub(crate) fn resize(&self, size: (u16, u16)) {
        let mut now = rustix::termios::tcgetwinsize(&self.master).expect("a size");
        (now.ws_row, now.ws_col) = size;
        rustix::termios::tcsetwinsize(&self.master, now).expect("a size");
    }

    pub(crate) fn type_keys(&self, keys: &str) {
        let mut rest = keys.as_bytes();
        while !rest.is_empty() {
            rest = &rest[rustix::io::write(&self.master, rest).expect("a terminal takes keys")..];
        }
    }

    /// Sends a signal to the program.
    pub(crate) fn signal(&self, signal: i32) {
        let pid =
            i32::try_from(self.child.id()).ok().and_then(onlay::sys::Pid::from_raw).expect("a process id");
        onlay::sys::send(pid, signal).expect("it runs, or has not been waited for");
    }

    /// Reads until a text is shown.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + LIMIT;
        while !self.shown.contains(text) {
            assert!(Instant::now() < end, "'{text}' is not shown, but: {}", self.shown);
            self.read();
        }
    }

    /// Waits for the program's end; how it ended, and all that was shown.
    pub(crate) fn finish(mut self) -> (ExitStatus, String) {
        let end = Instant::now() + LIMIT;
        loop {
            self.read();
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                while self.read() {}
                return (status, std::mem::take(&mut self.shown));
            }
            assert!(Instant::now() < end, "runs too long; shown: {}", self.shown);
        }
    }

    /// Reads what is shown by now; whether there was something.
    fn read(&mut self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut fds = [PollFd::from_borrowed_fd(self.master.as_fd(), PollFlags::IN)];
        let step = Timespec { tv_sec: 0, tv_nsec: 3_000_000 };
        let mut bytes = [0; 4096];
        if poll(&mut fds, Some(&step)) != Ok(1) {
            return false;
        }
        let Ok(length) = rustix::io::read(&self.master, &mut bytes) else {
            sleep(STEP);
            return false;
        };
        self.shown.push_str(&String::from_utf8_lossy(&bytes[..length]));
        length > 0
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
