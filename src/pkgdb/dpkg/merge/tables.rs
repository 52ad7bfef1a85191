//! Diversions, overrides, what apt installed for others' sake, what was activated, and architectures.

use std::collections::{BTreeMap, BTreeSet};

use super::packages::MergedEntry;
use super::{Chosen, Past, Verdicts, choose};
use crate::package::deb822::Stanza;
use crate::pkgdb::dpkg::{AutoInstalled, Contents, Diversion, Diversions, Key, Tables};
use crate::pkgdb::merge::Side;

/// All but the alternatives.
pub(super) fn merge(
    base: Option<&Tables>,
    ours: &Contents,
    theirs: &Contents,
    verdicts: &Verdicts,
    merged: &BTreeMap<Key, MergedEntry>,
) -> Tables {
    let (our, their) = (&ours.tables, &theirs.tables);
    Tables {
        diversions: diversions(base, our, their, verdicts),
        overrides: merge_maps(base.map(|base| &base.overrides), &our.overrides, &their.overrides, first),
        auto_installed: auto_installed(base, ours, theirs, merged),
        activated: merge_maps(base.map(|base| &base.activated), &our.activated, &their.activated, union),
        architectures: architectures(base, our, their),
        alternatives: BTreeMap::new(),
    }
}

/// Merges by key; what both changed is settled by `settle`, unless one of them has removed it: that is ours to say.
fn merge_maps<K: Ord + Clone, V: Clone + PartialEq>(
    base: Option<&BTreeMap<K, V>>,
    ours: &BTreeMap<K, V>,
    theirs: &BTreeMap<K, V>,
    settle: impl Fn(&V, &V) -> V,
) -> BTreeMap<K, V> {
    let keys: BTreeSet<&K> = ours.keys().chain(theirs.keys()).collect();
    let one = |key: &K| {
        let (our, their) = (ours.get(key), theirs.get(key));
        match (choose(None, Past::of(base, |base| base.get(key)), our, their), our, their) {
            (Chosen::Value(value), ..) => value.cloned(),
            (Chosen::Conflict, Some(our), Some(their)) => Some(settle(our, their)),
            (Chosen::Conflict, our, _) if base.is_some() => our.cloned(),
            (Chosen::Conflict, our, their) => our.or(their).cloned(),
        }
    };
    keys.into_iter().filter_map(|key| Some((key.clone(), one(key)?))).collect()
}

fn first<V: Clone>(ours: &V, _: &V) -> V {
    ours.clone()
}

fn union(ours: &BTreeSet<String>, theirs: &BTreeSet<String>) -> BTreeSet<String> {
    ours | theirs
}

/// A diversion that a package made goes with that package.
fn diversions(base: Option<&Tables>, ours: &Tables, theirs: &Tables, verdicts: &Verdicts) -> Diversions {
    let (ours, theirs) = (&ours.diversions, &theirs.diversions);
    let base = base.map(|base| &base.diversions);
    let mut merged = merge_maps(base, ours, theirs, first);
    let paths: BTreeSet<&std::path::PathBuf> = ours.keys().chain(theirs.keys()).collect();
    for path in paths {
        let (our, their) = (ours.get(path), theirs.get(path));
        let side = |diversion: Option<&Diversion>| {
            diversion.and_then(|diversion| verdicts.of_name(diversion.package.as_deref()?))
        };
        let winner = match (side(our), side(their)) {
            // Each was made by a package that the other side has won.
            (Some(Side::Theirs), Some(Side::Ours)) => None,
            (Some(Side::Ours), _) | (None, Some(Side::Ours)) => our,
            (Some(Side::Theirs), _) | (None, Some(Side::Theirs)) => their,
            (None, None) => continue,
        };
        match winner {
            Some(diversion) => drop(merged.insert(path.clone(), diversion.clone())),
            None => drop(merged.remove(path)),
        }
    }
    merged
}

/// What somebody installed by name on either side is not there for others' sake alone.
fn auto_installed(
    base: Option<&Tables>,
    ours: &Contents,
    theirs: &Contents,
    merged: &BTreeMap<Key, MergedEntry>,
) -> AutoInstalled {
    let present = |contents: &Contents| -> BTreeSet<Key> {
        contents.present().map(|entry| contents.apt_key(&entry.key)).collect()
    };
    let (in_ours, in_theirs) = (present(ours), present(theirs));
    let in_merged: BTreeSet<Key> = merged
        .values()
        .filter(|merged| merged.entry.is_present())
        .map(|merged| theirs.apt_key(&merged.entry.key))
        .collect();
    let (our, their) = (&ours.tables.auto_installed.stanzas, &theirs.tables.auto_installed.stanzas);
    let base = base.map(|base| &base.auto_installed.stanzas);
    let keys: BTreeSet<&Key> = our.keys().chain(their.keys()).collect();
    let mut stanzas = BTreeMap::new();
    for key in keys {
        let chosen = match choose(None, Past::of(base, |base| base.get(key)), our.get(key), their.get(key)) {
            Chosen::Value(value) => value,
            Chosen::Conflict => {
                settle((our.get(key), in_ours.contains(key)), (their.get(key), in_theirs.contains(key)))
            }
        };
        // An entry without its package is kept only where it was so before: apt is slow to forget.
        let was_so = chosen.is_some()
            && (chosen == our.get(key) && !in_ours.contains(key)
                || chosen == their.get(key) && !in_theirs.contains(key));
        let has_gone = !in_merged.contains(key) && !was_so;
        if let Some(stanza) = chosen.filter(|_| !has_gone) {
            stanzas.insert(key.clone(), stanza.clone());
        }
    }
    AutoInstalled { stanzas }
}

/// Entries that differ, each with whether its side has the package at all.
fn settle<'a>(ours: (Option<&'a Stanza>, bool), theirs: (Option<&'a Stanza>, bool)) -> Option<&'a Stanza> {
    let is_auto =
        |stanza: Option<&Stanza>| stanza.and_then(|stanza| stanza.text("Auto-Installed")) == Some("1");
    match (ours, theirs) {
        ((our, true), (_, true)) if !is_auto(our) => our,
        ((_, true), (their, true)) => their,
        ((our, true), _) => our,
        (_, (their, true)) => their,
        ((our, _), (their, _)) => our.or(their),
    }
}

/// An architecture is there where either side has it, and neither has removed it.
fn architectures(base: Option<&Tables>, ours: &Tables, theirs: &Tables) -> BTreeSet<String> {
    let (our, their) = (&ours.architectures, &theirs.architectures);
    let was = |arch: &String| base.is_some_and(|base| base.architectures.contains(arch));
    let is_there = |arch: &&String| our.contains(*arch) && their.contains(*arch) || !was(arch);
    our.union(their).filter(is_there).cloned().collect()
}
