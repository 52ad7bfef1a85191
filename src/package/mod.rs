//! Packages as such: names, versions and their order, relations between packages, and the headers and
//! stanzas that describe one; package files and their payloads. Nothing here knows where a database of
//! installed packages is, reads a directory, or starts rpm or dpkg: parsers are functions over bytes that
//! others wrote, and trust none of them.

pub mod archive;
pub mod deb822;
pub mod debian_relation;
pub mod digest;
pub mod header;
pub mod relation;

mod debian_version;
mod error;
mod evr;
mod identity;

pub use debian_version::DebianVersion;
pub use error::Error;
pub use evr::{Evr, compare_versions};
pub use header::Header;
pub use identity::Identity;
