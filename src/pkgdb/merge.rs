//! The three-way merge of packages, of whatever database: what the **base** had when the overlay was laid on it,
//! what **ours**, the overlay, made of it, and what **theirs**, the host, has now.
//!
//! | base → ours | base → theirs | decision | because |
//! |---|---|---|---|
//! | same | same | unchanged | |
//! | same | changed or new | take theirs | only the host changed it |
//! | same | removed | remove | only the host changed it |
//! | changed or new | same | keep ours | only the overlay changed it |
//! | removed | same | stay removed | only the overlay changed it |
//! | to the same | to the same | both the same | |
//! | removed | changed | stay removed | what was removed in the overlay is not wanted there |
//! | changed | removed | keep ours | it is the overlay's own package now |
//! | changed | changed | the one that is whole | the other was broken off half-way |
//! | changed, held | changed | keep ours | the administrator said so |
//! | changed | changed, same version | take theirs | built again, and then the host's is as good |
//! | changed | changed, newer | take theirs | the host caught up |
//! | changed | changed, older | keep ours | |
//! | changed | to what an extension has | keep ours | an extension comes and goes |
//!
//! Where both changed a package, the other side can be asked for; where only the overlay did, giving its change up
//! can. What only the host changed cannot be refused: the overlay has no files of the older package.

use std::collections::{BTreeMap, BTreeSet};

use crate::package::Identity;

/// What a database says of a package that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact<V> {
    /// Its version, in an order.
    pub version: V,
    /// What tells it from any other.
    pub identity: Identity,
    /// It was not broken off half-way.
    pub is_whole: bool,
    /// The administrator wants this version to stay.
    pub is_held: bool,
}

/// One of the two that are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The overlay.
    Ours,
    /// The host as it is now.
    Theirs,
}

/// What becomes of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is as it was for both.
    Unchanged,
    /// Both changed it to the same.
    BothSame,
    /// The host's takes the place of the overlay's.
    TakeTheirs,
    /// It goes, as it went from the host.
    Remove,
    /// The overlay's stays.
    KeepOurs,
    /// It is not there in the overlay, whatever the host has.
    StayRemoved,
}

/// Why so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// There was nothing to decide.
    Agreed,
    /// Only the host changed it.
    OnlyHostChanged,
    /// Only the overlay changed it.
    OnlyOverlayChanged,
    /// The overlay removed it, and the host changed it.
    RemovedInOverlay,
    /// The host removed it, and the overlay changed it: files that only the host had are gone.
    RemovedFromHost,
    /// The overlay's is not whole.
    OverlayIsBroken,
    /// The host's is not whole.
    HostIsBroken,
    /// It is on hold in the overlay.
    Held,
    /// Both have the same version of it, but not the same package.
    SameVersion,
    /// The host's is newer.
    HostIsNewer,
    /// The overlay's is newer.
    OverlayIsNewer,
    /// The host's is an extension's, which comes and goes.
    HostIsPassing,
    /// It was asked for.
    Asked,
}

/// What was decided for one package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What becomes of it.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// The side that could be asked for instead.
    pub alternative: Option<Side>,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes<K> {
    /// For packages that both changed.
    pub conflicts: Option<Side>,
    /// For single packages.
    pub packages: BTreeMap<K, Side>,
    /// Packages of the host's that come and go with extensions which are merged over it: where the overlay has changed one,
    /// too, the overlay's stays, unless the other is asked for.
    pub passing: BTreeSet<K>,
}

/// All decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged<K: Ord> {
    /// One for each package that any of the three has.
    pub outcomes: BTreeMap<K, Outcome>,
    /// Packages for which something was asked that cannot be had, or that nobody has.
    pub unheeded: BTreeSet<K>,
}

impl<V> Fact<V> {
    /// A package that is whole and not on hold.
    pub fn new(version: V, identity: Identity) -> Fact<V> {
        Fact { version, identity, is_whole: true, is_held: false }
    }
}

impl<K> Default for Wishes<K> {
    fn default() -> Wishes<K> {
        Wishes { conflicts: None, packages: BTreeMap::new(), passing: BTreeSet::new() }
    }
}

impl Outcome {
    /// Whose package it is then, or whose absence.
    pub fn side(&self) -> Side {
        match self.decision {
            Decision::KeepOurs | Decision::StayRemoved => Side::Ours,
            _ => Side::Theirs,
        }
    }

