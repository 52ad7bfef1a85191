//! Whose the names of a view are, gathered from the packages that a merge has decided on.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::fate::{Owners, Replaced, Taken};
use super::files::Ownership;
use super::{accounts, caches};
use crate::overlay::attributes::Named;
use crate::pkgdb;
use crate::sys::IoError;

/// What a package says that it brought under a name.
pub(super) trait Brought {
    /// Whether a file is that, unedited.
    fn is(&self, file: Named<'_>) -> Result<bool, IoError>;
}

/// Claims of packages on names. Paths are from the root of the view, with links in their directories
/// resolved.
#[derive(Debug)]
pub(super) struct Claims<B> {
    kept: HashMap<PathBuf, (String, bool)>,
    replaced: HashMap<PathBuf, (B, bool)>,
    taken: HashMap<PathBuf, Taken>,
    needed: BTreeSet<PathBuf>,
    refused: BTreeSet<PathBuf>,
    /// The directory that holds the package database.
    database: Option<PathBuf>,
    /// Files elsewhere that belong to it.
    beside: Vec<PathBuf>,
    endings: (&'static str, &'static str),
}

impl<B> Claims<B> {
    /// Without any.
    pub(super) fn new(
        database: Option<&Path>,
        beside: Vec<PathBuf>,
        endings: (&'static str, &'static str),
    ) -> Claims<B> {
        Claims {
            kept: HashMap::new(),
            replaced: HashMap::new(),
            taken: HashMap::new(),
            needed: BTreeSet::new(),
            refused: BTreeSet::new(),
            database: database.map(Path::to_owned),
            beside,
            endings,
        }
    }

    /// A package of the overlay stays, in its own version; what it has there may be configuration, of which the base's
    /// changes only where a person changes it.
    pub(super) fn keep(&mut self, path: PathBuf, package: &str, is_settled_config: bool) {
        self.kept.entry(path).or_insert_with(|| (package.to_owned(), is_settled_config));
    }

    /// A package of the overlay goes, or gives way to the base's.
    pub(super) fn replace(&mut self, path: PathBuf, brought: B, is_config: bool) {
        self.replaced.insert(path, (brought, is_config));
    }

    /// A package of the base is taken, new or changed.
    pub(super) fn take(&mut self, path: PathBuf, is_config: bool) {
        self.needed.insert(path.clone());
        self.taken.insert(path, Taken { config: is_config, changed: true });
    }

    /// A package is the same for both.
    pub(super) fn share(&mut self, path: PathBuf, is_config: bool) {
        self.taken.entry(path).or_insert(Taken { config: is_config, changed: false });
    }

    /// A package of the base is not wanted.
    pub(super) fn refuse(&mut self, path: PathBuf) {
        self.refused.insert(path);
    }

    /// What kept packages have, and which.
    pub(super) fn kept(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.kept.iter().map(|(path, (package, _))| (path.as_path(), package.as_str()))
    }
}

impl<B: Brought> Ownership for Claims<B> {
    fn owners(&self, path: &Path, own: Option<Named<'_>>) -> Result<Owners, pkgdb::Error> {
        let replaced = match self.replaced.get(path) {
            Some((brought, config)) => {
                let pristine = own.map_or(Ok(false), |own| brought.is(own))?;
                Some(Replaced { pristine, config: *config })
            }
            None => None,
        };
        Ok(Owners {
            kept: self.kept.contains_key(path),
            kept_config: self.kept.get(path).is_some_and(|(_, is_settled_config)| *is_settled_config),
            replaced,
            taken: self.taken.get(path).copied(),
            refused: self.refused.contains(path),
        })
    }

    fn needed(&self) -> &BTreeSet<PathBuf> {
        &self.needed
    }

    fn refused(&self) -> &BTreeSet<PathBuf> {
        &self.refused
    }

    fn is_special(&self, path: &Path) -> bool {
        accounts::is_account_file(path)
            || caches::is_cache(path)
            || self.beside.iter().any(|file| file == path)
            || self
                .database
                .as_ref()
                .is_some_and(|directory| path.starts_with(directory) && path != directory)
    }

    fn endings(&self) -> (&'static str, &'static str) {
        self.endings
    }
}

/// What is claimed where no packages were merged.
#[derive(Debug, Clone, Copy)]
pub(super) enum Nothing {}

impl Brought for Nothing {
    fn is(&self, _: Named<'_>) -> Result<bool, IoError> {
        match *self {}
    }
}

impl Claims<Nothing> {
    /// Of a system without packages.
    pub(super) fn none() -> Claims<Nothing> {
        Claims::new(None, Vec::new(), (".onlay-save", ".onlay-new"))
    }
}
