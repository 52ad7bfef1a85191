//! Deciding how an overlay will be entered. Only reads.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use super::{Error, Request, Size};
use crate::host::{Base, Host};
use crate::overlay::{
    self, LIVE_LABEL, Mode, Overlay, OverlayName, Overlays, Part, Presence, RunningOverlay, view_label,
};
use crate::sys::{Mount, Pid, has_capability};

/// How an overlay will be entered.
#[derive(Debug)]
pub struct Plan {
    /// The overlay.
    pub name: OverlayName,
    /// The system that it lies over.
    pub host: Host,
    /// The parts of the host that the view shows, and how.
    pub parts: Vec<Part>,
    /// Directories that stay the host's own.
    pub own: Vec<PathBuf>,
    /// Whether extensions are merged over the host, which are not shown: nothing can be laid on them.
    pub without_extensions: bool,
    /// What tells the view from any other.
    pub(super) label: String,
    pub(super) request: Request,
    base: OnceCell<Base>,
}

impl Plan {
    /// The base, as it is now; found out when first asked for, since an overlay in RAM never asks.
    pub fn base(&self) -> &Base {
        self.base.get_or_init(|| self.host.base())
    }

    /// Whether all that is changed will be in RAM.
    pub fn is_temporary(&self) -> bool {
        self.request.temporary
    }

    /// Whether an overlay stays as it is over a base that has changed.
    pub fn keeps_base(&self) -> bool {
        self.request.no_rebase
    }

    /// How the overlay will be entered.
    pub fn mode(&self) -> Mode {
        self.request.mode
    }

    /// What entering comes to at this moment.
    pub fn entrance(&self) -> Result<Entrance, Error> {
        self.entrance_past(Presence::existing(&self.request.state)?.as_ref())
    }

