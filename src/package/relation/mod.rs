//! Relations between rpm's packages: a name, and a range of versions of it (rpm-dependencies(7)).

mod rich;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

pub use rich::{Operator, Rich, RichError};

use super::Evr;
use super::evr::compare_versions;

/// Flags of a relation (rpm's `rpmsenseFlags`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sense(pub u32);

impl Sense {
    /// Older versions.
    pub const LESS: Sense = Sense(1 << 1);
    /// Newer versions.
    pub const GREATER: Sense = Sense(1 << 2);
    /// The version itself.
    pub const EQUAL: Sense = Sense(1 << 3);
    /// For `%posttrans`.
    pub const POSTTRANS: Sense = Sense(1 << 5);
    /// For `%pretrans`.
    pub const PRETRANS: Sense = Sense(1 << 7);
    /// The interpreter of a script.
    pub const INTERPRETER: Sense = Sense(1 << 8);
    /// For `%pre`.
    pub const PRE: Sense = Sense(1 << 9);
    /// For `%post`.
    pub const POST: Sense = Sense(1 << 10);
    /// For `%preun`.
    pub const PREUN: Sense = Sense(1 << 11);
    /// For `%postun`.
    pub const POSTUN: Sense = Sense(1 << 12);
    /// For `%preuntrans`.
    pub const PREUNTRANS: Sense = Sense(1 << 20);
    /// For `%postuntrans`.
    pub const POSTUNTRANS: Sense = Sense(1 << 21);
    /// A feature of rpm.
    pub const RPMLIB: Sense = Sense(1 << 24);
    /// A key.
    pub const KEYRING: Sense = Sense(1 << 26);
    /// Needed for a complete system only.
    pub const META: Sense = Sense(1 << 29);

    /// What says which versions are meant.
    const RANGE: Sense = Sense(15);
    /// What is needed while a package is installed.
    const INSTALL_ONLY: Sense = Sense(
        Sense::PRE.0
            | Sense::POST.0
            | Sense::RPMLIB.0
            | Sense::KEYRING.0
            | Sense::PRETRANS.0
            | Sense::POSTTRANS.0,
    );
    /// What is needed while it is removed.
    const ERASE_ONLY: Sense =
        Sense(Sense::PREUN.0 | Sense::POSTUN.0 | Sense::PREUNTRANS.0 | Sense::POSTUNTRANS.0);

    /// Whether any of `others` is set.
    pub fn has(self, others: Sense) -> bool {
        self.0 & others.0 != 0
    }

    /// Whether versions matter.
    pub fn is_range(self) -> bool {
        self.has(Sense::RANGE)
    }

    /// Whether an installed package needs it no more: rpm's database has no row for it
    /// (`isTransientReq`).
    pub fn is_transient(self) -> bool {
        self.has(Sense::INSTALL_ONLY) && !self.has(Sense::ERASE_ONLY) && !self.has(Sense::META)
    }

    /// Reads `<`, `<=`, `=`, `>=`, `>` and what rpm takes for the same.
    fn parse(text: &str) -> Option<Sense> {
        Some(match text {
            "<=" | "=<" => Sense(Sense::LESS.0 | Sense::EQUAL.0),
            "<" => Sense::LESS,
            "==" | "=" => Sense::EQUAL,
            ">=" | "=>" => Sense(Sense::GREATER.0 | Sense::EQUAL.0),
            ">" => Sense::GREATER,
            _ => return None,
        })
    }
}

/// A package, file or capability, and which versions of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The name; a rich dependency's is all of its text, which begins with `(`.
    pub name: Cow<'a, str>,
    /// Which versions, and what for.
    pub sense: Sense,
    /// Compared with what version; `None` where every one will do.
    pub evr: Option<Evr<'a>>,
}

impl<'a> Relation<'a> {
    /// Any version of a name.
    pub fn any(name: impl Into<Cow<'a, str>>) -> Relation<'a> {
        Relation { name: name.into(), sense: Sense::default(), evr: None }
    }

    /// Reads `name` or `name >= version`, with any of rpm's signs; `None` where it is neither.
    pub fn parse(text: &'a str) -> Option<Relation<'a>> {
        let mut words = text.split_ascii_whitespace();
        let relation = match (words.next()?, words.next(), words.next()) {
            (name, None, _) => Relation::any(name),
            (name, Some(sense), Some(version)) => {
                Relation { name: name.into(), sense: Sense::parse(sense)?, evr: Some(Evr::parse(version)) }
            }
            _ => return None,
        };
        words.next().is_none().then_some(relation)
    }

    /// The same with text of its own.
    #[must_use]
    pub fn into_owned(self) -> Relation<'static> {
        Relation {
            name: Cow::Owned(self.name.into_owned()),
            sense: self.sense,
            evr: self.evr.map(Evr::into_owned),
        }
    }

    /// Whether it is a rich (boolean) dependency, which [`Rich::parse`] reads.
    pub fn is_rich(&self) -> bool {
        self.name.starts_with('(')
    }

    /// Whether some version is in both ranges: rpm's `rpmdsCompare`, by which a provide satisfies a
    /// requirement.
    pub fn overlaps(&self, other: &Relation<'_>) -> bool {
        if self.name != other.name {
            return false;
        }
        let evrs = match (&self.evr, &other.evr) {
            (Some(own), Some(others)) if self.sense.is_range() && other.sense.is_range() => (own, others),
            // One of them is content with any version.
            _ => return true,
        };
        match compare_in_ranges(evrs.0, self.sense, evrs.1, other.sense) {
            None => true,
            Some(Ordering::Less) => self.sense.has(Sense::GREATER) || other.sense.has(Sense::LESS),
            Some(Ordering::Greater) => self.sense.has(Sense::LESS) || other.sense.has(Sense::GREATER),
            Some(Ordering::Equal) => Sense(self.sense.0 & other.sense.0).is_range(),
        }
    }
}

/// How two ends of ranges compare; `None` where one without a release takes the other's.
fn compare_in_ranges(one: &Evr<'_>, sense: Sense, other: &Evr<'_>, others: Sense) -> Option<Ordering> {
    let is_positive = |epoch: &str| epoch.bytes().any(|digit| digit != b'0');
    let epochs = match (one.epoch.as_deref(), other.epoch.as_deref()) {
        (Some(one), Some(other)) => compare_versions(one, other),
        (Some(one), None) if is_positive(one) => Ordering::Greater,
        (None, Some(other)) if is_positive(other) => Ordering::Less,
        _ => Ordering::Equal,
    };
    let order = epochs.then_with(|| compare_versions(&one.version, &other.version));
    if order.is_ne() {
        return Some(order);
    }
    let releases = [one, other].map(|evr| evr.release.as_deref().filter(|release| !release.is_empty()));
    match releases {
        [Some(one), Some(other)] => Some(compare_versions(one, other)),
        [Some(_), None] if others.has(Sense::EQUAL) => None,
        [None, Some(_)] if sense.has(Sense::EQUAL) => None,
        _ => Some(Ordering::Equal),
    }
}

/// As rpm writes it.
impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let Some(evr) = self.evr.as_ref().filter(|_| self.sense.is_range()) else { return Ok(()) };
        f.write_str(" ")?;
        for (sense, sign) in [(Sense::LESS, "<"), (Sense::GREATER, ">"), (Sense::EQUAL, "=")] {
            if self.sense.has(sense) {
                f.write_str(sign)?;
            }
        }
        write!(f, " {evr}")
    }
}

#[cfg(test)]
mod tests;
