//! What all changes of what is enabled have in common: whether they may be made, and what follows from them.

use std::path::Path;

use super::refresh::{self, check_systemd, refresh_locked};
use super::report::{Options, Report};
use super::survey::{New, Survey, survey_with};
use super::unit::{self, BootUnit};
use super::{Error, enabled, merge, users};
use crate::host::Host;
use crate::live::units::existing;
use crate::live::{self, Record, go_to_host};
use crate::sys::{Lock, Mount};
use crate::tool::systemd_sysext::{PROGRAMS, SystemdSysext};

/// Where and how something is changed.
#[derive(Debug)]
pub struct Change<'a> {
    /// The root whose extensions are enabled or not.
    pub host: Host,
    /// Where images are.
    pub state: &'a Path,
    /// Whether what is enabled is merged at once, where the root is the running one.
    pub refresh: bool,
    /// Change nothing.
    pub dry_run: bool,
}

impl<'a> Change<'a> {
    /// For a root, from where that can be changed.
    pub fn of(root: &Path, state: &'a Path, refresh: bool, dry_run: bool) -> Result<Change<'a>, Error> {
        if !rustix::process::geteuid().is_root() {
            return Err(Error::NotRoot);
        }
        if root == Path::new("/") {
            if let Some(name) = crate::shell::inside() {
                return Err(live::Error::Inside { name }.into());
            }
            go_to_host()?;
        }
        Ok(Change { host: Host::open(root)?, state, refresh, dry_run })
    }

    /// Refuses what could not be finished, before anything is made ready for it.
    pub fn check(&self) -> Result<(), Error> {
        self.begin().map(drop)
    }

    /// The same, and where nothing that comes now could be merged, or not at boot: before anything is fetched.
    pub fn check_for_more(&self) -> Result<(), Error> {
        let mut begun = self.begin()?;
        self.survey(&mut begun, &[]).map(drop)
    }

    /// Refuses what could not be finished, and keeps others from changing anything.
    pub(super) fn begin(&self) -> Result<Begun, Error> {
        let lock = refresh::lock()?;
        let place = existing(&self.host, &Path::new("/").join(enabled::PLACE));
        if !self.host.mounts.at(&self.host.root.join(&place)).is_some_and(Mount::is_writable) {
            return Err(Error::ReadOnly(self.host.root.join(place)));
        }
        if self.host.is_running {
            refuse_unlocked(&place)?;
            if self.refresh {
                SystemdSysext::find(PROGRAMS[0])?;
                merge::check(&self.host)?;
            }
        }
        Ok(Begun { _lock: lock, unit: None })
    }

    /// What there is of extensions with new ones among them; refuses where they could not be merged, or not at boot.
    pub(super) fn survey(&self, begun: &mut Begun, news: &[New<'_>]) -> Result<Survey, Error> {
        let survey = survey_with(&self.host, self.state, news, &[])?;
        let systemd = check_systemd(survey.systemd)?;
        self.refuse_blocked(&survey)?;
        begun.unit = Some(BootUnit::plan(&self.host, self.state, systemd)?);
        Ok(survey)
    }

    /// Refuses where systemd would merge nothing of it: before anything is changed.
    pub(super) fn refuse_blocked(&self, survey: &Survey) -> Result<(), Error> {
        if self.refresh && self.host.is_running { survey.refuse_blocked() } else { Ok(()) }
    }

    /// The same for who has not looked at extensions. Where none is to be merged, they need not make sense.
    pub(super) fn refuse_where_blocked(&self) -> Result<(), Error> {
        if self.refresh && self.host.is_running {
            self.refuse_blocked(&survey_with(&self.host, self.state, &[], &[])?)?;
        }
        Ok(())
    }

    /// Whether /usr can be written, and cannot be any more as soon as anything is merged.
    pub fn makes_read_only(&self) -> bool {
        self.refresh && self.host.is_running && merge::is_writable(&self.host)
    }

    /// Has what is enabled come at boot, and merges it now where it is to be.
    pub(super) fn finish(&self, begun: &Begun) -> Result<Option<Report>, Error> {
        if self.dry_run {
            return Ok(None);
        }
        let is_empty = enabled::lasting(&self.host.root)?.is_empty();
        if !self.host.is_running {
            let is_hidden = !is_empty && !users::is_found(&self.host);
            users::note(self.host.root.path(), is_hidden, self.state)?;
        }
        if is_empty {
            unit::uninstall(&self.host)?;
        } else if let Some(unit) = &begun.unit {
            unit.install(&self.host)?;
        }
        if !self.refresh || !self.host.is_running {
            return Ok(None);
        }
        refresh_locked(self.state, Options::default()).map(Some)
    }
}

/// A change that was begun.
#[derive(Debug)]
pub(super) struct Begun {
    _lock: Lock,
    /// What makes it last; who only disables something does without.
    unit: Option<BootUnit>,
}

/// What is written into a layer of 'onlay unlock' goes with that.
fn refuse_unlocked(place: &Path) -> Result<(), Error> {
    let record = match Record::read() {
        // In a container that shows no process 1, there is none.
        Err(live::Error::NoHost(_)) => None,
        other => other?,
    };
    let covering =
        record.iter().flat_map(|record| &record.places).find(|covering| place.starts_with(covering));
    covering.map_or(Ok(()), |covering| Err(Error::Unlocked(covering.clone())))
}
