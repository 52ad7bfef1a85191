//! A look at a few tags of a header, for who has thousands of them to look at.

use std::borrow::Cow;

use super::{
    ENTRY, Entry, Header, Malformed, Numbers, RawEntry, Region, Strings, check_entry, find_region, halves,
    tag,
};
use crate::package::Evr;

/// What has values under tags.
pub trait Tags<'a> {
    /// The entry of a tag.
    fn entry(&self, tag: u32) -> Option<Entry<'a>>;

    /// The strings of a tag, none where it has none; of a translated one, the one in no language.
    fn strings(&self, tag: u32) -> Strings<'a> {
        Strings::of(self.entry(tag).as_ref())
    }

    /// The first string of a tag, as bytes.
    fn string(&self, tag: u32) -> Option<&'a [u8]> {
        self.strings(tag).next()
    }

    /// The first string of a tag, as text; what is no UTF-8 in it is replaced.
    fn text(&self, tag: u32) -> Option<Cow<'a, str>> {
        self.string(tag).map(String::from_utf8_lossy)
    }

    /// The numbers of a tag, none where it has none.
    fn numbers(&self, tag: u32) -> Numbers<'a> {
        self.entry(tag).as_ref().map_or(Numbers::default(), Numbers::of)
    }

    /// The first number of a tag.
    fn number(&self, tag: u32) -> Option<u64> {
        self.numbers(tag).next()
    }

    /// The bytes of a tag of [`super::Kind::Binary`].
    fn bytes(&self, tag: u32) -> Option<&'a [u8]> {
        self.entry(tag).as_ref().and_then(Entry::bytes)
    }

    /// The package's version.
    fn evr(&self) -> Evr<'a> {
        Evr {
            epoch: self.number(tag::EPOCH).map(|epoch| Cow::Owned(epoch.to_string())),
            version: self.text(tag::VERSION).unwrap_or_default(),
            release: self.text(tag::RELEASE),
        }
    }
}

impl<'a> Tags<'a> for Header<'a> {
    fn entry(&self, tag: u32) -> Option<Entry<'a>> {
        Header::entry(self, tag).copied()
    }
}

/// A header of which an entry is checked when it is asked for, and no other one: one that makes no sense is not
/// there. [`Header`] looks at all of them, as rpm does.
#[derive(Debug, Clone, Copy)]
pub struct Glance<'a> {
    pub(super) blob: &'a [u8],
    index: &'a [u8],
    data: &'a [u8],
    pub(super) region: Option<Region>,
}

impl<'a> Glance<'a> {
    /// Reads where everything is in a header that is all of `blob`.
    pub fn of(blob: &'a [u8]) -> Result<Glance<'a>, Malformed> {
        let (index, data) = halves(blob)?;
        Ok(Glance { blob, index, data, region: find_region(index, data)? })
    }
}

impl<'a> Tags<'a> for Glance<'a> {
    /// That among the dribbles, if there is one.
    fn entry(&self, tag: u32) -> Option<Entry<'a>> {
        let first_dribble = self.region.map_or(0, |region| region.entries * ENTRY);
        let (in_region, dribbles) = self.index.split_at_checked(first_dribble)?;
        let find = |entries: &[u8]| {
            let mut entries = entries.chunks_exact(ENTRY);
            entries.find(|raw| raw.starts_with(&tag.to_be_bytes())).and_then(RawEntry::read)
        };
        let raw = find(dribbles).or_else(|| find(in_region.get(ENTRY..)?))?;
        check_entry(raw, self.data, 0).ok()
    }
}
