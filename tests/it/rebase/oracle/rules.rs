//! What an overlay must have when it has followed, by rules that are stated here a second time, and where host and
//! overlay did not disagree, by what a plain root has after the same deeds.

use std::collections::{BTreeMap, BTreeSet};

use super::packages::Package;
use super::roots::Look;

/// One of three, by who changed it; `None` where both did.
pub(super) fn one_sided<T: PartialEq + Copy>(base: T, ours: T, theirs: T) -> Option<T> {
    if ours == base || ours == theirs {
        Some(theirs)
    } else if theirs == base {
        Some(ours)
    } else {
        None
    }
}

/// The version of a package that is to be there, and whether that had to be decided.
fn decide<'a>(
    base: Option<&'a String>,
    ours: Option<&'a String>,
    theirs: Option<&'a String>,
    is_held: bool,
) -> (Option<&'a String>, bool) {
    match one_sided(base, ours, theirs) {
        Some(version) => (version, false),
        None if ours.is_none() || theirs.is_none() || is_held => (ours, true),
        None => (ours.max(theirs), true),
    }
}

/// What host and overlay had and have, and what was said.
pub(super) struct Round<'a> {
    /// What packages there can be.
    pub(super) all: &'a [Package],
    /// The host when the overlay was last entered.
    pub(super) base: &'a Look,
    /// The overlay before it followed.
    pub(super) ours: &'a Look,
    /// The host now.
    pub(super) theirs: &'a Look,
    /// What was said when the overlay followed.
    pub(super) said: &'a str,
    /// Files that a person changed in the overlay.
    pub(super) edited: &'a BTreeSet<String>,
}

