//! A private mount namespace of the host in which what is unlocked can be written, also where it is read-only for all others.

use std::path::Path;

use super::peers::laid;
use super::unlock::check_caller;
use super::{Error, Record, kept};
use crate::sys::{
    MountFlags, MountTable, Namespaces, Propagation, Root, leave_for_new, set_flags, set_propagation,
};

/// Takes this process to a mount namespace that is a copy of the host's, in which what is unlocked can be written. What is
/// mounted later on the host, or taken off, arrives here, too.
pub fn enter_to_write(state: &Path) -> Result<Record, Error> {
    check_caller()?;
    // This goes to the host's namespace.
    let Some(record) = Record::read()? else {
        return Err(kept::held(state)?.map_or(Error::NotUnlocked, |held| Error::Held { why: held.why }));
    };
    leave_for_new(Namespaces::MOUNT)?;
    set_propagation(Path::new("/"), Propagation::Slave)?;
    let table = MountTable::read()?;
    if let Some(missing) = record.places.iter().find(|place| laid(&table, place).is_none()) {
        return Err(Error::Broken { path: missing.clone() });
    }
    for place in &record.places {
        set_flags(Root::open(place)?, MountFlags::default(), MountFlags::READ_ONLY, false, place)?;
    }
    Ok(record)
}
