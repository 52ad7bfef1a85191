//! Triggers: who wants to know in the new database, and what it is to be told.

use std::collections::{BTreeMap, BTreeSet};

use super::packages::MergedEntry;
use super::{Input, Verdicts};
use crate::pkgdb::Error;
use crate::pkgdb::dpkg::triggers::{Activated, Interest};
use crate::pkgdb::dpkg::{Contents, Key, Triggers, stem};
use crate::pkgdb::merge::Side;

/// Makes `triggers/` anew from what packages declare. Interests that either side has stay in their order.
pub(super) fn interests(ours: &Contents, theirs: &Contents, merged: &BTreeMap<Key, MergedEntry>) -> Triggers {
    let mut wanted = BTreeSet::new();
    for (key, merged) in merged.iter().filter(|(_, merged)| merged.entry.is_present()) {
        let contents = if merged.side == Side::Ours { ours } else { theirs };
        for (trigger, is_noawait) in contents.declared_triggers(key).interests {
            wanted.insert(Interest { trigger, package: stem(&merged.entry), is_noawait });
        }
    }
    let mut triggers = Triggers::default();
    let is_file = |interest: &Interest| interest.trigger.starts_with('/');
    let known = |contents: &Contents| -> Vec<Interest> {
        contents.triggers.files.iter().chain(contents.triggers.named.values().flatten()).cloned().collect()
    };
    let mut left = wanted.clone();
    for interest in known(theirs).into_iter().chain(known(ours)).chain(wanted) {
        if !left.remove(&interest) {
            continue;
        }
        if is_file(&interest) {
            triggers.files.push(interest);
        } else {
            triggers.named.entry(interest.trigger.clone()).or_default().push(interest);
        }
    }
    triggers
}

/// Activates what the host's changes call for in the overlay, whose own caches do not know of them; where the overlay
/// has changed no package, its caches are the host's.
pub(super) fn activate(
    activated: &mut Activated,
    ours: Input,
    theirs: Input,
    verdicts: &Verdicts,
    triggers: &Triggers,
) -> Result<(), Error> {
    let has = |wanted| verdicts.keys.values().any(|side| *side == wanted);
    if !has(Side::Ours) || !has(Side::Theirs) {
        return Ok(());
    }
    let files: BTreeSet<&[u8]> = triggers.files.iter().map(|interest| interest.trigger.as_bytes()).collect();
    let mut called = BTreeSet::new();
    for (key, _) in verdicts.keys.iter().filter(|(_, side)| **side == Side::Theirs) {
        for input in [ours, theirs] {
            let Some(entry) = input.contents.entries.get(key) else { continue };
            input.paths.each_path(entry, &mut |path| {
                called.extend(above(path).filter(|prefix| files.contains(prefix)).map(<[u8]>::to_vec));
            })?;
            let named = input.contents.declared_triggers(key).activates.into_iter();
            called.extend(named.filter(|name| triggers.named.contains_key(name)).map(String::into_bytes));
        }
    }
    for trigger in called {
        let trigger = String::from_utf8(trigger).expect("it equals the name of an interest");
        // Nobody waits: whoever would is configured already.
        activated.entry(trigger).or_insert_with(|| BTreeSet::from(["-".to_owned()]));
    }
    Ok(())
}

/// A path and all directories above it.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    ends.chain([path.len()]).map(|end| &path[..end])
}

#[cfg(test)]
mod tests {
    use super::above;

    #[test]
    fn directories_above_are_found() {
        let found: Vec<&[u8]> = above(b"/usr/lib/x").collect();
        assert_eq!(found, [&b"/usr"[..], b"/usr/lib", b"/usr/lib/x"]);
        assert_eq!(above(b"/").collect::<Vec<_>>(), [b"/"]);
    }
}
