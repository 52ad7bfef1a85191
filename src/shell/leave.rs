//! Leaving: giving an overlay up, or leaving a keeper with what still runs in it.

use std::ffi::OsStr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::guard::Guard;
use super::noting::Noting;
use super::session::Finished;
use super::{Error, Outcome, Remains};
use crate::event::{Event, Events};
use crate::overlay::{self, Left, OverlayName, Presence};
use crate::sys::{self, Forked, IoError, Listener, Lock, Namespace, Root, fork};

/// How long those that the command left running may take to end by themselves before it is said that they stay. What
/// package managers start for a moment, such as the gpg-agent of libzypp, has ended by then.
const GRACE: Duration = Duration::from_millis(500);

/// What a session holds, to be given up at its end.
pub(super) struct Started {
    pub(super) presence: Presence,
    pub(super) name: OverlayName,
    pub(super) usage: Lock,
    /// The overlay's directory, where it is on disk.
    pub(super) kept: Option<Root>,
    /// What may be noting something of its base.
    pub(super) noting: Option<Rc<Noting>>,
    /// What was pending in it has run.
    pub(super) is_refreshed: bool,
    pub(super) guard: Option<Guard>,
    /// The caller's mount namespace.
    pub(super) home: Namespace,
}

/// Gives the overlay up, unless processes stay behind; then a keeper stays with them.
pub(super) fn leave(
    started: Started,
    finished: Finished,
    command: &OsStr,
    events: &mut dyn Events,
) -> Result<Outcome, Error> {
    let Finished { ended, failure, listener } = finished;
    if let Some(noting) = &started.noting {
        noting.finish();
    }
    let name = started.name.clone();
    if let Some(listener) = &listener {
        // Where this cannot be waited for, a keeper waits, who tells nobody.
        let _ = attend(started.guard.as_ref(), listener, Some(Instant::now() + GRACE));
    }
    let remains = match listener.filter(|listener| !listener.has_hung_up()) {
        Some(listener) => {
            events.tell(Event::StillRunning { name: name.to_string() });
            keep(started, &listener)?;
            Remains::InUse
        }
        None => give_up(started)?,
    };
    match failure.and_then(|failure| failure.into_error(command)) {
        Some(error) => Err(error),
        None => Ok(Outcome { ended, name, remains }),
    }
}

fn give_up(started: Started) -> Result<Remains, IoError> {
    let _entry = started.presence.lock_entry()?;
    // Going home takes the view's mounts down, if we were the last there. It must come before the
    // lock is given up, so that whoever enters next finds the upper directory free. Where it is
    // refused, they go when this process does.
    let _ = sys::join(&started.home);
    Ok(match (started.presence.leave(&started.name, started.usage)?, started.kept) {
        (Left::Others, _) => Remains::InUse,
        (Left::Last, Some(kept)) => {
            // What cannot be noted now is asked for when the base has changed.
            let _ = overlay::note_base(&started.name, &kept);
            if started.is_refreshed {
                let _ = overlay::forget_pending(&kept);
            }
            Remains::Kept(kept)
        }
        (Left::Last, None) => Remains::Nothing,
    })
}

/// Leaves a process with those that the command left running. It holds the overlay for them and
/// answers for their signals, until the last one has gone.
fn keep(started: Started, listener: &Listener) -> Result<(), IoError> {
    match fork()? {
        Forked::Parent(_) => {
            // The view stays as it is for those who are in it, and is no place for who called us.
            let _ = sys::join(&started.home);
            Ok(())
        }
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
    attend(started.guard.as_ref(), listener, None)?;
    give_up(started).map(|_| ())
}

/// Answers for the signals of those that the command left running, until the last one has gone or the time has come.
fn attend(guard: Option<&Guard>, listener: &Listener, until: Option<Instant>) -> Result<(), IoError> {
    while !listener.has_hung_up() {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            break;
        }
        listener.wait(guard.is_some(), left)?;
        if let Some(guard) = guard.filter(|_| listener.has_call()) {
            guard.serve(listener)?;
        }
    }
    Ok(())
}
