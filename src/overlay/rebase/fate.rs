//! What becomes of one name of an overlay when its base has changed.
//!
//! Three contents are compared: what the overlay has, what the base had when the overlay was last left,
//! and what the base has now. Most names are decided by that alone, whoever owns them. Only where both
//! sides changed a file, the packages decide: what a package of the overlay brought goes with that
//! package, what a person edited is never lost.
//!
//! | the overlay's | the base's | becomes |
//! |---|---|---|
//! | a mere copy | any | the base's |
//! | only mode or owner changed | content changed | the base's content with the overlay's mode and owner |
//! | changed | as it was | the overlay's |
//! | changed | changed in the same way | the base's |
//! | of a package that the overlay keeps | any | the overlay's |
//! | its configuration, unedited | edited by a person | the base's |
//! | unedited, of a package that the base replaces or removes | any | the base's |
//! | edited configuration | changed | the overlay's, with the base's beside it |
//! | edited, of a package | changed, or gone | the base's, with the overlay's beside it |
//! | of nobody | changed, or gone | the overlay's, and told |
//! | removed | changed | stays removed, and told |
//! | changed, or new | an extension's, whatever it is | the overlay's |

use super::content::Content;
use super::seen::Had;

/// What is known of a name.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    /// What the overlay has; `None` is a whiteout.
    pub(super) own: Option<&'a Content>,
    /// Whether mode, owner and attributes are those that the base had. Meaningful where the content is.
    pub(super) same_attributes: bool,
    /// What the base had, where that was noted.
    pub(super) had: Option<&'a Had>,
    /// What the base has.
    pub(super) has: &'a Content,
    /// Whether what the base has comes with an extension that is merged over it, and goes with that.
    pub(super) is_passing: bool,
    /// Whose the name is.
    pub(super) owners: Owners,
}

/// Whose a name is, after packages were merged.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Owners {
    /// A package that the overlay has as its own.
    pub(super) kept: bool,
    /// It is configuration of such a package, which the base has as it had it before, or has not: what changed there, a
    /// person changed.
    pub(super) kept_config: bool,
    /// A package of the overlay whose place the base's version takes, or that is gone with the base's.
    pub(super) replaced: Option<Replaced>,
    /// A package that is taken from the base.
    pub(super) taken: Option<Taken>,
    /// A package of the base that the overlay has removed, or has in another version.
    pub(super) refused: bool,
}

/// What a package that is replaced says of a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replaced {
    /// Whether the content is what the package brought.
    pub(super) pristine: bool,
    /// Whether it is configuration.
    pub(super) config: bool,
}

/// What a package that is taken says of a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// Whether it is configuration.
    pub(super) config: bool,
    /// Whether the package is new or changed since the overlay was last left.
    pub(super) changed: bool,
}

/// What becomes of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The overlay's stays.
    Keep,
    /// The overlay's stays, whatever an extension has there.
    KeepBeside,
    /// The overlay's stays, though the base has changed its own, which now is not seen.
    KeepOver,
    /// The overlay's stays, though the base has it no more.
    KeepAlone,
    /// It stays removed, though the base has changed what was removed.
    KeepAway,
    /// The overlay's stays, and the base's is put beside it.
    KeepAndOffer,
    /// The base's is seen.
    Drop,
    /// The base's is seen, and the overlay's is put beside it.
    DropAndSave,
    /// The base's content with the overlay's mode, owner and attributes.
    Refresh,
}

/// Decides.
pub(super) fn decide(facts: &Facts<'_>) -> Fate {
    match facts.own {
        None => of_whiteout(facts),
        Some(own) => of_file(own, facts),
    }
}

