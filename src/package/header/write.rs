//! Writing headers: whole ones, and what is added to the region of one.

use super::{ENTRY, Entry, Header, INTRO, Kind, RawEntry, check_entry, tag};

/// Values for an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Bytes that are characters.
    Char(Vec<u8>),
    /// 16-bit numbers.
    Int16(Vec<u16>),
    /// 32-bit numbers.
    Int32(Vec<u32>),
    /// 64-bit numbers.
    Int64(Vec<u64>),
    /// One string.
    String(Vec<u8>),
    /// Bytes.
    Binary(Vec<u8>),
    /// Strings.
    Strings(Vec<Vec<u8>>),
    /// A string in several languages.
    Translated(Vec<Vec<u8>>),
}

impl Value {
    fn kind(&self) -> Kind {
        match self {
            Value::Char(_) => Kind::Char,
            Value::Int16(_) => Kind::Int16,
            Value::Int32(_) => Kind::Int32,
            Value::Int64(_) => Kind::Int64,
            Value::String(_) => Kind::String,
            Value::Binary(_) => Kind::Binary,
            Value::Strings(_) => Kind::StringArray,
            Value::Translated(_) => Kind::Translated,
        }
    }

    fn count(&self) -> usize {
        match self {
            Value::Char(bytes) | Value::Binary(bytes) => bytes.len(),
            Value::Int16(numbers) => numbers.len(),
            Value::Int32(numbers) => numbers.len(),
            Value::Int64(numbers) => numbers.len(),
            Value::String(_) => 1,
            Value::Strings(strings) | Value::Translated(strings) => strings.len(),
        }
    }

    /// An entry with these values; `bytes` are theirs.
    pub(super) fn entry<'b>(&self, tag: u32, bytes: &'b [u8]) -> Entry<'b> {
        Entry { tag, kind: self.kind(), count: self.count() as u32, data: bytes }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Value::Char(bytes) | Value::Binary(bytes) => bytes.clone(),
            Value::Int16(numbers) => numbers.iter().flat_map(|number| number.to_be_bytes()).collect(),
            Value::Int32(numbers) => numbers.iter().flat_map(|number| number.to_be_bytes()).collect(),
            Value::Int64(numbers) => numbers.iter().flat_map(|number| number.to_be_bytes()).collect(),
            Value::String(string) => terminated(string).collect(),
            Value::Strings(strings) | Value::Translated(strings) => {
                strings.iter().flat_map(|string| terminated(string)).collect()
            }
        }
    }
}

/// A string as it is stored. A NUL in it would end it early.
fn terminated(string: &[u8]) -> impl Iterator<Item = u8> + '_ {
    string.iter().copied().filter(|byte| *byte != 0).chain([0])
}

/// Entries and data that grow.
#[derive(Debug, Default)]
struct Parts {
    index: Vec<u8>,
    data: Vec<u8>,
}

impl Parts {
    fn entry(&mut self, tag: u32, kind: Kind, offset: u32, count: usize) {
        for number in [tag, kind.number(), offset, count as u32] {
            self.index.extend_from_slice(&number.to_be_bytes());
        }
    }

    /// Adds values behind all others, aligned. rpm has no entry without values.
    fn add(&mut self, tag: u32, kind: Kind, count: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let size = kind.size().unwrap_or(1);
        self.data.resize(self.data.len().next_multiple_of(size), 0);
        self.entry(tag, kind, self.data.len() as u32, count);
        self.data.extend_from_slice(bytes);
    }

    fn blob(self) -> Vec<u8> {
        let il = (self.index.len() / ENTRY) as u32;
        let dl = self.data.len() as u32;
        [&il.to_be_bytes(), &dl.to_be_bytes(), &*self.index, &*self.data].concat()
    }
}

/// A header in the making: what is in its region, and what is added to it at installation.
#[derive(Debug, Default)]
pub struct Builder {
    region: Vec<(u32, Value)>,
    dribbles: Vec<(u32, Value)>,
}

impl Builder {
    /// An empty one.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Adds an entry to the region.
    #[must_use]
    pub fn add(mut self, tag: u32, value: Value) -> Builder {
        self.region.push((tag, value));
        self
    }

    /// Adds an entry behind the region.
    #[must_use]
    pub fn dribble(mut self, tag: u32, value: Value) -> Builder {
        self.dribbles.push((tag, value));
        self
    }

    /// The header as rpm's databases hold it.
    pub fn build(mut self) -> Vec<u8> {
        self.region.sort_by_key(|(tag, _)| *tag);
        self.dribbles.sort_by_key(|(tag, _)| *tag);
        let mut inside = Parts::default();
        for (tag, value) in &self.region {
            inside.add(*tag, value.kind(), value.count(), &value.bytes());
        }
        let mut parts = Parts::default();
        parts.entry(tag::HEADER_IMMUTABLE, Kind::Binary, inside.data.len() as u32, ENTRY);
        parts.index.append(&mut inside.index);
        let size = parts.index.len() as u32;
        parts.data = inside.data;
        for number in [tag::HEADER_IMMUTABLE, Kind::Binary.number(), size.wrapping_neg(), ENTRY as u32] {
            parts.data.extend_from_slice(&number.to_be_bytes());
        }
        for (tag, value) in &self.dribbles {
            parts.add(*tag, value.kind(), value.count(), &value.bytes());
        }
        parts.blob()
    }
}

impl<'a> Header<'a> {
    /// This header with other values for a tag: behind the region, so that the digests and signatures of
    /// the region still hold. `None` without a region.
    #[must_use]
    pub fn with(&self, tag: u32, value: &Value) -> Option<Vec<u8>> {
        let bytes = value.bytes();
        let mut dribbles = self.dribbles();
        dribbles.retain(|dribble| dribble.tag != tag);
        let place = dribbles.partition_point(|dribble| dribble.tag < tag);
        dribbles.insert(place, value.entry(tag, &bytes));
        self.with_dribbles(&dribbles)
    }

    /// The region of this header, and behind it these entries alone. `None` without a region.
    pub(super) fn with_dribbles(&self, dribbles: &[Entry<'_>]) -> Option<Vec<u8>> {
        let region = self.region?;
        let index_end = INTRO + self.index_length();
        let index = self.blob.get(INTRO..INTRO + region.entries * ENTRY)?.to_vec();
        let data = self.blob.get(index_end..index_end + region.data)?.to_vec();
        let mut parts = Parts { index, data };
        for dribble in dribbles {
            parts.add(dribble.tag, dribble.kind, dribble.count as usize, dribble.data);
        }
        Some(parts.blob())
    }

    /// The entries behind the region, in their order.
    fn dribbles(&self) -> Vec<Entry<'a>> {
        let Some(region) = self.region else { return Vec::new() };
        let Some((index, data)) =
            self.blob.get(INTRO..).and_then(|rest| rest.split_at_checked(self.index_length()))
        else {
            return Vec::new();
        };
        let entries = index.chunks_exact(ENTRY).skip(region.entries).filter_map(RawEntry::read);
        entries.filter_map(|raw| check_entry(raw, data, 0).ok()).collect()
    }
}
