//! From what is enabled to what is merged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::actions::make_users;
use super::links::{remove_directory, remove_file, replace_link};
use super::merge::{self, Way};
use super::others::{Stranger, Trouble};
use super::record::{Active, Generated, HeldBack, Record};
use super::report::{Options, Report};
use super::survey::{Survey, is_ours, survey};
use super::unit::BootUnit;
use super::{Actions, Error, generated, lasting};
use crate::extension::database::{self, Remark};
use crate::extension::{SystemdVersion, with_base};
use crate::host::Host;
use crate::live;
use crate::overlay::run_directory;
use crate::sys::{Lock, Root};

/// Where systemd looks for what is of this boot alone.
const LINKS: &str = "run/extensions";
/// Whoever changes what is enabled or merged holds it.
const LOCK: &str = "extensions.lock";

/// Waits until nobody else changes what is enabled or merged, and keeps others from it.
pub(super) fn lock() -> Result<Lock, Error> {
    Ok(Lock::exclusive(&run_directory()?, LOCK)?)
}

/// Merges on the running host what is enabled and fits.
pub fn refresh(state: &Path, options: Options) -> Result<Report, Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    live::go_to_host()?;
    let _lock = lock()?;
    refresh_locked(state, options)
}

/// The same for who holds the lock, and is in the host's mount namespace.
pub(super) fn refresh_locked(state: &Path, options: Options) -> Result<Report, Error> {
    let host = Host::open(Path::new("/"))?;
    if options.at_boot {
        clear(&host, state)?;
    }
    let survey = survey(&host, state)?;
    let systemd = check_systemd(survey.systemd)?;
    if !options.at_boot {
        merge::check(&host)?;
    }
    let old = Record::read()?;
    let mut refresh =
        Refresh { host, state, old, new: Record::default(), strangers: survey.strangers.clone(), systemd };
    refresh.new = refresh.wanted(&survey, options.dry_run)?;
    survey.refuse_blocked()?;
    if !options.dry_run && !options.at_boot && !lasting(&refresh.host.root)?.is_empty() {
        // It is there, unless somebody removed it; where it cannot be, what is merged now is no worse.
        let _ = BootUnit::plan(&refresh.host, state, systemd).and_then(|unit| unit.install(&refresh.host));
    }
    let way = if options.dry_run { refresh.way(options.always)? } else { refresh.apply(options)? };
    if !options.dry_run && refresh.new.generated.is_none() {
        // What is left is in nobody's way.
        let _ = database::forget(state);
    }
    let mut report = refresh.report(way, survey.troubles);
    if options.at_boot {
        report.failed.extend(make_users(&report.active));
    }
    if !options.at_boot && !options.dry_run {
        report.others = refresh.merged_of_others()?;
    }
    if !options.dry_run && matches!(way, Way::Beneath | Way::BySystemd) {
        report.read_only = merge::made_read_only(&refresh.host)?;
        refresh.actions(&report).perform(&refresh.host, &mut report.done, &mut report.failed);
    }
    Ok(report)
}

/// Takes away what another boot has left: /run outlives a soft-reboot, and what is in the way of the rest must leave nothing.
fn clear(host: &Host, state: &Path) -> Result<(), Error> {
    let dir = match host.root.open_dir(LINKS) {
        Err(error) if error.is_not_found() => return Ok(()),
        other => other?,
    };
    for name in present(host, state)?.keys() {
        remove_file(&dir, name)?;
    }
    Ok(())
}

/// Links of ours that are there.
fn present(host: &Host, state: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let dir = match host.root.open_dir(LINKS) {
        Err(error) if error.is_not_found() => return Ok(BTreeMap::new()),
        other => other?,
    };
    let mut found = BTreeMap::new();
    for entry in dir.entries()? {
        if !is_ours(host, state, &[], &Path::new(LINKS).join(&entry.name)) {
            continue;
        }
        if let Ok(name) = entry.name.clone().into_string() {
            found.insert(name, dir.read_link(&entry.name)?.into());
        }
    }
    Ok(found)
}

/// Refuses where nothing could be merged.
pub(super) fn check_systemd(systemd: Option<SystemdVersion>) -> Result<SystemdVersion, Error> {
    match systemd {
        None => Err(Error::NoSystemd),
        Some(systemd) if systemd < SystemdVersion::FIRST => Err(Error::TooOld(systemd)),
        Some(systemd) => Ok(systemd),
    }
}

