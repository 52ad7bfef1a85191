//! A change of what is asked for, or of the base below it, from the first look to the deployment that is booted next.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{
    Backend, BaseNote, Bases, Boot, Composed, Deployment, Edit, Error, Installed, Lower, Made, Manifest,
    Milliseconds, Now, Plan, Planned, Requests, Resolved, Wanted, Workshop, compose, is_word_for, local,
    package_system, plan_now, resolve,
};
use crate::host::Host;
use crate::pkgdb::Place;
use crate::resolve::{Manager, is_of_downloads};

/// What is to be done.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// What of the requests changes.
    pub edit: Edit,
    /// Take the newest base, and the newest packages.
    pub upgrade: bool,
    /// Get nothing from a network.
    pub offline: bool,
    /// The edit has what other programs have put into the deployment, which may go.
    pub takes_over: bool,
    /// Refuse what cannot be there at once ([`Changed::now`]).
    pub at_once: bool,
    /// How far to go.
    pub until: Until,
    /// How long packages may take to install.
    pub patience: Option<Duration>,
}

/// How far a change goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Until {
    /// It is planned, with what that takes to be downloaded.
    Planned,
    /// It is the one that is booted next.
    #[default]
    Deployed,
}

/// What came of it.
#[derive(Debug)]
pub struct Changed {
    /// The deployment that it began with.
    pub from: Deployment,
    /// What the new one is made from.
    pub base: BaseNote,
    /// What its package manager does.
    pub plan: Plan,
    /// What the new one says of itself.
    pub manifest: Manifest,
    /// Its name; nothing where it was only planned, or there was nothing to do.
    pub id: Option<String>,
    /// Whether it is only finished when the system that runs is shut down in order.
    pub is_staged: bool,
    /// Files of packages that are not in it, since /var and /boot are the machine's own.
    pub left_out: Vec<std::path::PathBuf>,
    /// Its kernel and initramfs.
    pub boot: Boot,
    /// All that the package manager and the packages' scripts said.
    pub words: String,
    /// Whether there was anything to do.
    pub is_needed: bool,
    /// What of it can be there at once, where that was asked.
    pub now: Option<Now>,
    /// Whether layers were changed where they are, and with them what else a package manager changed.
    pub is_upon: bool,
    /// What people are to know of it: sentences without an end.
    pub remarks: Vec<String>,
    /// How long its parts took.
    pub milliseconds: Milliseconds,
}

impl Changed {
    /// One that has changed nothing yet.
    fn nothing(from: Deployment, base: BaseNote, manifest: Manifest, is_upon: bool) -> Changed {
        Changed {
            from,
            base,
            manifest,
            plan: Plan::default(),
            id: None,
            is_staged: false,
            left_out: Vec::new(),
            boot: Boot::default(),
            words: String::new(),
            is_needed: false,
            is_upon,
            now: None,
            remarks: Vec::new(),
            milliseconds: Milliseconds::default(),
        }
    }

    /// What the new deployment has otherwise than the one that it began with, each in words.
    pub fn differences(&self) -> Vec<String> {
        let old = self.from.manifest.clone().unwrap_or_default();
        let mut lines = differences(&old, &self.manifest);
        if self.is_upon {
            let is_layered = |name: &str| {
                [&old, &self.manifest].iter().any(|of| of.packages.iter().any(|one| one.name == name))
            };
            let is_of_base =
                |name: &String| [&old, &self.manifest].iter().any(|of| of.without.contains(name));
            let is_told = |name: &String| is_layered(name) || is_of_base(name);
            let others = self.plan.packages.iter().filter(|planned| !is_told(&planned.name));
            lines.extend(others.filter_map(Planned::in_words));
        }
        lines
    }
}

