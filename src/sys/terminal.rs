//! Terminals: raw mode that is undone, pseudo-terminals, window sizes.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, Once};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, OptionalActions, Termios, Winsize};

use super::{Context, IoError};

/// No passphrase is longer.
const LONGEST_SECRET: u64 = 4096;

/// Whether a descriptor is a terminal.
pub fn is_terminal(fd: impl AsFd) -> bool {
    rustix::termios::isatty(fd)
}

/// Raw mode on a terminal; its former mode comes back on drop, and when anything panics.
#[derive(Debug)]
pub struct RawMode<'a> {
    terminal: BorrowedFd<'a>,
    former: Termios,
}

/// The mode that the terminal had before it became raw. Where a panic ends the process, nothing is dropped.
static FORMER: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);

/// Has a panic give the terminal its former mode before it is told of, so that it can be read.
fn come_back_in_panic(terminal: BorrowedFd<'_>, former: &Termios) -> Result<(), IoError> {
    static HOOK: Once = Once::new();
    let copy = terminal.try_clone_to_owned().context("duplicate", "the terminal")?;
    if let Ok(mut known) = FORMER.lock() {
        *known = Some((copy, former.clone()));
    }
    HOOK.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // Whoever holds it may be who panics.
            if let Some((terminal, former)) = FORMER.try_lock().ok().and_then(|mut known| known.take()) {
                let _ = rustix::termios::tcsetattr(terminal, OptionalActions::Now, &former);
            }
            tell(panic);
        }));
    });
    Ok(())
}

impl<'a> RawMode<'a> {
    /// Switches it on.
    pub fn enter(terminal: BorrowedFd<'a>) -> Result<RawMode<'a>, IoError> {
        let former = rustix::termios::tcgetattr(terminal).context("read the mode of", "the terminal")?;
        come_back_in_panic(terminal, &former)?;
        let mut raw = former.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(terminal, OptionalActions::Now, &raw)
            .context("set the mode of", "the terminal")?;
        Ok(RawMode { terminal, former })
    }
}

impl Drop for RawMode<'_> {
    fn drop(&mut self) {
        if let Ok(mut known) = FORMER.lock() {
            *known = None;
        }
        // Nothing sensible is left to do where the terminal has gone.
        let _ = rustix::termios::tcsetattr(self.terminal, OptionalActions::Drain, &self.former);
    }
}

/// Asks for a line on the terminal of this process that is not shown while it is written; `None` where there is no terminal.
pub fn ask_secretly(question: &str) -> Result<Option<Vec<u8>>, IoError> {
    let opened = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty");
    let Ok(mut terminal) = opened else { return Ok(None) };
    let of = || "the terminal";
    let former = rustix::termios::tcgetattr(&terminal).context("read the mode of", of())?;
    let mut silent = former.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    rustix::termios::tcsetattr(&terminal, OptionalActions::Flush, &silent)
        .context("set the mode of", of())?;
    let asked = terminal.write_all(question.as_bytes());
    let mut line = Vec::new();
    let read =
        asked.and_then(|()| BufReader::new(&terminal).take(LONGEST_SECRET).read_until(b'\n', &mut line));
    rustix::termios::tcsetattr(&terminal, OptionalActions::Now, &former).context("set the mode of", of())?;
    let _ = terminal.write_all(b"\n");
    read.context("read", of())?;
    line.pop_if(|last| *last == b'\n');
    Ok(Some(line))
}

/// Both ends of a new pseudo-terminal (pty(7)).
#[derive(Debug)]
pub struct Pty {
    /// The end that we read and write.
    pub master: OwnedFd,
    /// The end that the command has as its terminal.
    pub slave: OwnedFd,
}

/// Opens a pair on the devpts instance whose `ptmx` this is, with the size of another terminal.
pub fn open_pty(ptmx: &Path, like: BorrowedFd<'_>) -> Result<Pty, IoError> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::open(ptmx, flags, Mode::empty()).context("open", ptmx)?;
    rustix::pty::unlockpt(&master).context("unlock", ptmx)?;
    let peer_flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, peer_flags).context("open the peer of", ptmx)?;
    copy_size(like, master.as_fd());
    Ok(Pty { master, slave })
}

/// Gives one terminal the window size of another; where either has none, nothing happens.
pub fn copy_size(from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
    let size: Result<Winsize, _> = rustix::termios::tcgetwinsize(from);
    if let Ok(size) = size {
        let _ = rustix::termios::tcsetwinsize(to, size);
    }
}

/// Makes a terminal the controlling one of this session leader and its standard streams.
pub fn adopt(slave: &OwnedFd, streams: [bool; 3]) -> Result<(), IoError> {
    rustix::process::ioctl_tiocsctty(slave).context("control", "the terminal")?;
    replace_streams(slave, streams)
}

/// Puts a terminal in the place of those standard streams that are marked.
pub fn replace_streams(slave: &OwnedFd, streams: [bool; 3]) -> Result<(), IoError> {
    let [input, output, error] = streams;
    if input {
        rustix::stdio::dup2_stdin(slave).context("open", "standard input")?;
    }
    if output {
        rustix::stdio::dup2_stdout(slave).context("open", "standard output")?;
    }
    if error {
        rustix::stdio::dup2_stderr(slave).context("open", "standard error")?;
    }
    Ok(())
}

/// Whether this process's group is in front of a terminal.
pub fn is_in_front(terminal: BorrowedFd<'_>) -> bool {
    rustix::termios::tcgetpgrp(terminal).is_ok_and(|front| front == rustix::process::getpgrp())
}

/// Puts this process's group back in front of a terminal, where a command that died kept it.
pub fn take_foreground(terminal: BorrowedFd<'_>) {
    // Writing to the terminal's settings from the background would stop us otherwise.
    super::signal::ignore(libc::SIGTTOU);
    let _ = rustix::termios::tcsetpgrp(terminal, rustix::process::getpgrp());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_gives_the_terminal_its_mode_back() {
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        rustix::pty::unlockpt(&master).expect("it is ours");
        let name = rustix::pty::ptsname(&master, Vec::new()).expect("it has a name");
        let terminal = rustix::fs::open(&*name, flags, Mode::empty()).expect("its other end");
        let is_raw = || {
            let mode = rustix::termios::tcgetattr(&terminal).expect("a terminal");
            !mode.local_modes.contains(LocalModes::ICANON)
        };
        let raw = RawMode::enter(terminal.as_fd()).expect("a terminal");
        assert!(is_raw());
        std::thread::spawn(|| panic!("as a fault would")).join().expect_err("it panics");
        assert!(!is_raw());
        drop(raw);
        assert!(!is_raw());
    }
}
