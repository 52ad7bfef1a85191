//! From what is asked for to layers that can be committed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::install::{Plan, Planned, Step, Steps};
use super::{
    Boot, Initramfs, Layers, Lower, Shape, Workshop, boot_files, kernel, ram, run, seal, succession,
};
use crate::layer::{BaseNote, Error, Installed, Manifest, Requests, package_of};
use crate::package::{DebianVersion, Evr};
use crate::resolve::Manager;

/// What is to be made.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// What is asked for.
    pub requests: &'a Requests,
    /// What it is put into.
    pub base: BaseNote,
    /// Whose packages.
    pub manager: Manager,
    /// Get new lists of packages first.
    pub refresh: bool,
    /// Get nothing from a network.
    pub offline: bool,
    /// How long a step may take.
    pub patience: Duration,
    /// What is there already of layers, where they stay and are changed. Nothing where all are put in anew.
    pub upon: Option<&'a Manifest>,
    /// Take the newest versions of what is there.
    pub upgrade: bool,
}

/// What will be in a deployment, before anything is installed.
#[derive(Debug)]
pub struct Resolved {
    /// What its package manager will do.
    pub plan: Plan,
    /// What the deployment will say of itself.
    pub manifest: Manifest,
    /// How long its package manager took for it.
    pub solving: Duration,
}

/// What was made.
#[derive(Debug)]
pub struct Composed {
    /// What is in the deployment.
    pub manifest: Manifest,
    /// What was changed.
    pub layers: Layers,
    /// Files of packages that are not in the deployment, since they are in /var or /boot.
    pub left_out: Vec<PathBuf>,
    /// Its kernel and initramfs.
    pub boot: Boot,
    /// All that the package manager and the packages' scripts said.
    pub words: String,
    /// How long these took.
    pub installing: Duration,
}

/// Plans, and downloads what is missing.
pub fn resolve(workshop: &Workshop, lower: &Lower, wanted: &Wanted<'_>) -> Result<Resolved, Error> {
    let steps = wanted.steps();
    let (plan, solving) = if steps.is_empty() {
        (Plan::default(), Duration::ZERO)
    } else {
        let ran = run(workshop, lower, wanted.manager, &steps, Step::Download, wanted.patience)?;
        (ran.plan, ran.took)
    };
    let unasked: Vec<String> =
        plan.removed().filter(|name| !wanted.may_go(name)).map(str::to_owned).collect();
    if !unasked.is_empty() {
        return Err(Error::Removes { packages: unasked });
    }
    let back: Vec<String> = plan
        .packages
        .iter()
        .filter(|planned| !wanted.may_go_back(planned))
        .filter_map(|planned| goes_back(wanted.manager, planned))
        .collect();
    if !back.is_empty() {
        return Err(Error::Downgrades { packages: back });
    }
    Ok(Resolved { manifest: wanted.manifest(&plan), plan, solving })
}

/// Installs what was resolved, and makes it fit to be committed. Who asks may be in another mount namespace afterwards, in which the layers are to be
/// found.
pub fn compose(
    workshop: &Workshop,
    lower: &Lower,
    wanted: &Wanted<'_>,
    resolved: &Resolved,
) -> Result<Composed, Error> {
    let limit = ram::limit(workshop, &resolved.plan)?;
    if let Some(limit) = limit {
        workshop.to_ram(limit)?;
    }
    match compose_here(workshop, lower, wanted, resolved) {
        // Packages may write more than anybody can know before.
        Err(error) if limit.is_some() && ram::is_full(&error) => {
            workshop.to_disk()?;
            compose_here(workshop, lower, wanted, resolved)
        }
        done => done,
    }
}

fn compose_here(
    workshop: &Workshop,
    lower: &Lower,
    wanted: &Wanted<'_>,
    resolved: &Resolved,
) -> Result<Composed, Error> {
    let steps = wanted.steps();
    let (mut words, mut installing) = (String::new(), Duration::ZERO);
    if !resolved.plan.packages.is_empty() {
        let ran = run(workshop, lower, wanted.manager, &steps, Step::Install, wanted.patience)?;
        (words, installing) = (ran.words, ran.took);
    }
    let mut boot = Boot::default();
    match kernel::inputs(&workshop.layers()?, &resolved.plan)? {
        // Whoever makes the snapshot looks whether there are other kernels.
        Some(inputs) if lower.shape.boots_by_others() => {
            boot.initramfs = if inputs.is_sure() { Initramfs::Apart } else { Initramfs::Base };
        }
        Some(inputs) => {
            inputs.leave(&workshop.cache()?)?;
            let step = Step::Kernel { is_sure: inputs.is_sure() };
            let ran = run(workshop, lower, wanted.manager, &steps, step, wanted.patience)
                .map_err(without_initramfs)?;
            words += &ran.words;
            installing += ran.took;
            boot = match lower.shape {
                Shape::Deployment => kernel::found(&workshop.cache()?)?,
                Shape::Snapshot { .. } => boot_files::found(&workshop.cache()?)?,
            };
        }
        None => {}
    }
    let left_out = seal::prepare(workshop, lower, &resolved.manifest)?;
    run(workshop, lower, wanted.manager, &steps, Step::Seal, wanted.patience)?;
    let layers = workshop.layers()?;
    seal::tidy(&layers, lower)?;
    Ok(Composed { manifest: resolved.manifest.clone(), layers, left_out, boot, words, installing })
}

