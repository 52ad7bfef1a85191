//! A host that boots by OSTree: its repository of objects, and its deployments.
//!
//! Objects are read and written here, and not by ostree's library or program, since a layer is small beside what it
//! is laid on: a [`Transaction`] reads of a base those directories that an overlay's upper mentions, writes what is
//! new in them, and takes the rest over by its checksums. [`lay`] shows another base over one that is checked out, at the
//! cost of what differs. Deployments, boot loaders and what is merged into /etc are left to the program `ostree`.
//!
//! Objects are never changed. File objects are hard links in deployments: nothing here, and nobody who is given a path
//! to one, may write to them. What they may get is fs-verity, with which nobody can.

mod at_boot;
mod attributes;
mod checksum;
mod compose;
mod deployments;
mod difference;
mod disk;
mod error;
mod integrity;
mod keyfile;
mod labels;
mod layers;
mod object;
mod origin;
mod repo;
mod room;
mod sealing;
mod sysroot;
mod transaction;
mod variant;
mod view;
mod waiting;

pub use checksum::{Checksum, NoChecksum, ObjectKind, ObjectName};
pub use compose::Composition;
pub use deployments::Deployments;
pub use difference::{Difference, differences};
pub use error::{Error, Unfit, Why};
pub use integrity::Demand;
pub use keyfile::{BadLine, KeyFile};
pub use object::{Commit, DirTree, Directory, Item, Metadata, Value};
pub use origin::Origin;
pub use repo::Repository;
pub use sysroot::{Deployment, Standing, Sysroot, Unlocked};
pub use transaction::{Transaction, Written};
pub use variant::Malformed;
pub use view::{Laid, lay};