fn of_whiteout(facts: &Facts<'_>) -> Fate {
    let owners = &facts.owners;
    if *facts.has == Content::Absent {
        return Fate::Drop;
    }
    if facts.had == Some(&Had::Nothing) {
        // It hid nothing, so nobody meant what is there now.
        return Fate::Drop;
    }
    // A package of the overlay did not have the file any more; the version that takes its place has.
    let went_with_a_package =
        owners.taken.is_some_and(|taken| taken.changed) && owners.replaced.is_none() && !owners.kept;
    let is_another = match facts.had {
        Some(Had::Content(had, _)) => had != facts.has,
        Some(Had::Uncertain) => true,
        Some(Had::Nothing | Had::Hidden | Had::BesideExtension(_)) | None => false,
    };
    match (went_with_a_package, is_another) {
        (true, _) => Fate::Drop,
        (false, true) if !owners.refused && !owners.kept => Fate::KeepAway,
        (false, _) => Fate::Keep,
    }
}

fn of_file(own: &Content, facts: &Facts<'_>) -> Fate {
    let owners = &facts.owners;
    let is_settings = owners.kept_config && facts.had.is_some();
    if owners.kept && (!is_settings || *facts.has == Content::Absent || facts.has == own) {
        return Fate::Keep;
    }
    let base = match facts.had.map(Had::without_extension) {
        Some(Had::Content(content, _)) => Some(content),
        Some(Had::Nothing) => Some(&Content::Absent),
        Some(Had::Hidden | Had::Uncertain | Had::BesideExtension(_)) | None => None,
    };
    if base == Some(own) {
        return of_same_content(own, facts);
    }
    if owners.replaced.is_some_and(|replaced| replaced.pristine) {
        return Fate::Drop;
    }
    if facts.is_passing && facts.had.is_some() {
        return Fate::KeepBeside;
    }
    if base == Some(facts.has) {
        return Fate::Keep;
    }
    if facts.has == own {
        return if facts.same_attributes || base.is_some() { Fate::Drop } else { Fate::Keep };
    }
    of_two_changes(facts)
}

/// The overlay never changed the content.
fn of_same_content(own: &Content, facts: &Facts<'_>) -> Fate {
    if facts.same_attributes {
        return Fate::Drop;
    }
    match (facts.has, own) {
        (has, own) if has == own => Fate::Keep,
        (Content::File(_), Content::File(_)) => Fate::Refresh,
        _ => Fate::Drop,
    }
}

