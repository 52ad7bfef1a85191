//! The init of an isolated overlay, from inside.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::child::wait_for_go;
use super::command::{Command, Report, Terminal, become_confined};
use super::session::FORWARDED;
use super::view;
use crate::sys::{self, Channel, Context, Ended, Forked, IoError, Pid, SignalFd, fork, reap_any, terminal};

/// Mounts /proc, runs the command and waits for it. The answer is the exit code.
pub(super) fn run_init(
    command: &Command,
    pty: Option<&Terminal<'_>>,
    channel: &Channel,
) -> Result<u8, IoError> {
    sys::die_with_parent(libc::SIGKILL)?;
    wait_for_go(channel);
    if let Some(pty) = pty {
        // Through process 1, the command must not reach the terminal that it was kept from.
        terminal::replace_streams(pty.slave, pty.streams)?;
    }
    view::mount_proc()?;
    let mut watched = FORWARDED.to_vec();
    watched.push(libc::SIGCHLD);
    let signals = SignalFd::block(&watched)?;
    // A command with CAP_SYS_PTRACE could act through a process 1 that may do more than itself.
    command.confinement.apply(channel)?;
    let payload = match fork()? {
        Forked::Child => become_confined(command, pty, channel),
        Forked::Parent(pid) => pid,
    };
    let ended = wait_for(payload, &signals)?;
    if let Ended::Killed(signal) = ended {
        Report::Killed(signal).send(channel);
    }
    Ok(ended.shell_code())
}

fn wait_for(payload: Pid, signals: &SignalFd) -> Result<Ended, IoError> {
    loop {
        let mut fds = [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for", "signals"),
        }
        while let Some(info) = signals.next() {
            // A script inside that signals process 1 means an init that reads its settings again, not
            // the command (which is the package manager that runs the script).
            if info.signal != libc::SIGCHLD && info.sender.is_none() {
                // It may have ended this moment.
                let _ = sys::send(payload, info.signal);
            }
        }
        while let Some((pid, ended)) = reap_any()? {
            if pid == payload {
                return Ok(ended);
            }
        }
    }
}
