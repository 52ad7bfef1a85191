//! The child's side: becoming the command.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::Error;
use super::cgroups::Cgroups;
use super::child::wait_for_go;
use super::guard;
use super::system_calls::Grant;
use crate::overlay::Mode;
use crate::sys::{
    self, Channel, Filter, Forked, IoError, Namespace, Pid, close_all_but, drop_capabilities, exec, exit_now,
    fork_sibling, new_session, refuse_tracing, restore_signals, terminal, with_causes,
};

/// What the command is and how it may run.
#[derive(Debug)]
pub(super) struct Command {
    /// What was asked for; empty is a shell.
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) directory: PathBuf,
    /// What runs before it, silently, whatever comes of it.
    pub(super) before: Vec<Vec<String>>,
    pub(super) confinement: Confinement,
}

impl Command {
    /// What to call it in messages.
    pub(super) fn name(&self) -> &OsStr {
        self.arguments.first().map_or(OsStr::new("a shell"), OsString::as_os_str)
    }
}

/// How far the command is held back.
#[derive(Debug)]
pub(super) struct Confinement {
    capabilities: Vec<&'static str>,
    /// `None` for a command that is not held back.
    filter: Option<Filter>,
    /// Whether the parent answers for the filter, or only watches it.
    pub(super) has_listener: bool,
}

impl Confinement {
    pub(super) fn of(mode: Mode, private_network: bool, unguarded: bool) -> Confinement {
        let granted = |grant: Grant| Confinement {
            capabilities: grant.dropped_capabilities(private_network),
            filter: Some(grant.filter()),
            has_listener: false,
        };
        match mode {
            Mode::Host if unguarded => Confinement {
                capabilities: Vec::new(),
                filter: Some(guard::empty_filter()),
                has_listener: true,
            },
            Mode::Host => Confinement {
                capabilities: guard::DROPPED.to_vec(),
                filter: Some(guard::filter()),
                has_listener: true,
            },
            Mode::Isolated => granted(Grant::Isolated),
            Mode::Booted => granted(Grant::Nspawn),
        }
    }

    /// None at all.
    pub(super) fn none() -> Confinement {
        Confinement { capabilities: Vec::new(), filter: None, has_listener: false }
    }

    /// Applies both for good; what the parent is to have goes through the channel.
    pub(super) fn apply(&self, channel: &Channel) -> Result<(), IoError> {
        // While CAP_SYS_ADMIN is there, the filter may come without no_new_privs: su and sudo work.
        match &self.filter {
            Some(filter) if self.has_listener => {
                use std::os::fd::AsFd;
                let listener = filter.install_with_listener()?;
                channel.send(&[Report::LISTENER], Some(listener.as_fd()))?;
            }
            Some(filter) => filter.install()?,
            None => {}
        }
        drop_capabilities(&self.capabilities)
    }
}

/// What the child tells its parent: a tag, then what belongs to it.
#[derive(Debug)]
pub(super) enum Report {
    /// Preparing failed, with these words.
    Unprepared(String),
    /// The command could not be executed, with this errno.
    NotExecuted(i32),
    /// The command ended by this signal (told by an init, which cannot die by it).
    Killed(i32),
}

impl Report {
    pub(super) const LISTENER: u8 = b'L';

    pub(super) fn send(&self, channel: &Channel) {
        let bytes = match self {
            Report::Unprepared(words) => [b"P", words.as_bytes()].concat(),
            Report::NotExecuted(errno) => [b"E".as_slice(), &errno.to_le_bytes()].concat(),
            Report::Killed(signal) => [b"K".as_slice(), &signal.to_le_bytes()].concat(),
        };
        // A parent that has gone cannot be told.
        let _ = channel.send(&bytes, None);
    }

