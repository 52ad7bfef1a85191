//! Which extensions of a root are to be other versions than they are.

use std::cmp::Ordering;

use super::{Candidate, Catalog, Chooser, Error, Misfit, Nothing, Pins};
use crate::extension::order;
use crate::store::index::Entry;

/// An extension that is enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// The version that is enabled.
    pub version: String,
}

/// An extension, and the version that it is to be.
#[derive(Debug)]
pub struct Move<'a> {
    /// What it is.
    pub standing: Standing,
    /// What it is to be.
    pub candidate: Candidate<'a>,
    /// Why it cannot stay, where it is to be an older one.
    pub because: Option<Misfit>,
}

/// Why an extension stays what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stay {
    /// It is the newest that fits.
    Newest,
    /// It is newer than all that fit.
    Newer,
    /// It is pinned.
    Pinned,
    /// Nothing is there that fits.
    Nothing(Nothing),
}

/// What would become of one extension.
#[derive(Debug)]
pub enum Fate<'a> {
    /// Another version.
    Move(Move<'a>),
    /// The same.
    Stay(Standing, Stay),
}

/// Decides on extensions, each by itself.
pub fn fates<'c>(
    chooser: &Chooser<'_>,
    catalogs: &'c [Catalog<'c>],
    standing: Vec<Standing>,
    pins: &Pins,
) -> Result<Vec<Fate<'c>>, Error> {
    standing.into_iter().map(|one| fate(chooser, catalogs, one, pins)).collect()
}

fn fate<'c>(
    chooser: &Chooser<'_>,
    catalogs: &'c [Catalog<'c>],
    standing: Standing,
    pins: &Pins,
) -> Result<Fate<'c>, Error> {
    if pins.has(&standing.name) {
        return Ok(Fate::Stay(standing, Stay::Pinned));
    }
    let candidate = match chooser.choose(catalogs, &standing.name, None, false)? {
        Ok(candidate) => candidate,
        Err(nothing) => return Ok(Fate::Stay(standing, Stay::Nothing(nothing))),
    };
    Ok(match order::compare(&candidate.entry.version, &standing.version) {
        Ordering::Greater => Fate::Move(Move { standing, candidate, because: None }),
        Ordering::Equal => Fate::Stay(standing, Stay::Newest),
        // A base may have become another one, for which only an older version is made.
        Ordering::Less => {
            match known(catalogs, &standing).map(|entry| chooser.misfit(entry)).transpose()?.flatten() {
                Some(misfit) => Fate::Move(Move { standing, candidate, because: Some(misfit) }),
                None => Fate::Stay(standing, Stay::Newer),
            }
        }
    })
}

/// What stores say of the version that is enabled.
fn known<'c>(catalogs: &'c [Catalog<'c>], standing: &Standing) -> Option<&'c Entry> {
    let is_it = |entry: &&Entry| entry.name == standing.name && entry.version == standing.version;
    catalogs.iter().flat_map(|catalog| &catalog.entries).find(is_it)
}
