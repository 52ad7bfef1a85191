//! What a merge breaks: relations between packages that held before, on the side that a package came from.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;

use crate::package::DebianVersion;
use crate::package::debian_relation::{Operator, Qualifier, Relation};
use crate::pkgdb::dpkg::{Entry, Key, MultiArch, State};

/// Something that is wrong with a package in the new database and was not before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The package.
    pub key: Key,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Problem {
    /// Nothing gives what it needs.
    Missing {
        /// Depends or Pre-Depends.
        field: &'static str,
        /// What it needs: one of these.
        relation: String,
    },
    /// Another package must not be there beside it.
    Clash {
        /// Conflicts or Breaks.
        field: &'static str,
        /// What must not be there.
        relation: String,
        /// Who is.
        other: Key,
    },
    /// Architectures of one package must have the same version.
    Siblings {
        /// The other architecture.
        other: Key,
        /// Both versions.
        versions: (String, String),
    },
    /// Another package has the same file with other content; dpkg would not have installed both.
    SharedFile {
        /// Which file.
        path: PathBuf,
        /// The host's package.
        other: Key,
    },
    /// It is not configured, and dpkg must do that yet.
    Unfinished {
        /// How far it got.
        state: String,
    },
}

/// All findings for all packages.
pub(super) fn findings(
    merged: &BTreeMap<Key, Entry>,
    ours: &BTreeMap<Key, Entry>,
    theirs: &BTreeMap<Key, Entry>,
    native: &str,
) -> Vec<Finding> {
    let found = Installed::of(merged, native).problems();
    if found.is_empty() {
        return Vec::new();
    }
    // What the host has not finished was not so in the overlay, and no one on the host sees to it there.
    let is_finished = |finding: &Finding| !matches!(finding.problem, Problem::Unfinished { .. });
    let on_host = Installed::of(theirs, native).problems().into_iter().filter(is_finished);
    let before: BTreeSet<Finding> =
        Installed::of(ours, native).problems().into_iter().chain(on_host).collect();
    found.into_iter().filter(|finding| !before.contains(finding)).collect()
}

/// Packages by what they are called and what they provide.
struct Installed<'a> {
    native: &'a str,
    entries: Vec<&'a Entry>,
    named: HashMap<&'a str, Vec<&'a Entry>>,
    provided: HashMap<String, Vec<Provided<'a>>>,
}

/// That a package provides a name, and in which version.
struct Provided<'a> {
    by: &'a Entry,
    version: Option<DebianVersion>,
}