    /// What entering comes to: looks whether somebody is in the overlay, else whether it was kept. It
    /// holds while the entry lock is held.
    pub(super) fn entrance_past(&self, present: Option<&Presence>) -> Result<Entrance, Error> {
        let (request, name) = (&self.request, &self.name);
        if request.temporary && request.name.is_none() {
            return Ok(Entrance::Temporary);
        }
        if let Some(running) = present.map_or(Ok(None), |presence| presence.find(name))? {
            check_same_way(request, &running)?;
            return Ok(Entrance::Join(running));
        }
        let kept = Overlays::open(&request.state)?;
        if request.temporary {
            if kept.is_some_and(|overlays| overlays.contains(name)) {
                return Err(overlay::Error::NotTemporary { name: name.clone() }.into());
            }
            return Ok(Entrance::Temporary);
        }
        match kept.map(|overlays| overlays.get(name)) {
            Some(Ok(overlay)) => {
                overlay.check_root(self.host.root.path())?;
                self.refuse_unlocked()?;
                Ok(Entrance::Reenter(overlay))
            }
            None | Some(Err(overlay::Error::NotFound { .. })) => {
                self.refuse_unlocked()?;
                Ok(Entrance::Create)
            }
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// What is kept would lie over files, and a package database, that are gone when the host is locked.
    fn refuse_unlocked(&self) -> Result<(), Error> {
        let is_unlocked =
            |mount: &Mount| mount.source == LIVE_LABEL && mount.point.starts_with(self.host.root.path());
        if self.host.mounts.all().iter().any(is_unlocked) { Err(Error::HostUnlocked) } else { Ok(()) }
    }
}

/// What will be done to get in.
#[derive(Debug)]
pub enum Entrance {
    /// Join those who are in it.
    Join(RunningOverlay),
    /// Make a view of an overlay that was kept.
    Reenter(Overlay),
    /// Make a new overlay, and a view of it.
    Create,
    /// Make a view in RAM.
    Temporary,
}

/// The file in the view's own [`overlay::RUN`] that says which overlay it is.
pub(super) const INSIDE: &str = "inside";

/// Plans to enter an overlay. Where extensions are merged on which nothing can be laid, this process is left in a mount namespace
/// without them.
pub fn plan(request: Request) -> Result<Plan, Error> {
    check_caller()?;
    check_options(&request)?;
    let mut host = Host::open(&request.root)?;
    let without_extensions = overlay::has_deep_extensions(&host);
    if without_extensions {
        host = host.leave_extensions()?;
    }
    if request.mode == Mode::Booted {
        super::boot::check(&host.root)?;
    }
    let name = match &request.name {
        Some(name) => name.clone(),
        None if request.temporary => OverlayName::temporary(Pid::own()),
        None => "default".parse().expect("a good name"),
    };
    let own = if request.private_home { Vec::new() } else { homes(&host) };
    let parts = super::view::parts(&host, &own, request.mode, request.unguarded);
    check_layers(&parts)?;
    let label = view_label(&name)?;
    Ok(Plan { name, host, parts, own, without_extensions, label, request, base: OnceCell::new() })
}

/// What would not be found is told before anything is made.
fn check_layers(parts: &[Part]) -> Result<(), Error> {
    let unnamed = parts.iter().find_map(|part| match part {
        Part::Kept(layer) | Part::Ram(layer) => (!layer.lower.is_named()).then_some(&layer.point),
        Part::Own { .. } | Part::ReadOnly { .. } => None,
    });
    unnamed.map_or(Ok(()), |path| Err(Error::Unnamed { path: path.clone() }))
}

fn check_caller() -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    if !has_capability("CAP_SYS_ADMIN") {
        return Err(Error::NoCapability);
    }
    match inside() {
        Some(name) => Err(Error::Inside { name }),
        None => Ok(()),
    }
}

/// The overlay that this process is in, if any.
pub fn inside() -> Option<String> {
    std::fs::read_to_string(Path::new(overlay::RUN).join(INSIDE)).ok().map(|name| name.trim().to_owned())
}

fn check_options(request: &Request) -> Result<(), Error> {
    let conflict = |one, other| Err(Error::Conflict { one, other });
    match request.mode {
        Mode::Host if request.private_network => conflict("--no-net", "needs --isolate or --boot"),
        Mode::Isolated | Mode::Booted if request.unguarded => {
            conflict("--unguarded", "does not go with --isolate or --boot")
        }
        Mode::Booted if !request.command.is_empty() => {
            conflict("--boot", "takes no command; run it by a second 'onlay shell'")
        }
        _ if request.size.is_some() && !request.temporary => conflict("--size", "needs --temp"),
        _ => request.size.map_or(Ok(()), check_size),
    }
}

fn check_size(asked: Size) -> Result<(), Error> {
    let info = rustix::system::sysinfo();
    let unit = u64::from(info.mem_unit);
    #[allow(clippy::useless_conversion, reason = "32-bit machines count in other types")]
    let (ram, swap) = (u64::from(info.totalram) * unit, u64::from(info.totalswap) * unit);
    let available = ram + swap;
    if asked.bytes(ram) <= available {
        return Ok(());
    }
    Err(Error::TooLarge { asked, available: Size::Bytes(available >> 20 << 20) })
}

/// Options that cannot be had from a view that others made are refused, not passed over.
fn check_same_way(request: &Request, found: &RunningOverlay) -> Result<(), Error> {
    let running = &found.running;
    let name = &found.name;
    let other = |running, asked| Err(Error::OtherMode { name: name.clone(), running, asked });
    if request.temporary && !running.temporary {
        return other("on disk", "in RAM");
    }
    match (running.mode, request.mode) {
        (running, Mode::Isolated) if running != Mode::Isolated => other(in_words(running), "isolated"),
        (_, Mode::Booted) => other("already", "newly booted"),
        _ if request.unguarded && !running.unguarded => other("guarded", "unguarded"),
        _ if request.private_network && !running.private_network => {
            other("with the host's network", "without")
        }
        _ if request.private_home && !running.private_home => {
            other("with the host's /root and /home", "without")
        }
        _ => Ok(()),
    }
}

fn in_words(mode: Mode) -> &'static str {
    match mode {
        Mode::Host => "with the host in view",
        Mode::Isolated => "isolated",
        Mode::Booted => "booted",
    }
}

/// The directories that people's files are in, after all links, as seen from the host's root.
pub(super) fn homes(host: &Host) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["/root", "/home"]
        .into_iter()
        .filter_map(|name| host.root.resolve(name).ok())
        .filter(|path| path != Path::new("/"))
        .collect();
    found.sort();
    found.dedup();
    found
}
