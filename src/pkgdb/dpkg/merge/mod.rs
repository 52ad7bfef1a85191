//! The three-way merge of dpkg databases. [`crate::pkgdb::merge`] decides on packages; what belongs to a package
//! follows its side, and what administrators set is merged entry by entry.
//!
//! * Want (hold), state with triggers, and Conffiles are differences of their own: a package that is the same for
//!   both keeps the overlay's hold and the host's upgrade of nothing else.
//! * A remainder of configuration stays where it is nobody's package: the side that changed it decides.
//! * Diversions and choices of alternatives follow the package that made them; others are merged by their path.
//! * What either side wanted by name is no more installed for others' sake alone.
//! * `triggers/` is made anew from the packages; what either side still had to run, and what files that are new to
//!   the overlay call for, is activated.
//!
//! Nothing here reads or writes: a [`Plan`] has the new database, and what is wrong with it that was not before.

mod alternatives;
mod check;
mod info;
mod packages;
mod shared;
mod tables;
mod triggers;

#[cfg(test)]
mod random;
#[cfg(test)]
mod rows;

pub use check::{Finding, Problem};

use std::collections::{BTreeMap, BTreeSet};

use super::{Contents, Entry, Key, Marks, Paths, Tables, Triggers};
use crate::package::{DebianVersion, Identity};
use crate::pkgdb::merge::{Decision, Outcome, Side, Wishes};
use crate::pkgdb::{Error, Package};

/// What the base had when the overlay was laid on it.
#[derive(Debug, Clone, Default)]
pub struct Base {
    /// Its packages.
    pub packages: BTreeMap<Key, Known>,
    /// The rest; `None` where nobody remembers, and then both sides' entries count.
    pub tables: Option<Tables>,
}

/// What is known of a package of the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// What tells it from any other.
    pub identity: Identity,
    /// Whether it was more than a remainder of configuration.
    pub is_present: bool,
    /// What the system had added to it; `None` where nobody remembers.
    pub marks: Option<Marks>,
}

/// One of the two that are merged.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// What its database says.
    pub contents: &'a Contents,
    /// The paths of its packages.
    pub paths: &'a dyn Paths,
}

/// A new database, and how it came about.
#[derive(Debug)]
pub struct Plan {
    /// What was decided for each package that any of the three had.
    pub packages: Vec<Decided>,
    /// Packages for which something was asked that cannot be had.
    pub unheeded: BTreeSet<Key>,
    /// What is wrong now that was not before.
    pub findings: Vec<Finding>,
    /// The packages of the new `status`.
    pub entries: BTreeMap<Key, Entry>,
    /// Names in `info/`, and whose file each is; `None` is to be removed.
    pub info: BTreeMap<String, Option<Side>>,
    /// Who wants to know of triggers.
    pub triggers: Triggers,
    /// All else.
    pub tables: Tables,
    /// The architecture of the system.
    pub native: String,
}

/// What was decided for a package.
#[derive(Debug, Clone)]
pub struct Decided {
    /// Which.
    pub key: Key,
    /// What, why, and what else could be had.
    pub outcome: Outcome,
    /// The overlay's version.
    pub ours: Option<DebianVersion>,
    /// The host's version.
    pub theirs: Option<DebianVersion>,
}

impl Base {
    /// All that is to be remembered of a base.
    pub fn of(contents: &Contents) -> Base {
        let known = |entry: &Entry| Known {
            identity: entry.identity,
            is_present: entry.is_present(),
            marks: Some(entry.marks()),
        };
        Base {
            packages: contents.entries.iter().map(|(key, entry)| (key.clone(), known(entry))).collect(),
            tables: Some(contents.tables.clone()),
        }
    }

    /// A base of which only the installed packages are known.
    pub fn of_packages<'a>(packages: impl IntoIterator<Item = &'a Package>) -> Base {
        let known = |package: &Package| {
            let key = Key { name: package.name.clone(), arch: package.arch.clone() };
            (key, Known { identity: package.identity, is_present: true, marks: None })
        };
        Base { packages: packages.into_iter().map(known).collect(), tables: None }
    }
}