    /// Whether both changed it, each in another way.
    pub fn is_conflict(&self) -> bool {
        !matches!(self.reason, Reason::Agreed | Reason::OnlyHostChanged | Reason::OnlyOverlayChanged)
    }
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Side {
        match self {
            Side::Ours => Side::Theirs,
            Side::Theirs => Side::Ours,
        }
    }
}

/// Decides for every package. A key is what can be there once: name and architecture; for packages of which several
/// versions can be installed, the version as well.
pub fn merge<K: Ord + Clone, V: Ord>(
    base: &BTreeMap<K, Identity>,
    ours: &BTreeMap<K, Fact<V>>,
    theirs: &BTreeMap<K, Fact<V>>,
    wishes: &Wishes<K>,
) -> Merged<K> {
    let keys: BTreeSet<&K> = base.keys().chain(ours.keys()).chain(theirs.keys()).collect();
    let mut unheeded: BTreeSet<K> =
        wishes.packages.keys().filter(|key| !keys.contains(key)).cloned().collect();
    let mut outcomes = BTreeMap::new();
    for key in keys {
        let (ours, theirs) = (ours.get(key), theirs.get(key));
        let mut proposed = decide(base.get(key), ours, theirs);
        if wishes.passing.contains(key)
            && ours.is_some_and(|ours| ours.is_whole && Some(&ours.identity) != base.get(key))
            && proposed.side() == Side::Theirs
        {
            proposed =
                Outcome { reason: Reason::HostIsPassing, ..of_side(Side::Ours, true, theirs.is_some()) };
        }
        let wish = wishes.packages.get(key).copied();
        let outcome = match wish.or(wishes.conflicts.filter(|_| proposed.is_conflict())) {
            Some(side) if proposed.alternative == Some(side) => {
                of_side(side, ours.is_some(), theirs.is_some())
            }
            _ => proposed,
        };
        // What both agree on is also what was asked for.
        if wish.is_some_and(|side| outcome.side() != side) && outcome.reason != Reason::Agreed {
            unheeded.insert(key.clone());
        }
        outcomes.insert(key.clone(), outcome);
    }
    Merged { outcomes, unheeded }
}

/// The table above.
fn decide<V: Ord>(base: Option<&Identity>, ours: Option<&Fact<V>>, theirs: Option<&Fact<V>>) -> Outcome {
    let (our, their) = (ours.map(|fact| &fact.identity), theirs.map(|fact| &fact.identity));
    let outcome = |decision, reason, alternative| Outcome { decision, reason, alternative };
    if our == their {
        let decision = if our == base { Decision::Unchanged } else { Decision::BothSame };
        return outcome(decision, Reason::Agreed, None);
    }
    if our == base {
        let decision = if theirs.is_some() { Decision::TakeTheirs } else { Decision::Remove };
        return outcome(decision, Reason::OnlyHostChanged, None);
    }
    if their == base {
        let decision = if ours.is_some() { Decision::KeepOurs } else { Decision::StayRemoved };
        return outcome(decision, Reason::OnlyOverlayChanged, Some(Side::Theirs));
    }
    let (side, reason) = match (ours, theirs) {
        (None, _) => (Side::Ours, Reason::RemovedInOverlay),
        (_, None) => (Side::Ours, Reason::RemovedFromHost),
        (Some(ours), Some(theirs)) => prefer(ours, theirs),
    };
    Outcome { reason, ..of_side(side, ours.is_some(), theirs.is_some()) }
}

/// Which of two packages that both are changes.
fn prefer<V: Ord>(ours: &Fact<V>, theirs: &Fact<V>) -> (Side, Reason) {
    match (ours.is_whole, theirs.is_whole) {
        (false, true) => return (Side::Theirs, Reason::OverlayIsBroken),
        (true, false) => return (Side::Ours, Reason::HostIsBroken),
        _ => {}
    }
    if ours.is_held {
        return (Side::Ours, Reason::Held);
    }
    match theirs.version.cmp(&ours.version) {
        std::cmp::Ordering::Equal => (Side::Theirs, Reason::SameVersion),
        std::cmp::Ordering::Greater => (Side::Theirs, Reason::HostIsNewer),
        std::cmp::Ordering::Less => (Side::Ours, Reason::OverlayIsNewer),
    }
}

