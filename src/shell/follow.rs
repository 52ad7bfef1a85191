//! Letting an overlay follow its base before it is entered, or for its own sake.
//!
//! It happens in a mount namespace of our own: the package database of the overlay is read as it is seen
//! inside, over the new base.

use std::path::Path;
use std::time::Duration;

use super::enter::{ram_storage, reached_here};
use super::plan::{Entrance, Plan, plan};
use super::{Error, Request};
use crate::event::{Event, Events};
use crate::host::Host;
use crate::overlay::{self, Of, Overlay, Part, Presence, Rebase, Standing, Storage, When, Wishes, assemble};
use crate::sys::{Namespaces, Propagation, detach_path, leave_for_new, set_propagation};

/// What came of it.
pub enum Followed {
    /// The base is the one that the overlay knows.
    Unchanged,
    /// This was planned, and done unless it was only to be looked at.
    Rebased(Box<Rebase>),
}

/// Lets the overlay of a request follow its base, if that has changed. With `is_only_planned` nothing is
/// changed. The process is left in a mount namespace of its own.
pub fn rebase(
    request: Request,
    wishes: &Wishes,
    is_only_planned: bool,
    events: &mut dyn Events,
) -> Result<Followed, Error> {
    rebase_planned(&plan(request)?, wishes, is_only_planned, events)
}

fn rebase_planned(
    plan: &Plan,
    wishes: &Wishes,
    is_only_planned: bool,
    events: &mut dyn Events,
) -> Result<Followed, Error> {
    let presence = Presence::open(&plan.request.state)?;
    let _entry = presence.lock_entry()?;
    let overlay = match plan.entrance_past(Some(&presence))? {
        Entrance::Reenter(overlay) => overlay,
        Entrance::Join(found) => {
            return Err(overlay::Error::InUse { name: found.name.clone(), user: Some(found.user()) }.into());
        }
        Entrance::Create | Entrance::Temporary => {
            return Err(overlay::Error::NotFound { name: plan.name.clone() }.into());
        }
    };
    let Some(usage) = presence.use_alone(&plan.name)? else {
        return Err(overlay::Error::InUse { name: plan.name.clone(), user: None }.into());
    };
    let result = follow_alone(plan, overlay, wishes, is_only_planned, events);
    presence.leave(&plan.name, usage)?;
    result
}

/// What letting the overlay of a plan follow its base would come to, in words; nothing where it follows already. The
/// process is left in a mount namespace of its own.
pub fn preview(plan: &Plan, events: &mut dyn Events) -> Result<Vec<String>, Error> {
    Ok(match rebase_planned(plan, &Wishes::default(), true, events)? {
        Followed::Unchanged => Vec::new(),
        Followed::Rebased(rebase) => rebase.lines(When::Planned, Of::Overlay),
    })
}

fn follow_alone(
    plan: &Plan,
    mut overlay: Overlay,
    wishes: &Wishes,
    is_only_planned: bool,
    events: &mut dyn Events,
) -> Result<Followed, Error> {
    if !is_only_planned {
        overlay::settle(&overlay.dir, &plan.host, events)?;
        note_what_a_crash_kept(plan, &overlay, &plan.host);
    }
    match overlay::standing(&overlay, &plan.host, plan.base())? {
        Standing::Level | Standing::Touched => {
            if !is_only_planned && overlay.record.base != *plan.base() {
                overlay.touch(plan.base())?;
            }
            return Ok(Followed::Unchanged);
        }
        Standing::Edited(paths) => events.tell(Event::BaseEdited { paths }),
        Standing::Behind => {}
    }
    leave_for_new(Namespaces::MOUNT)?;
    set_propagation(Path::new("/"), Propagation::Slave)?;
    overlay.dir = reached_here(&overlay.dir, &plan.name)?;
    let rebase = if is_only_planned {
        plan_here(plan, &overlay, wishes, events)?
    } else {
        let rebase = rebase_here(plan, &overlay, wishes, events)?;
        overlay.touch(rebase.base())?;
        rebase
    };
    Ok(Followed::Rebased(Box::new(rebase)))
}

/// Plans and does it; once more where the base has changed meanwhile: rpm finishes its database when it has given up its
/// lock.
fn rebase_here(
    plan: &Plan,
    overlay: &Overlay,
    wishes: &Wishes,
    events: &mut dyn Events,
) -> Result<Rebase, Error> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let rebase = plan_here(plan, overlay, wishes, events)?;
        match rebase.apply(overlay, &here(plan)?) {
            Err(overlay::Error::BaseChanged { .. }) if attempts < ATTEMPTS => std::thread::sleep(MOMENT),
            other => return Ok(other.map(|()| rebase)?),
        }
    }
}

/// How often it is tried over a base that changes, and how long to wait in between.
const ATTEMPTS: usize = 3;
const MOMENT: Duration = Duration::from_millis(200);

/// Lets an overlay that is about to be entered follow its base, if that has changed or was edited. The mount namespace is
/// ours alone.
pub(super) fn follow(plan: &Plan, overlay: &Overlay, events: &mut dyn Events) -> Result<(), Error> {
    note_what_a_crash_kept(plan, overlay, &here(plan)?);
    match overlay::standing(overlay, &plan.host, plan.base())? {
        Standing::Level => return Ok(()),
        Standing::Touched => {
            // Else it is looked at again.
            let _ = overlay::note_touched(overlay, &plan.host, plan.base());
            return Ok(());
        }
        Standing::Edited(paths) => events.tell(Event::BaseEdited { paths }),
        Standing::Behind => {}
    }
    let rebase = rebase_here(plan, overlay, &Wishes::default(), events)?;
    events.tell(Event::Rebased { lines: rebase.lines(When::Done, Of::Overlay) });
    Ok(())
}

/// What cannot be noted now is asked for when the base has changed.
fn note_what_a_crash_kept(plan: &Plan, overlay: &Overlay, host: &Host) {
    if overlay.record.base == *plan.base() {
        let _ = overlay::note_unnoted(overlay, host);
    }
}

fn plan_here(
    plan: &Plan,
    overlay: &Overlay,
    wishes: &Wishes,
    events: &mut dyn Events,
) -> Result<Rebase, Error> {
    let place = overlay::run_directory()?;
    let ram = ram_storage(None)?;
    ram.make_dir("view", 0o700)?;
    // What lies in RAM has no packages, and what is the host's own is the same on both sides.
    let parts: Vec<Part> = plan.parts.iter().filter(|part| matches!(part, Part::Kept(_))).cloned().collect();
    let storage = Storage { kept: &overlay.dir, ram: &ram, additions: None, label: &plan.label };
    let seen = assemble(&parts, &storage, plan.host.root.path(), &ram.open_dir("view")?, events)?;
    // Its files have the names of the host's, which are not meant.
    let seen = seen.called(format!("{}:/", plan.name));
    let rebase = Rebase::plan(overlay, &here(plan)?, &seen, wishes);
    drop(seen);
    // Before a layer is mounted anew, nobody may have it mounted.
    detach_path(&place.path().join("view"))?;
    detach_path(place.path())?;
    Ok(rebase?)
}

/// The host as it is reached through the mounts of this namespace.
fn here(plan: &Plan) -> Result<Host, Error> {
    Ok(Host::open(plan.host.root.path())?)
}
