//! Which files `info/` has in the new database, and whose.

use std::collections::BTreeMap;

use super::packages::MergedEntry;
use crate::pkgdb::dpkg::{Contents, Key, stem};
use crate::pkgdb::merge::Side;

/// Every name that a package has on either side: whose file it is now, or that it is to go.
pub(super) fn merge(
    ours: &Contents,
    theirs: &Contents,
    merged: &BTreeMap<Key, MergedEntry>,
) -> BTreeMap<String, Option<Side>> {
    let mut names = BTreeMap::new();
    let mut mark = |contents: &Contents, stem: &str, side: Option<Side>| {
        for kind in contents.info.kinds(stem) {
            names.insert(format!("{stem}.{kind}"), side);
        }
    };
    for contents in [ours, theirs] {
        for entry in contents.entries.values() {
            mark(contents, &stem(entry), None);
        }
    }
    for merged in merged.values() {
        let contents = if merged.side == Side::Ours { ours } else { theirs };
        mark(contents, &stem(&merged.entry), Some(merged.side));
    }
    names
}
