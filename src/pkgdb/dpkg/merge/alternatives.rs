//! Alternatives: choices go with the package that brings their file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{Chosen, Input, Past, Verdicts, choose};
use crate::pkgdb::Error;
use crate::pkgdb::dpkg::alternatives::Choice;
use crate::pkgdb::dpkg::{Alternative, Tables};
use crate::pkgdb::merge::Side;

pub(super) fn merge(
    base: Option<&Tables>,
    ours: Input,
    theirs: Input,
    verdicts: &Verdicts,
) -> Result<BTreeMap<String, Alternative>, Error> {
    let (our, their) = (&ours.contents.tables.alternatives, &theirs.contents.tables.alternatives);
    let names: BTreeSet<&String> = our.keys().chain(their.keys()).collect();
    let differing: Vec<&String> =
        names.iter().copied().filter(|name| our.get(*name) != their.get(*name)).collect();
    let sides = sides_of_choices(&differing, ours, theirs, verdicts)?;
    let mut merged = BTreeMap::new();
    for name in names {
        let three = Three {
            base: Past::of(base, |base| base.alternatives.get(name)),
            ours: our.get(name),
            theirs: their.get(name),
            sides: &sides,
        };
        if let Some(alternative) = three.merge() {
            merged.insert(name.clone(), alternative);
        }
    }
    Ok(merged)
}

/// Whose side the packages are on that bring the choices' files; files of packages that are the same for both, and
/// files of no package, are on none.
fn sides_of_choices(
    names: &[&String],
    ours: Input,
    theirs: Input,
    verdicts: &Verdicts,
) -> Result<BTreeMap<PathBuf, Side>, Error> {
    let aliases = &theirs.contents.aliases;
    let mut wanted: BTreeMap<Vec<u8>, Vec<PathBuf>> = BTreeMap::new();
    for alternative in names.iter().flat_map(|name| {
        [ours, theirs].into_iter().filter_map(|side| side.contents.tables.alternatives.get(*name))
    }) {
        for path in alternative.choices.keys() {
            for name in aliases.names(path) {
                wanted.entry(name.into_os_string().into_encoded_bytes()).or_default().push(path.clone());
            }
        }
    }
    let mut sides = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(sides);
    }
    for (key, side) in &verdicts.keys {
        for input in [ours, theirs] {
            let Some(entry) = input.contents.entries.get(key) else { continue };
            input.paths.each_path(entry, &mut |name| {
                for path in wanted.get(name).into_iter().flatten() {
                    sides.insert(path.clone(), *side);
                }
            })?;
        }
    }
    Ok(sides)
}

struct Three<'a> {
    base: Past<&'a Alternative>,
    ours: Option<&'a Alternative>,
    theirs: Option<&'a Alternative>,
    sides: &'a BTreeMap<PathBuf, Side>,
}

impl<'a> Three<'a> {
    fn merge(&self) -> Option<Alternative> {
        if self.ours == self.theirs {
            return self.ours.cloned();
        }
        let choices = self.choices();
        if choices.is_empty() {
            // update-alternatives, too, forgets a name that nobody offers.
            return None;
        }
        let link = self.field(|alternative| &alternative.link)?;
        let is_manual = match self.chosen(|alternative| &alternative.is_manual) {
            Chosen::Value(Some(is_manual)) => *is_manual,
            _ => [self.ours, self.theirs].into_iter().flatten().any(|alternative| alternative.is_manual),
        };
        Some(Alternative { is_manual, link: link.clone(), slaves: self.slaves(&choices), choices })
    }

    fn choices(&self) -> BTreeMap<PathBuf, Choice> {
        let mut merged = BTreeMap::new();
        for path in self.keys(|alternative| &alternative.choices) {
            let get = |alternative: &'a Alternative| alternative.choices.get(path);
            let (our, their) = (self.ours.and_then(get), self.theirs.and_then(get));
            let base = self.base.and_then(get);
            let chosen = match choose(self.sides.get(path).copied(), base, our, their) {
                Chosen::Value(choice) => choice,
                Chosen::Conflict if base.is_remembered() && our.is_none() => None,
                Chosen::Conflict => their.or(our),
            };
            merged.extend(chosen.map(|choice| (path.clone(), choice.clone())));
        }
        merged
    }

    /// Slaves, and whatever slaves the choices need.
    fn slaves(&self, choices: &BTreeMap<PathBuf, Choice>) -> BTreeMap<String, PathBuf> {
        let mut merged = BTreeMap::new();
        for name in self.keys(|alternative| &alternative.slaves) {
            let get = |alternative: &'a Alternative| alternative.slaves.get(name);
            let (our, their) = (self.ours.and_then(get), self.theirs.and_then(get));
            let is_needed = choices.values().any(|choice| choice.slaves.contains_key(name));
            let chosen = match choose(None, self.base.and_then(get), our, their) {
                Chosen::Value(None) if is_needed => their.or(our),
                Chosen::Value(link) => link,
                Chosen::Conflict => their.or(our),
            };
            merged.extend(chosen.map(|link| (name.clone(), link.clone())));
        }
        merged
    }

    /// A part that every alternative has; the host's where both changed it.
    fn field<V: PartialEq>(&self, get: impl Fn(&'a Alternative) -> &'a V) -> Option<&'a V> {
        match self.chosen(&get) {
            Chosen::Value(Some(value)) => Some(value),
            _ => self.theirs.or(self.ours).map(get),
        }
    }

    fn chosen<V: PartialEq>(&self, get: impl Fn(&'a Alternative) -> &'a V) -> Chosen<'a, V> {
        choose(None, self.base.and_then(|base| Some(get(base))), self.ours.map(&get), self.theirs.map(&get))
    }

    fn keys<K: Ord, V: 'a>(&self, get: impl Fn(&'a Alternative) -> &'a BTreeMap<K, V>) -> BTreeSet<&'a K> {
        [self.ours, self.theirs]
            .into_iter()
            .flatten()
            .flat_map(|alternative| get(alternative).keys())
            .collect()
    }
}
