//! The truth about packages while extensions are merged.
//!
//! What extensions bring is seen like all else in /usr; a host's database of packages does not know of it. Where the database
//! itself is in /usr, which extensions are laid over, one more extension can bring another one: the base's, with the packages
//! of all others. It is *generated* on the host, a directory, from the base and from what images say of their packages
//! ([`places`]), and merged with them under a name of its own ([`NAME`]). The base's database is only read, and is what is seen
//! as soon as extensions are not merged any more.
//!
//! * Of a package that the base has in another version, the image's is in the database: its files are those that are seen. Of
//!   one that several images have, that of the topmost.
//! * A database in /var is out of reach: no extension is laid over that. So it is on a plain Debian.
//! * What cannot be done is a [`Remark`], and keeps no image from being merged.

mod dpkg;
mod error;
mod generate;
mod key;
mod owner;
pub(super) mod places;
mod records;
mod remark;
mod rpm;
mod site;
mod tree;

pub use error::Error;
pub use generate::{MergedDatabase, forget, generate};
pub use owner::{Owner, owner};
pub use records::Records;
pub use remark::Remark;

/// The name of the generated extension. systemd lays extensions in the order of their names: it is laid on top.
pub const NAME: &str = "zzz-onlay-packages";

/// Whether an extension of this name with a database of packages is meant to hide the base's.
pub(super) fn is_generated(name: &str) -> bool {
    name == NAME
}
