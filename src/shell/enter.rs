//! Carrying a plan out: making the view or joining it, running the command, leaving.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::command::{Command, Confinement, Report, Terminal, become_command, become_init};
use super::guard::Guard;
use super::plan::{Entrance, Plan};
use super::session::{Finished, Session, watch_signals};
use super::{Error, command, view};
use crate::event::{Event, Events};
use crate::overlay::{
    self, Left, Mode, OverlayName, Overlays, Presence, Running, RunningOverlay, Storage, assemble,
};
use crate::sys::{
    self, Channel, Context, Ended, Forked, IoError, Listener, Lock, Namespace, Namespaces, Pid, Pidfd,
    Propagation, Root, attach, fork, has_capability, process_start_time, terminal,
};

/// How it went.
#[derive(Debug)]
pub struct Outcome {
    /// How the command ended.
    pub ended: Ended,
    /// The overlay's name.
    pub name: OverlayName,
    /// What is left of it.
    pub remains: Remains,
}

/// What a session leaves.
#[derive(Debug)]
pub enum Remains {
    /// An overlay on disk: its directory, to be looked into.
    Kept(Root),
    /// Nothing: it was in RAM.
    Nothing,
    /// Others are still in it, or processes that the command left running.
    InUse,
}

/// Enters an overlay as planned and returns when the command has ended.
pub fn enter(mut plan: Plan, events: &mut dyn Events) -> Result<Outcome, Error> {
    let entry = plan.presence.lock_entry()?;
    // Somebody may have come or gone since the plan was made.
    if !matches!(plan.entrance, Entrance::Temporary) || plan.request.name.is_some() {
        plan.entrance = super::plan::entrance(&plan.request, &plan.name, &plan.presence)?;
    }
    let Some(usage) = plan.presence.use_overlay(&plan.name)? else {
        return Err(overlay::Error::InUse { name: plan.name, pid: None }.into());
    };
    match std::mem::replace(&mut plan.entrance, Entrance::Temporary) {
        Entrance::Join(running) => join(plan, running, entry, usage, events),
        entrance => enter_new(plan, entrance, entry, usage, events),
    }
}

/// Makes a view and runs the command in it.
fn enter_new(
    plan: Plan,
    entrance: Entrance,
    entry: Lock,
    usage: Lock,
    events: &mut dyn Events,
) -> Result<Outcome, Error> {
    let directory = current_directory();
    let mut kept = open_kept(&plan, entrance, events)?;
    let prepared = prepare_view(&plan, kept.as_mut(), events);
    let (view, ram) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            if let Some(Kept { overlays, is_new: true, .. }) = &kept {
                // It was never entered, so nobody misses it.
                overlays.remove(&plan.name)?;
            }
            return Err(error);
        }
    };
    let kept_dir = kept.map(|kept| kept.dir);
    if plan.request.mode == Mode::Booted {
        return super::boot::boot(plan, &view, kept_dir, entry, usage, events);
    }
    // In the new root, /proc will belong to another PID namespace, or to none yet.
    let proc = Root::open("/proc")?;
    let namespace = Namespace::mount_of(Pid::own())?.identity()?;
    sys::enter_root(&view)?;
    drop((view, ram));
    events.tell(entered(&plan, false));
    let pty = isolated_pty(&plan)?;
    let command = the_command(&plan, directory, &plan.request);
    let child = start(&plan.request, &command, pty.as_ref())?;
    let leader = if plan.request.mode == Mode::Isolated { child.pid } else { Pid::own() };
    plan.presence.announce(&plan.name, &running(&plan.request, leader, &proc, namespace))?;
    drop(entry);
    let guard = guard_for(&plan.request);
    let finished = child.run(pty, guard)?;
    let started = Started { presence: plan.presence, name: plan.name, usage, kept: kept_dir, guard };
    leave(started, finished, &command.arguments, events)
}

/// An overlay on disk that is being entered.
struct Kept {
    overlays: Overlays,
    dir: Root,
    is_new: bool,
}

