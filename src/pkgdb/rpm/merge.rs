//! The three-way merge of rpm databases. [`crate::pkgdb::merge`] decides on packages; here is what a package is
//! for rpm, and which headers have to be removed from one database and added to it to get the merged one.
//!
//! A package is known by name and architecture; those of which several versions may be there at once (kernels,
//! which provide `installonlypkg(…)` or `multiversion(…)`, and the keys in `gpg-pubkey`) by their version as
//! well. When a package was installed, and what became of its files, does not tell it from another: the same
//! package on both sides is one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

pub use super::catalog::{Catalog, Entry, Known};
pub use super::states::States;
use super::{Database, Delta, Stored, needs};
use crate::package::{Evr, Identity};
use crate::pkgdb::Error;
use crate::pkgdb::dpkg::Aliases;
use crate::pkgdb::merge::{self, Decision, Fact, Outcome, Side, Wishes};

/// What can be there once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Name.
    pub name: Arc<str>,
    /// Architecture.
    pub arch: Arc<str>,
    /// Version, where several may be there at once.
    pub version: Option<String>,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(version) = &self.version {
            write!(f, "-{version}")?;
        }
        if self.arch.is_empty() { Ok(()) } else { write!(f, ".{}", self.arch) }
    }
}

/// What was decided for a package.
#[derive(Debug, Clone)]
pub struct Decided {
    /// Which.
    pub key: Key,
    /// What, why, and what else could be had.
    pub outcome: Outcome,
    /// The overlay's.
    pub ours: Option<Entry>,
    /// The host's.
    pub theirs: Option<Entry>,
}

/// A merged database, as a change of one of the two.
#[derive(Debug)]
pub struct Plan {
    /// What was decided for each package that any of the three had.
    pub packages: Vec<Decided>,
    /// Packages for which something was asked that cannot be had.
    pub unheeded: BTreeSet<Key>,
    /// What is wrong now that was not before, in words.
    pub findings: Vec<String>,
    /// What became of files that packages of both sides have.
    pub states: States,
    /// Whose database is changed.
    pub from: Side,
    /// How.
    pub delta: Delta,
}

impl Key {
    fn of(known: &Known, multiple: &Multiple<'_>) -> Key {
        let is_multiple = multiple.contains(&(&*known.name, &*known.arch));
        let version = is_multiple.then(|| known.evr.to_string());
        Key { name: Arc::clone(&known.name), arch: Arc::clone(&known.arch), version }
    }
}

/// Name and architecture of packages that are known by their version as well.
type Multiple<'a> = HashSet<(&'a str, &'a str)>;

/// Adds those that are in a catalogue: they say so, or several are there.
fn add_multiple<'a>(catalog: &'a Catalog, multiple: &mut Multiple<'a>) {
    let mut seen = HashSet::new();
    for Entry { known, .. } in catalog.entries() {
        let name = (&*known.name, &*known.arch);
        if known.is_multiple || !seen.insert(name) {
            multiple.insert(name);
        }
    }
}

fn by_key<'a>(catalog: &'a Catalog, multiple: &Multiple<'_>) -> BTreeMap<Key, &'a Entry> {
    catalog.entries().iter().map(|entry| (Key::of(&entry.known, multiple), entry)).collect()
}

/// Which side a person wants, for all or for single packages by the names that they have.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// For packages that both changed.
    pub all: Option<Side>,
    /// For single packages: `NAME` or `NAME.ARCH`.
    pub packages: Vec<(String, Side)>,
    /// What tells packages of theirs that come and go with extensions ([`Wishes::passing`]).
    pub passing: HashSet<Identity>,
}

/// Merges two databases that came from one base, of which this is known. `aliases` are those of the root that they are
/// about, where that is known.
pub fn plan(
    base: &[Arc<Known>],
    (ours, our): (&Database, &Catalog),
    (theirs, their): (&Database, &Catalog),
    choice: &Choice,
    aliases: &Aliases,
) -> Result<Plan, Error> {
    let plan = decided(base, (ours, our), (theirs, their), choice, aliases)?;
    let findings = needs::findings(&plan.packages, (ours, theirs), aliases)?;
    Ok(Plan { findings, ..plan })
}

/// Unites two databases that do not come from one base: theirs, with all that is ours; of a package that both have in different
/// versions, ours. What that breaks is not looked for.
pub fn unite(
    ours: (&Database, &Catalog),
    theirs: (&Database, &Catalog),
    aliases: &Aliases,
) -> Result<Plan, Error> {
    decided(&[], ours, theirs, &Choice { all: Some(Side::Ours), ..Choice::default() }, aliases)
}

