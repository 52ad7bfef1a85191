//! Extensions that systemd has merged over what is unlocked: its own tools take them off while it is locked, and merge
//! them again over what is then visible.

use std::path::{Path, PathBuf};

use super::peers::{Peer, stacked};
use super::record::Live;
use super::{Error, LABEL};
use crate::sys::{Mount, MountTable};
use crate::tool::systemd_sysext::{PROGRAMS, SystemdSysext};

/// The tools by which extensions are taken off and put on.
pub(super) struct Mergers {
    all: Vec<SystemdSysext>,
    /// Who is needed now; the others were, when somebody was killed.
    unmerging: Vec<&'static str>,
}

impl Mergers {
    /// Those that are needed. What lies on ours and cannot be put back afterwards is refused.
    pub(super) fn over(table: &MountTable, places: &[PathBuf], live: &Live) -> Result<Mergers, Error> {
        let mut unmerging = Vec::new();
        for place in places {
            let stack = stacked(table, place);
            let Some(ours) = stack.iter().position(|mount| mount.source == LABEL) else { continue };
            for mount in &stack[ours + 1..] {
                unmerging.extend(program_of(mount, place)?);
            }
        }
        let noted = live.unmerged()?;
        let is_wanted = |name: &&str| unmerging.contains(name) || noted.iter().any(|noted| noted == name);
        let wanted = PROGRAMS.into_iter().filter(is_wanted);
        let all = wanted.map(SystemdSysext::find).collect::<Result<_, _>>()?;
        Ok(Mergers { all, unmerging })
    }

    /// Takes off what lies on ours, after it was noted that it is to be there.
    pub(super) fn take_off(&self, live: &Live) -> Result<(), Error> {
        if !self.unmerging.is_empty() {
            live.note_unmerged(&self.all.iter().map(SystemdSysext::name).collect::<Vec<_>>())?;
        }
        let mut covering = self.all.iter().filter(|merger| self.unmerging.contains(&merger.name()));
        Ok(covering.try_for_each(SystemdSysext::unmerge)?)
    }

    /// Puts on what was taken off.
    pub(super) fn put_on(&self, live: &Live) -> Result<(), Error> {
        self.all.iter().try_for_each(SystemdSysext::refresh)?;
        Ok(live.forget_unmerged()?)
    }
}

/// By which program what lies on ours is taken off and put back.
fn program_of(mount: &Mount, place: &Path) -> Result<Option<&'static str>, Error> {
    match Peer::of(mount) {
        Peer::Onlay => Ok(None),
        Peer::Sysext { .. } if !has_upper(mount) => Ok(Some(PROGRAMS[0])),
        Peer::Confext { .. } if !has_upper(mount) => Ok(Some(PROGRAMS[1])),
        other => {
            let whose = format!("'{other}', which lies on what is to be taken off");
            Err(Error::Covered { path: place.to_owned(), whose })
        }
    }
}

/// Whether it was merged to be written, and what was written may go with it.
fn has_upper(mount: &Mount) -> bool {
    mount.super_option("upperdir").is_some()
}
