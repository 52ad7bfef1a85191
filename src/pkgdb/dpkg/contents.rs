//! What a database says, without the disk that it was on.

use std::collections::{BTreeMap, BTreeSet};

use super::lines::{Lines, is_architecture};
use super::statoverride::StatOverrides;
use super::triggers::{Activated, Declared};
use super::{Aliases, Alternative, AutoInstalled, Diversions, Entry, InfoFiles, Key, Triggers};
use crate::package::Error;

/// All that dpkg and apt know of the packages below a root.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// `status`.
    pub entries: BTreeMap<Key, Entry>,
    /// The names in `info/`.
    pub info: InfoFiles,
    /// What packages say of triggers in `info/`.
    pub declared: BTreeMap<Key, Declared>,
    /// Who wants to know of triggers, which dpkg makes from the above.
    pub triggers: Triggers,
    /// What administrators and packages' scripts added.
    pub tables: Tables,
    /// The architecture of this system; empty where nothing says so.
    pub native: String,
    /// Links of the root into `/usr`.
    pub aliases: Aliases,
}

/// What is kept beside the packages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tables {
    /// `diversions`.
    pub diversions: Diversions,
    /// `statoverride`.
    pub overrides: StatOverrides,
    /// `alternatives/` by their names.
    pub alternatives: BTreeMap<String, Alternative>,
    /// apt's `extended_states`.
    pub auto_installed: AutoInstalled,
    /// `triggers/Unincorp`.
    pub activated: Activated,
    /// `arch`: architectures whose packages can be installed; empty where that is the system's own alone.
    pub architectures: BTreeSet<String>,
}

/// Where lists of files come from.
pub trait Paths {
    /// Calls with each regular file of a package and its digest.
    fn each_file(&self, entry: &Entry, call: &mut dyn FnMut(&[u8], &str)) -> Result<(), crate::pkgdb::Error>;

    /// Calls with each path that a package names.
    fn each_path(&self, entry: &Entry, call: &mut dyn FnMut(&[u8])) -> Result<(), crate::pkgdb::Error>;
}

impl Contents {
    /// Packages of which there is more than a remainder of configuration.
    pub fn present(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| entry.is_present())
    }

    /// What a package says of triggers.
    pub fn declared_triggers(&self, key: &Key) -> Declared {
        self.declared.get(key).cloned().unwrap_or_default()
    }

    /// The key under which apt knows a package: what is for all architectures is the system's own.
    pub fn apt_key(&self, key: &Key) -> Key {
        let arch = if key.arch == "all" { &self.native } else { &key.arch };
        Key { name: key.name.clone(), arch: arch.clone() }
    }

    /// Whether apt installed a package for others' sake alone.
    pub fn is_auto_installed(&self, key: &Key) -> bool {
        self.tables.auto_installed.contains(&self.apt_key(key))
    }
}

/// Reads `arch`.
pub(super) fn parse_architectures(text: &[u8]) -> Result<BTreeSet<String>, Error> {
    let mut lines = Lines::of(text);
    let mut found = BTreeSet::new();
    while let Some(line) = lines.take()? {
        let word = lines.text(line)?;
        if !is_architecture(&word) {
            return Err(lines.wrong("is no architecture"));
        }
        found.insert(word);
    }
    Ok(found)
}

/// Writes `arch`: the system's own comes first.
pub(super) fn write_architectures(architectures: &BTreeSet<String>, native: &str) -> Vec<u8> {
    let own = architectures.iter().filter(|arch| *arch == native);
    let others = architectures.iter().filter(|arch| *arch != native);
    own.chain(others).flat_map(|arch| format!("{arch}\n").into_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_are_read_and_written() {
        let found = parse_architectures(b"i386\namd64\narmhf\n").expect("it is right");
        assert_eq!(write_architectures(&found, "i386"), b"i386\namd64\narmhf\n");
        assert!(parse_architectures(b"amd64\nx y\n").is_err());
    }
}