fn open_kept(plan: &Plan, entrance: Entrance, events: &mut dyn Events) -> Result<Option<Kept>, Error> {
    match entrance {
        Entrance::Reenter(mut overlay) => {
            if overlay.record.base != plan.base {
                let (was, is) = (overlay.record.base.to_string(), plan.base.to_string());
                events.tell(Event::BaseChanged { was, is });
            }
            overlay.touch(&plan.base)?;
            let overlays = Overlays::open(&plan.request.state)?
                .ok_or_else(|| overlay::Error::NotFound { name: plan.name.clone() })?;
            Ok(Some(Kept { overlays, dir: overlay.dir, is_new: false }))
        }
        Entrance::Create => {
            let overlays = Overlays::open_or_create(&plan.request.state, events)?;
            let overlay = overlays.create(&plan.name, plan.base.clone())?;
            Ok(Some(Kept { overlays, dir: overlay.dir, is_new: true }))
        }
        Entrance::Temporary | Entrance::Join(_) => Ok(None),
    }
}

/// Leaves the caller's namespaces and mounts the view in the new ones.
fn prepare_view(
    plan: &Plan,
    kept: Option<&mut Kept>,
    events: &mut dyn Events,
) -> Result<(Root, Root), Error> {
    let request = &plan.request;
    sys::leave_for_new(namespaces(request))?;
    sys::set_propagation(Path::new("/"), Propagation::Slave)?;
    if request.private_network && request.mode == Mode::Isolated {
        sys::bring_up_loopback()?;
    }
    let ram = ram_storage(request.size.as_deref())?;
    if let Some(kept) = kept {
        // Its directory must be reached through the mounts of this namespace.
        kept.dir = Root::open(kept.dir.path())?;
        let storage = kept.dir.try_clone()?;
        let view = mount_view(plan, &storage, &ram, events)?;
        return Ok((view, ram));
    }
    let view = mount_view(plan, &ram, &ram, events)?;
    Ok((view, ram))
}

fn mount_view(plan: &Plan, kept: &Root, ram: &Root, events: &mut dyn Events) -> Result<Root, Error> {
    let request = &plan.request;
    let (mode, unguarded) = (request.mode, request.unguarded);
    let host_root = plan.host.root.path();
    let additions = view::additions(&plan.host, mode, unguarded, ram)?;
    let in_ram = if kept.path() == ram.path() { "ram" } else { "." };
    ram.make_dir(in_ram, 0o700)?;
    let in_ram = ram.open_dir(in_ram)?;
    if !unguarded {
        view::prepare_ram(&plan.parts, &in_ram, &plan.name)?;
    }
    ram.make_dir("view", 0o700)?;
    let storage = Storage { kept, ram: &in_ram, additions: additions.as_ref() };
    let assembled = assemble(&plan.parts, &storage, host_root, &ram.open_dir("view")?, events)?;
    let root = assembled.root;
    match mode {
        Mode::Host => {
            view::complete_for_host(&root, &plan.host.mounts, plan.host.is_running, unguarded, &plan.name)?
        }
        Mode::Isolated => view::complete_for_isolation(&root, &plan.host.mounts, &plan.name)?,
        Mode::Booted => {}
    }
    let state = std::path::absolute(&request.state).context("resolve", &request.state)?;
    view::hide_state(&root, &state, host_root)?;
    Ok(root)
}

/// An empty file system in RAM, attached (in our namespace) where nobody looks: the kernel takes
/// layers only from attached mounts before 6.15.
fn ram_storage(size: Option<&str>) -> Result<Root, Error> {
    let place = Presence::directory()?;
    let tree = view::temporary_tree("0700", size)?;
    attach(&tree, &place, place.path())?;
    Ok(Root::from_fd(tree.into_fd(), place.path()))
}

fn namespaces(request: &super::Request) -> Namespaces {
    let mut set = Namespaces::MOUNT;
    if request.mode == Mode::Isolated {
        for more in [Namespaces::PID, Namespaces::IPC, Namespaces::UTS, Namespaces::CGROUP] {
            set = set.and(more);
        }
        if request.private_network {
            set = set.and(Namespaces::NET);
        }
    }
    set
}

