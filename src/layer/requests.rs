//! What an administrator wants in a host beyond its base: the truth from which every deployment is made anew.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What is wanted, by the names of packages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Requests {
    /// Packages to be there, by name, from the repositories.
    pub packages: BTreeSet<String>,
    /// Packages to be there, each from one file that was given.
    pub files: BTreeMap<String, LocalFile>,
    /// Packages of the base that are not to be there.
    pub removed: BTreeSet<String>,
    /// Packages of the base in whose place another version is to be, from a file that was given.
    pub replaced: BTreeMap<String, LocalFile>,
}

/// A package file that was given. It is kept under its digest, and never takes a newer version by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalFile {
    /// Its version, in its package manager's words.
    pub version: String,
    /// Its architecture, in its package manager's words.
    pub architecture: String,
    /// SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
}

/// A change of what is wanted, in one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// These first, in the place of all that was asked for.
    pub set: Option<Requests>,
    /// Packages to be there.
    pub add: BTreeSet<String>,
    /// Package files to be there, by the name of their package.
    pub add_files: BTreeMap<String, LocalFile>,
    /// Requests that end.
    pub remove: BTreeSet<String>,
    /// All requests of packages end.
    pub remove_all: bool,
    /// Packages of the base that are to go.
    pub override_remove: BTreeSet<String>,
    /// Package files in the place of the base's.
    pub override_replace: BTreeMap<String, LocalFile>,
    /// Packages of the base that are to be as the base has them.
    pub override_reset: BTreeSet<String>,
    /// What ends, or is reset, may be so already.
    pub if_needed: bool,
}

impl Edit {
    /// Without the end of what is named so.
    #[must_use]
    pub(super) fn without_end_of(&self, names: &[String]) -> Edit {
        let mut edit = self.clone();
        for name in names {
            edit.remove.remove(name);
            edit.override_reset.remove(name);
        }
        edit
    }
}

impl Requests {
    /// Whether nothing is wanted: the host is its base.
    pub fn is_empty(&self) -> bool {
        *self == Requests::default()
    }

    /// Whether a package was asked for by this name.
    pub fn has(&self, name: &str) -> bool {
        self.packages.contains(name) || self.files.contains_key(name)
    }

    /// The word that a package was asked for by: its name, or `NAME=VERSION`.
    pub fn word_for(&self, package: &str) -> Option<&str> {
        let exactly = self.packages.get(package).map(String::as_str);
        let given = || self.files.get_key_value(package).map(|(name, _)| name.as_str());
        let with_version =
            || self.packages.iter().find(|word| package_of(word) == package).map(String::as_str);
        exactly.or_else(given).or_else(with_version)
    }

    /// Has nothing be wanted of a package: of two wishes for it, its package manager would follow one, and nobody could tell which.
    fn forget(&mut self, package: &str) {
        self.packages.retain(|word| package_of(word) != package);
        self.files.remove(package);
        self.removed.remove(package);
        self.replaced.remove(package);
    }

    /// Whether a package is there because it was asked for, by its name alone or more exactly (`NAME=VERSION`).
    pub fn asks_for(&self, package: &str) -> bool {
        let exactly = |name: &String| {
            name.strip_prefix(package).is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', ':']))
        };
        self.packages.iter().any(exactly)
            || self.files.contains_key(package)
            || self.replaced.contains_key(package)
    }

    /// Whether a package of the base is to go, or to be another one.
    pub fn overrides(&self, name: &str) -> bool {
        self.removed.contains(name) || self.replaced.contains_key(name)
    }

    /// What is wanted after a change. What is asked for again stays as it is; the names are of what was not asked for and so cannot
    /// end.
    pub fn edited(&self, edit: &Edit) -> Result<Requests, Vec<String>> {
        let mut new = edit.set.as_ref().unwrap_or(self).clone();
        let is_unknown = |name: &&String| new.word_for(name).is_none();
        let mut unknown: Vec<String> = edit.remove.iter().filter(is_unknown).cloned().collect();
        unknown.extend(edit.override_reset.iter().filter(|name| !new.overrides(name)).cloned());
        if !unknown.is_empty() {
            return Err(unknown);
        }
        if edit.remove_all {
            new.packages.clear();
            new.files.clear();
        }
        for name in &edit.remove {
            let word = new.word_for(name).unwrap_or(name).to_owned();
            new.packages.remove(&word);
            new.files.remove(&word);
        }
        for name in &edit.override_reset {
            new.removed.remove(name);
            new.replaced.remove(name);
        }
        for name in &edit.add {
            let is_given = new.files.contains_key(name) || new.replaced.contains_key(name);
            // A file that was given stays until it is taken out: it was given for a reason.
            if !is_given {
                new.forget(package_of(name));
                new.packages.insert(name.clone());
            }
        }
        for (name, file) in &edit.add_files {
            new.forget(name);
            new.files.insert(name.clone(), file.clone());
        }
        for name in &edit.override_remove {
            new.forget(name);
            new.removed.insert(name.clone());
        }
        for (name, file) in &edit.override_replace {
            new.forget(name);
            new.replaced.insert(name.clone(), file.clone());
        }
        Ok(new)
    }

    /// Names that no package has, and that would be options, or several words, to a package manager or a shell.
    pub fn bad_names(&self) -> Vec<&str> {
        let names = self.packages.iter().chain(&self.removed);
        names.map(String::as_str).filter(|name| !crate::resolve::is_name(name)).collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.packages.len() + self.files.len() + self.removed.len() + self.replaced.len()
    }

