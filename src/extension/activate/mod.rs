//! Extensions on a host: which images it has, which of them a deployment or snapshot wants, and which are merged.
//!
//! * **Images** are files in `STATE/images`, `NAME_VERSION_ARCHITECTURE.raw` ([`Images`]). One gets there when it was read to its
//!   end and judged, by one rename.
//! * **Enabled** is what `/etc/onlay/extensions` has a link to ([`Enabled`]). /etc is the deployment's own, so a rollback of the
//!   host rolls extensions back, and those of another root can be chosen before it is booted. What is there until the reboot alone,
//!   image and link, is below `/run/onlay`.
//! * **Active** is what `/run/extensions` has a link to. `refresh` makes these links, of enabled images that were judged fit on
//!   this very base; a unit does it at boot, before systemd-sysext merges. /run is empty then: what nobody judged is never
//!   merged, and where our unit fails, the host comes up without extensions.
//!
//! One image that systemd cannot open keeps it from merging any. So what does not fit is held back alone, with the reason.

mod actions;
mod add;
mod boot;
mod change;
mod choose;
mod clean;
mod enabled;
mod error;
mod generated;
mod identity;
mod images;
mod judge;
mod links;
mod listing;
mod merge;
mod others;
mod record;
mod refresh;
mod report;
mod sound;
mod squash;
mod survey;
mod timer;
mod unit;
mod until_reboot;
mod users;
mod verdicts;
mod witness;

pub use actions::Actions;
pub use add::{Added, Incoming, Outcome, Request, add};
pub use boot::merged_at_boot;
pub use change::Change;
pub use choose::{Choice, Chosen, Removed, Without, disable, enable, remove, without};
pub use clean::{before, clean};
pub use enabled::{Enabled, enabled, lasting};
pub use error::Error;
pub use identity::merged_as;
pub use images::{Images, Stored};
pub use listing::{Listed, State, list, names};
pub use merge::{Way, merged};
pub use others::{Stranger, Trouble};
pub use record::{Active, Generated, HeldBack, Record};
pub use refresh::refresh;
pub use report::{Options, Report};
pub use survey::{Survey, survey};
pub use timer::{Timer, set_timer, timer};
pub use until_reboot::{folder, image_until_reboot, merge_until_reboot};
