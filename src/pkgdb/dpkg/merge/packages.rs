//! Which stanzas the new `status` has.

use std::collections::{BTreeMap, BTreeSet};

use super::{Base, Chosen, Known, Past, choose};
use crate::package::DebianVersion;
use crate::package::deb822::Stanza;
use crate::pkgdb::dpkg::{Contents, Entry, Key, Marks, State, Status, Want};
use crate::pkgdb::merge::{self, Fact, Merged, Outcome, Side, Wishes};

/// An entry of the new database.
pub(super) struct MergedEntry {
    pub(super) entry: Entry,
    /// Whose files in `info/` go with it.
    pub(super) side: Side,
}

/// What dpkg adds while it works at a package.
const PROGRESS: &[&str] = &["Triggers-Pending", "Triggers-Awaited", "Config-Version"];

pub(super) fn decide(base: &Base, ours: &Contents, theirs: &Contents, wishes: &Wishes<Key>) -> Merged<Key> {
    let known = base.packages.iter().filter(|(_, known)| known.is_present);
    let identities = known.map(|(key, known)| (key.clone(), known.identity)).collect();
    merge::merge(&identities, &facts(ours), &facts(theirs), wishes)
}

/// Packages that are there. One without a version is broken, and older than any.
fn facts(contents: &Contents) -> BTreeMap<Key, Fact<Option<DebianVersion>>> {
    let fact = |entry: &Entry| Fact {
        version: entry.version.clone(),
        identity: entry.identity,
        is_whole: entry.status.state >= State::Unpacked && !entry.status.needs_reinstallation,
        is_held: entry.status.want == Want::Hold,
    };
    contents.present().map(|entry| (entry.key.clone(), fact(entry))).collect()
}

pub(super) fn merge(
    base: &Base,
    ours: &Contents,
    theirs: &Contents,
    outcomes: &BTreeMap<Key, Outcome>,
) -> BTreeMap<Key, MergedEntry> {
    let keys: BTreeSet<&Key> = ours.entries.keys().chain(theirs.entries.keys()).collect();
    let mut merged = BTreeMap::new();
    for key in keys {
        let three = Three {
            is_remembered: base.tables.is_some(),
            base: base.packages.get(key),
            ours: ours.entries.get(key),
            theirs: theirs.entries.get(key),
        };
        let found = match outcomes.get(key) {
            Some(outcome) => three.package(outcome.side()),
            None => three.remainder(),
        };
        if let Some(found) = found {
            merged.insert(key.clone(), found);
        }
    }
    merged
}

/// One package as all three have it.
struct Three<'a> {
    /// Whether all of the base is known.
    is_remembered: bool,
    base: Option<&'a Known>,
    ours: Option<&'a Entry>,
    theirs: Option<&'a Entry>,
}

