//! What an overlay changes, or the unlocked host, as a source of an extension.
//!
//! Scripts have run there, so it has what no package file has: alternatives, users, enabled units, generated files. An extension is laid
//! over /usr and /opt alone and cannot remove, so each change is sorted ([`sort`]): what can be in goes in as the view has it, whatever
//! the upper directory says of it; what has another place by convention goes there; the rest is told, by why it stays.

mod packages;
mod rules;
mod sort;
mod units;
mod users;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub(super) use rules::is_index;
pub use rules::{Untaken, Weight};

use super::error::Error;
use super::manifest::PackageNote;
use super::placing::Placed;
use super::recipe::Recipe;
use super::records::Records;
use crate::overlay::Packages;
use crate::overlay::changes::Change;
use crate::pkgdb::dpkg::Aliases;
use crate::sys::Root;
use sort::{Sorted, Taken};
use users::NewUsers;

/// What is to be made a source.
#[derive(Debug)]
pub struct Seen<'a> {
    /// What to call it.
    pub name: String,
    /// All as it is seen with the changes.
    pub view: &'a Root,
    /// All as it is without.
    pub base: &'a Root,
    /// What differs.
    pub changes: &'a [Change],
    /// Whose packages differ, where there is a database.
    pub packages: Option<&'a Packages>,
    /// How it is to be built: what it drops is not there.
    pub recipe: &'a Recipe,
}

/// Changes that are sorted.
#[derive(Debug)]
pub struct Changes {
    name: String,
    view: Root,
    sorted: Sorted,
    users: NewUsers,
    packages: Vec<PackageNote>,
    records: Records,
    replaced: Vec<String>,
    removed_packages: Vec<String>,
}

impl Changes {
    /// Sorts changes. Contents are read later, when the image is built.
    pub fn of(seen: &Seen<'_>) -> Result<Changes, Error> {
        let mut sorted = sort::sort(seen.view, seen.base, seen.changes)?;
        let users = NewUsers::between(seen.base, seen.view, &sorted)?;
        sorted.tell(users.untaken());
        let (aliases, filter) = (Aliases::of(seen.view)?, seen.recipe.filter());
        let there = |path: &Path| {
            let path = aliases.resolve(&Path::new("/").join(path));
            let path = path.strip_prefix("/").unwrap_or(&path);
            let is_taken = sorted.taken.contains_key(path) && !filter.drops(path);
            is_taken || seen.base.lstat(path).is_ok_and(|found| found.is_some())
        };
        let notes = seen.packages.map(|packages| packages::notes(seen.view, packages, &there)).transpose()?;
        let (packages, records) = notes.unwrap_or_default();
        Ok(Changes {
            name: seen.name.clone(),
            view: seen.view.try_clone()?,
            sorted,
            users,
            packages,
            records,
            replaced: seen.packages.map(packages::replaced).unwrap_or_default(),
            removed_packages: seen.packages.map(packages::removed).unwrap_or_default(),
        })
    }

    /// What to call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Packages that it has and the base lacks, or has in another version.
    pub fn packages(&self) -> &[PackageNote] {
        &self.packages
    }

    /// What a database is to have of those.
    pub(super) fn records(&self) -> &Records {
        &self.records
    }

    /// Packages that hide another version of the base's, in words.
    pub fn replaced(&self) -> &[String] {
        &self.replaced
    }

    /// Packages that it has removed: the base's stay.
    pub fn removed_packages(&self) -> &[String] {
        &self.removed_packages
    }

    /// What is not in the extension, by why, with paths from the root (of users, their names).
    pub fn untaken(&self) -> &BTreeMap<Untaken, Vec<PathBuf>> {
        &self.sorted.untaken
    }

    /// What is in the extension: where it is seen now, and where it is there, both from the root without a slash before.
    pub fn taken(&self) -> impl Iterator<Item = (&Path, PathBuf)> {
        self.sorted.taken.iter().map(|(path, taken)| (path.as_path(), taken.place()))
    }

    /// Users and groups that are made where the extension is (sysusers.d(5)).
    pub fn users(&self) -> impl Iterator<Item = &OsString> {
        self.users.names()
    }

    /// Links that lead straight to what they led to by an alternative.
    pub fn straightened(&self) -> impl Iterator<Item = &Path> {
        let taken = self.sorted.taken.iter();
        taken.filter(|(_, taken)| taken.is_straightened).map(|(path, _)| path.as_path())
    }

    /// Lines that make its users and groups.
    pub(super) fn user_lines(&self) -> &[u8] {
        self.users.lines()
    }

    /// The names of the owners whose numbers the base does not know.
    pub(super) fn owners(&self, uid: u32, gid: u32) -> (Option<&OsString>, Option<&OsString>) {
        self.users.owners(uid, gid)
    }

    /// Names of users and groups that are made where the extension is.
    pub(super) fn made(&self) -> BTreeSet<OsString> {
        self.users.names().cloned().collect()
    }

    /// Where one of its files goes.
    pub(super) fn placed(&self, path: &Path) -> Option<&Placed> {
        self.sorted.taken.get(path).map(|taken: &Taken| &taken.to)
    }

    /// Whether what it says of a directory's owner and mode is meant: it is new, or was changed.
    pub(super) fn is_all_its_own(&self, path: &Path) -> bool {
        self.sorted.taken.contains_key(path)
    }
}
