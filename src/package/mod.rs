//! Packages as such: names, versions and their order, relations between packages, and the headers and
//! stanzas that describe one. Nothing here knows where a database of installed packages is, reads a
//! directory, or starts rpm or dpkg: parsers are functions over bytes that others wrote, and trust none
//! of them.

mod identity;

pub use identity::Identity;