impl<'a> Installed<'a> {
    fn of(entries: &'a BTreeMap<Key, Entry>, native: &'a str) -> Installed<'a> {
        let entries: Vec<&Entry> = entries.values().filter(|entry| entry.is_present()).collect();
        let mut named: HashMap<&str, Vec<&Entry>> = HashMap::new();
        let mut provided: HashMap<String, Vec<Provided>> = HashMap::new();
        for entry in entries.iter().copied() {
            named.entry(&entry.key.name).or_default().push(entry);
            // A field that cannot be read says nothing: dpkg would have refused the package.
            for relation in entry.relations("Provides").unwrap_or_default().into_iter().flatten() {
                let version = relation.version.filter(|(operator, _)| *operator == Operator::Equal);
                let version = version.map(|(_, version)| version);
                provided.entry(relation.name).or_default().push(Provided { by: entry, version });
            }
        }
        Installed { native, entries, named, provided }
    }

    fn problems(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for entry in self.entries.iter().copied() {
            let mut add = |problem| found.push(Finding { key: entry.key.clone(), problem });
            self.missing(entry, &mut add);
            self.clashes(entry, &mut add);
            self.siblings(entry, &mut add);
            if !entry.is_configured() {
                add(Problem::Unfinished { state: entry.status.to_string() });
            }
        }
        found
    }

    fn missing(&self, entry: &Entry, add: &mut impl FnMut(Problem)) {
        for field in ["Pre-Depends", "Depends"] {
            for group in entry.relations(field).unwrap_or_default() {
                if !group.iter().any(|relation| self.satisfies(relation, entry)) {
                    let words: Vec<String> = group.iter().map(Relation::to_string).collect();
                    add(Problem::Missing { field, relation: words.join(" | ") });
                }
            }
        }
    }

    fn satisfies(&self, relation: &Relation, of: &Entry) -> bool {
        let is_usable =
            |other: &Entry| other.status.state >= State::Unpacked && self.serves(other, relation, of);
        let named = self.named.get(&*relation.name).into_iter().flatten();
        let provided = self.provided.get(&relation.name).into_iter().flatten();
        named.copied().any(|other| {
            is_usable(other) && other.version.as_ref().is_some_and(|version| relation.takes(version))
        }) || provided.into_iter().any(|provided| is_usable(provided.by) && provided.is_taken(relation))
    }

    /// Whether a package's architecture is one that is asked for (lib/dpkg/depcon.c).
    fn serves(&self, other: &Entry, relation: &Relation, of: &Entry) -> bool {
        if other.multi_arch == MultiArch::Foreign {
            return true;
        }
        match &relation.arch {
            Qualifier::Any => other.multi_arch == MultiArch::Allowed,
            Qualifier::Implied => self.arch(&other.key.arch) == self.arch(&of.key.arch),
            Qualifier::Only(arch) => self.arch(&other.key.arch) == self.arch(arch),
        }
    }

    /// Packages for all architectures count as the system's own.
    fn arch<'b>(&'b self, arch: &'b str) -> &'b str {
        if ["all", "native", ""].contains(&arch) { self.native } else { arch }
    }

    /// A package does not clash with its own name, nor with what itself provides.
    fn clashes(&self, entry: &Entry, add: &mut impl FnMut(Problem)) {
        for field in ["Conflicts", "Breaks"] {
            for relation in entry.relations(field).unwrap_or_default().into_iter().flatten() {
                let named = self.named.get(&*relation.name).into_iter().flatten().copied();
                let named = named
                    .filter(|other| other.version.as_ref().is_some_and(|version| relation.takes(version)));
                let provided = self.provided.get(&relation.name).into_iter().flatten();
                let provided =
                    provided.filter(|provided| provided.is_taken(&relation)).map(|provided| provided.by);
                for other in named.chain(provided).filter(|other| other.key.name != entry.key.name) {
                    let is_meant = match &relation.arch {
                        Qualifier::Only(arch) => self.arch(&other.key.arch) == self.arch(arch),
                        _ => true,
                    };
                    // What is only half there breaks nothing yet.
                    if is_meant && other.status.state >= State::Unpacked {
                        let relation = relation.to_string();
                        add(Problem::Clash { field, relation, other: other.key.clone() });
                    }
                }
            }
        }
    }

    fn siblings(&self, entry: &Entry, add: &mut impl FnMut(Problem)) {
        if entry.multi_arch != MultiArch::Same {
            return;
        }
        let Some(version) = &entry.version else { return };
        for other in self.named.get(&*entry.key.name).into_iter().flatten() {
            if other.key > entry.key && other.version.as_ref().is_some_and(|other| other != version) {
                let versions = (version.to_string(), other.package().version);
                add(Problem::Siblings { other: other.key.clone(), versions });
            }
        }
    }
}

impl Provided<'_> {
    /// What is provided without a version serves only who asks for none.
    fn is_taken(&self, relation: &Relation) -> bool {
        match (&self.version, &relation.version) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(version), Some(_)) => relation.takes(version),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.problem {
            Problem::Missing { field: "Pre-Depends", relation } => {
                write!(f, "{key} needs {relation} before all else")
            }
            Problem::Missing { relation, .. } => write!(f, "{key} needs {relation}"),
            Problem::Clash { field: "Breaks", relation, other } => {
                write!(f, "{key} breaks {other} ({relation})")
            }
            Problem::Clash { relation, other, .. } => write!(f, "{key} conflicts with {other} ({relation})"),
            Problem::Siblings { other, versions: (own, others) } => {
                write!(f, "{key} is of version {own}, but {other} of {others}")
            }
            Problem::SharedFile { path, other } => {
                write!(f, "{key} and {other} both have '{}'", path.display())
            }
            Problem::Unfinished { state } => write!(f, "{key} is not configured ({state})"),
        }
    }
}