fn without_initramfs(error: Error) -> Error {
    match error {
        Error::Refused { reason, words, .. } => Error::Initramfs { reason, words },
        other => other,
    }
}

impl Wanted<'_> {
    /// Whether what is there becomes as the distribution has it today, which may have other packages in the place of some, or older ones. Where apt
    /// brings all up to date, it has what is there go only for others' sake, which nobody may have wanted.
    pub(super) fn follows_distribution(&self) -> bool {
        self.upgrade && self.upon.is_some() && self.manager != Manager::Apt
    }

    /// Whether a package may go back to an older version.
    fn may_go_back(&self, planned: &Planned) -> bool {
        let is_reset = |old| succession::is_reset(&planned.name, self.requests, old);
        self.follows_distribution() || is_asked_for(self.requests, planned) || self.upon.is_some_and(is_reset)
    }

    /// Whether a package may be removed: somebody wants it gone, or it is of a layer that nobody asks for any more, or of the distribution.
    fn may_go(&self, name: &str) -> bool {
        let mut layers = self.upon.iter().flat_map(|old| &old.packages);
        let is_layered =
            || self.upon.is_some_and(|old| old.packages.iter().any(|package| package.name == name));
        self.requests.removed.contains(name)
            || self.follows_distribution() && !self.requests.asks_for(name) && !is_layered()
            || layers.any(|package| package.name == name && succession::may_go(package, self.requests))
    }

    fn steps(&self) -> Steps {
        let requests = self.requests;
        if let Some(old) = self.upon {
            return succession::steps(self, old);
        }
        let files: BTreeSet<&str> = requests.digests().collect();
        let suffix = self.manager.suffix();
        Steps {
            packages: requests.packages.iter().cloned().collect(),
            files: files.into_iter().map(|digest| PathBuf::from(format!("{digest}.{suffix}"))).collect(),
            removed: requests.removed.iter().cloned().collect(),
            refresh: self.refresh,
            offline: self.offline,
            upon: None,
        }
    }

    /// What the base has already is in no plan.
    fn manifest(&self, plan: &Plan) -> Manifest {
        let requests = self.requests;
        if let Some(old) = self.upon {
            return succession::manifest(self, old, plan);
        }
        let planned: BTreeSet<&str> = plan.installed().map(|planned| &*planned.name).collect();
        let removed: BTreeSet<&str> = plan.removed().collect();
        let asked = requests.packages.iter().chain(requests.files.keys()).chain(requests.replaced.keys());
        let idle = asked.filter(|name| match &plan.satisfied {
            Some(words) if requests.packages.contains(*name) => words.contains(*name),
            // `NAME:ARCHITECTURE` is what apt's plan says where that is not the host's.
            _ => ![package_of(name), without_version(name)].iter().any(|name| planned.contains(name)),
        });
        let gone = requests.removed.iter().filter(|name| !removed.contains(&***name));
        let mut packages: Vec<Installed> = plan
            .installed()
            .map(|planned| Installed {
                name: planned.name.clone(),
                version: planned.new.clone().unwrap_or_default(),
                architecture: planned.architecture.clone(),
                is_requested: is_asked_for(requests, planned),
                instead_of: planned.old.clone(),
            })
            .collect();
        packages.sort();
        Manifest {
            base: self.base.clone(),
            requests: requests.clone(),
            inactive: idle.chain(gone).cloned().collect(),
            packages,
            without: removed.into_iter().map(str::to_owned).collect(),
            ..Manifest::default()
        }
    }
}

/// In words, where an older version is to take the place of what is there.
fn goes_back(manager: Manager, planned: &Planned) -> Option<String> {
    let (old, new) = (planned.old.as_deref()?, planned.new.as_deref()?);
    let is_older = match manager {
        Manager::Apt => DebianVersion::parse(new).ok()? < DebianVersion::parse(old).ok()?,
        Manager::Dnf | Manager::Dnf5 | Manager::Zypper => Evr::parse(new) < Evr::parse(old),
    };
    is_older.then(|| format!("{} {old} to {new}", planned.name))
}

/// By its name, with `=`, or as rpm names packages exactly: `NAME-VERSION`, `NAME-VERSION-RELEASE`, and each with `.ARCHITECTURE`.
pub(super) fn is_asked_for(requests: &Requests, planned: &Planned) -> bool {
    let version = planned.new.as_deref().unwrap_or_default();
    let exactly = |word: &String| is_exactly(word, &planned.name, version, &planned.architecture);
    requests.asks_for(&planned.name) || requests.packages.iter().any(exactly)
}

/// Whether a word is rpm's for one package in this version.
pub(super) fn is_exactly(word: &str, name: &str, evr: &str, architecture: &str) -> bool {
    let without_epoch = evr.split_once(':').map_or(evr, |(_, rest)| rest);
    let without_release = |evr: &str| evr.rsplit_once('-').map_or(evr, |(version, _)| version).to_owned();
    let versions =
        [evr.to_owned(), without_epoch.to_owned(), without_release(evr), without_release(without_epoch)];
    let Some(rest) = word.strip_prefix(name) else { return false };
    let rest = rest.strip_suffix(&format!(".{architecture}")).unwrap_or(rest);
    rest.strip_prefix('-').map_or(rest.is_empty(), |version| versions.iter().any(|known| known == version))
}

/// `NAME=VERSION` and `NAME:ARCHITECTURE` name a package more exactly.
pub(super) fn without_version(name: &str) -> &str {
    name.split(['=', ':']).next().unwrap_or(name)
}
