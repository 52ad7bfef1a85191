//! What was tried in an overlay, as requests: its packages beside those of the deployment that it lies over. Files that no package has stay
//! in the overlay.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Edit, Error, GivenFiles, Manifest, Requests};
use crate::overlay::changes::{Change, ChangeKind};
use crate::overlay::{Packages, Whose};
use crate::pkgdb::compare::{Compared, Difference, Versions};
use crate::pkgdb::{Package, Reasons};
use crate::sys::FileKind;

/// What an overlay has otherwise than the deployment that it lies over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tried {
    /// What is to be asked for, as far as repositories may have it.
    edit: Edit,
    /// Packages that came for others' sake, and come again by themselves.
    pub needed: BTreeSet<String>,
    /// The versions that were tried, by the names of their packages.
    pub versions: BTreeMap<String, String>,
    /// Packages of the base that are there in another version.
    changed: BTreeSet<String>,
    /// Those of them that package managers do not go back to by themselves, and why.
    barred: BTreeMap<String, String>,
    /// Files that belong to no package, or were changed besides their packages.
    pub left: Vec<PathBuf>,
}

/// What is known of an overlay, and of what it lies over.
#[derive(Debug)]
pub struct Look<'a> {
    /// Its files.
    pub changes: &'a [Change],
    /// Its packages.
    pub packages: &'a Packages,
    /// Which of them nobody asked for.
    pub reasons: &'a Reasons,
    /// What is layered in the deployment that it lies over.
    pub running: &'a Manifest,
    /// What is asked for by now.
    pub requests: &'a Requests,
}

/// Reads what was tried.
pub fn look(seen: &Look<'_>) -> Tried {
    let mut tried = Tried::default();
    let compared = joined(seen.packages.changes(), seen.packages.versions());
    for compared in &compared {
        tried.take(seen, compared);
    }
    let known: BTreeSet<&str> = compared.iter().map(|compared| &*compared.package().name).collect();
    for (change, whose) in seen.changes.iter().zip(&seen.packages.whose) {
        let is_known = matches!(whose, Whose::Package(name) if known.contains(&**name));
        if *whose != Whose::Database && !is_known && is_of_people(change) {
            tried.left.push(change.path.clone());
        }
    }
    tried
}

/// What was taken out and came back for another architecture (`amd64`, `all`) is another version of one package.
fn joined<'a>(mut compared: Vec<Compared<'a>>, versions: Versions) -> Vec<Compared<'a>> {
    let is = |wanted: Difference| move |one: &&Compared<'a>| one.difference == wanted;
    let gone: Vec<&'a Package> =
        compared.iter().filter(is(Difference::Removed)).map(Compared::package).collect();
    let came: BTreeSet<&'a str> =
        compared.iter().filter(is(Difference::Added)).map(|one| &*one.package().name).collect();
    compared.retain(|one| one.difference != Difference::Removed || !came.contains(&*one.package().name));
    for one in compared.iter_mut().filter(|one| one.difference == Difference::Added) {
        let new = one.package();
        let Some(old) = gone.iter().find(|old| old.name == new.name) else { continue };
        let difference = match versions.compare(&new.version, &old.version) {
            Ordering::Greater => Difference::Upgraded,
            Ordering::Equal => Difference::Changed,
            Ordering::Less => Difference::Downgraded,
        };
        *one = Compared { difference, old: Some(*old), new: Some(new) };
    }
    compared
}

impl Tried {
    /// Whether nothing was tried that could be asked for.
    pub fn is_empty(&self) -> bool {
        self.edit == Edit::default() && self.barred.is_empty()
    }

    fn take(&mut self, seen: &Look<'_>, compared: &Compared<'_>) {
        let package = compared.package();
        let name = package.name.clone();
        if let Some(new) = compared.new {
            self.versions.insert(name.clone(), new.version.clone());
        }
        match compared.difference {
            Difference::Added if seen.requests.removed.contains(&name) => {
                self.edit.override_reset.insert(name);
            }
            Difference::Added if seen.reasons.is_needed(package) => {
                self.needed.insert(name);
            }
            Difference::Added => {
                self.edit.add.insert(named(seen.packages, package));
            }
            Difference::Removed if seen.requests.has(&name) => {
                self.edit.remove.insert(name);
            }
            // What only layers need goes with them.
            Difference::Removed if is_layered(seen.running, &name) => {}
            Difference::Removed => {
                self.edit.override_remove.insert(name);
            }
            Difference::Upgraded => {
                self.changed.insert(name.clone());
                // A layered one is as new as the repositories have it, once anything is made anew.
                if !is_layered(seen.running, &name) {
                    self.edit.add.insert(named(seen.packages, package));
                }
            }
            Difference::Downgraded | Difference::Changed => {
                self.changed.insert(name.clone());
                self.barred.insert(name, why_barred(compared));
            }
        }
    }

    /// What is to be asked for, with these package files, and without these packages.
    pub fn edit(&self, given: &GivenFiles, without: &BTreeSet<String>) -> Result<Edit, Error> {
        let (mut edit, mut barred) = (self.edit.clone(), self.barred.clone());
        let mut unknown = Vec::new();
        for (name, file) in given {
            let is_added = take_out(&mut edit.add, name) || self.needed.contains(name);
            if self.changed.contains(name) {
                barred.remove(name);
                edit.override_replace.insert(name.clone(), file.clone());
            } else if is_added {
                edit.add_files.insert(name.clone(), file.clone());
            } else {
                unknown.push(name.clone());
            }
        }
        for name in without {
            let sets = [&mut edit.add, &mut edit.remove, &mut edit.override_remove, &mut edit.override_reset];
            let was_there = sets.into_iter().map(|set| take_out(set, name)).fold(false, |any, one| any | one);
            if !was_there & barred.remove(name).is_none() {
                unknown.push(name.clone());
            }
        }
        if !unknown.is_empty() {
            return Err(Error::NotTried { names: unknown });
        }
        if !barred.is_empty() {
            return Err(Error::Barred { packages: barred.into_iter().collect() });
        }
        Ok(edit)
    }
}

