//! `info/`: files about each package, `PKG.TYPE`; and `PKG:ARCH.TYPE` where several architectures can be installed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use super::{Entry, MultiArch};

/// The types of files that are there, by what comes before the dot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InfoFiles(BTreeMap<String, BTreeSet<String>>);

/// What the names of a package's files in `info/` begin with.
pub fn stem(entry: &Entry) -> String {
    match entry.multi_arch {
        MultiArch::Same => entry.key.to_string(),
        _ => entry.key.name.clone(),
    }
}

impl InfoFiles {
    /// Sorts the names of a directory. What belongs to no package (`format`, files that dpkg writes aside) is left out.
    pub fn of(names: impl IntoIterator<Item = OsString>) -> InfoFiles {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for name in names {
            let Some((stem, kind)) = name.to_str().and_then(|name| name.rsplit_once('.')) else { continue };
            let is_kind = kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            if !stem.is_empty() && !kind.starts_with("dpkg-") && !kind.is_empty() && is_kind {
                found.entry(stem.to_owned()).or_default().insert(kind.to_owned());
            }
        }
        InfoFiles(found)
    }

    /// The types of a package's files, by what their names begin with.
    pub fn kinds(&self, stem: &str) -> impl Iterator<Item = &str> {
        self.0.get(stem).into_iter().flatten().map(String::as_str)
    }

    /// Whether a package has a file of a type.
    pub fn has(&self, stem: &str, kind: &str) -> bool {
        self.0.get(stem).is_some_and(|kinds| kinds.contains(kind))
    }

    /// Leaves out types of a package's files.
    pub(super) fn retain(&mut self, stem: &str, mut is_kept: impl FnMut(&str) -> bool) {
        if let Some(kinds) = self.0.get_mut(stem) {
            kinds.retain(|kind| is_kept(kind));
        }
    }

    /// All beginnings of names.
    pub fn stems(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_to_their_packages() {
        let names =
            ["format", "libc6:amd64.list", "libstdc++6.list", "python3.13.list", "python3.13.md5sums", ".x"];
        let found = InfoFiles::of(names.map(OsString::from));
        assert_eq!(found.stems().collect::<Vec<_>>(), ["libc6:amd64", "libstdc++6", "python3.13"]);
        assert_eq!(found.kinds("python3.13").collect::<Vec<_>>(), ["list", "md5sums"]);
        assert!(found.has("libc6:amd64", "list") && !found.has("libc6", "list"));
    }
}