/// Joins those who are in an overlay.
fn join(
    plan: Plan,
    found: RunningOverlay,
    entry: Lock,
    usage: Lock,
    events: &mut dyn Events,
) -> Result<Outcome, Error> {
    let directory = current_directory();
    let kept = if found.running.temporary { None } else { kept_directory(&plan)? };
    let mode = found.running.mode;
    let member = if mode == Mode::Booted { super::boot::init_of(found.member)? } else { found.member };
    let namespaces = match mode {
        Mode::Host => vec![Namespace::mount_of(member)?],
        Mode::Isolated | Mode::Booted => Namespace::all_of(member)?,
    };
    for namespace in &namespaces {
        sys::join(namespace)?;
    }
    drop(entry);
    events.tell(entered(&plan, true));
    let mut request = plan.request.clone();
    request.mode = mode;
    request.unguarded = found.running.unguarded;
    let pty = if mode == Mode::Host { None } else { pty_for_streams()? };
    let command = the_command(&plan, directory, &request);
    let child = start_joined(&command, pty.as_ref())?;
    let guard = guard_for(&request);
    let finished = child.run(pty, guard)?;
    let started = Started { presence: plan.presence, name: plan.name, usage, kept, guard };
    leave(started, finished, &command.arguments, events)
}

fn kept_directory(plan: &Plan) -> Result<Option<Root>, Error> {
    Ok(match Overlays::open(&plan.request.state)? {
        Some(overlays) => Some(overlays.get(&plan.name)?.dir),
        None => None,
    })
}

/// Who answers for a guarded command; called when the overlay's root is this process's root.
fn guard_for(request: &super::Request) -> Option<Guard> {
    if request.mode == Mode::Host && !request.unguarded { Guard::of_own_root() } else { None }
}

fn the_command(plan: &Plan, directory: PathBuf, request: &super::Request) -> Command {
    let exists = |path: &Path| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    let offline = request.mode == Mode::Host && !request.unguarded;
    let private = request.private_network && has_capability("CAP_NET_ADMIN");
    Command {
        arguments: command::arguments(&request.command, exists),
        environment: command::environment(plan.name.as_str(), offline),
        directory,
        confinement: Confinement::of(request.mode, private, request.unguarded),
    }
}

fn entered(plan: &Plan, joined: bool) -> Event {
    Event::Entered {
        name: plan.name.to_string(),
        joined,
        temporary: plan.request.temporary,
        own: plan.own.clone(),
    }
}

/// Describes this session for others.
pub(super) fn running(request: &super::Request, leader: Pid, proc: &Root, namespace: u64) -> Running {
    Running {
        mode: request.mode,
        temporary: request.temporary,
        leader: leader.as_raw(),
        started: process_start_time(proc, leader).unwrap_or_default(),
        namespace,
        unguarded: request.unguarded,
    }
}

fn current_directory() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
}

/// A pseudo-terminal where the command would otherwise hold the host's terminal.
pub(super) struct Pty {
    pair: terminal::Pty,
    streams: [bool; 3],
}

fn isolated_pty(plan: &Plan) -> Result<Option<Pty>, IoError> {
    if plan.request.mode == Mode::Isolated { pty_for_streams() } else { Ok(None) }
}

fn pty_for_streams() -> Result<Option<Pty>, IoError> {
    use rustix::stdio::{stderr, stdin, stdout};
    let streams =
        [terminal::is_terminal(stdin()), terminal::is_terminal(stdout()), terminal::is_terminal(stderr())];
    if !(streams[0] && streams[1]) {
        return Ok(None);
    }
    let pair = terminal::open_pty(Path::new("/dev/pts/ptmx"), stdin())?;
    Ok(Some(Pty { pair, streams }))
}

/// A command that has been started.
pub(super) struct Child {
    pub(super) pid: Pid,
    pidfd: Pidfd,
    channel: Channel,
    signals: sys::SignalFd,
}

fn start(request: &super::Request, command: &Command, pty: Option<&Pty>) -> Result<Child, Error> {
    spawn(pty, |terminal, channel| match request.mode {
        Mode::Isolated => become_init(command, terminal, channel),
        _ => become_command(command, terminal, channel),
    })
}