/// Takes a package out of names, which may say its architecture.
fn take_out(names: &mut BTreeSet<String>, package: &str) -> bool {
    let before = names.len();
    names.retain(|name| name.split(':').next() != Some(package));
    names.len() < before
}

/// How the package manager is asked for a package: with its architecture, where that is a foreign one of dpkg's.
fn named(packages: &Packages, package: &Package) -> String {
    let is_foreign =
        packages.architecture_of("dpkg").is_some_and(|own| package.arch != own && package.arch != "all");
    if is_foreign { format!("{}:{}", package.name, package.arch) } else { package.name.clone() }
}

fn is_layered(manifest: &Manifest, name: &str) -> bool {
    manifest.packages.iter().any(|package| package.name == name && package.instead_of.is_none())
}

fn why_barred(compared: &Compared<'_>) -> String {
    let version =
        |package: Option<&Package>| package.map(|package| package.version.clone()).unwrap_or_default();
    let (old, new) = (version(compared.old), version(compared.new));
    if old == new {
        format!("another build of {new} than the base's")
    } else {
        format!("{new}, older than the base's {old}")
    }
}

/// Places of package managers, caches, logs and what is made anew at each boot, and copies that programs make of what they change.
const OF_PROGRAMS: &[&str] = &[
    "/etc/.pwd.lock",
    "/etc/group-",
    "/etc/gshadow-",
    "/etc/ld.so.cache",
    "/etc/passwd-",
    "/etc/shadow-",
    "/etc/subgid-",
    "/etc/subuid-",
    "/run",
    "/tmp",
    "/usr/lib/sysimage",
    "/usr/share/rpm",
    "/var/cache",
    "/var/lib/apt",
    "/var/lib/dnf",
    "/var/lib/dpkg",
    "/var/lib/rpm",
    "/var/lib/systemd",
    "/var/lib/zypp",
    "/var/log",
    "/var/tmp",
];

/// Whether somebody may miss a file that is not layered.
fn is_of_people(change: &Change) -> bool {
    // What is only touched, or a directory, holds nothing.
    let holds = change.file != FileKind::Directory || change.kind == ChangeKind::Renamed;
    holds && !OF_PROGRAMS.iter().any(|place| change.path.starts_with(Path::new(place)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::LocalFile;
    use crate::package::Identity;
    use crate::pkgdb::compare::compare;

    fn names(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    fn file(version: &str) -> LocalFile {
        LocalFile { version: version.to_owned(), architecture: "all".to_owned(), sha256: "12".to_owned() }
    }

    fn tried() -> Tried {
        Tried {
            edit: Edit {
                add: names(&["strace", "vim:i386", "newer"]),
                override_remove: names(&["nano"]),
                ..Edit::default()
            },
            needed: names(&["libfoo1"]),
            changed: names(&["older", "newer"]),
            barred: [("older".to_owned(), "1, older than the base's 2".to_owned())].into(),
            ..Tried::default()
        }
    }

    #[test]
    fn what_came_back_for_another_architecture_is_another_version() {
        let package = |name: &str, arch: &str, version: &str| Package {
            name: name.to_owned(),
            arch: arch.to_owned(),
            version: version.to_owned(),
            identity: Identity::of(version.as_bytes()),
        };
        let (old, new) = (
            [package("a", "amd64", "1"), package("b", "amd64", "2"), package("gone", "all", "1")],
            [package("a", "all", "2"), package("b", "all", "1"), package("new", "all", "1")],
        );
        let found = joined(compare(&old, &new, Versions::Debian), Versions::Debian);
        let found: BTreeSet<(&str, Difference)> =
            found.iter().map(|one| (&*one.package().name, one.difference)).collect();
        let expected = [
            ("a", Difference::Upgraded),
            ("b", Difference::Downgraded),
            ("gone", Difference::Removed),
            ("new", Difference::Added),
        ];
        assert_eq!(found, expected.into());
    }

    #[test]
    fn what_repositories_do_not_bring_back_takes_a_file_or_is_left() {
        let error = tried().edit(&GivenFiles::default(), &BTreeSet::new()).expect_err("it is barred");
        assert!(error.to_string().contains("older (1, older than the base's 2)"), "{error}");
        let edit = tried().edit(&GivenFiles::default(), &names(&["older", "vim"])).expect("without it");
        assert_eq!(edit.add, names(&["newer", "strace"]));
        let given = [("older", "1"), ("newer", "3"), ("strace", "6"), ("libfoo1", "1")];
        let given = given.map(|(name, version)| (name.to_owned(), file(version))).into();
        let edit = tried().edit(&given, &BTreeSet::new()).expect("all are given");
        assert_eq!(edit.override_replace.keys().collect::<Vec<_>>(), ["newer", "older"]);
        assert_eq!(edit.add_files.keys().collect::<Vec<_>>(), ["libfoo1", "strace"]);
        assert_eq!(edit.add, names(&["vim:i386"]));
        let error = tried().edit(&[("gdb".to_owned(), file("1"))].into(), &names(&["older", "emacs"]));
        assert!(matches!(error, Err(Error::NotTried { names }) if names == ["gdb", "emacs"]));
    }
}
