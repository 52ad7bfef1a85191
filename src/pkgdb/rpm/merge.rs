//! The three-way merge of rpm databases. [`crate::pkgdb::merge`] decides on packages; here is what a package is
//! for rpm, and which headers have to be removed from one database and added to it to get the merged one.
//!
//! A package is known by name and architecture; those of which several versions may be there at once (kernels,
//! which provide `installonlypkg(…)` or `multiversion(…)`, and the keys in `gpg-pubkey`) by their version as
//! well. When a package was installed, and what became of its files, does not tell it from another: the same
//! package on both sides is one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

pub use super::states::States;
use super::{Database, Delta, Fingerprint, Hnum, Stored, may_be_there_twice, needs};
use crate::package::header::tag;
use crate::package::{Evr, Header, Identity};
use crate::pkgdb::Error;
use crate::pkgdb::dpkg::Aliases;
use crate::pkgdb::merge::{self, Decision, Fact, Outcome, Side, Wishes};

/// What can be there once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Name.
    pub name: String,
    /// Architecture.
    pub arch: String,
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

/// What a merge has to know of a header.
#[derive(Debug, Clone)]
pub struct Known {
    /// Name.
    pub name: String,
    /// Architecture.
    pub arch: String,
    /// Version.
    pub evr: Evr<'static>,
    /// Whether several versions may be there at once.
    pub is_multiple: bool,
    /// What tells the package from any other, wherever and whenever it is installed.
    pub identity: Identity,
    /// The same by the digests that the header has of itself, where it has them.
    pub fingerprint: Option<Fingerprint>,
}

/// A package in a database.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What is known of it.
    pub known: Known,
    /// Its header.
    pub stored: Stored,
    /// When it was installed, in seconds since 1970.
    pub installed: u64,
}

/// The packages of a database.
#[derive(Debug)]
pub struct Catalog {
    entries: Vec<Entry>,
    /// Headers that are no packages.
    unreadable: Vec<Stored>,
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

impl Known {
    fn of(header: &Header<'_>) -> Known {
        let name = header.name().into_owned();
        Known {
            arch: header.arch().into_owned(),
            evr: header.evr().into_owned(),
            is_multiple: may_be_there_twice(header),
            identity: header.package_identity().unwrap_or_else(|| Identity::of(header.blob())),
            fingerprint: Fingerprint::of(header),
            name,
        }
    }

    fn key(&self, multiple: &HashSet<(String, String)>) -> Key {
        let is_multiple = multiple.contains(&(self.name.clone(), self.arch.clone()));
        let version = is_multiple.then(|| self.evr.to_string());
        Key { name: self.name.clone(), arch: self.arch.clone(), version }
    }
}

impl Catalog {
    /// Reads all packages of a database. Headers that cannot be read are nobody's package, and stay where they are;
    /// [`plan`] refuses them where they are not the same on both sides.
    pub fn of(database: &Database) -> Result<Catalog, Error> {
        Catalog::knowing(&[], database)
    }

    /// The same, where these packages are known from elsewhere: what their headers say they are is not found out again.
    pub fn knowing(known: &[Known], database: &Database) -> Result<Catalog, Error> {
        let known: HashMap<&Fingerprint, &Known> =
            known.iter().filter_map(|known| Some((known.fingerprint.as_ref()?, known))).collect();
        let read = database.map(|number, blob| {
            let stored = Stored { number, identity: Identity::of(blob) };
            let Ok(header) = Header::parse(blob) else { return Err(stored) };
            let installed = header.number(tag::INSTALL_TIME).unwrap_or_default();
            let found = Fingerprint::of(&header).and_then(|found| known.get(&found).copied().cloned());
            Ok(Entry { known: found.unwrap_or_else(|| Known::of(&header)), stored, installed })
        })?;
        let (mut entries, mut unreadable) = (Vec::new(), Vec::new());
        for one in read {
            match one {
                Ok(entry) => entries.push(entry),
                Err(stored) => unreadable.push(stored),
            }
        }
        Ok(Catalog { entries, unreadable })
    }