/// Merges two databases that came from one base.
pub fn plan(base: &Base, ours: Input, theirs: Input, wishes: &Wishes<Key>) -> Result<Plan, Error> {
    let decided = packages::decide(base, ours.contents, theirs.contents, wishes);
    let merged = packages::merge(base, ours.contents, theirs.contents, &decided.outcomes);
    let verdicts = Verdicts::of(&decided.outcomes);
    let mut tables = tables::merge(base.tables.as_ref(), ours.contents, theirs.contents, &verdicts, &merged);
    tables.alternatives = alternatives::merge(base.tables.as_ref(), ours, theirs, &verdicts)?;
    let triggers = triggers::interests(ours.contents, theirs.contents, &merged);
    triggers::activate(&mut tables.activated, ours, theirs, &verdicts, &triggers)?;
    let info = info::merge(ours.contents, theirs.contents, &merged);
    let entries: BTreeMap<Key, Entry> = merged.into_iter().map(|(key, merged)| (key, merged.entry)).collect();
    let native =
        if theirs.contents.native.is_empty() { ours.contents } else { theirs.contents }.native.clone();
    let mut findings = check::findings(&entries, &ours.contents.entries, &theirs.contents.entries, &native);
    findings.extend(shared::findings(&entries, ours, theirs, &verdicts, &tables.diversions)?);
    findings.sort_unstable();
    let version = |contents: &Contents, key: &Key| {
        contents.entries.get(key).filter(|entry| entry.is_present()).and_then(|entry| entry.version.clone())
    };
    let packages = decided.outcomes.iter().map(|(key, outcome)| Decided {
        key: key.clone(),
        outcome: *outcome,
        ours: version(ours.contents, key),
        theirs: version(theirs.contents, key),
    });
    let packages = packages.collect();
    Ok(Plan { packages, unheeded: decided.unheeded, findings, entries, info, triggers, tables, native })
}

/// Packages that one side changed or won, and whose side that is. Those that are the same for both have none.
struct Verdicts {
    keys: BTreeMap<Key, Side>,
}

impl Verdicts {
    fn of(outcomes: &BTreeMap<Key, Outcome>) -> Verdicts {
        let is_decided =
            |outcome: &Outcome| !matches!(outcome.decision, Decision::Unchanged | Decision::BothSame);
        let decided = outcomes.iter().filter(|(_, outcome)| is_decided(outcome));
        Verdicts { keys: decided.map(|(key, outcome)| (key.clone(), outcome.side())).collect() }
    }

    /// The side of all packages of a name, where they agree.
    fn of_name(&self, name: &str) -> Option<Side> {
        let first = Key { name: name.to_owned(), arch: String::new() };
        let mut sides =
            self.keys.range(first..).take_while(|(key, _)| key.name == name).map(|(_, side)| *side);
        let side = sides.next()?;
        sides.all(|other| other == side).then_some(side)
    }
}

/// What the base had.
#[derive(Clone, Copy)]
enum Past<T> {
    /// Nobody remembers.
    Forgotten,
    /// This, or nothing.
    Was(Option<T>),
}

impl<T> Past<T> {
    /// What of the base, where that is remembered, is found by `get`.
    fn of<B>(base: Option<B>, get: impl FnOnce(B) -> Option<T>) -> Past<T> {
        base.map_or(Past::Forgotten, |base| Past::Was(get(base)))
    }

    fn and_then<U>(self, get: impl FnOnce(T) -> Option<U>) -> Past<U> {
        match self {
            Past::Forgotten => Past::Forgotten,
            Past::Was(value) => Past::Was(value.and_then(get)),
        }
    }

    fn is_remembered(&self) -> bool {
        matches!(self, Past::Was(_))
    }
}

/// What three-way comparison says of one entry.
enum Chosen<'a, V> {
    /// This it is, or nothing.
    Value(Option<&'a V>),
    /// Both changed it, or nobody knows who did.
    Conflict,
}

/// Chooses between two entries: by the package that made them, where one side has won that; or by who changed it.
fn choose<'a, V: PartialEq>(
    verdict: Option<Side>,
    base: Past<&V>,
    ours: Option<&'a V>,
    theirs: Option<&'a V>,
) -> Chosen<'a, V> {
    if ours == theirs {
        return Chosen::Value(ours);
    }
    match (verdict, base) {
        (Some(Side::Ours), _) => Chosen::Value(ours),
        (Some(Side::Theirs), _) => Chosen::Value(theirs),
        (None, Past::Was(base)) if ours == base => Chosen::Value(theirs),
        (None, Past::Was(base)) if theirs == base => Chosen::Value(ours),
        _ => Chosen::Conflict,
    }
}
