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
    /// Whether its image is not there.
    pub is_gone: bool,
}

/// An extension, and the version that it is to be.
#[derive(Debug)]
pub struct Move<'a> {
    /// What it is.
    pub standing: Standing,
    /// What it is to be.
    pub candidate: Candidate<'a>,
    /// Why.
    pub because: Because,
}

/// Why an extension is not to stay as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// There is a newer one.
    Newer,
    /// It does not fit any more.
    Unfit(Misfit),
    /// Its image is gone, and comes again where no other one is to.
    Gone,
}

/// Why an extension stays what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stay {
    /// It is the newest that fits.
    Newest,
    /// It is newer than all that fit.
    Newer,
    /// It is pinned.
    Pinned {
        /// The newer version that it would be otherwise, and its store.
        newer: Option<(String, String)>,
    },
    /// Nothing is there that fits.
    Nothing(Nothing),
    /// Its image is gone, and no store has what could take its place.
    Gone(Nothing),
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
    let is_pinned = pins.has(&standing.name);
    if standing.is_gone {
        return again(chooser, catalogs, standing, is_pinned);
    }
    let found = chooser.choose(catalogs, &standing.name, None, false)?;
    if is_pinned {
        let is_newer = |one: &Candidate<'_>| order::compare(&one.entry.version, &standing.version).is_gt();
        let newer = found.ok().filter(is_newer);
        let newer = newer.map(|one| (one.entry.version.clone(), one.catalog.store.name.clone()));
        return Ok(Fate::Stay(standing, Stay::Pinned { newer }));
    }
    let candidate = match found {
        Ok(candidate) => candidate,
        Err(nothing) => return Ok(Fate::Stay(standing, Stay::Nothing(nothing))),
    };
    Ok(match order::compare(&candidate.entry.version, &standing.version) {
        Ordering::Greater => Fate::Move(Move { standing, candidate, because: Because::Newer }),
        Ordering::Equal => Fate::Stay(standing, Stay::Newest),
        // A base may have become another one, for which only an older version is made.
        Ordering::Less => {
            match known(catalogs, &standing).map(|entry| chooser.misfit(entry)).transpose()?.flatten() {
                Some(misfit) => Fate::Move(Move { standing, candidate, because: Because::Unfit(misfit) }),
                None => Fate::Stay(standing, Stay::Newer),
            }
        }
    })
}

/// One whose image is gone: the same again, unless there is a newer one that it may be, or none but an older one.
fn again<'c>(
    chooser: &Chooser<'_>,
    catalogs: &'c [Catalog<'c>],
    standing: Standing,
    is_pinned: bool,
) -> Result<Fate<'c>, Error> {
    let same = chooser.choose(catalogs, &standing.name, Some(&standing.version), false)?;
    let newest = if is_pinned { None } else { chooser.choose(catalogs, &standing.name, None, false)?.ok() };
    let found = match (same, newest) {
        (Ok(same), Some(newest)) if order::compare(&newest.entry.version, &same.entry.version).is_gt() => {
            Ok(newest)
        }
        (Ok(same), _) => Ok(same),
        (Err(_), Some(newest)) => Ok(newest),
        (Err(nothing), None) => Err(nothing),
    };
    Ok(match found {
        Ok(candidate) => Fate::Move(Move { standing, candidate, because: Because::Gone }),
        Err(nothing) => Fate::Stay(standing, Stay::Gone(nothing)),
    })
}

/// What stores say of the version that is enabled.
fn known<'c>(catalogs: &'c [Catalog<'c>], standing: &Standing) -> Option<&'c Entry> {
    let is_it = |entry: &&Entry| entry.name == standing.name && entry.version == standing.version;
    catalogs.iter().flat_map(|catalog| &catalog.entries).find(is_it)
}
