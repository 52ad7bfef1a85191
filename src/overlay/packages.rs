//! What an overlay changes, package by package, and whose the files are that it changes.
//!
//! Where an overlay has no package database of its own, its packages are the host's, and nothing is mounted or
//! compared.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::changes::{Change, ChangeKind};
use super::view::with_view;
use super::{Error, Overlay, Presence};
use crate::host::{Host, PackageSystem};
use crate::pkgdb::compare::{Compared, Versions, compare};
use crate::pkgdb::{AnyDatabase, Listed, Package, Place};
use crate::sys::Root;

/// The packages of a host and of an overlay over it.
#[derive(Debug)]
pub struct Packages {
    host: Vec<Package>,
    overlay: Vec<Package>,
    versions: Versions,
    /// How many headers of each could not be read: the host's, and the overlay's. They are compared to nothing.
    pub unreadable: [usize; 2],
    /// Whose each of the changes is, in their order.
    pub whose: Vec<Whose>,
}

/// Whose a changed path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// A package's of this name, perhaps of others, too.
    Package(String),
    /// It is part of the package database itself.
    Database,
    /// No package has it.
    Nobody,
}

/// How long to wait for who changes a database, or leaves an overlay; and in what steps.
const PATIENCE: Duration = Duration::from_secs(2);
const MOMENT: Duration = Duration::from_millis(5);

impl Packages {
    /// What differs, by name.
    pub fn changes(&self) -> Vec<Compared<'_>> {
        compare(&self.host, &self.overlay, self.versions)
    }

    /// Whose rules put their versions in an order.
    pub fn versions(&self) -> Versions {
        self.versions
    }

    /// The architecture of one of the host's packages, in its database's words.
    pub fn architecture_of(&self, name: &str) -> Option<&str> {
        self.host.iter().find(|package| package.name == name).map(|package| &*package.arch)
    }

    /// Leaves out what the overlay has of these as they are, and the host has not: in place of one of them, it would have the host's.
    pub(super) fn leave_out(&mut self, copied: &HashSet<(String, String, String)>) {
        let told = |package: &Package| (package.name.clone(), package.arch.clone(), package.version.clone());
        let of_host: HashSet<_> = self.host.iter().map(told).collect();
        let is_copy = |package: &Package| {
            let told = told(package);
            copied.contains(&told) && !of_host.contains(&told)
        };
        let names = |package: &Package| (package.name.clone(), package.arch.clone());
        let left_out: HashSet<_> =
            self.overlay.iter().filter(|package| is_copy(package)).map(names).collect();
        self.overlay.retain(|package| !is_copy(package));
        let stays: HashSet<_> = self.overlay.iter().map(names).collect();
        self.host.retain(|package| {
            let names = names(package);
            !left_out.contains(&names) || stays.contains(&names)
        });
    }
}

/// Looks at the packages of an overlay whose changes are known; `None` where the host has no database. Where somebody
/// is in the overlay, it is seen through his eyes, with the locks that are held inside; else nobody can enter meanwhile.
pub fn packages(
    overlay: &Overlay,
    host: &Host,
    changes: &[Change],
    state: &Path,
) -> Result<Option<Packages>, Error> {
    look(host, changes, |system| with_seen(overlay, host, state, |view| of_view(view, system, changes)))
}

/// Looks at the packages of a view that is there to be looked at, which differs from a host by `changes`.
pub fn packages_of_view(view: &Root, host: &Host, changes: &[Change]) -> Result<Option<Packages>, Error> {
    look(host, changes, |system| of_view(view, system, changes))
}

/// All packages of a view, and who has each of the changed paths there.
type Seen = (Listed, Vec<Option<String>>);

