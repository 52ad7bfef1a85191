//! `pkgdb::dpkg` against the real dpkg and apt of a Debian 13 tree: they judge what we read, and what we write.

mod merging;
mod mutations;
mod reading;
mod system;
mod versions;
