//! Files that a package of the overlay and one of the host both have: dpkg would have refused the second
//! ("trying to overwrite"), but each side had only one of them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::check::{Finding, Problem};
use super::{Input, Verdicts};
use crate::pkgdb::Error;
use crate::pkgdb::dpkg::lines::path;
use crate::pkgdb::dpkg::{Diversions, Entry, Key};
use crate::pkgdb::merge::Side;

/// Looks at packages that one side alone has changed: what both have was together before.
pub(super) fn findings(
    merged: &BTreeMap<Key, Entry>,
    ours: Input,
    theirs: Input,
    verdicts: &Verdicts,
    diversions: &Diversions,
) -> Result<Vec<Finding>, Error> {
    let of_side = |wanted| {
        let keys = verdicts.keys.iter().filter(move |(_, side)| **side == wanted).map(|(key, _)| key);
        keys.filter_map(|key| merged.get(key)).filter(|entry| entry.is_present())
    };
    let mut own: HashMap<Vec<u8>, (&Entry, String)> = HashMap::new();
    let aliases = &theirs.contents.aliases;
    let real = |name: &[u8]| aliases.resolve(&path(name)).into_os_string().into_encoded_bytes();
    for entry in of_side(Side::Ours) {
        ours.paths.each_file(entry, &mut |name, digest| {
            own.insert(real(name), (entry, digest.to_owned()));
        })?;
    }
    let mut found = Vec::new();
    if own.is_empty() {
        return Ok(found);
    }
    for entry in of_side(Side::Theirs) {
        theirs.paths.each_file(entry, &mut |name, digest| {
            let Some((mine, other)) = own.get(&real(name)) else { return };
            let name = path(name);
            if other != digest && !live_together(mine, entry) && !is_diverted(diversions, &name, mine, entry)
            {
                let problem = Problem::SharedFile { path: name, other: entry.key.clone() };
                found.push(Finding { key: mine.key.clone(), problem });
            }
        })?;
    }
    Ok(found)
}

/// Whether one may overwrite the other's files.
fn live_together(one: &Entry, other: &Entry) -> bool {
    let replaces = |one: &Entry, other: &Entry| {
        let relations = one.relations("Replaces").unwrap_or_default();
        relations.iter().flatten().any(|relation| {
            relation.name == other.key.name
                && other.version.as_ref().is_some_and(|version| relation.takes(version))
        })
    };
    replaces(one, other) || replaces(other, one)
}

/// Whether the file of one of two packages gives way.
fn is_diverted(diversions: &Diversions, name: &Path, one: &Entry, other: &Entry) -> bool {
    diversions
        .get(name)
        .is_some_and(|diversion| diversion.is_for(&one.key.name) != diversion.is_for(&other.key.name))
}
