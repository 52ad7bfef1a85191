//! What a package requires, provides, and so on, as its header lists it.

use std::borrow::Cow;

use super::{Header, Numbers, Strings, tag};
use crate::package::Evr;
use crate::package::relation::{Relation, Sense};

/// Which list of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DependencyKind {
    /// What must be there.
    Requires,
    /// What it is.
    Provides,
    /// What must not be there.
    Conflicts,
    /// What it replaces.
    Obsoletes,
    /// What should be there.
    Recommends,
    /// What could be there.
    Suggests,
    /// Where it should be.
    Supplements,
    /// Where it could be.
    Enhances,
}

impl DependencyKind {
    /// All of them.
    pub const ALL: [DependencyKind; 8] = [
        DependencyKind::Requires,
        DependencyKind::Provides,
        DependencyKind::Conflicts,
        DependencyKind::Obsoletes,
        DependencyKind::Recommends,
        DependencyKind::Suggests,
        DependencyKind::Supplements,
        DependencyKind::Enhances,
    ];

    /// The tags of names, flags and versions.
    pub fn tags(self) -> (u32, u32, u32) {
        match self {
            DependencyKind::Requires => (tag::REQUIRE_NAME, tag::REQUIRE_FLAGS, tag::REQUIRE_VERSION),
            DependencyKind::Provides => (tag::PROVIDE_NAME, tag::PROVIDE_FLAGS, tag::PROVIDE_VERSION),
            DependencyKind::Conflicts => (tag::CONFLICT_NAME, tag::CONFLICT_FLAGS, tag::CONFLICT_VERSION),
            DependencyKind::Obsoletes => (tag::OBSOLETE_NAME, tag::OBSOLETE_FLAGS, tag::OBSOLETE_VERSION),
            DependencyKind::Recommends => (tag::RECOMMEND_NAME, tag::RECOMMEND_FLAGS, tag::RECOMMEND_VERSION),
            DependencyKind::Suggests => (tag::SUGGEST_NAME, tag::SUGGEST_FLAGS, tag::SUGGEST_VERSION),
            DependencyKind::Supplements => {
                (tag::SUPPLEMENT_NAME, tag::SUPPLEMENT_FLAGS, tag::SUPPLEMENT_VERSION)
            }
            DependencyKind::Enhances => (tag::ENHANCE_NAME, tag::ENHANCE_FLAGS, tag::ENHANCE_VERSION),
        }
    }
}

/// The relations of one kind, in the header's order.
#[derive(Debug, Clone)]
pub struct Dependencies<'a> {
    names: Strings<'a>,
    flags: Numbers<'a>,
    versions: Strings<'a>,
}

impl<'a> Dependencies<'a> {
    pub(super) fn of(header: &Header<'a>, kind: DependencyKind) -> Dependencies<'a> {
        let (names, flags, versions) = kind.tags();
        Dependencies {
            names: header.strings(names),
            flags: header.numbers(flags),
            versions: header.strings(versions),
        }
    }
}

impl<'a> Iterator for Dependencies<'a> {
    type Item = Relation<'a>;

    fn next(&mut self) -> Option<Relation<'a>> {
        let name = String::from_utf8_lossy(self.names.next()?);
        let sense = Sense(self.flags.next().unwrap_or_default() as u32);
        let version = self.versions.next().map(String::from_utf8_lossy).filter(|text| !text.is_empty());
        let evr = version.map(|text| match text {
            Cow::Borrowed(text) => Evr::parse(text),
            Cow::Owned(text) => Evr::parse(&text).into_owned(),
        });
        Some(Relation { name, sense, evr })
    }
}
