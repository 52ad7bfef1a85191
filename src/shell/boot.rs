//! Booting an overlay as a container with its own systemd.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Outcome;
use super::child::{spawn, wait_for_go};
use super::enter::{Held, Made, entered, running};
use super::leave::{Started, leave};
use super::noting::Noting;
use super::plan::Plan;
use super::{Error, command};
use crate::event::Events;
use crate::overlay;
use crate::sys::{self, Forked, IoError, Pid, Root};
use crate::tool::systemd_nspawn::{Container, Nspawn};

/// Where init may be; systemd-nspawn looks in the same places.
const INITS: &[&str] = &["usr/lib/systemd/systemd", "lib/systemd/systemd", "sbin/init"];

/// Refuses what cannot be booted, before anything is made.
pub(super) fn check(root: &Root) -> Result<Nspawn, Error> {
    let nspawn = Nspawn::find()?;
    if INITS.iter().any(|init| root.exists(init)) {
        Ok(nspawn)
    } else {
        Err(Error::NoInit { root: root.path().to_owned() })
    }
}

/// Boots the view and waits until it is powered off.
pub(super) fn boot(
    plan: Plan,
    made: &Made,
    kept: Option<Root>,
    held: Held,
    events: &mut dyn Events,
) -> Result<Outcome, Error> {
    let nspawn = check(&made.view)?;
    put_propagation_in_ram(&plan)?;
    let directory = view_path();
    let container = Container {
        directory: &directory,
        name: plan.name.as_str(),
        private_network: plan.request.private_network,
        managed: plan.host.runs_systemd() || Root::open("/")?.exists("run/systemd/system"),
    };
    make_caches(&nspawn, &container, &made.command.before)?;
    events.tell(entered(&plan, made.way));
    let mut child = spawn(None, |_, channel| {
        // Asked to end, it powers the container off.
        let failed = sys::die_with_parent(libc::SIGTERM).err().map(|error| sys::with_causes(&error));
        wait_for_go(channel);
        sys::restore_signals();
        let words = failed.unwrap_or_else(|| sys::with_causes(&nspawn.execute(&container)));
        command::Report::Unprepared(words).send(channel);
    })?;
    let running = running(&plan, child.pid, &Root::open("/proc")?, made.namespace);
    held.presence.announce(&plan.name, &running)?;
    let Held { presence, entry, usage, home, processes } = held;
    child.go()?;
    entry.release()?;
    let noting = Noting::beside(&mut child, &plan.name, kept.as_ref(), &home, processes)?;
    let finished = child.run(None, None, false)?;
    let name = plan.name;
    let is_refreshed = !made.command.before.is_empty();
    let started = Started { presence, name, usage, kept, noting, is_refreshed, guard: None, home };
    leave(started, finished, OsStr::new("systemd-nspawn"), events)
}

/// Makes what is to be made anew since the base has changed: before services read it. What cannot be run here is not
/// needed here.
fn make_caches(nspawn: &Nspawn, container: &Container<'_>, commands: &[Vec<String>]) -> Result<(), Error> {
    for words in commands {
        match sys::fork()? {
            Forked::Parent(pid) => {
                let _ = sys::wait(pid);
            }
            Forked::Child => {
                if sys::die_with_parent(libc::SIGKILL).and_then(|()| sys::let_go_of_streams()).is_ok() {
                    let _ = nspawn.execute_program(container, words);
                }
                sys::exit_now(127)
            }
        }
    }
    Ok(())
}

/// At the end systemd-nspawn removes what it keeps for later mounts, from RAM only: where /run is on
/// a disk, it refuses, with words. No systemd runs there that would use the directory.
fn put_propagation_in_ram(plan: &Plan) -> Result<(), Error> {
    let place = Path::new("/run/systemd/nspawn/propagate");
    if plan.host.mounts.at(place).is_some_and(|mount| mount.kind == "tmpfs") {
        return Ok(());
    }
    let root = Root::open("/")?;
    root.make_dirs(place, 0o755)?;
    let tree = super::view::temporary_tree("0700", None)?;
    sys::attach(&tree, root.open_exact(place)?, place)?;
    Ok(())
}

/// Where [`super::enter`] attaches the view.
pub(super) fn view_path() -> PathBuf {
    Path::new(overlay::RUN).join("view")
}

/// The first process inside a container: the child of its systemd-nspawn that leads a PID
/// namespace.
pub(super) fn init_of(nspawn: Pid) -> Result<Pid, Error> {
    let path = format!("/proc/{nspawn}/task/{nspawn}/children");
    let children = std::fs::read_to_string(&path).map_err(|error| sys::io_error("read", &path, error))?;
    children
        .split_whitespace()
        .filter_map(|child| Pid::from_raw(child.parse().ok()?))
        .find(|&child| leads_namespace(child))
        .ok_or_else(|| {
            let gone = std::io::Error::from_raw_os_error(libc::ESRCH);
            Error::Io(IoError {
                operation: "find the container's init below",
                path: path.into(),
                source: gone,
            })
        })
}

fn leads_namespace(pid: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| {
        status.lines().find_map(|line| line.strip_prefix("NSpid:")).is_some_and(|ids| {
            ids.split_whitespace().nth(1).is_some() && ids.split_whitespace().next_back() == Some("1")
        })
    })
}