impl Three<'_> {
    /// A package that at least one of the three had.
    fn package(&self, side: Side) -> Option<MergedEntry> {
        let is_present = |entry: Option<&Entry>| entry.is_some_and(Entry::is_present);
        match (self.ours, self.theirs) {
            (Some(ours), Some(theirs)) if ours.is_present() && theirs.is_present() => {
                Some(self.both(side, ours, theirs))
            }
            // Gone from both, configuration is left over where it is for both.
            (ours, theirs) if !is_present(ours) && !is_present(theirs) => {
                ours.and(theirs).map(|entry| MergedEntry { entry: entry.clone(), side: Side::Theirs })
            }
            _ => {
                let (entry, other) = match side {
                    Side::Ours => (self.ours, self.theirs),
                    Side::Theirs => (self.theirs, self.ours),
                };
                let mut entry = entry?.clone();
                // Also what is not there can be put on hold.
                let is_new = self.base.and_then(|base| base.marks).is_none_or(|base| base.want != Want::Hold);
                if is_new && entry.is_present() && other.is_some_and(|other| other.status.want == Want::Hold)
                {
                    entry = wanted(entry, Want::Hold);
                }
                Some(MergedEntry { entry, side })
            }
        }
    }

    /// What is nobody's package: configuration that is left over, or a wish for one that is not there.
    fn remainder(&self) -> Option<MergedEntry> {
        if let (Some(base), Some(ours)) = (self.base, self.ours)
            && is_as_known(base, ours)
        {
            return self.theirs.map(|entry| MergedEntry { entry: entry.clone(), side: Side::Theirs });
        }
        if let (Some(base), Some(theirs)) = (self.base, self.theirs)
            && is_as_known(base, theirs)
        {
            return self.ours.map(|entry| MergedEntry { entry: entry.clone(), side: Side::Ours });
        }
        let (entry, side) = match (self.theirs, self.ours) {
            (Some(theirs), _) => (theirs, Side::Theirs),
            (None, ours) => (ours?, Side::Ours),
        };
        Some(MergedEntry { entry: entry.clone(), side })
    }

    /// A package that both have: one of the two, with what the system added on either side.
    fn both(&self, side: Side, ours: &Entry, theirs: &Entry) -> MergedEntry {
        let is_same = ours.identity == theirs.identity;
        let (our, their) = (ours.marks(), theirs.marks());
        let base = self.base.and_then(|base| base.marks);
        if is_same && our == their {
            return MergedEntry { entry: theirs.clone(), side };
        }
        // Where one side is the base, down to the marks, the other is the result to the letter.
        if is_same && self.is_remembered && base == Some(their) {
            let side = if our.progress == their.progress { Side::Theirs } else { Side::Ours };
            return MergedEntry { entry: ours.clone(), side };
        }
        let (mut side, mut entry) = match side {
            Side::Ours => (side, ours.clone()),
            Side::Theirs => (side, theirs.clone()),
        };
        if is_same {
            if progress_side(base, ours, theirs) == Side::Ours {
                side = Side::Ours;
                adopt_progress(&mut entry, ours);
            }
            let chosen = choose(
                None,
                Past::of(base.as_ref(), |base| Some(&base.conffiles)),
                Some(&our.conffiles),
                Some(&their.conffiles),
            );
            if matches!(chosen, Chosen::Value(Some(conffiles)) if *conffiles == our.conffiles) {
                adopt(&mut entry.stanza, &ours.stanza, "Conffiles");
            }
        }
        let want = want(base, our.want, their.want);
        MergedEntry { entry: wanted(entry, want), side }
    }
}

/// An entry of which something else is wanted.
fn wanted(mut entry: Entry, want: Want) -> Entry {
    entry.status.want = want;
    let status = entry.status.to_string();
    if entry.stanza.text("Status") != Some(&status) {
        entry.stanza.set("Status", status.as_bytes());
    }
    Entry::parse(entry.stanza).expect("all of its fields have been read before")
}

fn is_as_known(known: &Known, entry: &Entry) -> bool {
    known.identity == entry.identity
        && known.is_present == entry.is_present()
        && known.marks == Some(entry.marks())
}

/// Whose state counts for a package that is the same for both: where both moved on, the one with more to do.
fn progress_side(base: Option<Marks>, ours: &Entry, theirs: &Entry) -> Side {
    let (our, their) = (ours.marks().progress, theirs.marks().progress);
    match base.map(|base| base.progress) {
        Some(base) if base == our => return Side::Theirs,
        Some(base) if base == their => return Side::Ours,
        _ => {}
    }
    let left = |entry: &Entry| (!entry.status.needs_reinstallation, entry.status.state);
    if left(ours) < left(theirs) { Side::Ours } else { Side::Theirs }
}

fn adopt_progress(entry: &mut Entry, from: &Entry) {
    entry.status = Status { want: entry.status.want, ..from.status };
    for field in PROGRESS {
        adopt(&mut entry.stanza, &from.stanza, field);
    }
}

fn adopt(stanza: &mut Stanza, from: &Stanza, field: &str) {
    match from.get(field) {
        Some(value) => stanza.set(field, value),
        None => stanza.remove(field),
    }
}

/// Who changed what is to become of a package has said it; where nobody knows, a hold weighs more than none.
fn want(base: Option<Marks>, ours: Want, theirs: Want) -> Want {
    match base.map(|base| base.want) {
        Some(base) if base == ours => theirs,
        Some(base) if base == theirs => ours,
        _ if ours == Want::Install => theirs,
        _ => ours,
    }
}
