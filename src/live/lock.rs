//! Locking: overlays are taken off the host's directories while processes use them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::holders::{self, Holder, Marks, SCOPE};
use super::mergers::Mergers;
use super::namespace::{in_namespace_of, others};
use super::peers::{laid, stacked};
use super::record::Live;
use super::unlock::{check_caller, clear};
use super::{Error, LABEL, Record, boot, kept};
use crate::event::{Event, Events};
use crate::host::Host;
use crate::overlay::{OverlayName, Overlays, adopt, adopt_seen, directory_name, note_base};
use crate::sys::{IoError, Mount, MountTable, Root, detach_path, sync_file_system, unmount_path};
use crate::tool::systemctl::Systemctl;

/// What was locked.
#[derive(Debug)]
pub struct Locked {
    /// What was unlocked until now.
    pub record: Record,
    /// Who still uses what was taken off.
    pub holders: Vec<Holder>,
    /// Units that went with it, and were stopped.
    pub stopped: Vec<String>,
}

/// What becomes of what was changed, and of who uses it.
#[derive(Debug, Default)]
pub struct Ending {
    /// Make it an overlay of this name, below a state directory; otherwise it is discarded.
    pub save: Option<(OverlayName, PathBuf)>,
    /// Restart the units whose processes use files of it, and stop those that go with it.
    pub restart: bool,
}

/// Takes all off. What was changed is still there, and can be asked for again, where it cannot be saved. Extensions that
/// systemd has merged over ours are taken off before, and merged again over what is then visible.
pub fn lock(live: &Live, record: Record, ending: &Ending, events: &mut dyn Events) -> Result<Locked, Error> {
    check_caller()?;
    let restarter = if ending.restart { Some(Systemctl::find()?) } else { None };
    let saving = ending.save.as_ref().map(|save| overlays_without(save, events)).transpose()?;
    let mergers = Mergers::over(&MountTable::read()?, &record.places, live)?;
    let uncovered = mergers.take_off(live);
    let locked = uncovered.and_then(|()| {
        let holders = take_off_from(&record)?;
        if let (Some(overlays), Some((name, _))) = (saving, &ending.save) {
            save(&record, &overlays, name)?;
        }
        // Until here a reboot brings it back, and from here on it does not.
        if let Some(state) = kept::state_of(&record).filter(|_| record.persistent) {
            kept::forget(state)?;
        }
        Ok(holders)
    });
    // Whatever came of it: extensions that were merged are merged.
    let merged = mergers.put_on(live);
    let (marks, mut holders) = locked?;
    merged?;
    let mut stopped = Vec::new();
    if let Some(systemctl) = restarter {
        stopped = stop_what_went(&systemctl)?;
        restart(&systemctl, &holders, &stopped)?;
        holders = marks.still(&holders);
    }
    clear(&record)?;
    if record.persistent {
        forget_unit(events);
    }
    live.forget()?;
    Ok(Locked { record, holders, stopped })
}

/// Ends what is kept in a state directory while nothing of it is laid. Gives what is known of it. Where the record is
/// damaged, the layers tell themselves what can be saved.
pub fn lock_held(
    live: &Live,
    state: &Path,
    ending: &Ending,
    events: &mut dyn Events,
) -> Result<Option<Record>, Error> {
    let record = match kept::read(state) {
        Ok(Some(record)) => record,
        Ok(None) => return Err(Error::NotUnlocked),
        Err(Error::Damaged { .. }) if ending.save.is_none() => {
            check_caller()?;
            kept::clear_damaged(state, events)?;
            forget_unit(events);
            return Ok(None);
        }
        Err(Error::Damaged { .. }) => kept::rescued(state)?,
        Err(error) => return Err(error),
    };
    lock(live, record, ending, events).map(|locked| Some(locked.record))
}

/// Clears what is left in a state directory of unlocks that have ended. Says whether there was anything.
pub fn clear_remains(live: &Live, state: &Path, events: &mut dyn Events) -> Result<bool, Error> {
    check_caller()?;
    let record = live.record()?;
    let mut was = !kept::remains(state, record.as_ref())?.is_empty();
    kept::clear_remains(state, record.as_ref(), events)?;
    if record.is_none() && kept::held(state)?.is_none() && boot::is_without_use() {
        forget_unit(events);
        events.tell(Event::Cleared { what: boot::unit() });
        was = true;
    }
    Ok(was)
}

/// Without what is kept, the unit at boot does nothing: where it resists, it is in nobody's way.
fn forget_unit(events: &mut dyn Events) {
    match boot::uninstall() {
        Ok(true) => {
            let _ = boot::tell_of_no_unit();
        }
        Ok(false) => {}
        Err(error) => {
            events.tell(Event::NotCleared { what: error.path.clone(), reason: error.cause() });
        }
    }
}

/// Takes our overlays off, and tells who uses them still.
fn take_off_from(record: &Record) -> Result<(Marks, Vec<Holder>), Error> {
    let marks = Marks::of(&record.places, &MountTable::read()?);
    if is_released(record)? {
        return Ok((marks, Vec::new()));
    }
    let holders = marks.holders();
    take_off(record)?;
    Ok((marks, holders))
}

/// The overlays of a state directory, which must not have one of that name.
fn overlays_without(
    (name, state): &(OverlayName, PathBuf),
    events: &mut dyn Events,
) -> Result<Overlays, Error> {
    let overlays = Overlays::open_or_create(state, events)?;
    if overlays.contains(name) { Err(Error::Exists { name: name.clone() }) } else { Ok(overlays) }
}