    /// Each by itself, with its name.
    pub fn each(&self) -> impl Iterator<Item = (String, Requests)> + '_ {
        let of_name = |name: &String, set: fn(&mut Requests) -> &mut BTreeSet<String>| {
            let mut alone = Requests::default();
            set(&mut alone).insert(name.clone());
            (name.clone(), alone)
        };
        let of_file =
            |name: &String, file: &LocalFile, set: fn(&mut Requests) -> &mut BTreeMap<String, LocalFile>| {
                let mut alone = Requests::default();
                set(&mut alone).insert(name.clone(), file.clone());
                (name.clone(), alone)
            };
        let packages = self.packages.iter().map(move |name| of_name(name, |alone| &mut alone.packages));
        let removed = self.removed.iter().map(move |name| of_name(name, |alone| &mut alone.removed));
        let files = self.files.iter().map(move |(name, file)| of_file(name, file, |alone| &mut alone.files));
        let replaced =
            self.replaced.iter().map(move |(name, file)| of_file(name, file, |alone| &mut alone.replaced));
        packages.chain(removed).chain(files).chain(replaced)
    }

    /// What is wanted, in a line.
    pub fn in_words(&self) -> String {
        let removed = self.removed.iter().map(|name| format!("-{name}"));
        let names = self.packages.iter().chain(self.files.keys()).chain(self.replaced.keys());
        names.cloned().chain(removed).collect::<Vec<_>>().join(" ")
    }

    /// These and others.
    #[must_use]
    pub fn with(mut self, others: &Requests) -> Requests {
        self.packages.extend(others.packages.iter().cloned());
        self.removed.extend(others.removed.iter().cloned());
        self.files.extend(others.files.clone());
        self.replaced.extend(others.replaced.clone());
        self
    }

    /// The digests of all files that were given.
    pub fn digests(&self) -> impl Iterator<Item = &str> {
        self.files.values().chain(self.replaced.values()).map(|file| &*file.sha256)
    }
}

/// The package that a word names, which may have a version (`NAME=VERSION`).
pub(super) fn package_of(word: &str) -> &str {
    word.split('=').next().unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn file(version: &str) -> LocalFile {
        LocalFile { version: version.to_owned(), architecture: "amd64".to_owned(), sha256: version.repeat(4) }
    }

    #[test]
    fn what_is_added_twice_is_there_once() {
        let edit = Edit { add: names(&["strace", "gdb"]), ..Edit::default() };
        let once = Requests::default().edited(&edit).expect("an edit");
        assert_eq!(once.edited(&edit).as_ref(), Ok(&once));
        let both = Edit { add: names(&["tree"]), remove: names(&["gdb"]), ..Edit::default() };
        assert_eq!(once.edited(&both).expect("an edit").packages, names(&["strace", "tree"]));
    }

    #[test]
    fn what_was_not_asked_for_cannot_end() {
        let requests = Requests { packages: names(&["strace"]), ..Requests::default() };
        let edit =
            Edit { remove: names(&["bash", "strace"]), override_reset: names(&["vim"]), ..Edit::default() };
        assert_eq!(requests.edited(&edit), Err(vec!["bash".to_owned(), "vim".to_owned()]));
        let all = Edit { remove_all: true, add: names(&["gdb"]), ..Edit::default() };
        assert_eq!(requests.edited(&all).expect("an edit").packages, names(&["gdb"]));
    }

    #[test]
    fn a_file_takes_the_place_of_a_name_and_stays() {
        let requests = Requests { packages: names(&["strace"]), ..Requests::default() };
        let edit = Edit { add_files: [("strace".to_owned(), file("6.1"))].into(), ..Edit::default() };
        let new = requests.edited(&edit).expect("an edit");
        assert!(new.packages.is_empty());
        assert_eq!(new.files["strace"], file("6.1"));
        let again = new.edited(&Edit { add: names(&["strace"]), ..Edit::default() }).expect("an edit");
        assert_eq!(again, new);
    }

    #[test]
    fn the_last_wish_for_a_package_counts() {
        let add = |word: &str| Edit { add: names(&[word]), ..Edit::default() };
        let of = |requests: &Requests, edit: &Edit| requests.edited(edit).expect("an edit");
        let pinned = of(&of(&Requests::default(), &add("strace=6.2")), &add("strace=6.1"));
        assert_eq!(pinned.packages, names(&["strace=6.1"]));
        assert_eq!(of(&pinned, &add("strace")).packages, names(&["strace"]));
        assert_eq!(of(&pinned, &add("strace:i386")).packages, names(&["strace:i386", "strace=6.1"]));
        // It is found by its name, too.
        let remove = Edit { remove: names(&["strace"]), ..Edit::default() };
        assert!(of(&pinned, &remove).is_empty());
        let remove = Edit { remove: names(&["strace=6.1"]), ..Edit::default() };
        assert!(of(&pinned, &remove).is_empty());
        let gone = of(&pinned, &Edit { override_remove: names(&["strace"]), ..Edit::default() });
        assert_eq!((gone.packages.len(), &gone.removed), (0, &names(&["strace"])));
        assert_eq!(of(&gone, &add("strace")), of(&pinned, &add("strace")));
    }

    #[test]
    fn a_package_of_the_base_is_removed_or_replaced_or_neither() {
        let edit = Edit { override_remove: names(&["nano"]), ..Edit::default() };
        let removed = Requests::default().edited(&edit).expect("an edit");
        assert!(removed.overrides("nano") && !removed.is_empty());
        let edit = Edit { override_replace: [("nano".to_owned(), file("8"))].into(), ..Edit::default() };
        let replaced = removed.edited(&edit).expect("an edit");
        assert!(replaced.removed.is_empty());
        assert_eq!(replaced.digests().collect::<Vec<_>>(), ["8888"]);
        let edit = Edit { override_reset: names(&["nano"]), ..Edit::default() };
        assert!(replaced.edited(&edit).expect("an edit").is_empty());
    }
}
