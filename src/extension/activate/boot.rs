//! What is left to be done at boot when systemd has merged, where its version does not do it by itself: before 255.

use super::record::Record;
use super::{Actions, Error};
use crate::tool::systemctl::Systemctl;

/// Has systemd read its units again where it has merged extensions at boot that bring some, and start what its targets want of
/// them. Says whether there was anything to do.
pub fn merged_at_boot() -> Result<bool, Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let mut actions = Actions::default();
    Record::read()?.active.iter().for_each(|active| actions.extend(&active.actions));
    if !actions.has_units() {
        return Ok(false);
    }
    Systemctl::find()?.take_in_new_units()?;
    Ok(true)
}