/// Makes what was changed an overlay over the host as it is below.
fn save(record: &Record, overlays: &Overlays, name: &OverlayName) -> Result<(), Error> {
    let host = Host::open(Path::new("/"))?;
    let of_layers = Root::open(record.directory())?;
    let layers = of_layers.open_dir("layers")?;
    let made = overlays.create_filled(name, Path::new("/"), record.base.clone(), |dir| {
        for place in &record.places {
            let upper = layers.open_dir(Path::new(&directory_name(place)).join("upper"))?;
            adopt(dir, &host, place, &upper)?;
        }
        adopt_seen(dir, &of_layers)?;
        // Before it is said to be there.
        Ok::<(), Error>(sync_file_system(dir)?)
    })?;
    Ok(note_base(name, &made.dir)?)
}

/// What is active and has lost its file by what was taken off cannot be started again, only stopped: its package has gone.
/// Gives those units.
fn stop_what_went(systemctl: &Systemctl) -> Result<Vec<String>, Error> {
    let before = systemctl.without_files()?;
    systemctl.reload()?;
    let own = holders::unit(Path::new("/proc/self"));
    let went = |unit: &String| {
        let is_kind = [".service", ".socket", ".timer", ".path"].iter().any(|kind| unit.ends_with(kind));
        is_kind && is_restarted(unit) && !before.contains(unit) && Some(unit) != own.as_ref()
    };
    let units: Vec<String> = systemctl.without_files()?.into_iter().filter(went).collect();
    if !units.is_empty() {
        let units: Vec<&str> = units.iter().map(String::as_str).collect();
        systemctl.stop_wholly(&units)?;
        // Who does not end well is not to be looked after, either.
        systemctl.reset_failed(&units)?;
    }
    Ok(units)
}

/// Restarts the services among the holders' units. What systemd cannot restart shows in those who still hold.
fn restart(systemctl: &Systemctl, holders: &[Holder], stopped: &[String]) -> Result<(), Error> {
    let mut services = restartable(holders);
    services.retain(|unit| !stopped.iter().any(|stopped| stopped == unit));
    if !services.is_empty() {
        systemctl.try_restart(&services)?;
    }
    Ok(())
}

/// The units among those of holders that can be restarted.
pub fn restartable(holders: &[Holder]) -> Vec<&str> {
    let own = holders::unit(Path::new("/proc/self"));
    let units = holders.iter().filter_map(|holder| holder.unit.as_deref());
    let services: BTreeSet<&str> =
        units.filter(|unit| is_restarted(unit) && Some(*unit) != own.as_deref()).collect();
    services.into_iter().collect()
}

/// A scope has nobody who could start it again; with a user's manager go all sessions of that user, and with the message
/// bus all that speak by it.
fn is_restarted(unit: &str) -> bool {
    let spared = ["user@", "dbus"].iter().any(|beginning| unit.starts_with(beginning));
    !spared && !unit.ends_with(SCOPE)
}

/// Detaches our overlays, in this namespace and all that have them of their own.
pub(super) fn take_off(record: &Record) -> Result<(), Error> {
    take_off_by(&record.places, detach_path)
}

/// Takes our overlays off if nobody uses them, which the kernel knows at once; otherwise some of them are left.
fn is_released(record: &Record) -> Result<bool, Error> {
    match take_off_by(&record.places, unmount_path) {
        Err(Error::Io(error)) if error.errno() == Some(libc::EBUSY) => Ok(false),
        other => other.map(|()| true),
    }
}

/// A way to take off what is mounted at a path.
type Unmount = fn(&Path) -> Result<(), IoError>;

fn take_off_by(places: &[PathBuf], unmount: Unmount) -> Result<(), Error> {
    take_off_here(places, unmount)?;
    for pid in others()? {
        let has_ours = MountTable::seen_by(pid)
            .is_ok_and(|table| places.iter().any(|place| laid(&table, place).is_some()));
        if has_ours {
            in_namespace_of(pid, || take_off_here(places, unmount))?.transpose()?;
        }
    }
    Ok(())
}

/// Detaches our overlays in this namespace, with what lies on them: nobody else sees it.
pub(super) fn uncover(places: &[PathBuf]) -> Result<(), Error> {
    for place in places.iter().rev() {
        while stacked(&MountTable::read()?, place).iter().any(|mount| mount.source == LABEL) {
            detach_path(place)?;
        }
    }
    Ok(())
}

/// Detaches what lies on our overlays in this namespace: nobody else sees it.
pub(super) fn bare(places: &[PathBuf]) -> Result<(), Error> {
    while let Some(place) = covered_among(&MountTable::read()?, places) {
        detach_path(&place)?;
    }
    Ok(())
}

/// A place where something lies on ours.
pub(super) fn covered_among(table: &MountTable, places: &[PathBuf]) -> Option<PathBuf> {
    let is_covered = |place: &&PathBuf| {
        let stack = stacked(table, place);
        let is_ours = |mount: &&Mount| mount.source == LABEL;
        stack.iter().any(is_ours) && !stack.last().is_some_and(is_ours)
    };
    places.iter().find(is_covered).cloned()
}

fn take_off_here(places: &[PathBuf], unmount: Unmount) -> Result<(), Error> {
    let mut table = MountTable::read()?;
    for place in places.iter().rev() {
        while laid(&table, place).is_some() {
            unmount(place)?;
            table = MountTable::read()?;
        }
    }
    Ok(())
}