/// All of a plan but what it breaks.
fn decided(
    base: &[Arc<Known>],
    (ours, our): (&Database, &Catalog),
    (theirs, their): (&Database, &Catalog),
    choice: &Choice,
    aliases: &Aliases,
) -> Result<Plan, Error> {
    our.refuse_unreadable(ours, their)?;
    their.refuse_unreadable(theirs, our)?;
    let mut multiple = Multiple::new();
    for catalog in [our, their] {
        add_multiple(catalog, &mut multiple);
    }
    let base: BTreeMap<Key, Identity> =
        base.iter().map(|known| (Key::of(known, &multiple), known.identity)).collect();
    let all_of_theirs = their;
    let (our, their) = (by_key(our, &multiple), by_key(their, &multiple));
    let is_passing = |(_, entry): &(&Key, &&Entry)| choice.passing.contains(&entry.known.identity);
    let passing = their.iter().filter(is_passing).map(|(key, _)| key.clone()).collect();
    let wishes = Wishes { passing, ..wishes(choice, our.keys().chain(their.keys())) };
    let merged = merge::merge(&base, &facts(&our), &facts(&their), &wishes);
    let packages: Vec<Decided> = merged
        .outcomes
        .into_iter()
        .map(|(key, outcome)| {
            let entry = |side: &BTreeMap<Key, &Entry>| side.get(&key).map(|entry| (*entry).clone());
            let (ours, theirs) = (entry(&our), entry(&their));
            Decided { key, outcome, ours, theirs }
        })
        .collect();
    let states = States::of(&packages, (ours, theirs), all_of_theirs, aliases)?;
    let (from, delta) = delta(&packages, ours, theirs, &states)?;
    Ok(Plan { packages, unheeded: merged.unheeded, findings: Vec::new(), states, from, delta })
}

fn facts<'a>(entries: &BTreeMap<Key, &'a Entry>) -> BTreeMap<Key, Fact<&'a Evr<'static>>> {
    let fact = |entry: &&'a Entry| Fact::new(&entry.known.evr, entry.known.identity);
    entries.iter().map(|(key, entry)| (key.clone(), fact(entry))).collect()
}

fn wishes<'a>(choice: &Choice, keys: impl Iterator<Item = &'a Key>) -> Wishes<Key> {
    let keys: BTreeSet<&Key> = keys.collect();
    let mut packages = BTreeMap::new();
    for (wanted, side) in &choice.packages {
        let is_meant = |key: &&&Key| *key.name == **wanted || key.to_string() == *wanted;
        packages.extend(keys.iter().filter(is_meant).map(|key| ((*key).clone(), *side)));
    }
    Wishes { conflicts: choice.all, packages, ..Wishes::default() }
}

/// The smaller of the two changes that lead to the merged database.
fn delta(
    packages: &[Decided],
    ours: &Database,
    theirs: &Database,
    states: &States,
) -> Result<(Side, Delta), Error> {
    let is_decided =
        |decided: &&Decided| !matches!(decided.outcome.decision, Decision::Unchanged | Decision::BothSame);
    let of_side =
        |side| packages.iter().filter(is_decided).filter(move |decided| decided.outcome.side() == side);
    // What the one side has won has to be brought into the database of the other.
    let from =
        if of_side(Side::Ours).count() <= of_side(Side::Theirs).count() { Side::Theirs } else { Side::Ours };
    let mut delta = Delta { above: ours.highest()?.max(theirs.highest()?), ..Delta::default() };
    for decided in of_side(from.other()) {
        let (kept, changed) = match from {
            Side::Theirs => (&decided.ours, &decided.theirs),
            Side::Ours => (&decided.theirs, &decided.ours),
        };
        let (source, target) = if from == Side::Theirs { (ours, theirs) } else { (theirs, ours) };
        if let Some(entry) = changed {
            delta.remove.push(stored(entry, &header_of(target, entry)?));
        }
        if let Some(entry) = kept {
            let blob = header_of(source, entry)?;
            let adapted = states.apply((from.other(), entry.number), &blob);
            delta.add.push(adapted.unwrap_or(blob));
        }
    }
    delta.replace = adapted(packages, from, if from == Side::Ours { ours } else { theirs }, states)?;
    Ok((from, delta))
}

/// The headers that stay in the database that is changed, but say other things of their files.
fn adapted(
    packages: &[Decided],
    from: Side,
    database: &Database,
    states: &States,
) -> Result<Vec<(Stored, Vec<u8>)>, Error> {
    let mut found = Vec::new();
    for decided in packages {
        let entry = if from == Side::Ours { &decided.ours } else { &decided.theirs };
        let is_staying = match decided.outcome.decision {
            Decision::Unchanged | Decision::BothSame => true,
            _ => decided.outcome.side() == from,
        };
        let Some(entry) = entry.as_ref().filter(|_| is_staying) else { continue };
        let id = (from, entry.number);
        if states.changes(id) {
            let blob = header_of(database, entry)?;
            found.extend(states.apply(id, &blob).map(|adapted| (stored(entry, &blob), adapted)));
        }
    }
    Ok(found)
}

fn stored(entry: &Entry, blob: &[u8]) -> Stored {
    Stored { number: entry.number, identity: Identity::of(blob) }
}

fn header_of(database: &Database, entry: &Entry) -> Result<Vec<u8>, Error> {
    database.blob(entry.number)?.ok_or_else(|| Error::Changed { path: database.path().to_owned() })
}
