//! Which image of an extension a base is to have: the newest that fits, by what stores tell of images that are still to come.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Catalog, Error};
use crate::extension::activate::{Enabled, enabled};
use crate::extension::elf::{self, Machine};
use crate::extension::finding::Fault;
use crate::extension::libraries::{Libraries, newest_like};
use crate::extension::matching::{self, HostFacts, Mismatch};
use crate::extension::{
    Class, Directory, ImageFiles, Layer, Release, Sonames, Stack, SystemdVersion, Versions, has_loader,
    order, with_base,
};
use crate::host::{Host, OsRelease};
use crate::store::index::Entry;

/// Judges and chooses for one base.
pub struct Chooser<'a> {
    facts: HostFacts,
    libraries: Libraries<'a>,
    /// How programs of the base are loaded; nothing where it has no shell to tell by.
    programs: Option<(Option<String>, Machine)>,
    enabled: Vec<Enabled>,
    /// What the images that are enabled have for others, read when it matters.
    provided: OnceCell<BTreeMap<String, Versions>>,
    /// What comes together with what is chosen.
    beside: Vec<Entry>,
}

/// An image that can be had.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Where.
    pub catalog: &'a Catalog<'a>,
    /// What is said of it.
    pub entry: &'a Entry,
}

/// Why an image does not fit a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// systemd would not merge it.
    Mismatch(Box<Mismatch>),
    /// Its programs do not find what they need.
    Library(Fault),
    /// It extends /etc, which is not for us.
    Confext,
}

/// Why nothing was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nothing {
    /// No store has an extension of this name.
    NoSuch,
    /// None has this version of it.
    NoVersion {
        /// The version.
        version: String,
        /// Those that there are, the newest first.
        others: Vec<String>,
    },
    /// None of them fits.
    Unfit {
        /// How many there are.
        count: usize,
        /// The version of the one that is nearest.
        version: String,
        /// Its store.
        store: String,
        /// Why it does not fit.
        misfit: Misfit,
    },
}

