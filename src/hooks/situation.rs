//! What an installation comes to, as the process that would do it sees /usr.

use std::path::Path;

use crate::live;
use crate::shell;
use crate::sys::{Context, IoError, MountTable, Root};

/// What an installation at this moment, by this process, comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Situation {
    /// It is kept, as far as this program knows.
    Kept,
    /// It goes into what the host is unlocked with, and goes with it.
    Temporary,
    /// It goes into this overlay alone.
    Inside(String),
    /// Nothing can be written.
    Locked,
    /// Nothing can be written, and what was unlocked persistently is held back.
    HeldBack,
    /// The host is unlocked, but this process cannot write.
    UnlockedForOthers,
}

impl Situation {
    /// Looks at the running system, and at what is kept in a state directory.
    pub fn of_this_process(state: &Path) -> Result<Situation, IoError> {
        if let Some(name) = shell::inside() {
            return Ok(Situation::Inside(name));
        }
        let usr = Root::open("/")?.resolve("/usr")?;
        let status = rustix::fs::statvfs(&usr).context("examine", &usr)?;
        let is_read_only = status.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY);
        Ok(match (is_read_only, is_laid(&usr)?) {
            (false, false) => Situation::Kept,
            (false, true) if is_persistent() => Situation::Kept,
            (false, true) => Situation::Temporary,
            (true, false) if is_held_back(state) => Situation::HeldBack,
            (true, false) => Situation::Locked,
            (true, true) => Situation::UnlockedForOthers,
        })
    }
}

fn is_laid(usr: &Path) -> Result<bool, IoError> {
    Ok(live::is_laid(&MountTable::read()?, usr))
}

/// Whether what is unlocked comes back at boot. Where that cannot be known, it is not promised. This process stays in its
/// mount namespace: what it can write there is asked for again.
fn is_persistent() -> bool {
    live::Record::read_here().is_ok_and(|record| record.is_some_and(|record| record.persistent))
}

fn is_held_back(state: &Path) -> bool {
    live::held(state).is_ok_and(|held| held.is_some())
}
