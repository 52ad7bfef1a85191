//! The running host's own directories, made writable for a while, and locked again.
//!
//! `unlock` lays a writable overlay over each of some directories (`places`), for every process of the host; what it did
//! is written down in `/run/onlay/live` (`record`), which a reboot empties as it takes the overlays off. `lock` takes
//! them off while processes use them (`holders` finds those); what was changed is discarded, or made a named overlay. All that is done in the
//! mount namespace of process 1 (`namespace`), from wherever it is called, or not at all.
//!
//! Services that systemd sandboxes keep what they were promised: the overlay arrives read-only in every namespace, and
//! only then the host's own mount of it is made writable (flags of a mount do not propagate, mount_namespaces(7)).

mod changes;
mod error;
mod holders;
mod lock;
mod mergers;
mod namespace;
mod peers;
mod places;
mod process_files;
mod record;
mod unlock;

pub use changes::{Changes, changes, measure};
pub use error::Error;
pub use holders::{Holder, holders};
pub use lock::{Ending, Locked, lock};
pub use peers::{Cover, Peer, covers};
pub use places::default_places;
pub use record::{Live, Record, Storage};
pub use unlock::{Request, Unlocked, unlock};

/// What mountinfo(5) shows as the source of our overlays.
const LABEL: &str = "onlay-live";
