//! Layers that are changed where they are: what a package manager has to do for it, and what is said of it afterwards.
//!
//! Where there is no base by itself, each system is made from the one before. What is remembered of that one ([`Manifest`]) tells its layers from
//! what it had without them, so that only packages of layers go.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::install::{Plan, Steps, Upon};
use super::tree::{Wanted, is_asked_for, is_exactly, without_version};
use crate::layer::{Installed, Manifest, Requests};
use crate::resolve::Manager;

/// What is to be done: what was asked for before stays as it is, unless everything is to be the newest.
pub(super) fn steps(wanted: &Wanted<'_>, old: &Manifest) -> Steps {
    let (new, before) = (wanted.requests, &old.requests);
    let is_layered: BTreeSet<&str> = old.packages.iter().map(|package| &*package.name).collect();
    let is_known = |name: &String| before.packages.contains(name) || is_layered.contains(&**name);
    // Somebody may have removed by other means what is still asked for.
    let missing = new.packages.iter().filter(|name| wanted.upgrade || !is_known(name)).cloned();
    let restored: Vec<&String> = before.removed.iter().filter(|name| !new.removed.contains(*name)).collect();
    let restores = !restored.is_empty();
    let packages: BTreeSet<String> =
        missing.chain(restored.into_iter().cloned()).chain(reset(wanted.manager, new, old)).collect();
    let known: BTreeSet<&str> = before.digests().collect();
    let suffix = wanted.manager.suffix();
    let files: BTreeSet<&str> = new.digests().filter(|digest| !known.contains(digest)).collect();
    let automatic: Vec<&Installed> = old.packages.iter().filter(|package| may_go(package, new)).collect();
    let drops = automatic.iter().any(|package| package.is_requested)
        || before.packages.iter().any(|word| !new.packages.contains(word));
    // Of several that would do, those go first that nobody asks for any more.
    let (dropped, others): (Vec<&Installed>, Vec<&Installed>) =
        automatic.into_iter().partition(|package| package.is_requested);
    let is_kept = |word: &String, package: &Installed| {
        *word != package.name && (without_version(word) == package.name || is_word_for(word, package))
    };
    let in_a_version =
        old.packages.iter().filter(|package| new.packages.iter().any(|word| is_kept(word, package)));
    let kept = new.files.keys().chain(new.replaced.keys()).chain(in_a_version.map(|package| &package.name));
    Steps {
        packages: packages.into_iter().collect(),
        files: files.into_iter().map(|digest| PathBuf::from(format!("{digest}.{suffix}"))).collect(),
        removed: new.removed.iter().filter(|name| !before.removed.contains(*name)).cloned().collect(),
        refresh: wanted.refresh,
        offline: wanted.offline,
        upon: Some(Upon {
            automatic: dropped
                .iter()
                .chain(&others)
                .map(|package| (package.name.clone(), package.version.clone()))
                .collect(),
            drops,
            restores,
            upgrade: wanted.upgrade,
            asked: new.packages.iter().cloned().collect(),
            kept: kept.cloned().collect(),
        }),
    }
}

/// What will be there of layers when a plan is carried out.
pub(super) fn manifest(wanted: &Wanted<'_>, old: &Manifest, plan: &Plan) -> Manifest {
    let requests = wanted.requests;
    let mut packages: BTreeMap<&str, Installed> =
        old.packages.iter().map(|package| (&*package.name, package.clone())).collect();
    let mut without: BTreeSet<String> = old.without.iter().cloned().collect();
    for planned in &plan.packages {
        let name = &*planned.name;
        let Some(version) = planned.new.clone() else {
            // What a distribution takes away when all is brought up to date is nothing that anybody lacks.
            if packages.remove(name).is_none() && requests.removed.contains(name) {
                without.insert(name.to_owned());
            }
            continue;
        };
        if without.remove(name) && !is_asked_for(requests, planned) {
            // Of what was there without layers, which it is again.
            continue;
        }
        if let Some(known) = packages.get_mut(name) {
            known.version = version;
        } else if is_asked_for(requests, planned) || planned.old.is_none() && !wanted.follows_distribution() {
            let (architecture, instead_of) = (planned.architecture.clone(), planned.old.clone());
            let new =
                Installed { name: name.to_owned(), version, architecture, is_requested: true, instead_of };
            packages.insert(name, new);
        }
        // Else it is what was there without layers, in a newer version or in other packages.
    }
    // What is there in another version without layers is nobody's layer when it is not asked for.
    packages.retain(|_, package| package.instead_of.is_none() || is_requested(requests, package));
    for package in packages.values_mut() {
        package.is_requested = is_requested(requests, package);
    }
    let asked = requests.packages.iter().chain(requests.files.keys());
    let has = |word: &String| packages.values().any(|package| is_word_for(word, package));
    let idle = asked.filter(|word| !packages.contains_key(without_version(word)) && !has(word));
    let gone = requests.removed.iter().filter(|name| !without.contains(*name));
    Manifest {
        base: wanted.base.clone(),
        requests: requests.clone(),
        inactive: idle.chain(gone).cloned().collect(),
        packages: packages.into_values().collect(),
        without: without.into_iter().collect(),
        ..Manifest::default()
    }
}

/// Whether a package goes when no other one needs it: it came with layers, and nobody asks for it.
pub(super) fn may_go(package: &Installed, requests: &Requests) -> bool {
    package.instead_of.is_none() && !is_requested(requests, package)
}

/// Whether somebody asks for a package, in the version that is there or in any.
fn is_requested(requests: &Requests, package: &Installed) -> bool {
    requests.asks_for(&package.name) || requests.packages.iter().any(|word| is_word_for(word, package))
}

/// Whether a word is that of a package, exactly.
pub(in crate::layer) fn is_word_for(word: &str, package: &Installed) -> bool {
    is_exactly(word, &package.name, &package.version, &package.architecture)
}

/// Whether a package becomes as it was before another one took its place.
pub(super) fn is_reset(name: &str, new: &Requests, old: &Manifest) -> bool {
    old.requests.replaced.contains_key(name) && !new.replaced.contains_key(name)
}

/// Words for packages in whose place another one is no longer to be: the versions that were there.
fn reset(manager: Manager, new: &Requests, old: &Manifest) -> Vec<String> {
    let link = if matches!(manager, Manager::Dnf | Manager::Dnf5) { '-' } else { '=' };
    let version = |name: &str| {
        let package = old.packages.iter().find(|package| package.name == name)?;
        Some(format!("{name}{link}{}", package.instead_of.as_ref()?))
    };
    old.requests
        .replaced
        .keys()
        .filter(|name| !new.replaced.contains_key(*name))
        .filter_map(|name| version(name))
        .collect()
}