/// What the layers of one deployment have otherwise than those of another, each in words: `added`, `changed`, `removed` or `restored`, and what.
pub fn differences(old: &Manifest, new: &Manifest) -> Vec<String> {
    let mut lines: Vec<String> =
        new.packages.iter().filter_map(|package| come(old.package(&package.name), package)).collect();
    let lacks = |manifest: &Manifest, name: &String| manifest.without.contains(name);
    let gone = old.packages.iter().filter(|package| new.package(&package.name).is_none());
    // Of a snapshot that is brought up to date, nobody knows what it had without layers.
    let is_one_base = !new.base.id.is_empty() && old.base == new.base;
    for Installed { name, version, instead_of, .. } in gone.filter(|package| !lacks(new, &package.name)) {
        lines.push(match instead_of {
            Some(base) if is_one_base => format!("changed {name} {version} back to the base's {base}"),
            Some(_) => format!("changed {name} {version} back to the base's"),
            None => format!("removed {name} {version}"),
        });
    }
    let removed = new.without.iter().filter(|name| !lacks(old, name));
    lines.extend(removed.map(|name| format!("removed {name} of the base")));
    let restored = old.without.iter().filter(|name| !lacks(new, name) && new.package(name).is_none());
    lines.extend(restored.map(|name| format!("restored {name} of the base")));
    lines
}

/// A package that is layered, in words; nothing where it was layered before.
fn come(known: Option<&Installed>, package: &Installed) -> Option<String> {
    let Installed { name, version, instead_of, .. } = package;
    match (known, instead_of) {
        (Some(known), _) if known.version == *version => None,
        (Some(known), _) => Some(format!("changed {name} {} to {version}", known.version)),
        (None, Some(base)) => Some(format!("changed {name} of the base {base} to {version}")),
        (None, None) => Some(format!("added {name} {version}")),
    }
}

/// How long packages may take to install, unless said otherwise.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Carries a change out.
pub fn change(backend: &dyn Backend, workshop: &Workshop, change: &Change) -> Result<Changed, Error> {
    // What is there at once is merged where the host is.
    compose::and_back(|| carry_out(backend, workshop, change))
}

fn carry_out(backend: &dyn Backend, workshop: &Workshop, change: &Change) -> Result<Changed, Error> {
    if change.until == Until::Deployed {
        backend.recover()?;
    }
    let from = next(backend)?;
    refuse_what_cannot_be(backend, change, &from)?;
    let left_behind = backend.left_behind(&from)?;
    let old = known(change, &from, left_behind.as_ref())?;
    let requests = edited(&old, &change.edit, || names_in_base(backend, &from.base))?;
    if let Some(name) = requests.bad_names().first() {
        return Err(Error::BadName { name: (*name).to_owned() });
    }
    let bases = backend.bases();
    let base = match bases {
        Some(bases) if change.upgrade => bases.newest(&from.base, change.offline)?,
        _ => from.base.clone(),
    };
    let unchanged = |from, base, manifest| Changed::nothing(from, base, manifest, bases.is_none());
    let now = |base: &BaseNote, next: &Manifest| {
        change.at_once.then(|| plan_now(backend, workshop, base, next)).transpose()
    };
    if !change.upgrade && requests == old.requests {
        return Ok(Changed { now: now(&base, &old)?, ..unchanged(from, base, old) });
    }
    if let (Some(bases), true) = (bases, requests.is_empty()) {
        let now = now(&base, &Manifest::default())?;
        if from.manifest.is_none() && base == from.base && left_behind.is_none() {
            return Ok(Changed { now, ..unchanged(from, base, old) });
        }
        let changed = without_layers(bases, change, from, base)?;
        return Ok(Changed { now, is_staged: next(backend)?.is_staged, ..changed });
    }
    if bases.is_some() {
        refuse_without_files(workshop, &requests)?;
    }
    let begun = Instant::now();
    let lower = backend.lower(&base)?;
    backend.check(&lower)?;
    let wanted =
        Wanted { upon: bases.is_none().then_some(&old), ..wanted(&requests, &base, &lower, change)? };
    let resolved = resolve(workshop, &lower, &wanted)
        .map_err(|error| blamed(error, workshop, &lower, &wanted, change.upgrade))?;
    // What was downloaded for it is there by now.
    let now = now(&base, &resolved.manifest)?;
    let is_as_before =
        resolved.manifest.is_as(&old) && (bases.is_some() || resolved.plan.packages.is_empty());
    if is_as_before && (from.manifest.is_some() || bases.is_none()) {
        return Ok(Changed { now, ..unchanged(from, base, old) });
    }
    if change.until == Until::Planned {
        let Resolved { plan, manifest, solving } = resolved;
        let milliseconds = Milliseconds { solve: solving.as_millis() as u64, ..Milliseconds::default() };
        return Ok(Changed { plan, is_needed: true, now, milliseconds, ..unchanged(from, base, manifest) });
    }
    let draft = backend.begin(&from, &base, lower)?;
    let composed = compose(workshop, draft.lower(), &wanted, &resolved)?;
    let composing = begun.elapsed().saturating_sub(resolved.solving + composed.installing);
    let Made { id, writing, deploying, remarks } = draft.deploy(&composed)?;
    let parts = [resolved.solving, composed.installing, composing, writing, deploying];
    let Composed { manifest, left_out, boot, words, .. } = composed;
    Ok(Changed {
        plan: resolved.plan,
        id: Some(id),
        left_out,
        boot,
        words,
        is_needed: true,
        is_staged: next(backend)?.is_staged,
        now,
        remarks,
        milliseconds: Milliseconds::of(parts),
        ..unchanged(from, base, manifest)
    })
}

