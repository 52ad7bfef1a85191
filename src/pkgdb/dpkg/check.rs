//! What is wrong with a database. All of it is told, not the first alone: what a [`super::Database`] is refused for,
//! and what `dpkg --audit` tells.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::database::{EXTENDED_STATES, LARGE, Reader, SMALL, optional};
use super::{
    Alternative, AutoInstalled, Entry, InfoFiles, Key, MultiArch, State, contents, diversions, lock,
    statoverride, stem, triggers,
};
use crate::package::deb822::Document;
use crate::pkgdb::Error;
use crate::sys::Root;

/// Something that is wrong with a database.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A program was broken off while it changed the database.
    Interrupted(String),
    /// A file, or a stanza of `status`, cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Where and why.
        what: String,
    },
    /// `status` describes a package twice.
    Repeated {
        /// The package.
        key: Key,
        /// The line where it does so again.
        line: usize,
    },
    /// A package is there for several architectures and is none of those that may be.
    Duplicate {
        /// Its name.
        name: String,
        /// The architectures.
        archs: Vec<String>,
    },
    /// Nobody knows what files a package has.
    MissingList {
        /// The package.
        key: Key,
    },
    /// A package is not in order.
    Unfinished {
        /// The package.
        key: Key,
        /// How far it got: the Status field.
        status: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Interrupted(what) => f.write_str(what),
            Finding::Unreadable { path, what } => write!(f, "'{}' cannot be read: {what}", path.display()),
            Finding::Repeated { key, line } => write!(f, "package {key} is described again in line {line}"),
            Finding::Duplicate { name, archs } => {
                write!(f, "package {name} is there for {}, but is not Multi-Arch: same", archs.join(" and "))
            }
            Finding::MissingList { key } => write!(f, "package {key} has no list of its files"),
            Finding::Unfinished { key, status } => write!(f, "package {key} is not in order: {status}"),
        }
    }
}

impl Finding {
    /// The package that it is about.
    pub fn package(&self) -> Option<&str> {
        match self {
            Finding::Interrupted(_) | Finding::Unreadable { .. } => None,
            Finding::Duplicate { name, .. } => Some(name),
            Finding::Repeated { key, .. }
            | Finding::MissingList { key }
            | Finding::Unfinished { key, .. } => Some(&key.name),
        }
    }
}

/// Looks at everything in the database in a directory below a root.
pub fn check(root: &Root, directory: &Path) -> Result<Vec<Finding>, Error> {
    let place = root.open_dir(directory)?;
    if lock::is_locked(&place)? {
        return Err(Error::InUse { path: place.path().to_owned() });
    }
    let mut check = Check { reader: Reader { root, directory }, findings: Vec::new() };
    check.interruptions()?;
    let entries = check.status()?;
    let info = check.reader.info();
    if let Some(info) = check.kept(info)? {
        check.lists(&entries, &info);
        check.declared_triggers(&entries, &info)?;
    }
    check.packages(&entries);
    check.tables()?;
    Ok(check.findings)
}

struct Check<'a> {
    reader: Reader<'a>,
    findings: Vec<Finding>,
}

impl Check<'_> {
    /// Keeps what was read; that it makes no sense is a finding.
    fn kept<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Error::Damaged { path, what }) => {
                self.findings.push(Finding::Unreadable { path, what });
                Ok(None)
            }
            Err(Error::Unsupported { path, format }) => {
                self.findings.push(Finding::Unreadable {
                    path,
                    what: format!("it is {format}, which is not supported"),
                });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn interruptions(&mut self) -> Result<(), Error> {
        match self.reader.refuse_unfinished(false) {
            Err(error @ Error::Interrupted { .. }) => {
                self.findings.push(Finding::Interrupted(error.to_string()));
                Ok(())
            }
            other => other,
        }
    }

    /// The stanzas that can be read, the first of each package.
    fn status(&mut self) -> Result<BTreeMap<Key, Entry>, Error> {
        let name = self.reader.directory.join("status");
        let text = optional(self.reader.root.read(&name, LARGE))?.unwrap_or_default();
        let path = self.reader.root.join(&name);
        let unreadable = |error: crate::package::Error| Finding::Unreadable {
            path: path.clone(),
            what: error.to_string(),
        };
        let mut entries = BTreeMap::new();
        let stanzas = match Document::parse(&text) {
            Ok(document) => document.stanzas,
            Err(error) => {
                self.findings.push(unreadable(error));
                return Ok(entries);
            }
        };
        for stanza in stanzas {
            let line = stanza.line();
            match Entry::parse(stanza) {
                Err(error) => self.findings.push(unreadable(error)),
                Ok(entry) if entries.contains_key(&entry.key) => {
                    self.findings.push(Finding::Repeated { key: entry.key, line });
                }
                Ok(entry) => drop(entries.insert(entry.key.clone(), entry)),
            }
        }
        Ok(entries)
    }

    fn lists(&mut self, entries: &BTreeMap<Key, Entry>, info: &InfoFiles) {
        let has_files = |entry: &&Entry| entry.status.state >= State::Unpacked;
        let missing = entries.values().filter(has_files).filter(|entry| !info.has(&stem(entry), "list"));
        self.findings.extend(missing.map(|entry| Finding::MissingList { key: entry.key.clone() }));
    }

    fn declared_triggers(&mut self, entries: &BTreeMap<Key, Entry>, info: &InfoFiles) -> Result<(), Error> {
        for stem in entries.values().map(stem).filter(|stem| info.has(stem, "triggers")) {
            let name = format!("info/{stem}.triggers");
            let read = self.reader.parse(&name, SMALL, triggers::parse_declared);
            self.kept(read)?;
        }
        Ok(())
    }

    fn packages(&mut self, entries: &BTreeMap<Key, Entry>) {
        let mut named: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        for entry in entries.values().filter(|entry| entry.is_present()) {
            named.entry(&entry.key.name).or_default().push(entry);
            if entry.status.state != State::Installed || entry.status.needs_reinstallation {
                let (key, status) = (entry.key.clone(), entry.status.to_string());
                self.findings.push(Finding::Unfinished { key, status });
            }
        }
        let may_not = |entries: &&Vec<&Entry>| {
            entries.len() > 1 && entries.iter().any(|entry| entry.multi_arch != MultiArch::Same)
        };
        self.findings.extend(named.values().filter(may_not).map(|entries| Finding::Duplicate {
            name: entries[0].key.name.clone(),
            archs: entries.iter().map(|entry| entry.key.arch.clone()).collect(),
        }));
    }

    fn tables(&mut self) -> Result<(), Error> {
        let reader = &self.reader;
        let read = [
            reader.parse("diversions", SMALL, diversions::parse).map(drop),
            reader.parse("statoverride", SMALL, statoverride::parse).map(drop),
            reader.parse_at(Path::new(EXTENDED_STATES), SMALL, AutoInstalled::parse).map(drop),
            reader.parse("triggers/Unincorp", SMALL, triggers::parse_activated).map(drop),
            reader.parse("arch", SMALL, contents::parse_architectures).map(drop),
            reader.triggers().map(drop),
        ];
        for result in read {
            self.kept(result)?;
        }
        for name in self.reader.names("alternatives")? {
            let Some(name) = name.to_str().filter(|name| !name.ends_with(".dpkg-tmp")) else { continue };
            let read = self.reader.parse(&format!("alternatives/{name}"), SMALL, Alternative::parse);
            self.kept(read)?;
        }
        Ok(())
    }
}