struct Refresh<'a> {
    host: Host,
    state: &'a Path,
    old: Record,
    new: Record,
    strangers: Vec<Stranger>,
    systemd: SystemdVersion,
}

impl Refresh<'_> {
    fn wanted(&self, survey: &Survey, dry_run: bool) -> Result<Record, Error> {
        let (generated, remarks) = if survey.fit.is_empty() {
            (None, Vec::new())
        } else if dry_run {
            (self.old.generated.clone(), self.old.remarks.clone())
        } else {
            self.database(&self.host, &survey.fit)?
        };
        let maskable = survey.troubles.iter().filter(|trouble| trouble.can_be_masked);
        Ok(Record {
            active: survey.fit.clone(),
            generated,
            remarks,
            held: survey.held.clone(),
            masked: maskable.map(|trouble| trouble.name.clone()).collect(),
            merged: false,
        })
    }

    /// The package database that goes with some extensions.
    fn database(&self, host: &Host, fit: &[Active]) -> Result<(Option<Generated>, Vec<Remark>), Error> {
        with_base(host, |base| generated::make(base, fit, &self.strangers, self.state))?
    }

    /// Whether a merge would change anything.
    fn way(&self, always: bool) -> Result<Way, Error> {
        let is_same = !always && self.new.is_same_set(&self.old) && self.is_linked()? && self.is_merged();
        Ok(if is_same { Way::Unchanged } else { Way::Beneath })
    }

    fn apply(&mut self, options: Options) -> Result<Way, Error> {
        if options.at_boot {
            self.link()?;
            self.new.write()?;
            return Ok(Way::Linked);
        }
        if self.way(options.always)? == Way::Unchanged {
            self.new.merged = true;
            self.new.write()?;
            return Ok(Way::Unchanged);
        }
        let fit = self.new.active.clone();
        let way = self.merge()?;
        if self.new.active != fit {
            self.follow_with_database()?;
        }
        self.new.merged = true;
        self.new.write()?;
        Ok(way)
    }

    /// Merges; what systemd refuses of what is new is held back.
    fn merge(&mut self) -> Result<Way, Error> {
        let mut aside: Vec<Active> = Vec::new();
        let way = loop {
            self.link()?;
            match merge::merge(self.systemd) {
                Ok(way) => break way,
                Err(Error::Refused { words }) => match self.newest() {
                    Some(suspect) => {
                        self.hold(&suspect, &words);
                        aside.push(suspect);
                    }
                    None => return self.give_up(Error::Refused { words }),
                },
                Err(error) => return self.give_up(error),
            }
        };
        // The last one was to blame; those before it may have been held back for it.
        aside.pop();
        while let Some(suspect) = aside.pop() {
            let held = self.new.held.clone();
            self.new.held.retain(|other| other.name != suspect.name);
            self.new.active.push(suspect.clone());
            self.link()?;
            if merge::merge(self.systemd).is_err() {
                self.new.active.pop();
                self.new.held = held;
                self.link()?;
            }
        }
        self.new.active.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(way)
    }

    /// Where systemd refused what is new, the database is to be one without that.
    fn follow_with_database(&mut self) -> Result<(), Error> {
        // What is merged now was not when we began.
        let (generated, remarks) = self.database(&Host::open(Path::new("/"))?, &self.new.active)?;
        self.new.remarks = remarks;
        if generated != self.new.generated {
            self.new.generated = generated;
            self.link()?;
            merge::merge(self.systemd)?;
        }
        Ok(())
    }

    /// One that was not merged before.
    fn newest(&self) -> Option<Active> {
        self.new.active.iter().rfind(|active| !self.old.active.contains(active)).cloned()
    }

    fn hold(&mut self, suspect: &Active, words: &str) {
        self.new.active.retain(|active| active != suspect);
        let why = format!("systemd does not merge it: {words}");
        let unfit = HeldBack::unfit(&suspect.name, &suspect.path, why);
        self.new.held.push(HeldBack { by_systemd: true, ..unfit });
    }

    /// Leaves the links as they were: what is merged is as it was. What is masked stays so.
    fn give_up(&mut self, error: Error) -> Result<Way, Error> {
        let (held, masked) = (std::mem::take(&mut self.new.held), std::mem::take(&mut self.new.masked));
        self.new = Record { held, masked, ..self.old.clone() };
        self.link()?;
        self.new.write()?;
        Err(error)
    }

    /// The links that are wanted: names in /run/extensions, and where they lead.
    fn links(&self) -> BTreeMap<String, PathBuf> {
        let images =
            self.new.active.iter().map(|active| (format!("{}.raw", active.merged_as), active.path.clone()));
        let generated = self.new.generated.iter().map(|Generated { merged_as, target, .. }| {
            let suffix = if target.is_dir() { "" } else { ".raw" };
            (format!("{merged_as}{suffix}"), target.clone())
        });
        images.chain(generated).collect()
    }

    /// The names of what is merged now, and is none of ours.
    fn merged_of_others(&self) -> Result<Vec<String>, Error> {
        let mut names = merge::merged(&Host::open(Path::new("/"))?);
        let is_ours = |name: &String| {
            self.new.active.iter().any(|active| active.merged_as == *name)
                || self.new.generated.iter().any(|generated| generated.merged_as == *name)
        };
        names.retain(|name| !is_ours(name));
        Ok(names)
    }

    fn is_linked(&self) -> Result<bool, Error> {
        Ok(present(&self.host, self.state)? == self.links())
    }

    /// Whether systemd has merged just these, and those of others.
    fn is_merged(&self) -> bool {
        let ours = self.new.active.iter().map(|active| &active.merged_as);
        let ours = ours.chain(self.new.generated.iter().map(|generated| &generated.merged_as));
        let theirs =
            self.strangers.iter().filter(|stranger| stranger.is_certain).map(|stranger| &stranger.name);
        let expected: Vec<&String> = ours.chain(theirs).collect();
        let merged = merge::merged(&self.host);
        let is_known = |name: &String| {
            expected.contains(&name)
                || self
                    .strangers
                    .iter()
                    .any(|stranger| !stranger.is_certain && name.starts_with(&stranger.name))
        };
        expected.iter().all(|name| merged.contains(name)) && merged.iter().all(is_known)
    }

    /// Makes the links what is wanted, and masks what systemd cannot open.
    fn link(&self) -> Result<(), Error> {
        let wanted = self.links();
        let present = present(&self.host, self.state)?;
        if wanted.is_empty() && present.is_empty() && self.new.masked.is_empty() && self.old.masked.is_empty()
        {
            return Ok(());
        }
        self.host.root.make_dirs(LINKS, 0o755)?;
        let dir: Root = self.host.root.open_dir(LINKS)?;
        for name in present.keys().filter(|name| !wanted.contains_key(*name)) {
            remove_file(&dir, name)?;
        }
        for (name, target) in &wanted {
            replace_link(&dir, name, target)?;
        }
        for name in self.old.masked.iter().filter(|name| !self.new.masked.contains(name)) {
            remove_directory(&dir, name)?;
        }
        for name in &self.new.masked {
            dir.make_dir(name, 0o755)?;
        }
        Ok(())
    }

    fn report(&self, way: Way, troubles: Vec<Trouble>) -> Report {
        let was = |name: &str| self.old.active.iter().find(|active| active.name == name);
        let is = |name: &str| self.new.active.iter().any(|active| active.name == name);
        let named = |list: Vec<&Active>| list.into_iter().map(|active| active.name.clone()).collect();
        let (mut added, mut changed) = (Vec::new(), Vec::new());
        for active in &self.new.active {
            match was(&active.name) {
                None => added.push(active),
                Some(old) if old != active => changed.push(active),
                Some(_) => {}
            }
        }
        let is_new = |remark: &&Remark| !self.old.remarks.contains(remark) || remark.is_failure();
        Report {
            way,
            active: self.new.active.clone(),
            held: self.new.held.clone(),
            remarks: self.new.remarks.clone(),
            new_remarks: self.new.remarks.iter().filter(is_new).cloned().collect(),
            others: Vec::new(),
            troubles,
            added: named(added),
            changed: named(changed),
            removed: named(self.old.active.iter().filter(|active| !is(&active.name)).collect()),
            read_only: Vec::new(),
            done: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// What those ask for that came, changed or went; files only of those that are there.
    fn actions(&self, report: &Report) -> Actions {
        let is_new = |name: &String| report.added.contains(name) || report.changed.contains(name);
        let mut actions = Actions::default();
        for active in self.new.active.iter().filter(|active| is_new(&active.name)) {
            actions.extend(&active.actions);
        }
        for active in &self.old.active {
            if report.removed.contains(&active.name) || report.changed.contains(&active.name) {
                let (sysusers, tmpfiles) = (Vec::new(), Vec::new());
                actions.extend(&Actions { sysusers, tmpfiles, ..active.actions.clone() });
            }
        }
        actions
    }
}