impl Chooser<'_> {
    /// Chooses for a root, as it is without what is merged over it. `beside` is what may come together with it.
    pub fn with<T: Send>(
        host: &Host,
        beside: Vec<Entry>,
        choose: impl FnOnce(&Chooser<'_>) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        with_base(host, |base| {
            let contents = Directory::new(base.root.try_clone()?);
            let systemd = SystemdVersion::of(&contents)?.unwrap_or(SystemdVersion::LAST);
            let facts = HostFacts::read(base, &contents, Some(systemd))?;
            let stack = Stack::new(vec![Layer { contents: &contents, hierarchies: None }]);
            let libraries = Libraries::new(&stack);
            let shell = libraries.elf(Path::new("bin/sh"))?;
            let programs = shell.map(|(_, elf)| (elf.interpreter.clone(), elf.machine));
            let enabled = enabled(&base.root)?;
            choose(&Chooser { facts, libraries, programs, enabled, provided: OnceCell::new(), beside })
        })?
    }

    /// The newest image of an extension that fits, of the store that counts first: or one version of it; also one that does
    /// not fit, where that was asked for.
    pub fn choose<'c>(
        &self,
        catalogs: &'c [Catalog<'c>],
        name: &str,
        version: Option<&str>,
        unfit: bool,
    ) -> Result<Result<Candidate<'c>, Nothing>, Error> {
        let all = candidates(catalogs, name);
        if all.is_empty() {
            return Ok(Err(Nothing::NoSuch));
        }
        let is_meant = |one: &&Candidate<'_>| version.is_none_or(|version| one.entry.version == version);
        let meant: Vec<&Candidate<'_>> = all.iter().filter(is_meant).collect();
        let mut nearest: Option<(Misfit, &Candidate<'_>)> = None;
        for candidate in &meant {
            let misfit = self.misfit(candidate.entry)?;
            let Some(misfit) = misfit.filter(|misfit| !unfit || *misfit == Misfit::Confext) else {
                return Ok(Ok(**candidate));
            };
            if nearest.as_ref().is_none_or(|(other, _)| misfit.distance() < other.distance()) {
                nearest = Some((misfit, candidate));
            }
        }
        Ok(Err(match nearest {
            Some((misfit, candidate)) => Nothing::Unfit {
                count: meant.len(),
                version: candidate.entry.version.clone(),
                store: candidate.catalog.store.name.clone(),
                misfit,
            },
            None => Nothing::NoVersion {
                version: version.unwrap_or_default().to_owned(),
                others: all.iter().map(|one| one.entry.version.clone()).collect(),
            },
        }))
    }

    /// Why an image does not fit, as far as its store tells.
    pub fn misfit(&self, entry: &Entry) -> Result<Option<Misfit>, Error> {
        if entry.confext {
            return Ok(Some(Misfit::Confext));
        }
        if let Err(mismatch) = self.matches(entry) {
            return Ok(Some(Misfit::Mismatch(Box::new(mismatch))));
        }
        if let Some(loader) = self.missing_loader(entry)? {
            return Ok(Some(Misfit::Library(Fault::MissingInterpreter(loader))));
        }
        let Some((interpreter, machine)) = &self.programs else { return Ok(None) };
        for (library, versions) in &entry.needs {
            if let Some(fault) = self.lacks(entry, interpreter.as_deref(), *machine, (library, versions))? {
                return Ok(Some(Misfit::Library(fault)));
            }
        }
        Ok(None)
    }

    fn matches(&self, entry: &Entry) -> Result<(), Mismatch> {
        // Of a store that tells nothing, that much is in the name.
        let says = |word: &String| *word != self.facts.architecture;
        if let Some(says) = entry.architecture.clone().filter(says) {
            return Err(Mismatch::Architecture { says, host: self.facts.architecture.clone() });
        }
        if entry.release.is_empty() {
            return Ok(());
        }
        let fields = OsRelease::parse(&release_text(&entry.release));
        let release = Release::Found { path: PathBuf::from(&entry.file), fields };
        matching::judge(&self.facts, Class::Sysext, &release, false).map(drop)
    }

    /// A loader that is not there, for programs that this host could run with it.
    fn missing_loader(&self, entry: &Entry) -> Result<Option<String>, Error> {
        for (loader, architectures) in entry.loaders.iter().flatten() {
            let is_run = architectures.iter().any(|program| elf::runs(&self.facts.architecture, program));
            if is_run && self.libraries.elf(Path::new(loader))?.is_none() && !self.is_loader_provided(loader)
            {
                return Ok(Some(loader.clone()));
            }
        }
        Ok(None)
    }

    /// Whether another extension that is enabled has a loader.
    fn is_loader_provided(&self, loader: &str) -> bool {
        let has = |link: &Enabled| {
            ImageFiles::open(&link.image)
                .is_ok_and(|contents| has_loader(&contents, loader).unwrap_or_default())
        };
        self.enabled.iter().any(has)
    }

    /// What is missing of a library that an image needs.
    fn lacks(
        &self,
        entry: &Entry,
        interpreter: Option<&str>,
        machine: Machine,
        (library, versions): (&String, &BTreeSet<String>),
    ) -> Result<Option<Fault>, Error> {
        if let Some(elf) = self.libraries.usual(interpreter, machine, library)? {
            let missing: Vec<String> =
                versions.iter().filter(|version| !elf.versions.contains(version)).cloned().collect();
            // One that defines no versions is taken for any.
            if missing.is_empty() || elf.versions.is_empty() {
                return Ok(None);
            }
            if self.is_provided(entry, library, versions) {
                return Ok(None);
            }
            let newest = missing.first().and_then(|version| newest_like(version, &elf.versions));
            let (library, owner) = (library.clone(), "the base".to_owned());
            return Ok(Some(Fault::MissingVersions { versions: missing, library, owner, newest }));
        }
        if self.is_provided(entry, library, versions) {
            return Ok(None);
        }
        let near = self.libraries.near(interpreter, machine, library)?;
        // Who needs it may know that it is there.
        if near.elsewhere.is_some() {
            return Ok(None);
        }
        let (library, similar) = (library.clone(), near.similar);
        Ok(Some(Fault::MissingLibrary { library, elsewhere: None, similar }))
    }

    /// Whether another extension has a library, one that is enabled or one that comes as well.
    fn is_provided(&self, entry: &Entry, library: &str, versions: &BTreeSet<String>) -> bool {
        let has = |provided: &Versions| provided.get(library).is_some_and(|has| versions.is_subset(has));
        if self.beside.iter().any(|other| other.name != entry.name && has(&other.provides)) {
            return true;
        }
        if self.provided.get().is_none() {
            let _ = self.provided.set(self.read_provided());
        }
        let provided = self.provided.get().into_iter().flatten();
        provided.filter(|(name, _)| **name != entry.name).any(|(_, provided)| has(provided))
    }

    /// An image that cannot be read has nothing for others.
    fn read_provided(&self) -> BTreeMap<String, Versions> {
        let read = |link: &Enabled| {
            let contents = ImageFiles::open(&link.image).ok()?;
            Some((link.name.clone(), Sonames::read(&contents, Class::Sysext).ok()?.provides))
        };
        self.enabled.iter().filter_map(read).collect()
    }
}

