//! dpkg's database: a directory of text files, `/var/lib/dpkg` or `/usr/lib/sysimage/dpkg`.
//!
//! | file | what | module |
//! |---|---|---|
//! | `status` | a stanza for each package and architecture | `entry` |
//! | `info/PKG.TYPE`, `info/PKG:ARCH.TYPE` | lists of files, their digests, scripts … | `info` |
//! | `diversions` | files that give way to another package's | `diversions` |
//! | `statoverride` | owners and modes that the administrator set | `statoverride` |
//! | `alternatives/NAME` | who offers a name, and what was chosen | `alternatives` |
//! | `arch` | architectures whose packages can be installed | `contents` |
//! | `triggers/File`, `triggers/NAME`, `triggers/Unincorp` | who wants to know of changes | `triggers` |
//! | `/var/lib/apt/extended_states` | what apt installed for others' sake | `auto_installed` |
//!
//! `status-old` and other copies are nobody's truth and are not read; a record in `updates/` is one that dpkg
//! has not finished, and refuses the whole. Parsers are functions over bytes; `Database` alone reads
//! a directory.

pub mod alternatives;
pub mod auto_installed;
pub mod diversions;
pub mod merge;
pub mod statoverride;
pub mod triggers;

mod check;
mod contents;
mod database;
mod dump;
mod entry;
mod files;
mod info;
mod lines;
mod lock;
mod write;

pub use alternatives::Alternative;
pub use auto_installed::AutoInstalled;
pub use check::{Finding, check};
pub use contents::{Contents, Paths, Tables};
pub use database::{Database, EXTENDED_STATES};
pub use diversions::{Diversion, Diversions};
pub use dump::export;
pub use entry::{Conffile, Entry, Key, Marks, MultiArch, State, Status, Want, parse_status};
pub use files::{Aliases, InstalledFile};
pub use info::{InfoFiles, stem};
pub use lock::is_locked;
pub use statoverride::StatOverride;
pub use triggers::Triggers;
pub use write::{differing, write};
