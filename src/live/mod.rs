//! The running host's own directories, made writable for a while, and locked again.
//!
//! `unlock` lays a writable overlay over each of some directories (`places`), for every process of the host; what it did
//! is written down in `/run/onlay/live` (`record`), which a reboot empties as it takes the overlays off. `lock` takes
//! them off while processes use them (`holders` finds those); what was changed is discarded, or made a named overlay. All that is done in the
//! mount namespace of process 1 (`namespace`), from wherever it is called, or not at all.
//!
//! What is persistent is written down on disk, too (`kept`), and laid again at boot by a unit of systemd's (`boot`,
//! `resume`).
//!
//! Services that systemd sandboxes keep what they were promised: the overlay arrives read-only in every namespace, and
//! only then the host's own mount of it is made writable (flags of a mount do not propagate, mount_namespaces(7)).

mod boot;
mod changes;
mod enter;
mod error;
mod holders;
mod kept;
mod left;
mod lock;
mod mergers;
mod namespace;
mod peers;
mod places;
mod process_files;
mod record;
mod resume;
mod traces;
pub mod units;
mod unlock;

pub use changes::{Changes, below, changes, count, measure, with_changes};
pub use enter::enter_to_write;
pub use error::Error;
pub use holders::{Holder, holders};
pub use kept::{Held, held, left, remains};
pub use left::{Left, MOST};
pub use lock::{Ending, Locked, clear_remains, lock, lock_held, restartable};
pub use namespace::{go_to_host, in_workshop};
pub use peers::{Cover, Peer, covers};
pub use places::{default_places, is_laid};
pub use record::{Live, Record, Storage};
pub use resume::{Moment, Resumed, changes_held, preview, resume, suspend};
pub use traces::{Traces, traces};
pub use unlock::{Request, Unlocked, unlock};

/// What mountinfo(5) shows as the source of our overlays.
const LABEL: &str = crate::overlay::LIVE_LABEL;