fn start_joined(command: &Command, pty: Option<&Pty>) -> Result<Child, Error> {
    spawn(pty, |terminal, channel| become_command(command, terminal, channel))
}

/// Forks; the child does what it is given and is not expected to come back.
pub(super) fn spawn(
    pty: Option<&Pty>,
    in_child: impl FnOnce(Option<&Terminal<'_>>, &Channel),
) -> Result<Child, Error> {
    let signals = watch_signals()?;
    let (ours, theirs) = Channel::pair()?;
    match fork()? {
        Forked::Child => {
            drop(ours);
            let terminal = pty.map(|pty| Terminal { slave: &pty.pair.slave, streams: pty.streams });
            in_child(terminal.as_ref(), &theirs);
            // Each way to become a command ends in exec or exit.
            sys::exit_now(125)
        }
        Forked::Parent(pid) => Ok(Child { pid, pidfd: Pidfd::open(pid)?, channel: ours, signals }),
    }
}

impl Child {
    /// Waits for it.
    pub(super) fn run(self, pty: Option<Pty>, guard: Option<Guard>) -> Result<Finished, Error> {
        let raw = match &pty {
            Some(_) => Some(terminal::RawMode::enter(rustix::stdio::stdin())?),
            None => None,
        };
        let pty = pty.map(|pty| {
            drop(pty.pair.slave);
            pty.pair.master
        });
        let session = Session { child: self.pidfd, channel: self.channel, signals: self.signals, guard, pty };
        let finished = session.run();
        drop(raw);
        finished.map_err(Error::from)
    }
}

/// What a session holds, to be given up at its end.
pub(super) struct Started {
    pub(super) presence: Presence,
    pub(super) name: OverlayName,
    pub(super) usage: Lock,
    /// The overlay's directory, where it is on disk.
    pub(super) kept: Option<Root>,
    pub(super) guard: Option<Guard>,
}

/// Gives the overlay up, unless processes stay behind; then a keeper stays with them.
pub(super) fn leave(
    started: Started,
    finished: Finished,
    arguments: &[OsString],
    events: &mut dyn Events,
) -> Result<Outcome, Error> {
    let Finished { ended, failure, listener } = finished;
    let name = started.name.clone();
    let remains = match listener.filter(|listener| !listener.has_hung_up()) {
        Some(listener) => {
            events.tell(Event::StillRunning { name: name.to_string() });
            keep(started, &listener)?;
            Remains::InUse
        }
        None => give_up(started)?,
    };
    match failure {
        Some(Report::Unprepared(words)) => Err(Error::Preparation(words)),
        Some(Report::NotExecuted(errno)) => {
            let command = arguments.first().cloned().unwrap_or_default();
            Err(Error::Command { command, source: std::io::Error::from_raw_os_error(errno) })
        }
        Some(Report::Killed(_)) | None => Ok(Outcome { ended, name, remains }),
    }
}

fn give_up(started: Started) -> Result<Remains, IoError> {
    let _entry = started.presence.lock_entry()?;
    Ok(match (started.presence.leave(&started.name, started.usage)?, started.kept) {
        (Left::Others, _) => Remains::InUse,
        (Left::Last, Some(kept)) => Remains::Kept(kept),
        (Left::Last, None) => Remains::Nothing,
    })
}

/// Leaves a process with those that the command left running. It holds the overlay for them and
/// answers for their signals, until the last one has gone.
fn keep(started: Started, listener: &Listener) -> Result<(), IoError> {
    match fork()? {
        Forked::Parent(_) => Ok(()),
        Forked::Child => {
            // Nobody waits for this process; what fails here can only end it, which frees the lock.
            let _ = stay(started, listener);
            sys::exit_now(0)
        }
    }
}

fn stay(started: Started, listener: &Listener) -> Result<(), IoError> {
    sys::new_session()?;
    sys::restore_signals();
    sys::let_go_of_streams()?;
    while !listener.has_hung_up() {
        match &started.guard {
            Some(guard) => {
                listener.wait(true)?;
                if !listener.has_hung_up() {
                    guard.serve(listener)?;
                }
            }
            None => listener.wait(false)?,
        }
    }
    give_up(started).map(|_| ())
}