/// What is layered in what is booted next, or would be, had others not made it meanwhile without that.
fn known(change: &Change, from: &Deployment, left_behind: Option<&Requests>) -> Result<Manifest, Error> {
    from.check()?;
    match left_behind {
        Some(requests) if change.upgrade => {
            Ok(Manifest { requests: requests.clone(), ..Manifest::default() })
        }
        Some(requests) if !change.edit.remove_all => Err(Error::LeftBehind { requests: requests.in_words() }),
        _ => Ok(from.manifest.clone().unwrap_or_default()),
    }
}

/// Refuses where what others have put there would be lost, or what is put there would be; and what a kind of host has not.
fn refuse_what_cannot_be(backend: &dyn Backend, change: &Change, from: &Deployment) -> Result<(), Error> {
    if let Some(image) = backend.image()? {
        return Err(Error::OfImage { image });
    }
    let is_ours = from.manifest.is_some() || change.takes_over;
    if !is_ours && backend.requests_of_others()?.is_some() {
        return Err(Error::LayersOfOthers);
    }
    if change.at_once && backend.bases().is_none() {
        let why = vec!["a snapshot may get other versions of what the system that runs has".to_owned()];
        return Err(Error::NotNow { why });
    }
    Ok(())
}

/// The deployment that is booted next: changes go on from there, so that none before it is lost.
pub fn next(backend: &dyn Backend) -> Result<Deployment, Error> {
    // Where another system on the disk boots next, it is the first of this one.
    let first = backend.deployments()?.into_iter().next();
    first.ok_or(Error::NoDeployment { id: "next".to_owned() })
}

fn without_layers(
    bases: &dyn Bases,
    change: &Change,
    from: Deployment,
    base: BaseNote,
) -> Result<Changed, Error> {
    let id = match change.until {
        Until::Planned => None,
        Until::Deployed => Some(bases.deploy_base(&base)?),
    };
    let manifest = Manifest { base: base.clone(), ..Manifest::default() };
    Ok(Changed { id, is_needed: true, ..Changed::nothing(from, base, manifest, false) })
}

/// Who makes all anew needs all files that were given.
fn refuse_without_files(workshop: &Workshop, requests: &Requests) -> Result<(), Error> {
    let gone = local::gone(workshop, requests)?;
    if gone.is_empty() { Ok(()) } else { Err(Error::FilesGone { names: gone }) }
}

fn wanted<'a>(
    requests: &'a Requests,
    base: &BaseNote,
    lower: &Lower,
    change: &Change,
) -> Result<Wanted<'a>, Error> {
    package_system(&lower.tree)?;
    let host = Host::open(lower.tree.path())?;
    Ok(Wanted {
        requests,
        base: base.clone(),
        manager: Manager::of(&host).ok_or(Error::NoManager)?,
        refresh: change.upgrade && !change.offline,
        offline: change.offline,
        patience: change.patience.unwrap_or(PATIENCE),
        upon: None,
        upgrade: change.upgrade,
    })
}

