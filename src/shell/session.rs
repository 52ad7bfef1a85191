//! The parent's side: while the command runs.
//!
//! One loop watches the child, its reports, the signals that it is to get, the filter's questions
//! and, for an isolated command on a terminal, both directions of its pseudo-terminal.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::command::Report;
use super::guard::Guard;
use crate::sys::{Channel, Context, Ended, IoError, Listener, Pidfd, SignalFd, events_now, terminal};

/// Signals that are meant for the command when somebody sends them to Onlay.
pub(super) const FORWARDED: &[i32] =
    &[libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2];

/// What the loop watches.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) child: Pidfd,
    pub(super) channel: Channel,
    pub(super) signals: SignalFd,
    pub(super) guard: Option<Guard>,
    /// Whether the command got the terminal from us, and may have kept it.
    pub(super) was_in_front: bool,
    /// The master of a pseudo-terminal that stands for ours.
    pub(super) pty: Option<OwnedFd>,
}

/// How a session ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) ended: Ended,
    pub(super) failure: Option<Report>,
    /// What is left of the filter, to learn when the last process has gone.
    pub(super) listener: Option<Listener>,
}

/// Signals to watch: those that are handed on, and changes of the window.
pub(super) fn watch_signals() -> Result<SignalFd, IoError> {
    let mut signals = FORWARDED.to_vec();
    signals.push(libc::SIGWINCH);
    SignalFd::block(&signals)
}

impl Session {
    /// Waits until the command ends.
    pub(super) fn run(self) -> Result<Finished, IoError> {
        let mut state =
            State { listener: None, failure: None, killed: None, channel_open: true, filter_open: true };
        let stdin = rustix::stdio::stdin();
        let mut input_open = self.pty.is_some();
        let mut output_open = self.pty.is_some();
        loop {
            let ready = self.wait(&state, stdin, input_open, output_open)?;
            if ready.channel {
                state.take_report(&self.channel)?;
            }
            if let (true, Some(listener), Some(guard)) = (ready.filter, &state.listener, &self.guard) {
                guard.serve(listener)?;
            }
            // A hang-up would wake us again and again until the command has wholly ended.
            state.filter_open &= !ready.filter_gone;
            if ready.signals {
                self.hand_on_signals();
            }
            if let Some(pty) = &self.pty {
                if ready.output {
                    output_open = copy(pty.as_fd(), rustix::stdio::stdout());
                }
                if ready.input {
                    input_open = copy(stdin, pty.as_fd());
                }
            }
            if ready.child && !ready.output {
                return self.finish(state);
            }
        }
    }

    fn wait(
        &self,
        state: &State,
        stdin: BorrowedFd<'_>,
        input_open: bool,
        output_open: bool,
    ) -> Result<Ready, IoError> {
        // A descriptor that is not watched gets no events asked for, and its place in the list.
        let flags = |watched: bool| if watched { PollFlags::IN } else { PollFlags::empty() };
        let placeholder = self.signals.as_fd();
        let listener =
            state.listener.as_ref().filter(|_| state.filter_open && self.guard.is_some()).map(AsFd::as_fd);
        let pty = self.pty.as_ref().filter(|_| output_open).map(AsFd::as_fd);
        let mut fds = [
            PollFd::from_borrowed_fd(self.child.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(
                if state.channel_open { self.channel.as_fd() } else { placeholder },
                flags(state.channel_open),
            ),
            PollFd::from_borrowed_fd(listener.unwrap_or(placeholder), flags(listener.is_some())),
            PollFd::from_borrowed_fd(pty.unwrap_or(placeholder), flags(pty.is_some())),
            PollFd::from_borrowed_fd(if input_open { stdin } else { placeholder }, flags(input_open)),
        ];
        loop {
            match poll(&mut fds, None) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("wait for", "the command"),
            }
        }
        let readable = |index: usize| fds[index].revents().contains(PollFlags::IN);
        let touched = |index: usize| !fds[index].revents().is_empty();
        Ok(Ready {
            child: readable(0),
            signals: readable(1),
            channel: state.channel_open && touched(2),
            filter: listener.is_some() && readable(3),
            filter_gone: listener.is_some() && !readable(3) && touched(3),
            output: pty.is_some() && touched(4),
            input: input_open && touched(5),
        })
    }

    /// A key on the terminal reaches the command by itself, unless there is a terminal between.
    fn hand_on_signals(&self) {
        while let Some(info) = self.signals.next() {
            match (info.signal, &self.pty) {
                (libc::SIGWINCH, Some(pty)) => terminal::copy_size(rustix::stdio::stdin(), pty.as_fd()),
                (libc::SIGWINCH, None) => {}
                (signal, pty) if pty.is_some() || !info.from_kernel => {
                    // It may have ended this moment.
                    let _ = self.child.signal(signal);
                }
                _ => {}
            }
        }
    }

    fn finish(self, mut state: State) -> Result<Finished, IoError> {
        let ended = self.child.wait()?;
        // What it said last.
        while state.channel_open && has_input(self.channel.as_fd()) {
            state.take_report(&self.channel)?;
        }
        if self.was_in_front {
            terminal::take_foreground(rustix::stdio::stdin());
        }
        let ended = state.killed.map_or(ended, Ended::Killed);
        Ok(Finished { ended, failure: state.failure, listener: state.listener })
    }
}

struct State {
    listener: Option<Listener>,
    failure: Option<Report>,
    killed: Option<i32>,
    channel_open: bool,
    filter_open: bool,
}

impl State {
    fn take_report(&mut self, channel: &Channel) -> Result<(), IoError> {
        let Some(message) = channel.receive()? else {
            self.channel_open = false;
            return Ok(());
        };
        if let Some(fd) = message.fd {
            self.listener = Some(Listener::from_fd(fd));
            return Ok(());
        }
        match Report::parse(&message.bytes) {
            Some(Report::Killed(signal)) => self.killed = Some(signal),
            Some(report) => self.failure = Some(report),
            None => {}
        }
        Ok(())
    }
}

struct Ready {
    child: bool,
    signals: bool,
    channel: bool,
    filter: bool,
    /// No process with the filter is left.
    filter_gone: bool,
    output: bool,
    input: bool,
}

pub(super) fn has_input(fd: BorrowedFd<'_>) -> bool {
    !events_now(fd, PollFlags::IN).is_empty()
}

/// Copies what is there now; `false` at the end of input.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut buffer = [0u8; 4096];
    let Ok(length @ 1..) = rustix::io::read(from, &mut buffer) else { return false };
    let mut rest = &buffer[..length];
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}
