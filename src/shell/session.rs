//! The parent's side: while the command runs.
//!
//! One loop watches the child, its reports, the signals that it is to get, the filter's questions
//! and, for an isolated command on a terminal, both directions of its pseudo-terminal.

use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::command::Report;
use super::guard::Guard;
use super::noting::{AFTER, Noting};
use crate::sys::{
    Channel, Context, Ended, IoError, Listener, Pidfd, SignalFd, SignalInfo, events_now, terminal,
};

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
    /// Whether the child sends the listener of its filter.
    pub(super) has_listener: bool,
    /// What the child has said already.
    pub(super) failure: Option<Report>,
    /// What is to be begun when the command has lasted a while.
    pub(super) noting: Option<Rc<Noting>>,
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

/// How much is shown of what comes out of the pseudo-terminal after the command's end. More than the
/// kernel holds back of one (some 14 KB: 8 KiB on the way and 4 KiB to be read, and what rounding adds), so
/// all that the command wrote; but whoever it left running may write for ever.
const LAST_WORDS: usize = 64 * 1024;

impl Session {
    /// Waits until the command ends.
    pub(super) fn run(mut self) -> Result<Finished, IoError> {
        if let Some(pty) = &self.pty {
            // A command that does not read what is typed or pasted must not stop the rest.
            let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NONBLOCK;
            rustix::fs::fcntl_setfl(pty, flags).context("set the mode of", "the pseudo-terminal")?;
            // The window may have changed since the pair was made, before that was watched.
            terminal::copy_size(rustix::stdio::stdin(), pty.as_fd());
        }
        let has_pty = self.pty.is_some();
        let mut state = State {
            listener: None,
            failure: self.failure.take(),
            killed: None,
            channel_open: true,
            filter_open: true,
            has_ended: false,
            input: Flow::new(has_pty),
            output: Flow::new(has_pty),
        };
        loop {
            let Some(ready) = self.wait(&state)? else {
                if let Some(noting) = self.noting.take() {
                    noting.start();
                }
                continue;
            };
            if ready.channel {
                state.take_report(&self.channel, self.has_listener)?;
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
                    state.output.go_on(pty.as_fd(), rustix::stdio::stdout());
                }
                if ready.input {
                    state.input.go_on(rustix::stdio::stdin(), pty.as_fd());
                }
            }
            if ready.child && !state.has_ended {
                state.has_ended = true;
                // What is typed from here on is meant for the caller's shell.
                state.input = Flow::new(false);
                state.output.bound(LAST_WORDS);
            }
            if state.has_ended && self.pty.as_ref().is_none_or(|pty| state.output.is_done(pty.as_fd())) {
                return self.finish(state);
            }
        }
    }

    /// Waits for something; `None` when there was nothing for so long that it is time for what is to be begun.
    fn wait(&self, state: &State) -> Result<Option<Ready>, IoError> {
        // A descriptor that is not watched is asked for no events, and its place in the list.
        let nothing = (self.signals.as_fd(), PollFlags::empty());
        let input_of = |fd, is_watched: bool| is_watched.then_some((fd, PollFlags::IN));
        let listener = state.listener.as_ref().filter(|_| state.filter_open && self.guard.is_some());
        let pty = self.pty.as_ref().map(AsFd::as_fd);
        let mut fds = [
            input_of(self.child.as_fd(), !state.has_ended),
            input_of(self.signals.as_fd(), true),
            input_of(self.channel.as_fd(), state.channel_open),
            listener.map(|listener| (listener.as_fd(), PollFlags::IN)),
            pty.and_then(|pty| state.output.waits_for(pty, rustix::stdio::stdout())),
            pty.and_then(|pty| state.input.waits_for(rustix::stdio::stdin(), pty)),
        ]
        .map(|watched| watched.unwrap_or(nothing))
        .map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags));
        let patience = self.noting.as_ref().and_then(|_| Timespec::try_from(AFTER).ok());
        loop {
            match poll(&mut fds, patience.as_ref()) {
                Ok(0) => return Ok(None),
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("wait for", "the command"),
            }
        }
        let readable = |index: usize| fds[index].revents().contains(PollFlags::IN);
        let touched = |index: usize| !fds[index].revents().is_empty();
        Ok(Some(Ready {
            child: readable(0),
            signals: readable(1),
            channel: touched(2),
            filter: readable(3),
            filter_gone: !readable(3) && touched(3),
            output: touched(4),
            input: touched(5),
        }))
    }

    fn hand_on_signals(&self) {
        while let Some(info) = self.signals.next() {
            match (info.signal, &self.pty) {
                (libc::SIGWINCH, Some(pty)) => terminal::copy_size(rustix::stdio::stdin(), pty.as_fd()),
                (libc::SIGWINCH, None) => {}
                (signal, _) if !self.reaches_the_command(&info) => {
                    // It may have ended this moment.
                    let _ = self.child.signal(signal);
                }
                _ => {}
            }
        }
    }

    /// Whether a signal went to the command as well as to us. A key on the terminal does, unless there is
    /// a terminal between; and so does what somebody inside sends to the group that we and the command are in.
    fn reaches_the_command(&self, info: &SignalInfo) -> bool {
        let is_inside = |sender| self.guard.as_ref().is_some_and(|guard| guard.is_inside(sender));
        self.pty.is_none() && (info.from_kernel || info.sender.is_some_and(is_inside))
    }

    fn finish(self, mut state: State) -> Result<Finished, IoError> {
        let ended = self.child.wait()?;
        // What it said last.
        while state.channel_open && has_input(self.channel.as_fd()) {
            state.take_report(&self.channel, self.has_listener)?;
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
    has_ended: bool,
    /// What is typed, and what is shown, where there is a pseudo-terminal.
    input: Flow,
    output: Flow,
}

impl State {
    fn take_report(&mut self, channel: &Channel, has_listener: bool) -> Result<(), IoError> {
        let Some(message) = channel.receive()? else {
            self.channel_open = false;
            return Ok(());
        };
        if let Some(fd) = message.fd {
            // One, from a child that is to send one: another could be anything.
            if has_listener && self.listener.is_none() && message.bytes == [Report::LISTENER] {
                self.listener = Some(Listener::from_fd(fd));
            }
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

/// One direction of a pseudo-terminal. What was read and cannot be written yet is kept, and nothing
/// more is read until it is gone.
struct Flow {
    buffer: [u8; 4096],
    pending: Range<usize>,
    is_open: bool,
    /// How much is to be read yet.
    rest: usize,
}

impl Flow {
    fn new(is_open: bool) -> Flow {
        Flow { buffer: [0; 4096], pending: 0..0, is_open, rest: usize::MAX }
    }

    fn bound(&mut self, bytes: usize) {
        self.rest = bytes;
    }

    fn waits_for<'a>(&self, from: BorrowedFd<'a>, to: BorrowedFd<'a>) -> Option<(BorrowedFd<'a>, PollFlags)> {
        match (self.pending.is_empty(), self.is_open) {
            (false, _) => Some((to, PollFlags::OUT)),
            (true, true) => Some((from, PollFlags::IN)),
            (true, false) => None,
        }
    }

    /// Does what it waited for.
    fn go_on(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
        let moved = if self.pending.is_empty() {
            rustix::io::read(from, &mut self.buffer).map(|length| {
                self.is_open = length > 0;
                self.pending = 0..length;
                self.rest = self.rest.saturating_sub(length);
            })
        } else {
            rustix::io::write(to, &self.buffer[self.pending.clone()])
                .map(|written| self.pending.start += written)
        };
        match moved {
            Ok(()) | Err(Errno::INTR | Errno::AGAIN) => {}
            // Of a pseudo-terminal, that nobody has its other end any more.
            Err(_) => (self.is_open, self.pending) = (false, 0..0),
        }
    }

    /// Whether nothing more is there, or nothing more is wanted.
    fn is_done(&self, from: BorrowedFd<'_>) -> bool {
        self.pending.is_empty() && (!self.is_open || self.rest == 0 || !has_input(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_state() -> State {
        State {
            listener: None,
            failure: None,
            killed: None,
            channel_open: true,
            filter_open: true,
            has_ended: false,
            input: Flow::new(false),
            output: Flow::new(false),
        }
    }

    fn identity(fd: impl AsFd) -> (u64, u64) {
        let stat = rustix::fs::fstat(fd).expect("an open descriptor");
        (stat.st_dev, stat.st_ino)
    }

    #[test]
    fn a_listener_is_taken_once_and_where_one_is_expected() {
        let (ours, theirs) = Channel::pair().expect("a channel");
        let (first, second) = rustix::pipe::pipe().expect("two descriptors");
        let (third, _) = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )
        .expect("another");
        let send = |bytes: &[u8], fd: BorrowedFd<'_>| theirs.send(bytes, Some(fd)).expect("it is sent");

        let mut state = new_state();
        send(&[Report::LISTENER], first.as_fd());
        state.take_report(&ours, false).expect("it is read");
        assert!(state.listener.is_none(), "none is expected");

        send(b"other", third.as_fd());
        state.take_report(&ours, true).expect("it is read");
        assert!(state.listener.is_none(), "a descriptor of something else");

        for fd in [first.as_fd(), third.as_fd(), second.as_fd()] {
            send(&[Report::LISTENER], fd);
            state.take_report(&ours, true).expect("it is read");
        }
        let taken = state.listener.expect("the first was");
        assert_eq!(identity(&taken), identity(&first));
        assert!(state.failure.is_none() && state.channel_open);
    }

    #[test]
    fn an_endless_flow_is_done_when_enough_has_come() {
        let open = |path: &str| std::fs::File::options().read(true).write(true).open(path).expect("a device");
        let (zero, full) = (open("/dev/zero"), open("/dev/null"));
        let mut flow = Flow::new(true);
        for _ in 0..1000 {
            flow.go_on(zero.as_fd(), full.as_fd());
        }
        assert!(!flow.is_done(zero.as_fd()), "there is always more");
        flow.bound(10_000);
        let steps = (1..100).find(|_| {
            flow.go_on(zero.as_fd(), full.as_fd());
            flow.is_done(zero.as_fd())
        });
        assert_eq!(steps, Some(6), "three pieces are read and written");
    }

    #[test]
    fn what_cannot_be_written_is_kept_and_nothing_more_is_read() {
        let flags = rustix::pipe::PipeFlags::NONBLOCK;
        let (source, feed) = rustix::pipe::pipe_with(flags).expect("a pipe");
        let (drain, target) = rustix::pipe::pipe_with(flags).expect("a pipe");
        while rustix::io::write(&target, &[b'-'; 4096]).is_ok() {}
        rustix::io::write(&feed, b"one").expect("there is room");
        let mut flow = Flow::new(true);
        for expected in [PollFlags::IN, PollFlags::OUT, PollFlags::OUT] {
            let (_, flags) = flow.waits_for(source.as_fd(), target.as_fd()).expect("it is open");
            assert_eq!(flags, expected);
            flow.go_on(source.as_fd(), target.as_fd());
        }
        rustix::io::write(&feed, b"two").expect("there is room");
        let mut buffer = vec![0; 1 << 20];
        while rustix::io::read(&drain, &mut buffer).is_ok() {}
        for _ in 0..4 {
            flow.go_on(source.as_fd(), target.as_fd());
        }
        let length = rustix::io::read(&drain, &mut buffer).expect("it was written");
        assert_eq!(&buffer[..length], b"onetwo");
        drop(feed);
        flow.go_on(source.as_fd(), target.as_fd());
        assert!(flow.waits_for(source.as_fd(), target.as_fd()).is_none(), "its source has ended");
    }
}
