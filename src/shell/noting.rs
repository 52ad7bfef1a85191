//! Noting what packages the base has, and what lies below the overlay's files, beside a session that lasts.
//!
//! It is needed when the base has changed since, and whoever leaves notes it, too. But a session can end by a power cut,
//! or after an update of the host. A process of its own does it: it takes longer than starting a command, and one that is
//! soon done needs it as little as its overlay will have changed.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::child::Child;
use crate::overlay::{self, OverlayName};
use crate::sys::{self, Forked, IoError, Namespace, Pid, Root, fork};

/// What lasts longer is worth it.
pub(super) const AFTER: Duration = Duration::from_secs(1);

/// The process that notes, once it was started.
#[derive(Debug)]
pub(super) struct Noting {
    name: OverlayName,
    dir: Root,
    home: Namespace,
    processes: Namespace,
    process: Cell<Option<Pid>>,
}

impl Noting {
    /// Has it started when a command in an overlay has lasted a while; `home` is where the base can be seen, and
    /// `processes` where nobody inside sees who notes. One in RAM has no directory, and never follows a base.
    pub(super) fn beside(
        child: &mut Child,
        name: &OverlayName,
        dir: Option<&Root>,
        home: &Namespace,
        processes: Namespace,
    ) -> Result<Option<Rc<Noting>>, IoError> {
        let Some(dir) = dir else { return Ok(None) };
        let (dir, home) = (dir.try_clone()?, home.try_clone()?);
        child.noting =
            Some(Rc::new(Noting { name: name.clone(), dir, home, processes, process: Cell::new(None) }));
        Ok(child.noting.clone())
    }

    /// Starts it. What cannot be noted now is noted on leaving.
    pub(super) fn start(&self) {
        // An isolated overlay's first process, once ended, would wait for it to be gone; and it has what strangers must
        // not reach.
        if sys::join(&self.processes).is_err() {
            return;
        }
        match fork() {
            Ok(Forked::Parent(pid)) => self.process.set(Some(pid)),
            Ok(Forked::Child) => {
                if sys::join(&self.home).is_ok() {
                    let _ = overlay::note_meanwhile(&self.name, &self.dir);
                }
                sys::exit_now(0)
            }
            Err(_) => {}
        }
    }

    /// Waits for its end, which is near.
    pub(super) fn finish(&self) {
        if let Some(pid) = self.process.take() {
            // It is our child, and nobody else waits for it.
            let _ = sys::wait(pid);
        }
    }
}
