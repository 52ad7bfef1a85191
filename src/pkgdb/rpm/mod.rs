//! rpm's database of installed packages, in SQLite's format and in rpm's own (ndb), read and written
//! without rpm.
//!
//! A database is a set of *headers*, each under a number, and tables that index them. The number says
//! nothing: rebuilding the database gives others. What tells headers apart is their [`Identity`]. So a
//! change is said as a [`Delta`]: remove these, replace these, add those. It is made in a copy beside the
//! database, which then takes its place ([`Prepared::commit`]); before that, nothing has happened.
//!
//! Nothing is ever written where something is only read, not even a lock file.

pub mod index_rows;
pub mod merge;
pub mod ndb;

mod ahead;
mod at_once;
mod catalog;
mod check;
mod database;
mod dump;
mod fingerprint;
mod keys;
mod locations;
mod lock;
mod needs;
mod reading;
mod sqlite;
mod states;
mod writer;

use std::fmt;

pub use ahead::Ahead;
pub use check::{Finding, check, may_be_there_twice};
pub use database::{Access, Database, Installed, Opening, VisitOwner};
pub use dump::{export, import, look, read_headers};
pub use fingerprint::Fingerprint;
pub(super) use locations::BERKELEY_DB;
pub use locations::{Backend, Location};
pub use lock::is_locked;
pub use sqlite::park;
pub use writer::{Delta, Prepared, create, prepare, prepare_from};

use super::Error;
use crate::package::Identity;

/// The number of a header in its database (rpm's `hnum`). Never the same again for another header, but for
/// databases that were rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hnum(pub u32);

impl fmt::Display for Hnum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is shown a header and its number, and may stop the reading by an error.
pub type Visit<'a> = &'a mut dyn FnMut(Hnum, &[u8]) -> Result<(), Error>;

/// A header in a database: its number, and what it was when somebody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stored {
    /// Its number.
    pub number: Hnum,
    /// The identity of its bytes.
    pub identity: Identity,
}