    /// A header that cannot be read may be any package: where the other side has it not as well, nobody can say what
    /// became of that.
    fn refuse_unreadable(&self, database: &Database, other: &Catalog) -> Result<(), Error> {
        let others: HashSet<Identity> = other.unreadable.iter().map(|stored| stored.identity).collect();
        match self.unreadable.iter().find(|stored| !others.contains(&stored.identity)) {
            Some(stored) => Err(Error::Damaged {
                path: database.path().to_owned(),
                what: format!("header {} cannot be read", stored.number),
            }),
            None => Ok(()),
        }
    }

    /// All packages.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn by_key(&self, multiple: &HashSet<(String, String)>) -> BTreeMap<Key, Entry> {
        self.entries.iter().map(|entry| (entry.known.key(multiple), entry.clone())).collect()
    }

    /// Those that are known by their version as well: they say so, or several are there.
    fn multiple(&self) -> HashSet<(String, String)> {
        let mut seen = HashSet::new();
        let mut found = HashSet::new();
        for Entry { known, .. } in &self.entries {
            let name = (known.name.clone(), known.arch.clone());
            if known.is_multiple || !seen.insert(name.clone()) {
                found.insert(name);
            }
        }
        found
    }
}

/// Which side a person wants, for all or for single packages by the names that they have.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// For packages that both changed.
    pub all: Option<Side>,
    /// For single packages: `NAME` or `NAME.ARCH`.
    pub packages: Vec<(String, Side)>,
}

/// Merges two databases that came from one base, of which this is known. `aliases` are those of the root that they are
/// about, where that is known.
pub fn plan(
    base: &[Known],
    (ours, our): (&Database, &Catalog),
    (theirs, their): (&Database, &Catalog),
    choice: &Choice,
    aliases: &Aliases,
) -> Result<Plan, Error> {
    our.refuse_unreadable(ours, their)?;
    their.refuse_unreadable(theirs, our)?;
    let multiple: HashSet<_> = our.multiple().union(&their.multiple()).cloned().collect();
    let base: BTreeMap<Key, Identity> =
        base.iter().map(|known| (known.key(&multiple), known.identity)).collect();
    let (our, their) = (our.by_key(&multiple), their.by_key(&multiple));
    let wishes = wishes(choice, our.keys().chain(their.keys()));
    let merged = merge::merge(&base, &facts(&our), &facts(&their), &wishes);
    let packages: Vec<Decided> = merged
        .outcomes
        .into_iter()
        .map(|(key, outcome)| {
            let (ours, theirs) = (our.get(&key).cloned(), their.get(&key).cloned());
            Decided { key, outcome, ours, theirs }
        })
        .collect();
    let states = States::of(&packages, (ours, theirs), aliases)?;
    let (from, delta) = delta(&packages, ours, theirs, &states)?;
    let findings = needs::findings(&packages, (ours, theirs), aliases)?;
    Ok(Plan { packages, unheeded: merged.unheeded, findings, states, from, delta })
}

fn facts(entries: &BTreeMap<Key, Entry>) -> BTreeMap<Key, Fact<Evr<'static>>> {
    let fact = |entry: &Entry| Fact::new(entry.known.evr.clone(), entry.known.identity);
    entries.iter().map(|(key, entry)| (key.clone(), fact(entry))).collect()
}

fn wishes<'a>(choice: &Choice, keys: impl Iterator<Item = &'a Key>) -> Wishes<Key> {
    let keys: BTreeSet<&Key> = keys.collect();
    let mut packages = BTreeMap::new();
    for (wanted, side) in &choice.packages {
        let is_meant = |key: &&&Key| key.name == *wanted || key.to_string() == *wanted;
        packages.extend(keys.iter().filter(is_meant).map(|key| ((*key).clone(), *side)));
    }
    Wishes { conflicts: choice.all, packages }
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
        delta.remove.extend(changed.as_ref().map(|entry| entry.stored));
        if let Some(entry) = kept {
            let source = if from == Side::Theirs { ours } else { theirs };
            let blob = header_of(source, entry.stored.number)?;
            let adapted = states.apply((from.other(), entry.stored.number), &blob);
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
        let id = (from, entry.stored.number);
        if states.changes(id) {
            let blob = header_of(database, entry.stored.number)?;
            found.extend(states.apply(id, &blob).map(|blob| (entry.stored, blob)));
        }
    }
    Ok(found)
}

fn header_of(database: &Database, number: Hnum) -> Result<Vec<u8>, Error> {
    database.blob(number)?.ok_or_else(|| Error::Changed { path: database.path().to_owned() })
}