impl Round<'_> {
    /// The packages that are to be there.
    pub(super) fn packages(&self) -> BTreeMap<String, String> {
        self.decided().into_iter().filter_map(|(key, (version, _))| Some((key, version?))).collect()
    }

    fn decided(&self) -> BTreeMap<String, (Option<String>, bool)> {
        let all = [self.base, self.ours, self.theirs];
        let keys: BTreeSet<&String> = all.iter().flat_map(|look| look.packages.keys()).collect();
        let decide = |key: &String| {
            let [base, ours, theirs] = all.map(|look| look.packages.get(key));
            let (version, is_told) = decide(base, ours, theirs, self.ours.lines("held").contains(key));
            (key.clone(), (version.cloned(), is_told))
        };
        keys.into_iter().map(decide).collect()
    }

    /// Whether a package is to be as it is on the host.
    pub(super) fn is_theirs(&self, key: &str) -> bool {
        let [base, ours, theirs] = [self.base, self.ours, self.theirs].map(|look| look.packages.get(key));
        let held = self.ours.lines("held").iter().any(|name| name == key);
        decide(base, ours, theirs, held).0 == theirs && ours != theirs
    }

    fn of<'a>(&'a self, packages: &BTreeMap<String, String>) -> Vec<&'a Package> {
        let is_there = |package: &&Package| {
            let key = if package.is_multiple {
                format!("{} {}", package.name, package.version)
            } else {
                package.name.clone()
            };
            packages.get(&key) == Some(&package.version)
        };
        self.all.iter().filter(is_there).collect()
    }

    /// What is missing or in the way among packages.
    fn problems(&self, packages: &BTreeMap<String, String>) -> BTreeSet<(String, String)> {
        let there = self.of(packages);
        let mut found = BTreeSet::new();
        for package in &there {
            for need in &package.needs {
                if !there.iter().any(|other| other.meets(need)) {
                    found.insert((package.name.clone(), need.name.clone()));
                }
            }
            for other in there.iter().filter(|other| package.clashes(other)) {
                found.insert((package.name.clone(), other.name.clone()));
            }
        }
        found
    }

    fn is_said(&self, words: &[&str]) -> bool {
        self.said.lines().any(|line| words.iter().all(|word| mentions(line, word)))
    }

    /// What is wrong with the packages that are there.
    pub(super) fn judge_packages(&self, seen: &Look, solver: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let expected = self.packages();
        let keys: BTreeSet<&String> = expected.keys().chain(seen.packages.keys()).collect();
        for key in keys {
            let (wanted, found) = (expected.get(key), seen.packages.get(key));
            if wanted != found {
                wrong.push(format!("package {key}: {found:?}, not {wanted:?}"));
            }
        }
        for (key, (_, is_told)) in self.decided() {
            let name = key.split(' ').next().unwrap_or(&key);
            if is_told && !self.is_said(&[name]) {
                wrong.push(format!("package {key}: it is not told that both sides changed it"));
            }
        }
        let problems = self.problems(&expected);
        let old: BTreeSet<_> =
            [self.ours, self.theirs].into_iter().flat_map(|look| self.problems(&look.packages)).collect();
        for (package, other) in problems.difference(&old) {
            if !self.is_said(&[package, other]) {
                wrong.push(format!("package {package}: it is not told what it has against {other}"));
            }
        }
        if problems.is_empty() != solver.trim().is_empty() {
            wrong.push(format!("the solver says '{solver}', and the problems are {problems:?}"));
        }
        wrong
    }

    /// Where the overlay is not like the plain root, and whether it has a right to that.
    pub(super) fn judge_files(&self, seen: &Look, plain: &Look) -> (Vec<String>, Vec<String>) {
        let (mut differing, mut wrong) = (Vec::new(), Vec::new());
        let paths: BTreeSet<&String> = seen.files.keys().chain(plain.files.keys()).collect();
        for path in paths {
            let (found, expected) = (seen.files.get(path), plain.files.get(path));
            if found == expected {
                continue;
            }
            differing.push(path.clone());
            if !self.is_allowed(path, found) {
                let sides = [self.base, self.ours, self.theirs].map(|look| look.files.get(path));
                wrong.push(format!("{path}: {found:?}, not {expected:?} (base, ours, theirs: {sides:?})"));
            }
        }
        for line in seen.lines("verify") {
            let path = line.split_whitespace().last().unwrap_or_default();
            if !plain.lines("verify").contains(line) && !self.is_allowed(path, seen.files.get(path)) {
                wrong.push(format!("verify: {line}"));
            }
        }
        (differing, wrong)
    }

    fn is_allowed(&self, path: &str, found: Option<&String>) -> bool {
        let stem = stem(path);
        if self.is_said(&[stem]) || self.is_said(&[path]) {
            return true;
        }
        // What a person did in the overlay stays.
        let kept = self.edited.contains(stem) && found == self.ours.files.get(path);
        // Of a package that is gone, only configuration is left, which is the host's where nobody changed it.
        let [base, ours, theirs] = [self.base, self.ours, self.theirs].map(|look| look.files.get(path));
        let is_left =
            found == theirs && ours == base && self.owners_there(path) == 0 && path.starts_with("/etc/");
        kept || is_left || (self.owners(path) == 0 && self.is_one_sided(path, found)) || self.is_shared(path)
    }

    /// What packages know nothing of is decided by who changed it.
    fn is_one_sided(&self, path: &str, found: Option<&String>) -> bool {
        let [base, ours, theirs] = [self.base, self.ours, self.theirs].map(|look| look.files.get(path));
        one_sided(base, ours, theirs).is_some_and(|expected| expected == found)
    }

    /// How many packages may have a file, in whatever version.
    fn owners(&self, path: &str) -> usize {
        let stem = stem(path);
        let may_have = |package: &&Package| {
            let is_target = package.diverts.iter().any(|(_, target, _)| target == stem);
            is_target || package.files.contains_key(stem)
        };
        self.all.iter().filter(may_have).count()
    }

    /// Whether two packages that do not go together have a file.
    fn is_shared(&self, path: &str) -> bool {
        self.owners_there(path) > 1
    }

    fn owners_there(&self, path: &str) -> usize {
        let there = self.packages();
        let there = self.of(&there);
        // Where a package's file of this name is: elsewhere if another diverts it.
        let place = |package: &Package, name: &String| -> String {
            let others = there.iter().filter(|other| other.name != package.name);
            let diverted = others
                .flat_map(|other| &other.diverts)
                .find(|(from, _, is_diverted)| *is_diverted && from == name);
            diverted.map_or(name, |(_, target, _)| target).clone()
        };
        let has = |package: &&&Package| package.files.keys().any(|name| place(package, name) == path);
        there.iter().filter(has).count()
    }
}

/// A file that another lies beside.
fn stem(path: &str) -> &str {
    let endings = [".dpkg-old", ".dpkg-dist", ".dpkg-new", ".dpkg-bak", ".rpmsave", ".rpmnew", ".rpmorig"];
    endings.iter().find_map(|ending| path.strip_suffix(ending)).unwrap_or(path)
}

/// Whether a word is in a line, and not only as a part of another.
fn mentions(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let after = line[at + word.len()..].chars().next();
        after.is_none_or(|after| !after.is_ascii_alphanumeric() && !"-/_".contains(after))
    })
}
