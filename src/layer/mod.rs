//! Layers: packages in the host's next boot, put in anew over its base each time that anything changes.
//!
//! What was asked for ([`Requests`]) is the truth, and each deployment has it in itself ([`Manifest`]). `compose` puts packages into
//! a base that is not booted, in an overlay; what is kept of that, and how it is booted, has one folder for each kind of base.

mod backend;
mod compose;
mod error;
pub mod history;
pub mod local;
mod manifest;
pub mod ostree;
mod requests;
mod transaction;

pub use backend::{Backend, Cleanup, Deployment, backend_of};
pub use compose::{
    Composed, Layers, Lower, PLACE as LAYERS, Plan, Planned, Resolved, Wanted, Workshop, compose, resolve,
};
pub use error::Error;
pub use manifest::{BaseNote, Installed, Manifest, PLACE};
pub use requests::{Edit, LocalFile, Requests};
pub use transaction::{Change, Changed, Until, change, differences, next};
