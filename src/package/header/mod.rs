//! rpm's headers, bare as its databases hold them (rpm's `headerExport`).
//!
//! ```text
//! 0   il   number of entries, 32 bits, big-endian like all numbers here
//! 4   dl   number of bytes of data
//! 8   il entries of 16 bytes: tag, type, offset into the data, count
//! …   data
//! ```
//!
//! The first entry is usually the *region*: 16 bytes of data that look like an entry and whose offset is
//! minus the size of the entries that belong to the region. What comes after them are *dribbles*, added at
//! installation; where a dribble has the tag of an entry in the region, it counts. Digests and signatures
//! cover the region alone.
//!
//! [`Header::parse`] checks what rpm checks before it reads a header (`hdrblobInit`), so that everything
//! after it can rely on it. Values of signatures are not looked into: a header whose signature makes no
//! sense is read like any other.

mod dependencies;
mod files;
mod fixed;
mod glance;
mod installed;
mod region;
mod write;

pub mod tag;

use std::borrow::Cow;
use std::ffi::CStr;

pub use dependencies::{Dependencies, DependencyKind};
pub use files::{File, FileFlags, FileState, Files};
pub use fixed::Numbers;
pub use glance::{Glance, Tags};
pub use region::HeaderDigest;
pub use write::{Builder, Value};

use super::Evr;
use fixed::number;

/// What stands before a header outside of a database (`rpmdb --exportdb`, package files).
pub const MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];

/// rpm's limit on a header (`headerMaxbytes`).
pub const LARGEST: usize = 256 * 1024 * 1024;

const ENTRY: usize = 16;
const INTRO: usize = 8;

/// Why bytes are no header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The numbers at the beginning do not add up to its size.
    #[error("{actual} bytes, not the {expected} that its beginning announces")]
    Size {
        /// How many bytes there are.
        actual: usize,
        /// How many there should be.
        expected: u64,
    },
    /// The region makes no sense.
    #[error("bad region: {0}")]
    Region(&'static str),
    /// An entry makes no sense.
    #[error("bad entry {number} (tag {tag}): {what}")]
    Entry {
        /// Which one, from 0.
        number: usize,
        /// Its tag.
        tag: u32,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// How the values of an entry are stored (rpm's `rpmTagType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes that are characters.
    Char,
    /// 8-bit numbers.
    Int8,
    /// 16-bit numbers.
    Int16,
    /// 32-bit numbers.
    Int32,
    /// 64-bit numbers.
    Int64,
    /// One string.
    String,
    /// Bytes.
    Binary,
    /// Strings.
    StringArray,
    /// One string in several languages.
    Translated,
}

impl Kind {
    fn from_number(number: u32) -> Option<Kind> {
        use Kind::{Binary, Char, Int8, Int16, Int32, Int64, String, StringArray, Translated};
        let all = [Char, Int8, Int16, Int32, Int64, String, Binary, StringArray, Translated];
        all.get(number.checked_sub(1)? as usize).copied()
    }

    /// The number of this kind in a header.
    pub fn number(self) -> u32 {
        self as u32 + 1
    }

    /// The size of one value; `None` for strings.
    fn size(self) -> Option<usize> {
        match self {
            Kind::Char | Kind::Int8 | Kind::Binary => Some(1),
            Kind::Int16 => Some(2),
            Kind::Int32 => Some(4),
            Kind::Int64 => Some(8),
            Kind::String | Kind::StringArray | Kind::Translated => None,
        }
    }
}

/// One entry whose values have been found to lie inside the data.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Which tag it has.
    pub tag: u32,
    /// How its values are stored.
    pub kind: Kind,
    /// How many there are; bytes for [`Kind::Binary`].
    pub count: u32,
    /// Exactly their bytes.
    pub data: &'a [u8],
}

impl<'a> Entry<'a> {
    fn bytes(&self) -> Option<&'a [u8]> {
        (self.kind == Kind::Binary).then_some(self.data)
    }
}

/// A header whose structure has been checked. It borrows the bytes and copies none of them.
#[derive(Debug, Clone)]
pub struct Header<'a> {
    blob: &'a [u8],
    /// Sorted by tag, each tag once.
    entries: Vec<Entry<'a>>,
    /// Entries and bytes of data that belong to the region; `None` without one.
    region: Option<Region>,
}

#[derive(Debug, Clone, Copy)]
struct Region {
    entries: usize,
    data: usize,
}

/// An entry as it stands there.
#[derive(Clone, Copy)]
struct RawEntry {
    tag: u32,
    kind: u32,
    offset: u32,
    count: u32,
}