fn of_side(side: Side, is_ours: bool, is_theirs: bool) -> Outcome {
    let decision = match (side, is_ours, is_theirs) {
        (Side::Ours, true, _) => Decision::KeepOurs,
        (Side::Ours, false, _) => Decision::StayRemoved,
        (Side::Theirs, _, true) => Decision::TakeTheirs,
        (Side::Theirs, _, false) => Decision::Remove,
    };
    Outcome { decision, reason: Reason::Asked, alternative: Some(side.other()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Facts = BTreeMap<&'static str, Fact<u32>>;

    /// `"2"` is version 2; `"2b"` the same version, built again; `"2!"` is held, `"2?"` broken; `"-"` is not there.
    fn fact(text: &str) -> Option<Fact<u32>> {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        let identity = Identity::of(text.trim_end_matches(['!', '?']).as_bytes());
        Some(Fact {
            version: digits.parse().ok()?,
            identity,
            is_whole: !text.contains('?'),
            is_held: text.contains('!'),
        })
    }

    fn facts(text: &str) -> Facts {
        fact(text).into_iter().map(|fact| ("a", fact)).collect()
    }

    fn merged(base: &str, ours: &str, theirs: &str, wishes: &Wishes<&'static str>) -> Merged<&'static str> {
        let base = facts(base).into_iter().map(|(key, fact)| (key, fact.identity)).collect();
        merge(&base, &facts(ours), &facts(theirs), wishes)
    }

    fn outcome(base: &str, ours: &str, theirs: &str, wishes: &Wishes<&'static str>) -> Outcome {
        merged(base, ours, theirs, wishes).outcomes["a"]
    }

    /// Base, ours, theirs; what is decided, why, and what else could be had.
    type Row = (&'static str, &'static str, &'static str, Decision, Reason, Option<Side>);

    const TABLE: &[Row] = &[
        ("1", "1", "1", Decision::Unchanged, Reason::Agreed, None),
        ("1", "1", "2", Decision::TakeTheirs, Reason::OnlyHostChanged, None),
        ("2", "2", "1", Decision::TakeTheirs, Reason::OnlyHostChanged, None),
        ("1", "1", "1b", Decision::TakeTheirs, Reason::OnlyHostChanged, None),
        ("-", "-", "1", Decision::TakeTheirs, Reason::OnlyHostChanged, None),
        ("1", "1!", "2", Decision::TakeTheirs, Reason::OnlyHostChanged, None),
        ("1", "1", "-", Decision::Remove, Reason::OnlyHostChanged, None),
        ("1", "2", "1", Decision::KeepOurs, Reason::OnlyOverlayChanged, Some(Side::Theirs)),
        ("2", "1", "2", Decision::KeepOurs, Reason::OnlyOverlayChanged, Some(Side::Theirs)),
        ("-", "1", "-", Decision::KeepOurs, Reason::OnlyOverlayChanged, Some(Side::Theirs)),
        ("1", "-", "1", Decision::StayRemoved, Reason::OnlyOverlayChanged, Some(Side::Theirs)),
        ("1", "2", "2", Decision::BothSame, Reason::Agreed, None),
        ("-", "2", "2", Decision::BothSame, Reason::Agreed, None),
        ("1", "-", "-", Decision::BothSame, Reason::Agreed, None),
        ("1", "-", "2", Decision::StayRemoved, Reason::RemovedInOverlay, Some(Side::Theirs)),
        ("1", "2", "-", Decision::KeepOurs, Reason::RemovedFromHost, Some(Side::Theirs)),
        ("1", "2", "3", Decision::TakeTheirs, Reason::HostIsNewer, Some(Side::Ours)),
        ("1", "3", "2", Decision::KeepOurs, Reason::OverlayIsNewer, Some(Side::Theirs)),
        ("3", "1", "2", Decision::TakeTheirs, Reason::HostIsNewer, Some(Side::Ours)),
        ("1", "2", "2b", Decision::TakeTheirs, Reason::SameVersion, Some(Side::Ours)),
        ("-", "1", "2", Decision::TakeTheirs, Reason::HostIsNewer, Some(Side::Ours)),
        ("-", "2", "1", Decision::KeepOurs, Reason::OverlayIsNewer, Some(Side::Theirs)),
        ("-", "1", "1b", Decision::TakeTheirs, Reason::SameVersion, Some(Side::Ours)),
        ("1", "2!", "3", Decision::KeepOurs, Reason::Held, Some(Side::Theirs)),
        ("1", "2!", "2b", Decision::KeepOurs, Reason::Held, Some(Side::Theirs)),
        ("1", "3?", "2", Decision::TakeTheirs, Reason::OverlayIsBroken, Some(Side::Ours)),
        ("1", "3?!", "2", Decision::TakeTheirs, Reason::OverlayIsBroken, Some(Side::Ours)),
        ("1", "2", "3?", Decision::KeepOurs, Reason::HostIsBroken, Some(Side::Theirs)),
        ("1", "2?", "3?", Decision::TakeTheirs, Reason::HostIsNewer, Some(Side::Ours)),
    ];

    #[test]
    fn every_row_of_the_table_holds() {
        for (base, ours, theirs, decision, reason, alternative) in TABLE.iter().copied() {
            let expected = Outcome { decision, reason, alternative };
            assert_eq!(outcome(base, ours, theirs, &Wishes::default()), expected, "{base} {ours} {theirs}");
        }
    }

    #[test]
    fn what_can_be_had_is_had_when_asked_for() {
        for (base, ours, theirs, .., alternative) in TABLE.iter().copied() {
            let proposed = outcome(base, ours, theirs, &Wishes::default());
            for side in [Side::Ours, Side::Theirs] {
                let for_one = Wishes { packages: BTreeMap::from([("a", side)]), ..Wishes::default() };
                let found = merged(base, ours, theirs, &for_one);
                let is_had = found.outcomes["a"].side() == side || proposed.reason == Reason::Agreed;
                assert_eq!(is_had, found.unheeded.is_empty(), "{base} {ours} {theirs} {side:?}");
                assert_eq!(found.outcomes["a"].reason == Reason::Asked, alternative == Some(side));

                let for_all = Wishes { conflicts: Some(side), ..Wishes::default() };
                let found = outcome(base, ours, theirs, &for_all);
                if proposed.is_conflict() {
                    assert_eq!(found.side(), side, "{base} {ours} {theirs}");
                } else {
                    assert_eq!(found, proposed, "{base} {ours} {theirs}");
                }
            }
        }
        let unknown = Wishes { packages: BTreeMap::from([("b", Side::Ours)]), ..Wishes::default() };
        assert_eq!(merged("1", "1", "1", &unknown).unheeded, BTreeSet::from(["b"]));
    }

    #[test]
    fn what_comes_with_an_extension_takes_no_place() {
        let passing = Wishes { passing: BTreeSet::from(["a"]), ..Wishes::default() };
        for (base, ours, theirs, decision, reason) in [
            ("-", "1", "1", Decision::KeepOurs, Reason::HostIsPassing),
            ("-", "1", "2", Decision::KeepOurs, Reason::HostIsPassing),
            ("1", "2", "2b", Decision::KeepOurs, Reason::HostIsPassing),
            ("-", "2", "1", Decision::KeepOurs, Reason::OverlayIsNewer),
            // What the overlay has not changed, or broken off, is no work of its.
            ("1", "1", "2", Decision::TakeTheirs, Reason::OnlyHostChanged),
            ("-", "-", "1", Decision::TakeTheirs, Reason::OnlyHostChanged),
            ("1", "-", "2", Decision::StayRemoved, Reason::RemovedInOverlay),
            ("-", "1?", "2", Decision::TakeTheirs, Reason::OverlayIsBroken),
        ] {
            let found = outcome(base, ours, theirs, &passing);
            assert_eq!((found.decision, found.reason), (decision, reason), "{base} {ours} {theirs}");
        }
        let asked = Wishes { packages: BTreeMap::from([("a", Side::Theirs)]), ..passing.clone() };
        assert_eq!(outcome("-", "1", "1", &asked).decision, Decision::TakeTheirs);
        let all = Wishes { conflicts: Some(Side::Theirs), ..passing };
        assert_eq!(outcome("-", "1", "2", &all).decision, Decision::TakeTheirs);
    }

    #[test]
    fn one_side_alone_is_taken_as_it_is() {
        let states = ["-", "1", "1b", "2", "2!", "3", "3?"];
        for base in states {
            for other in states {
                let host_alone = outcome_or_none(base, base, other);
                assert!(host_alone.is_none_or(|outcome| outcome.side() == Side::Theirs), "{base} {other}");
                let overlay_alone = outcome_or_none(base, other, base);
                let is_kept =
                    |outcome: Outcome| outcome.side() == Side::Ours || outcome.reason == Reason::Agreed;
                assert!(overlay_alone.is_none_or(is_kept), "{base} {other}");
            }
        }
    }

    fn outcome_or_none(base: &str, ours: &str, theirs: &str) -> Option<Outcome> {
        merged(base, ours, theirs, &Wishes::default()).outcomes.get("a").copied()
    }
}
