//! Numbers of fixed size, big-endian, bounds checked.

use super::{Entry, Kind};

/// A 32-bit number at a place in some bytes.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    bytes.get(at..end)?.try_into().ok().map(u32::from_be_bytes)
}

/// The numbers of an entry, whatever their size.
#[derive(Debug, Clone)]
pub struct Numbers<'a> {
    size: usize,
    data: &'a [u8],
}

impl Default for Numbers<'_> {
    fn default() -> Self {
        Numbers { size: 1, data: &[] }
    }
}

impl<'a> Numbers<'a> {
    pub(super) fn of(entry: &Entry<'a>) -> Numbers<'a> {
        match (entry.kind, entry.kind.size()) {
            (Kind::Binary, _) | (_, None) => Numbers::default(),
            (_, Some(size)) => Numbers { size, data: entry.data },
        }
    }

    /// The one with this index.
    pub fn get(&self, index: usize) -> Option<u64> {
        let start = index.checked_mul(self.size)?;
        let bytes = self.data.get(start..start.checked_add(self.size)?)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

impl Iterator for Numbers<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let number = self.get(0)?;
        self.data = &self.data[self.size..];
        Some(number)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.data.len() / self.size;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Numbers<'_> {}