/// The same edit, where packages that end are named as rpm names them exactly in what was asked for.
fn in_words_of(old: &Manifest, edit: &Edit) -> Edit {
    let word = |name: &String| {
        let package = old.package(name).filter(|_| old.requests.word_for(name).is_none())?;
        old.requests.packages.iter().find(|word| is_word_for(word, package)).cloned()
    };
    let remove = edit.remove.iter().map(|name| word(name).unwrap_or_else(|| name.clone()));
    Edit { remove: remove.collect(), ..edit.clone() }
}

/// What is wanted after an edit; who cannot end it is told why.
fn edited(
    old: &Manifest,
    edit: &Edit,
    base: impl FnOnce() -> Result<Vec<String>, Error>,
) -> Result<Requests, Error> {
    let edit = &in_words_of(old, edit);
    let unknown = match old.requests.edited(edit) {
        Ok(requests) => return Ok(requests),
        Err(unknown) => unknown,
    };
    let of_base = base()?;
    let is_layered = |name: &String| old.packages.iter().any(|package| package.name == *name);
    let (needed, others): (Vec<String>, Vec<String>) = unknown.into_iter().partition(is_layered);
    // What the base has cannot be taken out so, but is as the base has it.
    let stays =
        |name: &String| of_base.contains(name) && !(edit.if_needed && edit.override_reset.contains(name));
    let (of_base, unknown): (Vec<String>, Vec<String>) = others.into_iter().partition(stays);
    match old.requests.edited(&edit.without_end_of(&unknown)) {
        Ok(requests) if edit.if_needed => Ok(requests),
        _ => Err(Error::NotRequested { needed, of_base, unknown }),
    }
}

/// The names of the packages that a base has, as far as the deployment that it is seen through has them.
fn names_in_base(backend: &dyn Backend, base: &BaseNote) -> Result<Vec<String>, Error> {
    let lower = backend.lower(base)?;
    let Some(place) = Place::in_root(&lower.tree)? else { return Ok(Vec::new()) };
    let listed = place.open(Duration::from_secs(5))?.packages()?;
    Ok(listed.packages.into_iter().map(|package| package.name).collect())
}

/// Which requests stand in the way: each is tried alone, and all that fail are told at once.
fn blamed(error: Error, workshop: &Workshop, lower: &Lower, wanted: &Wanted<'_>, is_upgrade: bool) -> Error {
    // What cannot be downloaded for all cannot be for each, and is not the fault of any.
    if matches!(&error, Error::Refused { reason, words, .. } if is_of_downloads(reason) || is_of_downloads(words))
    {
        return error;
    }
    let each = each_alone(wanted);
    if !matches!(error, Error::Refused { .. } | Error::Removes { .. } | Error::Downgrades { .. })
        || each.len() < 2 && !is_upgrade
    {
        return error;
    }
    let mut blocked = Vec::new();
    for (name, alone) in each {
        let alone = Wanted { requests: &alone, refresh: false, upgrade: false, ..wanted.clone() };
        match resolve(workshop, lower, &alone) {
            Err(Error::Refused { reason, .. }) => blocked.push((name, reason)),
            Err(error @ (Error::Removes { .. } | Error::Downgrades { .. })) => {
                blocked.push((name, error.to_string()));
            }
            _ => {}
        }
    }
    if blocked.is_empty() { error } else { Error::Blocked { blocked, is_upgrade } }
}

/// Each request by itself, with its name; where layers are changed where they are, each that is new, beside those that were there.
fn each_alone(wanted: &Wanted<'_>) -> Vec<(String, Requests)> {
    let each = wanted.requests.each();
    let Some(old) = wanted.upon.map(|old| &old.requests) else { return each.collect() };
    let is_old: BTreeSet<String> = old.each().map(|(name, _)| name).collect();
    let beside = |(name, alone): (String, Requests)| {
        (!is_old.contains(&name)).then(|| (name, old.clone().with(&alone)))
    };
    each.filter_map(beside).collect()
}
