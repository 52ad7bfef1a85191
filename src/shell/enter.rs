//! Carrying a plan out: making the view or joining it, running the command, leaving.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cgroups::Cgroups;
use super::child::{Child, Pty, spawn};
use super::command::{
    Command, Confinement, Strangers, become_command, become_command_among, become_command_when_ready,
    become_init,
};
use super::guard::Guard;
use super::leave::{Started, leave};
use super::noting::Noting;
use super::plan::{Entrance, Plan, homes};
use super::{Error, additions, command, view};
use crate::event::{Event, Events, Reach, Way};
use crate::host::{Base, Host};
use crate::overlay::{
    self, Mode, Overlay, OverlayName, Overlays, Presence, Removed, Running, RunningOverlay, Storage, assemble,
};
use crate::sys::{
    self, Ended, Lock, MountTable, Namespace, Namespaces, Pid, Propagation, Root, Tree, attach, clone_tree,
    process_start_time,
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

/// What is held on the way in, and given up at the end.
pub(super) struct Held {
    /// Who is in the overlays of the state directory.
    pub(super) presence: Presence,
    /// Nobody else enters or leaves meanwhile.
    pub(super) entry: Lock,
    /// The overlay is in use.
    pub(super) usage: Lock,
    /// The caller's mount namespace.
    pub(super) home: Namespace,
    /// The caller's PID namespace.
    pub(super) processes: Namespace,
}

impl Held {
    fn new(presence: Presence, entry: Lock, usage: Lock) -> Result<Held, Error> {
        let (home, processes) = (Namespace::mount_of(Pid::own())?, Namespace::processes_of(Pid::own())?);
        Ok(Held { presence, entry, usage, home, processes })
    }
}

/// Enters an overlay as planned and returns when the command has ended. To join an isolated or booted
/// one, the program may begin anew first ([`sys::run_from_read_only_mount`]).
pub fn enter(plan: Plan, events: &mut dyn Events) -> Result<Outcome, Error> {
    let presence = Presence::open(&plan.request.state)?;
    let mut is_cleared = false;
    for _ in 0..PATIENCE {
        let entry = presence.lock_entry()?;
        let entrance = plan.entrance_past(Some(&presence))?;
        if matches!(entrance, Entrance::Create) && !is_cleared {
            entry.release()?;
            Overlays::open_or_create(&plan.request.state, events)?.clear_remains(events)?;
            is_cleared = true;
            continue;
        }
        let usage = match &entrance {
            Entrance::Join(_) => presence.use_overlay(&plan.name)?,
            _ => presence.use_alone(&plan.name)?,
        };
        if let Some(usage) = usage {
            let Entrance::Join(found) = entrance else {
                return enter_new(plan, entrance, Held::new(presence, entry, usage)?, events);
            };
            match Company::of(&found) {
                Ok(company) => {
                    return join(plan, &found, &company, Held::new(presence, entry, usage)?, events);
                }
                // Who was found has ended this moment; somebody else may be there.
                Err(Error::Io(error)) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        // A session that is leaving, or a removal, needs the entry lock to finish.
        std::thread::sleep(MOMENT);
    }
    Err(overlay::Error::InUse { name: plan.name, user: None }.into())
}

/// How long to wait for a session that is leaving to be gone, and in what steps.
const PATIENCE: usize = 2000;
const MOMENT: Duration = Duration::from_millis(5);

/// Those who are in an overlay, to be joined.
struct Company {
    /// What the process that waits for the command enters as well.
    surroundings: Vec<Namespace>,
    /// Where they are by themselves, what only the command enters.
    strangers: Option<Strangers>,
}

impl Company {
    fn of(found: &RunningOverlay) -> Result<Company, Error> {
        let member = match found.running.mode {
            Mode::Host => {
                let surroundings = vec![Namespace::mount_of(found.member)?];
                return Ok(Company { surroundings, strangers: None });
            }
            Mode::Isolated => found.member,
            Mode::Booted => super::boot::init_of(found.member)?,
        };
        // An isolated overlay is in the groups of whoever made it.
        let cgroups =
            if found.running.mode == Mode::Booted { Cgroups::of(member)? } else { Cgroups::default() };
        let strangers = Strangers { processes: Namespace::processes_of(member)?, cgroups };
        let surroundings = Namespace::surroundings_of(member)?;
        Ok(Company { surroundings, strangers: Some(strangers) })
    }
}

/// Makes a view and runs the command in it.
fn enter_new(plan: Plan, entrance: Entrance, held: Held, events: &mut dyn Events) -> Result<Outcome, Error> {
    let directory = current_directory();
    // Looked up here: in the new root, /proc will belong to another PID namespace, or to none yet.
    let proc = Root::open("/proc")?;
    let mut kept = None;
    let made = open_kept(&plan, entrance, events).and_then(|opened| {
        kept = opened;
        make_view(&plan, kept.as_mut(), directory, events)
    });
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            // The first error is the one to tell, whether or not its traces can be cleared.
            let _ = sys::join(&held.home);
            let is_replaced = matches!(error, Error::Overlay(overlay::Error::Replaced { .. }));
            if let Some(Kept { overlays, known: None, .. }) = kept.filter(|_| !is_replaced) {
                // It was never entered, so nobody misses it.
                let _ = overlays.remove(&plan.name).map(Removed::clear);
            }
            let _ = held.presence.leave(&plan.name, held.usage);
            return Err(error);
        }
    };
    let kept = kept.map(|kept| kept.dir);
    if plan.request.mode == Mode::Booted {
        return super::boot::boot(plan, &made, kept, held, events);
    }
    let Made { view, namespace, way, child, command } = made;
    sys::enter_root(&view)?;
    drop(view);
    events.tell(entered(&plan, way));
    tell_of_directory(&command.directory, events);
    let request = &plan.request;
    let pty = if request.mode == Mode::Isolated { Pty::for_streams()? } else { None };
    let announce = |leader| held.presence.announce(&plan.name, &running(&plan, leader, &proc, namespace));
    let mut child = if let Some(child) = child {
        // Before anything runs: what outlives us, were we killed, must be found.
        announce(Pid::own())?;
        child.go()?;
        child
    } else {
        // The init waits, and dies with us: there is no moment in which it runs unannounced.
        let child = spawn(pty.as_ref(), |terminal, channel| become_init(&command, terminal, channel))?;
        announce(child.pid)?;
        child.go()?;
        child
    };
    let Held { presence, entry, usage, home, processes } = held;
    entry.release()?;
    let noting = Noting::beside(&mut child, &plan.name, kept.as_ref(), &home, processes)?;
    let guard = guard_for(request);
    let finished = child.run(pty, guard, command.confinement.has_listener)?;
    let started = Started {
        presence,
        name: plan.name,
        usage,
        kept,
        noting,
        is_refreshed: !command.before.is_empty(),
        guard,
        home,
    };
    leave(started, finished, command.name(), events)
}

/// A view that waits to be entered.
pub(super) struct Made {
    pub(super) view: Root,
    /// Inode number of the mount namespace that it is in.
    pub(super) namespace: u64,
    /// Whether the overlay was made with it.
    pub(super) way: Way,
    /// The process that will be the command, where it could be started before the view was ready.
    child: Option<Child>,
    pub(super) command: Command,
}

/// An overlay on disk that is being entered.
struct Kept {
    overlays: Overlays,
    dir: Root,
    /// The overlay, unless it was made just now.
    known: Option<Overlay>,
}

/// What is different about a base, to be told.
fn changed(was: &Base, is: &Base, host: &Host) -> Event {
    if is.differs_by_extensions(was) {
        return Event::ExtensionsChanged { names: host.extension_names() };
    }
    Event::BaseChanged { was: was.to_string(), is: is.to_string() }
}

fn open_kept(plan: &Plan, entrance: Entrance, events: &mut dyn Events) -> Result<Option<Kept>, Error> {
    match entrance {
        Entrance::Reenter(overlay) => {
            let base = plan.base();
            if overlay.record.base != *base {
                events.tell(changed(&overlay.record.base, base, &plan.host));
            }
            let overlays = Overlays::open(&plan.request.state)?
                .ok_or_else(|| overlay::Error::NotFound { name: plan.name.clone() })?;
            Ok(Some(Kept { overlays, dir: overlay.dir.try_clone()?, known: Some(overlay) }))
        }
        Entrance::Create => {
            let overlays = Overlays::open_or_create(&plan.request.state, events)?;
            let overlay = overlays.create(&plan.name, plan.host.root.path(), plan.base().clone())?;
            Ok(Some(Kept { overlays, dir: overlay.dir, known: None }))
        }
        Entrance::Temporary | Entrance::Join(_) => Ok(None),
    }
}

/// Leaves the caller's namespaces and mounts the view in the new ones.
fn make_view(
    plan: &Plan,
    kept: Option<&mut Kept>,
    directory: PathBuf,
    events: &mut dyn Events,
) -> Result<Made, Error> {
    let request = &plan.request;
    sys::leave_for_new(namespaces(request))?;
    let namespace = Namespace::mount_of(Pid::own())?.identity()?;
    let propagation = match request.mode {
        Mode::Host | Mode::Booted => Propagation::Slave,
        // What the host mounts later below /home could be a window into its kernel, or have devices.
        Mode::Isolated => Propagation::Private,
    };
    sys::set_propagation(Path::new("/"), propagation)?;
    if request.private_network && request.mode == Mode::Isolated {
        sys::bring_up_loopback()?;
    }
    follow_base(plan, kept.as_deref(), events)?;
    let mut command = the_command(plan, directory, request);
    if let Some(kept) = kept.as_ref() {
        command.before = overlay::pending(&kept.dir)?;
    }
    // A child that shares our mount namespace follows us into the new root (pivot_root(2)), so it
    // can get ready while we mount.
    let child = match request.mode {
        Mode::Host => Some(spawn(None, |_, channel| become_command_when_ready(&command, channel))?),
        Mode::Isolated | Mode::Booted => None,
    };
    let way = if kept.as_ref().is_some_and(|kept| kept.known.is_some()) { Way::Reentered } else { Way::Made };
    match mount_in_namespace(plan, kept, events) {
        Ok(view) => Ok(Made { view, namespace, way, child, command }),
        Err(error) => {
            if let Some(child) = child {
                // It has our locks until it is gone.
                child.abandon();
            }
            Err(error)
        }
    }
}

/// Lets an overlay that was kept follow a base that has changed, unless that was refused.
fn follow_base(plan: &Plan, kept: Option<&Kept>, events: &mut dyn Events) -> Result<(), Error> {
    let Some(overlay) = kept.and_then(|kept| kept.known.as_ref()) else { return Ok(()) };
    if let Err(error) = overlay::clear_draft(&overlay.dir) {
        // What resists is in nobody's way here.
        events.tell(Event::NotCleared { what: error.path.clone(), reason: error.cause() });
    }
    let overlay = Overlay { dir: reached_here(&overlay.dir, &plan.name)?, ..overlay.try_clone()? };
    overlay::settle(&overlay.dir, &Host::open(plan.host.root.path())?, events)?;
    if plan.request.no_rebase {
        return Ok(());
    }
    super::follow::follow(plan, &overlay, events)
}

/// Mounts the view; the mount namespace is ours alone.
fn mount_in_namespace(plan: &Plan, kept: Option<&mut Kept>, events: &mut dyn Events) -> Result<Root, Error> {
    let ram = ram_storage(plan.request.size)?;
    // What is made for the view must be readable in it, whatever the caller's mask.
    let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let view = match kept {
        Some(kept) => reached_here(&kept.dir, &plan.name).and_then(|dir| {
            kept.dir = dir;
            // Where a full disk keeps it, a crash would keep what is new from being noted: no more.
            let _ = overlay::mark_unnoted(&kept.dir);
            let view = mount_view(plan, &kept.dir, &ram, events)?;
            if let Some(overlay) = &mut kept.known {
                // Not before: an overlay that could not be entered has not met its new base.
                let known = overlay.record.base.clone();
                overlay.touch(if plan.request.no_rebase { &known } else { plan.base() })?;
            }
            Ok(view)
        }),
        None => mount_view(plan, &ram, &ram, events),
    };
    rustix::process::umask(mask);
    view
}

/// The directory of an overlay, reached through the mounts of this namespace, as its layers must be.
pub(super) fn reached_here(dir: &Root, name: &OverlayName) -> Result<Root, Error> {
    let here = Root::open(dir.path())?;
    if here.is_same(dir)? {
        return Ok(here);
    }
    Err(overlay::Error::Replaced { name: name.clone(), path: dir.path().to_owned() }.into())
}

fn mount_view(plan: &Plan, kept: &Root, ram: &Root, events: &mut dyn Events) -> Result<Root, Error> {
    let request = &plan.request;
    let (mode, unguarded) = (request.mode, request.unguarded);
    let host_root = plan.host.root.path();
    let additions = additions::additions_layer(&plan.host, mode, unguarded, ram)?;
    let in_ram = if kept.path() == ram.path() { "ram" } else { "." };
    ram.make_dir(in_ram, 0o700)?;
    let in_ram = ram.open_dir(in_ram)?;
    if unguarded {
        // The host's /run is shown as it is, with our storage where its /run/onlay was.
        view::write_name(ram, &plan.name)?;
    } else {
        view::prepare_ram(&plan.parts, &in_ram, &plan.name)?;
    }
    ram.make_dir("view", 0o700)?;
    let storage = Storage { kept, ram: &in_ram, additions: additions.as_ref(), label: &plan.label };
    let root = assemble(&plan.parts, &storage, host_root, &ram.open_dir("view")?, events)?;
    if mode != Mode::Host {
        view::close_windows(&super::boot::view_path(), &plan.host, &plan.own)?;
    }
    match mode {
        Mode::Host => view::complete_for_host(&root, ram, &plan.host, unguarded, &plan.name)?,
        Mode::Isolated => {
            let (mounts, network) = (&plan.host.mounts, request.private_network);
            view::complete_for_isolation(&root, ram, mounts, network, &plan.name)?;
        }
        Mode::Booted => {}
    }
    view::hide_state(&root, ram, &request.state, host_root)?;
    if let Some(shared) = &request.shared {
        view::show_shared(&root, shared)?;
    }
    Ok(root)
}

/// An empty file system in RAM, attached (in our namespace) where nobody looks: the kernel takes
/// layers only from attached mounts before 6.15.
pub(super) fn ram_storage(size: Option<super::Size>) -> Result<Root, Error> {
    let place = overlay::run_directory()?;
    let tree = view::temporary_tree("0700", size.map(|size| size.to_string()).as_deref())?;
    let beneath = mounted_in(place.path())?;
    attach(&tree, &place, place.path())?;
    let storage = Root::from_fd(tree.into_fd(), place.path());
    for (point, mount) in beneath {
        let Ok(inside) = point.strip_prefix(place.path()) else { continue };
        storage.make_dirs(inside, 0o700)?;
        attach(&mount, storage.open_exact(inside)?, &point)?;
    }
    Ok(storage)
}

/// What is mounted in a directory, to be shown again where something is laid over that: of the layers of an unlocked host an
/// overlay may have to be made.
fn mounted_in(directory: &Path) -> Result<Vec<(PathBuf, Tree)>, Error> {
    let table = MountTable::read()?;
    let inside = table.visible_below(directory).into_iter().filter(|mount| mount.point != directory);
    let clone = |point: &PathBuf| Ok((point.clone(), clone_tree(Root::open(point)?, point, false)?));
    inside.map(|mount| clone(&mount.point)).collect()
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
    found: &RunningOverlay,
    company: &Company,
    held: Held,
    events: &mut dyn Events,
) -> Result<Outcome, Error> {
    if company.strangers.is_some() {
        // Whoever enters first is safe without: nobody is there yet when the command is executed, and
        // process 1 refuses to be traced.
        sys::run_from_read_only_mount()?;
    }
    let directory = current_directory();
    let kept = if found.running.temporary { None } else { kept_directory(&plan)? };
    let mode = found.running.mode;
    if !found.running.shared {
        held.presence.announce(&plan.name, &Running { shared: true, ..found.running.clone() })?;
    }
    // The host's directories are looked up while its /proc is there.
    let own = if found.running.private_home { Vec::new() } else { homes(&plan.host) };
    for namespace in &company.surroundings {
        sys::join(namespace)?;
    }
    let Held { presence, entry, usage, home, processes: _ } = held;
    entry.release()?;
    let running = &found.running;
    events.tell(Event::Entered {
        name: plan.name.to_string(),
        way: Way::Joined,
        temporary: running.temporary,
        reach: reach(mode, running.unguarded),
        own,
    });
    let mut request = plan.request.clone();
    request.mode = mode;
    request.unguarded = found.running.unguarded;
    request.private_network = found.running.private_network;
    let pty = if company.strangers.is_some() { Pty::for_streams()? } else { None };
    let command = the_command(&plan, directory, &request);
    tell_of_directory(&command.directory, events);
    let child = match &company.strangers {
        None => spawn(None, |_, channel| become_command(&command, channel))?,
        Some(strangers) => {
            let child = spawn(pty.as_ref(), |terminal, channel| {
                become_command_among(strangers, &command, terminal, channel)
            })?;
            let child = child.replaced()?;
            child.go()?;
            child
        }
    };
    let guard = guard_for(&request);
    let finished = child.run(pty, guard, command.confinement.has_listener)?;
    let started =
        Started { presence, name: plan.name, usage, kept, noting: None, is_refreshed: false, guard, home };
    leave(started, finished, command.name(), events)
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
    let offline = request.mode == Mode::Host && !request.unguarded;
    Command {
        arguments: request.command.clone(),
        environment: command::environment(plan.name.as_str(), offline),
        directory,
        before: Vec::new(),
        confinement: Confinement::of(request.mode, request.private_network, request.unguarded),
    }
}

/// Tells of a view that was made as planned.
pub(super) fn entered(plan: &Plan, way: Way) -> Event {
    let request = &plan.request;
    Event::Entered {
        name: plan.name.to_string(),
        way,
        temporary: request.temporary,
        reach: reach(request.mode, request.unguarded),
        own: plan.own.clone(),
    }
}

fn reach(mode: Mode, unguarded: bool) -> Reach {
    match mode {
        Mode::Host if unguarded => Reach::Unguarded,
        Mode::Host => Reach::Guarded,
        Mode::Isolated => Reach::Isolated,
        Mode::Booted => Reach::Booted,
    }
}

/// Describes this session for others.
pub(super) fn running(plan: &Plan, leader: Pid, proc: &Root, namespace: u64) -> Running {
    let request = &plan.request;
    Running {
        mode: request.mode,
        temporary: request.temporary,
        leader: leader.as_raw(),
        started: process_start_time(proc, leader).unwrap_or_default(),
        namespace,
        view: plan.label.clone(),
        unguarded: request.unguarded,
        private_network: plan.request.private_network,
        private_home: plan.request.private_home,
        shared: false,
    }
}

/// Where the caller is; of a directory that was removed, what the kernel calls it.
pub fn current_directory() -> PathBuf {
    std::env::current_dir()
        .or_else(|_| std::fs::read_link("/proc/self/cwd"))
        .unwrap_or_else(|_| PathBuf::from("/"))
}

/// Tells where the command will start, when that is not where the caller is. The overlay's root must
/// be this process's root.
fn tell_of_directory(directory: &Path, events: &mut dyn Events) {
    if Root::open(directory).is_err() {
        events.tell(Event::DirectoryMissing { path: directory.to_owned() });
    }
}
