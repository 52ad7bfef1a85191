//! Where the loader finds libraries, as ld.so(8) goes about it in a root that it is not running in.
//!
//! What ldconfig(8) found is in the base's /etc/ld.so.cache, which no extension of /usr changes: a library that an
//! extension brings is found where its path is in that cache already, and else only in the loader's own directories and
//! where RPATH and RUNPATH lead.

mod cache;
mod load;
mod near;
mod search;

pub use load::{Loaded, MissingLibrary, MissingVersion, Object};
pub(in crate::extension) use near::numbers;
pub use near::{Near, newest_like};
pub use search::Libraries;
