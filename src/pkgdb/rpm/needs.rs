//! What a merge breaks: requirements that nothing meets any more, and packages that the host's obsolete or
//! conflict with. Only what has to do with packages that one side changed is looked at: so the cost follows
//! the change, and what was broken before is not told.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use super::merge::{Decided, Entry};
use super::{Database, Hnum};
use crate::package::Header;
use crate::package::header::DependencyKind;
use crate::package::relation::Relation;
use crate::pkgdb::Error;
use crate::pkgdb::merge::Decision;

/// The merged packages, as parts of two databases.
struct Merged<'a> {
    ours: &'a Database,
    theirs: &'a Database,
    /// Headers of the overlay that are kept.
    kept: HashSet<Hnum>,
    /// Headers of the host that are not taken.
    refused: HashSet<Hnum>,
}

/// Looks at what is kept of the overlay, and at who needs what is not taken from the host.
pub(super) fn findings(
    packages: &[Decided],
    ours: &Database,
    theirs: &Database,
) -> Result<Vec<String>, Error> {
    let of_ours =
        |decided: &&Decided| matches!(decided.outcome.decision, Decision::KeepOurs | Decision::StayRemoved);
    let number = |entry: &Option<Entry>| entry.as_ref().map(|entry| entry.stored.number);
    let decided: Vec<&Decided> = packages.iter().filter(of_ours).collect();
    let merged = Merged {
        ours,
        theirs,
        kept: decided.iter().filter_map(|decided| number(&decided.ours)).collect(),
        refused: decided.iter().filter_map(|decided| number(&decided.theirs)).collect(),
    };
    let mut found = BTreeSet::new();
    for number in &merged.kept {
        let Some(blob) = ours.blob(*number)? else { continue };
        let Ok(header) = Header::parse(&blob) else { continue };
        merged.check_kept(&header, &mut found)?;
    }
    for number in &merged.refused {
        let Some(blob) = theirs.blob(*number)? else { continue };
        let Ok(header) = Header::parse(&blob) else { continue };
        merged.check_refused(&header, &mut found)?;
    }
    Ok(found.into_iter().collect())
}

impl Merged<'_> {
    /// A package of the overlay beside the host's packages.
    fn check_kept(&self, header: &Header<'_>, found: &mut BTreeSet<String>) -> Result<(), Error> {
        let name = header.name();
        for required in header.dependencies(DependencyKind::Requires) {
            if !is_looked_up(&required) || self.is_met(&required)? {
                continue;
            }
            // What was missing in the overlay already is its own affair.
            if is_met_in(self.ours, &required, &|_| true)? {
                found.insert(format!("{name} needs {required}, which nothing provides any more"));
            }
        }
        for kind in [DependencyKind::Conflicts, DependencyKind::Obsoletes] {
            let own: Vec<Relation<'_>> = header.dependencies(DependencyKind::Provides).collect();
            self.theirs.each_with(kind, &name, &mut |number, blob| {
                let Ok(other) = Header::parse(blob) else { return Ok(()) };
                let is_meant = |relation: Relation<'_>| match kind {
                    // Only a package's own name is obsoleted, not what it provides.
                    DependencyKind::Obsoletes => relation.name == name,
                    _ => true,
                } && own.iter().any(|provided| provided.overlaps(&relation));
                if !self.refused.contains(&number)
                    && other.name() != name
                    && other.dependencies(kind).any(is_meant)
                {
                    let verb = if kind == DependencyKind::Obsoletes { "obsoletes" } else { "conflicts with" };
                    found.insert(format!("{} of the base {verb} {name}", other.name()));
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The host's packages without one that the overlay does not want, or has in another version.
    fn check_refused(&self, header: &Header<'_>, found: &mut BTreeSet<String>) -> Result<(), Error> {
        for provided in header.dependencies(DependencyKind::Provides) {
            let mut needed = Vec::new();
            self.theirs.each_with(DependencyKind::Requires, &provided.name, &mut |number, blob| {
                let Ok(other) = Header::parse(blob) else { return Ok(()) };
                if self.refused.contains(&number) || other.name() == header.name() {
                    return Ok(());
                }
                for required in other.dependencies(DependencyKind::Requires) {
                    if is_looked_up(&required) && required.overlaps(&provided) {
                        needed.push((other.name().into_owned(), required.to_string()));
                    }
                }
                Ok(())
            })?;
            for (who, required) in needed {
                let relation = Relation::parse(&required).unwrap_or_else(|| Relation::any(required.as_str()));
                if !self.is_met(&relation)? && !self.was_missing(&who, &relation)? {
                    found.insert(format!("{who} needs {required}, which nothing provides any more"));
                }
            }
        }
        Ok(())
    }

    /// Whether a package of the overlay lacked something already.
    fn was_missing(&self, who: &str, required: &Relation<'_>) -> Result<bool, Error> {
        let mut is_there = false;
        self.ours.each_named(who, &mut |_, _| {
            is_there = true;
            Ok(())
        })?;
        Ok(is_there && !is_met_in(self.ours, required, &|_| true)?)
    }

    /// Whether a merged package provides it.
    fn is_met(&self, required: &Relation<'_>) -> Result<bool, Error> {
        Ok(is_met_in(self.theirs, required, &|number| !self.refused.contains(&number))?
            || is_met_in(self.ours, required, &|number| self.kept.contains(&number))?)
    }
}

/// Whether one of the packages of a database that count provides something.
fn is_met_in(
    database: &Database,
    required: &Relation<'_>,
    counts: &dyn Fn(Hnum) -> bool,
) -> Result<bool, Error> {
    let mut is_met = false;
    database.each_with(DependencyKind::Provides, &required.name, &mut |number, blob| {
        if counts(number)
            && let Ok(header) = Header::parse(blob)
        {
            is_met |=
                header.dependencies(DependencyKind::Provides).any(|provided| provided.overlaps(required));
        }
        Ok(())
    })?;
    if !is_met && required.name.starts_with('/') {
        let owners = database.owners(Path::new(&*required.name))?;
        is_met = owners.iter().any(|(number, _)| counts(*number));
    }
    Ok(is_met)
}

/// Whether a requirement is about packages: not about rpm itself, and not a rich one, whose parts depend on each
/// other.
fn is_looked_up(required: &Relation<'_>) -> bool {
    !required.is_rich() && !required.name.starts_with("rpmlib(") && !required.sense.is_transient()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_rpm_itself_is_not_looked_up() {
        for (text, expected) in [("rpmlib(X)", false), ("(a or b)", false), ("libc", true), ("/bin/sh", true)]
        {
            assert_eq!(is_looked_up(&Relation::any(text)), expected, "{text}");
        }
    }
}
