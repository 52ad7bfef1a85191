//! apt's `/var/lib/apt/extended_states`: which packages were installed for others' sake alone (apt-mark(8)). A stanza
//! for each, with Package, Architecture and `Auto-Installed: 1`. Packages for all architectures stand with the
//! system's own.

use std::collections::BTreeMap;

use super::Key;
use super::lines::is_package_name;
use crate::package::Error;
use crate::package::deb822::{Document, Stanza};

/// The stanzas by their package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AutoInstalled {
    /// Each with all that it says.
    pub stanzas: BTreeMap<Key, Stanza>,
}

impl AutoInstalled {
    /// Reads the file.
    pub fn parse(text: &[u8]) -> Result<AutoInstalled, Error> {
        let mut stanzas = BTreeMap::new();
        for stanza in Document::parse(text)?.stanzas {
            let line = stanza.line();
            let wrong = |problem| Error::Line { line, problem };
            let name = stanza.text("Package").filter(|name| is_package_name(name));
            let name = name.ok_or_else(|| wrong("begins a stanza without a package's name"))?.to_owned();
            let arch = stanza.text("Architecture").unwrap_or_default().to_owned();
            if stanzas.insert(Key { name, arch }, stanza).is_some() {
                return Err(wrong("describes a package a second time"));
            }
        }
        Ok(AutoInstalled { stanzas })
    }

    /// Writes the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        Document::of(self.stanzas.values().cloned()).to_bytes()
    }

    /// Whether a package was installed for others' sake alone.
    pub fn contains(&self, key: &Key) -> bool {
        self.stanzas.get(key).and_then(|stanza| stanza.text("Auto-Installed")) == Some("1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_and_written() {
        let text = b"Package: a\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: b\nArchitecture: amd64\nAuto-Installed: 0\n\n";
        let found = AutoInstalled::parse(text).expect("it is right");
        let key = |name: &str| Key { name: name.to_owned(), arch: "amd64".to_owned() };
        assert_eq!(["a", "b", "c"].map(|name| found.contains(&key(name))), [true, false, false]);
        assert_eq!(found.to_bytes(), text);
        for bad in ["Auto-Installed: 1\n", "Package: a b\n", "Package: a\n\nPackage: a\n"] {
            assert!(AutoInstalled::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