impl RawEntry {
    fn read(bytes: &[u8]) -> Option<RawEntry> {
        Some(RawEntry {
            tag: number(bytes, 0)?,
            kind: number(bytes, 4)?,
            offset: number(bytes, 8)?,
            count: number(bytes, 12)?,
        })
    }

    fn is_region_tag(self) -> bool {
        matches!(self.tag, tag::HEADER_IMAGE | tag::HEADER_SIGNATURES | tag::HEADER_IMMUTABLE)
    }

    /// Type and count of every region's tag and trailer.
    fn is_sane_region(self) -> bool {
        self.kind == Kind::Binary.number() && self.count as usize == ENTRY
    }
}

impl<'a> Header<'a> {
    /// Reads a header that is all of `blob`.
    pub fn parse(blob: &'a [u8]) -> Result<Header<'a>, Malformed> {
        let (index, data) = halves(blob)?;
        let region = find_region(index, data)?;
        let mut entries = Vec::with_capacity(index.len() / ENTRY);
        let mut end = 0;
        let skipped = usize::from(region.is_some());
        for (number, raw) in index.chunks_exact(ENTRY).enumerate().skip(skipped) {
            let raw = RawEntry::read(raw).ok_or(Malformed::Region("no entry"))?;
            let bad = |what| Malformed::Entry { number, tag: raw.tag, what };
            let entry = check_entry(raw, data, end).map_err(bad)?;
            end = raw.offset as usize + entry.data.len();
            entries.push(entry);
        }
        let in_region = region.map_or(entries.len(), |region| region.entries - 1).min(entries.len());
        Ok(Header { blob, entries: sorted(entries, in_region), region })
    }

    /// The bytes that it was read from.
    pub fn blob(&self) -> &'a [u8] {
        self.blob
    }

    /// All entries but regions, in the order of their tags.
    pub fn entries(&self) -> &[Entry<'a>] {
        &self.entries
    }

    /// The entry of a tag.
    pub fn entry(&self, tag: u32) -> Option<&Entry<'a>> {
        let position = self.entries.binary_search_by_key(&tag, |entry| entry.tag).ok()?;
        self.entries.get(position)
    }

    /// The strings of a tag, none where it has none; of a translated one, the one in no language.
    pub fn strings(&self, tag: u32) -> Strings<'a> {
        Tags::strings(self, tag)
    }

    /// The first string of a tag, as bytes.
    pub fn string(&self, tag: u32) -> Option<&'a [u8]> {
        Tags::string(self, tag)
    }

    /// The first string of a tag, as text; what is no UTF-8 in it is replaced.
    pub fn text(&self, tag: u32) -> Option<Cow<'a, str>> {
        Tags::text(self, tag)
    }

    /// The numbers of a tag, none where it has none.
    pub fn numbers(&self, tag: u32) -> Numbers<'a> {
        Tags::numbers(self, tag)
    }

    /// The first number of a tag.
    pub fn number(&self, tag: u32) -> Option<u64> {
        Tags::number(self, tag)
    }

    /// The bytes of a tag of [`Kind::Binary`].
    pub fn bytes(&self, tag: u32) -> Option<&'a [u8]> {
        Tags::bytes(self, tag)
    }

    /// The package's name; empty where it has none.
    pub fn name(&self) -> Cow<'a, str> {
        self.text(tag::NAME).unwrap_or_default()
    }

    /// The package's architecture; empty where it has none, as keys in the database.
    pub fn arch(&self) -> Cow<'a, str> {
        self.text(tag::ARCH).unwrap_or_default()
    }

    /// The package's version.
    pub fn evr(&self) -> Evr<'a> {
        Tags::evr(self)
    }

    /// Its files.
    pub fn files(&self) -> Files<'a> {
        Files::of(self)
    }

    /// What it requires, provides and so on.
    pub fn dependencies(&self, kind: DependencyKind) -> Dependencies<'a> {
        Dependencies::of(self, kind)
    }
}

/// The entries and the data of a header with the right size.
fn halves(blob: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let wrong = |expected| Malformed::Size { actual: blob.len(), expected };
    let (Some(il), Some(dl)) = (number(blob, 0), number(blob, 4)) else { return Err(wrong(INTRO as u64)) };
    let expected = INTRO as u64 + u64::from(il) * ENTRY as u64 + u64::from(dl);
    if expected != blob.len() as u64 || blob.len() >= LARGEST {
        return Err(wrong(expected));
    }
    // Both fit, since their sum does.
    Ok(blob[INTRO..].split_at(il as usize * ENTRY))
}