    /// Why there was no command, which is called so in messages; `None` of one that ended by a signal.
    pub(super) fn into_error(self, command: &OsStr) -> Option<Error> {
        match self {
            Report::Unprepared(words) => Some(Error::Preparation(words)),
            Report::NotExecuted(errno) => Some(Error::Command {
                command: command.to_owned(),
                source: std::io::Error::from_raw_os_error(errno),
            }),
            Report::Killed(_) => None,
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Report> {
        let (tag, rest) = bytes.split_first()?;
        let number = || rest.try_into().ok().map(i32::from_le_bytes);
        match tag {
            b'P' => Some(Report::Unprepared(String::from_utf8_lossy(rest).into_owned())),
            b'E' => number().map(Report::NotExecuted),
            b'K' => number().map(Report::Killed),
            _ => None,
        }
    }
}

/// What a child says, before all reports, that has made a sibling to be the command in its place.
fn replacement(pid: Pid) -> Vec<u8> {
    [b"R".as_slice(), &pid.as_raw().to_le_bytes()].concat()
}

/// Who will be the command in a child's place, if the child said so.
pub(super) fn replaced_by(bytes: &[u8]) -> Option<Pid> {
    Pid::from_raw(i32::from_le_bytes(bytes.strip_prefix(b"R")?.try_into().ok()?))
}

/// Becomes the command. What goes wrong is told through the channel.
pub(super) fn become_command(command: &Command, channel: &Channel) -> ! {
    let prepared = prepare(command, None).and_then(|()| command.confinement.apply(channel));
    become_prepared(command, prepared, channel)
}

/// Becomes the command once the parent says that the view is ready; until then it prepares.
pub(super) fn become_command_when_ready(command: &Command, channel: &Channel) -> ! {
    let prepared = sys::die_with_parent(libc::SIGKILL).and_then(|()| {
        restore_signals();
        command.confinement.apply(channel)
    });
    wait_for_go(channel);
    enter_directory(&command.directory);
    become_prepared(command, prepared, channel)
}

/// Those whom a command joins without being trusted by them, or trusting them.
#[derive(Debug)]
pub(super) struct Strangers {
    pub(super) processes: Namespace,
    pub(super) cgroups: Cgroups,
}

/// Makes the process that becomes the command among strangers. They see it from its first moment, and
/// may look into it: so this one, which they do not see, strips itself of all that they may not have,
/// and only then enters their PID namespace, for children. It has nothing else to do; its parent waits
/// for the command, not for it.
pub(super) fn become_command_among(
    strangers: &Strangers,
    command: &Command,
    pty: Option<&Terminal<'_>>,
    channel: &Channel,
) -> ! {
    match strip(strangers, command, pty, channel).and_then(|()| fork_sibling()) {
        Ok(Forked::Child) => {
            let prepared = prepare(command, pty);
            wait_for_go(channel);
            become_prepared(command, prepared, channel)
        }
        Ok(Forked::Parent(pid)) => {
            // A parent that has gone cannot be told.
            let _ = channel.send(&replacement(pid), None);
            exit_now(0)
        }
        Err(error) => {
            Report::Unprepared(with_causes(&error)).send(channel);
            exit_now(125)
        }
    }
}

/// Leaves this process with no more than strangers have themselves.
fn strip(
    strangers: &Strangers,
    command: &Command,
    pty: Option<&Terminal<'_>>,
    channel: &Channel,
) -> Result<(), IoError> {
    strangers.cgroups.enter()?;
    // This takes CAP_SYS_ADMIN, which goes with the next step.
    sys::join(&strangers.processes)?;
    command.confinement.apply(channel)?;
    keep_only(channel, pty)
}

/// Leaves of all descriptors those that lead nowhere out of the view, and keeps the rest of this process
/// from who may not trace it.
fn keep_only(channel: &Channel, pty: Option<&Terminal<'_>>) -> Result<(), IoError> {
    use std::os::fd::AsFd;
    let mut kept = vec![channel.as_fd()];
    kept.extend(pty.map(|pty| pty.slave.as_fd()));
    close_all_but(&kept);
    refuse_tracing()
}

/// Becomes the command below an init, whose confinement it inherits.
pub(super) fn become_confined(command: &Command, pty: Option<&Terminal<'_>>, channel: &Channel) -> ! {
    become_prepared(command, prepare(command, pty), channel)
}

fn become_prepared(command: &Command, prepared: Result<(), IoError>, channel: &Channel) -> ! {
    if let Err(error) = prepared {
        Report::Unprepared(with_causes(&error)).send(channel);
        exit_now(125);
    }
    for other in &command.before {
        // What cannot be run here is not needed here.
        let _ = run_silently(other, &command.environment);
    }
    let failure = exec(&arguments(&command.arguments), &command.environment);
    let errno = failure.errno().unwrap_or(libc::EINVAL);
    Report::NotExecuted(errno).send(channel);
    exit_now(exec_failure_code(errno));
}

/// Where programs of the system are, whatever the caller's PATH says.
const PROGRAMS: &[&str] = &["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Runs a program of the system to its end.
fn run_silently(words: &[String], environment: &[(OsString, OsString)]) -> Result<(), IoError> {
    let Some((name, others)) = words.split_first() else { return Ok(()) };
    match sys::fork()? {
        Forked::Parent(pid) => sys::wait(pid).map(drop),
        Forked::Child => {
            if sys::die_with_parent(libc::SIGKILL).and_then(|()| sys::let_go_of_streams()).is_ok() {
                for directory in PROGRAMS {
                    let program = Path::new(directory).join(name).into_os_string();
                    let words: Vec<OsString> =
                        std::iter::once(program).chain(others.iter().map(OsString::from)).collect();
                    let _ = exec(&words, environment);
                }
            }
            exit_now(127)
        }
    }
}

/// What a shell answers when it cannot execute: 127 for what is not there, 126 for what is no
/// program.
pub fn exec_failure_code(errno: i32) -> u8 {
    if errno == libc::ENOENT { 127 } else { 126 }
}

/// A pseudo-terminal, and which of the standard streams it is to replace.
#[derive(Debug)]
pub(super) struct Terminal<'a> {
    pub(super) slave: &'a std::os::fd::OwnedFd,
    pub(super) streams: [bool; 3],
}

fn prepare(command: &Command, pty: Option<&Terminal<'_>>) -> Result<(), IoError> {
    sys::die_with_parent(libc::SIGKILL)?;
    restore_signals();
    if let Some(pty) = pty {
        new_session()?;
        terminal::adopt(pty.slave, pty.streams)?;
    }
    enter_directory(&command.directory);
    Ok(())
}

/// The caller's directory where the view has it, else the root: a private /tmp has not.
fn enter_directory(directory: &Path) {
    if rustix::process::chdir(directory).is_err() {
        // The root of a view is always there.
        let _ = rustix::process::chdir("/");
    }
}

/// The init of an isolated overlay: process 1, which runs the command, collects whatever ends,
/// hands signals on, and ends with the command (and with it everything in its PID namespace).
pub(super) fn become_init(command: &Command, pty: Option<&Terminal<'_>>, channel: &Channel) -> ! {
    // Whoever is inside sees process 1.
    let code = keep_only(channel, pty).and_then(|()| super::isolate::run_init(command, pty, channel));
    let code = code.unwrap_or_else(|error| {
        Report::Unprepared(with_causes(&error)).send(channel);
        125
    });
    exit_now(code)
}

/// The command that was asked for, else the caller's shell where the view has it.
fn arguments(asked: &[OsString]) -> Vec<OsString> {
    if !asked.is_empty() {
        return asked.to_vec();
    }
    let is_there = |shell: &OsString| {
        let path = Path::new(shell);
        path.is_absolute() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
    };
    vec![std::env::var_os("SHELL").filter(is_there).unwrap_or_else(|| OsString::from("/bin/sh"))]
}

/// The caller's environment, and the overlay's name: for prompts (Debian's shows `debian_chroot`)
/// and for scripts.
pub(super) fn environment(name: &str, offline: bool) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let mut set = |key: &str, value: &str| {
        variables.retain(|(known, _)| known != OsStr::new(key));
        variables.push((key.into(), value.into()));
    };
    set("ONLAY_OVERLAY", name);
    set("debian_chroot", &format!("onlay:{name}"));
    if offline {
        // For systemd's own scripts in packages; systemctl sees by itself that it is elsewhere.
        set("SYSTEMD_OFFLINE", "1");
    } else {
        set("SYSTEMD_IGNORE_CHROOT", "1");
    }
    variables
}
