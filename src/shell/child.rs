//! Starting the command's process and staying with it.

use std::path::Path;
use std::rc::Rc;

use super::Error;
use super::command::{Report, Terminal, replaced_by};
use super::guard::Guard;
use super::noting::Noting;
use super::session::{Finished, Session, watch_signals};
use crate::sys::{self, Channel, Forked, IoError, Pid, Pidfd, SignalFd, fork, terminal};

/// A process that is or will be the command.
pub(super) struct Child {
    pub(super) pid: Pid,
    pidfd: Pidfd,
    channel: Channel,
    signals: SignalFd,
    /// Whether the terminal was ours, for the command to take.
    was_in_front: bool,
    /// What it said when it could not be replaced.
    failure: Option<Report>,
    /// What is begun beside it when it has lasted a while.
    pub(super) noting: Option<Rc<Noting>>,
}

/// A pseudo-terminal where the command would otherwise hold the host's terminal.
pub(super) struct Pty {
    pair: terminal::Pty,
    streams: [bool; 3],
}

impl Pty {
    /// Opens one where input and output are a terminal; a pipe stays a pipe.
    pub(super) fn for_streams() -> Result<Option<Pty>, IoError> {
        use rustix::stdio::{stderr, stdin, stdout};
        let streams = [
            terminal::is_terminal(stdin()),
            terminal::is_terminal(stdout()),
            terminal::is_terminal(stderr()),
        ];
        if !(streams[0] && streams[1]) {
            return Ok(None);
        }
        let pair = terminal::open_pty(Path::new("/dev/pts/ptmx"), stdin())?;
        Ok(Some(Pty { pair, streams }))
    }
}

/// Forks; the child does what it is given and is not expected to come back.
pub(super) fn spawn(
    pty: Option<&Pty>,
    in_child: impl FnOnce(Option<&Terminal<'_>>, &Channel),
) -> Result<Child, IoError> {
    let signals = watch_signals()?;
    // A caller that ignores it would have the kernel forget how the command ended.
    sys::default_action(libc::SIGCHLD);
    let was_in_front = terminal::is_in_front(rustix::stdio::stdin());
    let (ours, theirs) = Channel::pair()?;
    match fork()? {
        Forked::Child => {
            drop(ours);
            let terminal = pty.map(|pty| Terminal { slave: &pty.pair.slave, streams: pty.streams });
            in_child(terminal.as_ref(), &theirs);
            // Each way to become a command ends in exec or exit.
            sys::exit_now(125)
        }
        Forked::Parent(pid) => {
            let pidfd = Pidfd::open(pid)?;
            Ok(Child { pid, pidfd, channel: ours, signals, was_in_front, failure: None, noting: None })
        }
    }
}

impl Child {
    /// Lets a child go on that waits until the view is ready.
    pub(super) fn go(&self) -> Result<(), IoError> {
        self.channel.send(b"G", None)
    }

    /// Turns to the process that a child has made to be the command in its place. A child that failed to
    /// stays, for [`Child::run`] to tell how it ended.
    pub(super) fn replaced(mut self) -> Result<Child, IoError> {
        let said = self.channel.receive()?.map(|message| message.bytes).unwrap_or_default();
        if let Some(pid) = replaced_by(&said) {
            // It has nothing left to do.
            self.pidfd.wait()?;
            // Strangers who traced the new one could have said any number.
            self.pidfd = Pidfd::of_child(pid)?;
            self.pid = pid;
        } else {
            self.failure = Report::parse(&said);
        }
        Ok(self)
    }

    /// Lets a child go that waits, and waits until it is gone.
    pub(super) fn abandon(self) {
        drop(self.channel);
        // Whatever it is that failed here, there is a first error to tell.
        let _ = self.pidfd.wait();
    }

    /// Waits until the command ends. `has_listener` says whether it sends the listener of a filter.
    pub(super) fn run(
        self,
        pty: Option<Pty>,
        guard: Option<Guard>,
        has_listener: bool,
    ) -> Result<Finished, Error> {
        let raw = match &pty {
            Some(_) => Some(terminal::RawMode::enter(rustix::stdio::stdin())?),
            None => None,
        };
        // Our copy of the command's end would keep the terminal open after it.
        let pty = pty.map(|pty| pty.pair.master);
        let was_in_front = self.was_in_front && pty.is_none();
        let (child, channel, signals, failure) = (self.pidfd, self.channel, self.signals, self.failure);
        let noting = self.noting;
        let session =
            Session { child, channel, signals, guard, was_in_front, pty, has_listener, failure, noting };
        let finished = session.run();
        drop(raw);
        finished.map_err(Error::from)
    }
}

/// In the child: waits for [`Child::go`]. A parent that failed, and is gone, needs no command.
pub(super) fn wait_for_go(channel: &Channel) {
    if !matches!(channel.receive(), Ok(Some(_))) {
        sys::exit_now(125);
    }
}