/// How long the header is that begins here, as far as its first eight bytes say.
pub fn announced_length(beginning: &[u8]) -> Option<usize> {
    let length = INTRO as u64 + u64::from(number(beginning, 0)?) * ENTRY as u64;
    usize::try_from(length + u64::from(number(beginning, 4)?)).ok().filter(|length| *length < LARGEST)
}

/// rpm's `hdrblobVerifyRegion`.
fn find_region(index: &[u8], data: &[u8]) -> Result<Option<Region>, Malformed> {
    let first = RawEntry::read(index).ok_or(Malformed::Region("no entry"))?;
    if !first.is_region_tag() {
        return Ok(None);
    }
    if !first.is_sane_region() {
        return Err(Malformed::Region("its entry has another type or size"));
    }
    let start = first.offset as usize;
    let trailer = data.get(start..).and_then(|data| data.get(..ENTRY)).and_then(RawEntry::read);
    let trailer = trailer.ok_or(Malformed::Region("its trailer lies outside of the data"))?;
    if trailer.tag != first.tag || !trailer.is_sane_region() {
        return Err(Malformed::Region("its trailer is none"));
    }
    let size = trailer.offset.wrapping_neg() as usize;
    let entries = size / ENTRY;
    if !size.is_multiple_of(ENTRY) || entries == 0 || entries > index.len() / ENTRY {
        return Err(Malformed::Region("it has more entries than the header"));
    }
    Ok(Some(Region { entries, data: start + ENTRY }))
}

/// rpm's `hdrblobVerifyInfo` for one entry, whose values must begin at `earliest` or later.
fn check_entry(raw: RawEntry, data: &[u8], earliest: usize) -> Result<Entry<'_>, &'static str> {
    let start = raw.offset as usize;
    if start < earliest {
        return Err("it overlaps the one before");
    }
    if raw.tag < tag::HEADER_I18N_TABLE || i32::try_from(raw.tag).is_err() {
        return Err("there is no such tag");
    }
    let kind = Kind::from_number(raw.kind).ok_or("there is no such type")?;
    if !start.is_multiple_of(kind.size().unwrap_or(1)) {
        return Err("it is not aligned");
    }
    let rest = data.get(start..).ok_or("it begins outside of the data")?;
    let length = length_of(kind, raw.count, rest).ok_or("it ends outside of the data")?;
    match rest.get(..length) {
        Some(data) if length > 0 => Ok(Entry { tag: raw.tag, kind, count: raw.count, data }),
        Some(_) => Err("it is empty"),
        None => Err("it ends outside of the data"),
    }
}

/// How many bytes the values of an entry take.
fn length_of(kind: Kind, count: u32, rest: &[u8]) -> Option<usize> {
    match kind.size() {
        Some(size) => size.checked_mul(count as usize),
        None if kind == Kind::String && count != 1 => None,
        None => {
            let mut length = 0;
            // Each takes a byte at least, so this ends with the data whatever the count.
            for _ in 0..count {
                length += CStr::from_bytes_until_nul(rest.get(length..)?).ok()?.count_bytes() + 1;
            }
            Some(length)
        }
    }
}

/// Sorts by tag. Dribbles replace entries of the region with the same tag; of several in one place the
/// first counts.
fn sorted(mut entries: Vec<Entry<'_>>, in_region: usize) -> Vec<Entry<'_>> {
    let is_sorted = entries.windows(2).all(|pair| pair[0].tag < pair[1].tag);
    if !is_sorted {
        entries.rotate_left(in_region);
        entries.sort_by_key(|entry| entry.tag);
        entries.dedup_by_key(|entry| entry.tag);
    }
    entries
}

/// Strings that follow each other, each with a NUL behind it.
#[derive(Debug, Clone)]
pub struct Strings<'a> {
    left: usize,
    data: &'a [u8],
}

impl<'a> Strings<'a> {
    fn of(entry: Option<&Entry<'a>>) -> Strings<'a> {
        match entry {
            Some(entry) if entry.kind == Kind::Translated => Strings { left: 1, data: entry.data },
            Some(entry) if entry.kind.size().is_none() => {
                Strings { left: entry.count as usize, data: entry.data }
            }
            _ => Strings { left: 0, data: &[] },
        }
    }
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let string = CStr::from_bytes_until_nul(self.data).ok()?.to_bytes();
        self.data = self.data.get(string.len() + 1..)?;
        Some(string)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // A count was checked against the data.
        (0, Some(self.left))
    }
}

#[cfg(test)]
mod tests;
