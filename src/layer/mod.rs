//! Layers: packages in the host's next boot, put in anew over its base each time that anything changes.
//!
//! What was asked for ([`Requests`]) is the truth, and each deployment has it in itself ([`Manifest`]). `compose` puts packages into
//! a base that is not booted, in an overlay; what is kept of that, and how it is booted, has one folder for each kind of base.

mod backend;
mod compose;
mod error;
pub mod history;
mod image;
mod import;
pub mod local;
mod manifest;
mod now;
pub mod ostree;
mod requests;
pub mod snapper;
mod times;
mod transaction;
mod tried;

use backend::layers_in;
pub use backend::{Backend, Bases, Cleanup, Deployment, Draft, Made, backend_of};
pub use compose::{
    Boot, BootFiles, Composed, Initramfs, Layers, Lower, PLACE as LAYERS, Plan, Planned, Resolved, Shape,
    Wanted, Workshop, compose, resolve,
};
use compose::{is_word_for, package_system};
pub use error::Error;
pub use image::{containerfile, image_name, image_of};
pub use import::{GivenFiles, Import, WantedFile};
pub use manifest::{BaseNote, Installed, Manifest, PLACE};
pub use now::{NAME as EXTENSION_NOW, Now, apply_now, plan_now};
use requests::package_of;
pub use requests::{Edit, LocalFile, Requests};
pub use times::Milliseconds;
use times::seconds_now;
pub use transaction::{Change, Changed, Until, change, differences, next};
pub use tried::{Look, Tried, look};