fn of_two_changes(facts: &Facts<'_>) -> Fate {
    let owners = &facts.owners;
    let config = owners.kept_config
        || owners.replaced.is_some_and(|replaced| replaced.config)
        || owners.taken.is_some_and(|taken| taken.config);
    let is_owned = owners.replaced.is_some() || owners.taken.is_some();
    let was_there = matches!(facts.had, Some(Had::Content(..) | Had::Uncertain));
    match facts.has {
        Content::Absent if owners.replaced.is_some() => Fate::DropAndSave,
        Content::Absent if was_there => Fate::KeepAlone,
        Content::Absent => Fate::Keep,
        _ if owners.refused && !owners.kept_config => Fate::Keep,
        Content::Directory => Fate::KeepOver,
        _ if config => Fate::KeepAndOffer,
        _ if is_owned => Fate::DropAndSave,
        _ => Fate::KeepOver,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::rebase::seen::Attributes;

    const A: Content = Content::File([1; 32]);
    const B: Content = Content::File([2; 32]);
    const C: Content = Content::File([3; 32]);

    fn owners() -> Owners {
        Owners::default()
    }

    fn kept() -> Owners {
        Owners { kept: true, ..owners() }
    }

    fn kept_config() -> Owners {
        Owners { kept_config: true, refused: true, ..kept() }
    }

    fn replaced(pristine: bool, config: bool) -> Owners {
        Owners { replaced: Some(Replaced { pristine, config }), ..owners() }
    }

    fn taken(config: bool, changed: bool) -> Owners {
        Owners { taken: Some(Taken { config, changed }), ..owners() }
    }

    fn both(pristine: bool, config: bool) -> Owners {
        Owners { replaced: replaced(pristine, config).replaced, ..taken(config, true) }
    }

    /// The overlay's; whether its attributes are the base's; what the base had; what it has; whose it is.
    type Row<'a> = (&'a Content, bool, Option<&'a Content>, &'a Content, Owners, Fate);

    #[test]
    fn files_are_decided_by_the_table() {
        let absent = Content::Absent;
        let table: &[Row<'_>] = &[
            // A mere copy, whoever owns it; but what a kept package has is its own.
            (&A, true, Some(&A), &A, owners(), Fate::Drop),
            (&A, true, Some(&A), &B, owners(), Fate::Drop),
            (&A, true, Some(&A), &absent, owners(), Fate::Drop),
            (&A, true, Some(&A), &B, both(true, true), Fate::Drop),
            (&A, true, Some(&A), &B, kept(), Fate::Keep),
            // Configuration of such a package: what a person edits on the base counts.
            (&A, true, Some(&A), &B, kept_config(), Fate::Drop),
            (&A, true, Some(&A), &A, kept_config(), Fate::Keep),
            (&A, true, Some(&A), &absent, kept_config(), Fate::Keep),
            (&B, true, Some(&A), &A, kept_config(), Fate::Keep),
            (&B, true, Some(&A), &C, kept_config(), Fate::KeepAndOffer),
            (&B, true, Some(&absent), &C, kept_config(), Fate::KeepAndOffer),
            (&B, true, Some(&A), &Content::Directory, kept_config(), Fate::KeepOver),
            (&B, true, None, &C, kept_config(), Fate::Keep),
            // Only its mode was changed.
            (&A, false, Some(&A), &A, owners(), Fate::Keep),
            (&A, false, Some(&A), &B, taken(false, true), Fate::Refresh),
            (&A, false, Some(&A), &absent, owners(), Fate::Drop),
            // Changed here alone.
            (&B, true, Some(&A), &A, owners(), Fate::Keep),
            (&B, true, Some(&A), &A, taken(true, true), Fate::Keep),
            (&B, true, Some(&A), &A, both(false, false), Fate::Keep),
            (&B, true, Some(&A), &A, both(true, false), Fate::Drop),
            (&B, true, Some(&absent), &absent, owners(), Fate::Keep),
            // Changed in the same way.
            (&B, true, Some(&A), &B, owners(), Fate::Drop),
            (&B, true, None, &B, owners(), Fate::Drop),
            (&B, false, None, &B, owners(), Fate::Keep),
            // Changed on both sides.
            (&B, true, Some(&A), &C, owners(), Fate::KeepOver),
            (&B, true, Some(&A), &C, both(true, false), Fate::Drop),
            (&B, true, Some(&A), &C, both(false, true), Fate::KeepAndOffer),
            (&B, true, Some(&A), &C, taken(true, false), Fate::KeepAndOffer),
            (&B, true, Some(&A), &C, taken(false, true), Fate::DropAndSave),
            (&B, true, Some(&A), &C, kept(), Fate::Keep),
            (&B, true, None, &C, both(false, false), Fate::DropAndSave),
            (&B, true, None, &C, owners(), Fate::KeepOver),
            (&B, true, Some(&absent), &C, taken(false, true), Fate::DropAndSave),
            (&B, true, Some(&A), &Content::Directory, owners(), Fate::KeepOver),
            // Gone with the package of the base, or gone from the base.
            (&B, true, Some(&A), &absent, replaced(true, false), Fate::Drop),
            (&B, true, Some(&A), &absent, replaced(false, false), Fate::DropAndSave),
            (&B, true, Some(&A), &absent, owners(), Fate::KeepAlone),
            (&B, true, None, &absent, owners(), Fate::Keep),
            // The base's file belongs to a package that is not wanted here.
            (&B, true, Some(&absent), &C, Owners { refused: true, ..owners() }, Fate::Keep),
        ];
        for (number, &(own, same_attributes, base, has, owners, expected)) in table.iter().enumerate() {
            let had = base.map(|content| match content {
                Content::Absent => Had::Nothing,
                there => Had::Content(there.clone(), Attributes::none()),
            });
            let (own, had) = (Some(own), had.as_ref());
            let facts = Facts { own, same_attributes, had, has, is_passing: false, owners };
            assert_eq!(decide(&facts), expected, "row {number}: {facts:?}");
        }
    }

    #[test]
    fn what_is_uncertain_is_told() {
        let table: &[(Option<&Content>, &Content, Owners, Fate)] = &[
            (Some(&A), &A, owners(), Fate::Drop),
            (Some(&A), &B, owners(), Fate::KeepOver),
            (Some(&A), &B, kept_config(), Fate::KeepAndOffer),
            (Some(&A), &B, taken(true, false), Fate::KeepAndOffer),
            (Some(&A), &Content::Absent, owners(), Fate::KeepAlone),
            (None, &A, owners(), Fate::KeepAway),
        ];
        for (number, &(own, has, owners, expected)) in table.iter().enumerate() {
            let had = Some(&Had::Uncertain);
            let facts = Facts { own, same_attributes: true, had, has, is_passing: false, owners };
            assert_eq!(decide(&facts), expected, "row {number}: {facts:?}");
        }
    }

    #[test]
    fn what_an_extension_has_takes_no_place() {
        let known = |content| Had::Content(content, Attributes::none());
        let beside = |had: Had| Had::BesideExtension(Box::new(had));
        let table: &[(Had, &Content, Owners, Fate)] = &[
            // A copy of the extension's, or of the base's that it hides.
            (known(A), &B, owners(), Fate::Drop),
            (beside(known(A)), &B, owners(), Fate::Drop),
            // The overlay's own, whatever the extension has.
            (Had::Nothing, &A, owners(), Fate::KeepBeside),
            (Had::Nothing, &B, taken(false, true), Fate::KeepBeside),
            (beside(Had::Nothing), &A, owners(), Fate::KeepBeside),
            (known(B), &C, taken(true, true), Fate::KeepBeside),
            // What was asked for.
            (known(B), &C, both(true, false), Fate::Drop),
        ];
        for (number, (had, has, owners, expected)) in table.iter().enumerate() {
            let (own, had, owners) = (Some(&A), Some(had), *owners);
            let facts = Facts { own, same_attributes: true, had, has, is_passing: true, owners };
            assert_eq!(decide(&facts), *expected, "row {number}: {facts:?}");
        }
        // The extension has gone.
        let had = beside(Had::Nothing);
        let facts = Facts {
            own: Some(&A),
            same_attributes: true,
            had: Some(&had),
            has: &Content::Absent,
            is_passing: false,
            owners: owners(),
        };
        assert_eq!(decide(&facts), Fate::Keep);
    }

    #[test]
    fn whiteouts_are_decided_by_who_wanted_them() {
        let absent = Had::Nothing;
        let known = Had::Content(A, Attributes::none());
        let table: &[(Option<&Had>, &Content, Owners, Fate)] = &[
            (Some(&Had::Hidden), &Content::Absent, owners(), Fate::Drop),
            (Some(&Had::Hidden), &A, owners(), Fate::Keep),
            (None, &A, owners(), Fate::Keep),
            // A person deleted a file of a package.
            (Some(&Had::Hidden), &A, taken(false, false), Fate::Keep),
            (Some(&Had::Hidden), &A, both(false, false), Fate::Keep),
            // The package was removed here, and stays so.
            (Some(&Had::Hidden), &A, Owners { refused: true, ..owners() }, Fate::Keep),
            // The package's version here did not have it; the base's version, which is taken, does.
            (Some(&Had::Hidden), &A, taken(false, true), Fate::Drop),
            (Some(&Had::Hidden), &A, Owners { kept: true, ..taken(false, true) }, Fate::Keep),
            (Some(&absent), &A, owners(), Fate::Drop),
            // What was removed is known.
            (Some(&known), &A, owners(), Fate::Keep),
            (Some(&known), &B, owners(), Fate::KeepAway),
            (Some(&known), &B, both(false, false), Fate::KeepAway),
            (Some(&known), &B, Owners { refused: true, ..owners() }, Fate::Keep),
            (Some(&known), &B, taken(false, true), Fate::Drop),
            (Some(&known), &Content::Absent, owners(), Fate::Drop),
        ];
        for (number, &(had, has, owners, expected)) in table.iter().enumerate() {
            let facts = Facts { own: None, same_attributes: true, had, has, is_passing: false, owners };
            assert_eq!(decide(&facts), expected, "row {number}: {facts:?}");
        }
    }
}