fn look(
    host: &Host,
    changes: &[Change],
    see: impl FnOnce(&PackageSystem) -> Result<Seen, Error>,
) -> Result<Option<Packages>, Error> {
    let Some(system) = host.package_system() else { return Ok(None) };
    let Some(place) = Place::of_system(&host.root, &system)? else { return Ok(None) };
    let directories = directories(host, &system);
    let is_of_database = |path: &Path| directories.iter().any(|directory| path.starts_with(directory));
    let database = place.open(PATIENCE)?;
    let (mut of_host, mut of_overlay) = (Listed::default(), Listed::default());
    let mut owners = if changes.iter().any(|change| is_of_database(&change.path)) {
        of_host = database.packages()?;
        let (packages, owners) = see(&system)?;
        of_overlay = packages;
        owners
    } else {
        database.owners(&host.root, &paths(changes, |_| true))?
    };
    if !of_host.packages.is_empty() {
        let was = |change: &Change| change.kind == ChangeKind::Removed;
        let removed = database.owners(&host.root, &paths(changes, was))?;
        let places = owners.iter_mut().zip(changes).filter(|(_, change)| was(change));
        places.zip(removed).for_each(|((owner, _), was)| *owner = was);
    }
    let whose = |(change, owner): (&Change, Option<String>)| match owner {
        Some(name) => Whose::Package(name),
        None if is_of_database(&change.path) => Whose::Database,
        None => Whose::Nobody,
    };
    Ok(Some(Packages {
        whose: changes.iter().zip(owners).map(whose).collect(),
        versions: place.versions(),
        unreadable: [of_host.unreadable, of_overlay.unreadable],
        host: of_host.packages,
        overlay: of_overlay.packages,
    }))
}

fn paths(changes: &[Change], wanted: impl Fn(&Change) -> bool) -> Vec<&Path> {
    changes.iter().filter(|change| wanted(change)).map(|change| change.path.as_path()).collect()
}

/// The database's directory, as it is named and where it really is.
fn directories(host: &Host, system: &PackageSystem) -> Vec<PathBuf> {
    let named = system.database.parent().unwrap_or(Path::new("/")).to_owned();
    let real = host.root.resolve(&named).ok();
    std::iter::once(named).chain(real).collect()
}

fn with_seen<T: Send>(
    overlay: &Overlay,
    host: &Host,
    state: &Path,
    read: impl FnOnce(&Root) -> Result<T, Error> + Send,
) -> Result<T, Error> {
    let presence = Presence::open(state)?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let entry = presence.lock_entry()?;
        // One in RAM may have the name that one on disk has.
        let found = presence.find(&overlay.name)?.filter(|found| !found.running.temporary);
        if let Some(found) = found {
            entry.release()?;
            if let Ok(root) = Root::open(format!("/proc/{}/root", found.member.as_raw())) {
                return read(&root);
            }
        } else if let Some(usage) = presence.use_alone(&overlay.name)? {
            let result = with_view(overlay, host, |view, _| read(view));
            presence.leave(&overlay.name, usage)?;
            return result;
        } else {
            entry.release()?;
        }
        // A session that is leaving needs the entry lock to finish.
        std::thread::sleep(MOMENT);
    }
    Err(Error::InUse { name: overlay.name.clone(), user: None })
}

fn of_view(view: &Root, system: &PackageSystem, changes: &[Change]) -> Result<Seen, Error> {
    let found = PackageSystem::find_kind(view, system.kind);
    let place = found.map(|system| Place::of_system(view, &system)).transpose()?.flatten();
    // The overlay has removed the database.
    let Some(place) = place else { return Ok((Listed::default(), vec![None; changes.len()])) };
    let database: AnyDatabase = place.open(PATIENCE)?;
    Ok((database.packages()?, database.owners(view, &paths(changes, |_| true))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::Identity;
    use crate::pkgdb::compare::Difference;

    fn package(name: &str, version: &str) -> Package {
        let identity = Identity::of(format!("{name} {version}").as_bytes());
        Package { name: name.into(), arch: "all".into(), version: version.into(), identity }
    }

    #[test]
    fn what_was_copied_of_an_extension_is_no_change() {
        let mut packages = Packages {
            host: vec![package("base", "1"), package("older", "1"), package("removed", "1")],
            overlay: vec![
                package("base", "1"),
                package("older", "2"),
                package("extension", "1"),
                package("newer", "3"),
                package("own", "1"),
            ],
            versions: Versions::Debian,
            unreadable: [0, 0],
            whose: Vec::new(),
        };
        let copied = [("base", "1"), ("older", "2"), ("extension", "1"), ("newer", "2"), ("removed", "1")];
        let copied = copied.map(|(name, version)| (name.into(), "all".into(), version.into()));
        packages.leave_out(&copied.into());
        let changes = packages.changes();
        let told: Vec<_> =
            changes.iter().map(|change| (change.difference, &*change.package().name)).collect();
        let (added, removed) = (Difference::Added, Difference::Removed);
        assert_eq!(told, [(added, "newer"), (added, "own"), (removed, "removed")]);
    }
}