/// All images of an extension, those of stores that count first before others, and the newest first.
pub fn candidates<'c>(catalogs: &'c [Catalog<'c>], name: &str) -> Vec<Candidate<'c>> {
    let of = |catalog: &'c Catalog<'c>| {
        let entries = catalog.entries.iter().filter(|entry| entry.name == name && catalog.store.has(name));
        entries.map(move |entry| Candidate { catalog, entry })
    };
    let mut all: Vec<Candidate<'_>> = catalogs.iter().flat_map(of).collect();
    all.sort_by(|one, other| {
        let priority = |one: &Candidate<'_>| one.catalog.store.priority;
        priority(one)
            .cmp(&priority(other))
            .then_with(|| order::compare(&other.entry.version, &one.entry.version))
    });
    all
}

/// Fields as a release file has them. What is none there is left out.
fn release_text(fields: &BTreeMap<String, String>) -> String {
    let is_plain = |text: &str| !text.chars().any(|letter| letter.is_control() || "\"\\$`=".contains(letter));
    let line = |(field, value): (&String, &String)| format!("{field}=\"{value}\"\n");
    fields.iter().filter(|(field, value)| is_plain(field) && is_plain(value)).map(line).collect()
}

impl Misfit {
    /// How far it is from fitting.
    fn distance(&self) -> u32 {
        match self {
            Misfit::Library(_) => 0,
            Misfit::Confext => 4,
            Misfit::Mismatch(mismatch) => match &**mismatch {
                Mismatch::Level { .. } | Mismatch::Version { .. } | Mismatch::NoVersion { .. } => 1,
                Mismatch::Architecture { .. } => 3,
                _ => 2,
            },
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Mismatch(mismatch) => write!(f, "systemd does not merge it: {mismatch}"),
            Misfit::Library(fault) => write!(f, "it {fault}"),
            Misfit::Confext => {
                write!(f, "it extends /etc (systemd-confext), and only what extends /usr and /opt is added")
            }
        }
    }
}

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Nothing::NoSuch => write!(f, "no store has it"),
            Nothing::NoVersion { version, others } => {
                let few = others.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
                write!(f, "no store has {version} of it; there is {few}")?;
                if others.len() > 5 { write!(f, " and more") } else { Ok(()) }
            }
            Nothing::Unfit { count: 1, version, store, misfit } => {
                write!(f, "{version} of store '{store}' does not fit: {misfit}")
            }
            Nothing::Unfit { count, version, store, misfit } => {
                write!(
                    f,
                    "none of {count} images fits; the nearest is {version} of store '{store}': {misfit}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
