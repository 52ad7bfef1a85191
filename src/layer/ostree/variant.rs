//! The little of GVariant that ostree's objects are written in: its serialization of tuples, arrays and variants, as GLib's
//! `gvariant-serialiser.c` and its specification ("GVariant Specification", section 2) have it.
//!
//! ```text
//! array of elements of variable size      tuple
//! +-----------+-----+-----------+----------------+     +--------+-----+--------+----------------+
//! | element 0 | ... | element n | ends of 0 .. n |     | member | ... | member | ends, last one |
//! | (aligned) |     | (aligned) |                |     |        |     |        | first          |
//! +-----------+-----+-----------+----------------+     +--------+-----+--------+----------------+
//! ```
//!
//! An end is a little-endian number of 1, 2, 4 or 8 bytes, by the size of the whole container. In a tuple only members of
//! variable size have one, and the last member has none. Bytes may come from anyone: GLib reads what is not as it should be
//! as some default, and here it is refused. The crate `gvariant` would do this, with macros and more of the format than five
//! kinds of objects need.

/// Bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// What a member of a tuple is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    alignment: usize,
    /// `None` where it varies.
    size: Option<usize>,
}

impl Member {
    /// `s`, `ay`, and arrays and tuples of these alone.
    pub(super) const BYTES: Member = Member { alignment: 1, size: None };
    /// `v`, and what holds any.
    pub(super) const VARIANTS: Member = Member { alignment: 8, size: None };
    /// `u`.
    pub(super) const U32: Member = Member { alignment: 4, size: Some(4) };
    /// `t`.
    pub(super) const U64: Member = Member { alignment: 8, size: Some(8) };
}

/// The members of a tuple of these kinds.
pub(super) fn tuple<const N: usize>(bytes: &[u8], kinds: [Member; N]) -> Result<[&[u8]; N], Malformed> {
    let width = offset_width(bytes.len());
    let last = N.saturating_sub(1);
    let framed = kinds.iter().take(last).filter(|kind| kind.size.is_none()).count();
    let limit = bytes.len().checked_sub(framed * width).ok_or(Malformed("a tuple is too short"))?;
    let mut members = [&bytes[..0]; N];
    let (mut position, mut read) = (0, 0);
    for (index, (kind, member)) in kinds.iter().zip(&mut members).enumerate() {
        let start = align(position, kind.alignment);
        let end = match kind.size {
            Some(size) => start.saturating_add(size),
            None if index == last => limit,
            None => {
                read += 1;
                offset(bytes, bytes.len() - read * width, width)
            }
        };
        *member = part(bytes, start, end, limit)?;
        position = end;
    }
    Ok(members)
}

/// The elements of an array whose elements have a variable size.
pub(super) fn array(
    bytes: &[u8],
    alignment: usize,
) -> Result<impl Iterator<Item = Result<&[u8], Malformed>>, Malformed> {
    let width = offset_width(bytes.len());
    let table = bytes.len().checked_sub(width).map_or(0, |at| offset(bytes, at, width));
    let length = bytes.len().checked_sub(table).ok_or(Malformed("an array ends outside of itself"))?;
    if !bytes.is_empty() && (length == 0 || length % width != 0) {
        return Err(Malformed("an array's table of ends has a part of one"));
    }
    let mut position = 0;
    let mut at = table;
    Ok(std::iter::from_fn(move || {
        if at >= bytes.len() {
            return None;
        }
        let end = offset(bytes, at, width);
        let element = part(bytes, align(position, alignment), end, table);
        // After a bad element comes none.
        at = if element.is_ok() { at + width } else { bytes.len() };
        position = end;
        Some(element)
    }))
}

/// A string (`s`).
pub(super) fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    let (&end, text) = bytes.split_last().ok_or(Malformed("a string has no end"))?;
    if end != 0 || text.contains(&0) {
        return Err(Malformed("a string does not end where it should"));
    }
    std::str::from_utf8(text).map_err(|_| Malformed("a string is not UTF-8"))
}

/// What is in a variant (`v`): the bytes of a value, and its type.
pub(super) fn variant(bytes: &[u8]) -> Result<(&[u8], &str), Malformed> {
    let end = bytes.iter().rposition(|&byte| byte == 0).ok_or(Malformed("a variant has no type"))?;
    let kind = std::str::from_utf8(&bytes[end + 1..]).map_err(|_| Malformed("a type is not UTF-8"))?;
    Ok((&bytes[..end], kind))
}

/// A number in network byte order, as ostree has all of its own.
pub(super) fn u32_be(bytes: &[u8]) -> Result<u32, Malformed> {
    bytes.try_into().map(u32::from_be_bytes).map_err(|_| Malformed("a number has another size"))
}

/// The same of 64 bits.
pub(super) fn u64_be(bytes: &[u8]) -> Result<u64, Malformed> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| Malformed("a number has another size"))
}

/// Writes a tuple.
#[derive(Debug, Default)]
pub(super) struct TupleWriter {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl TupleWriter {
    /// Appends a member of a fixed size, which is its alignment.
    pub(super) fn fixed(mut self, member: &[u8]) -> Self {
        append(&mut self.bytes, member, member.len());
        self
    }

    /// Appends a member of variable size that is not the last.
    pub(super) fn variable(mut self, member: &[u8], kind: Member) -> Self {
        append(&mut self.bytes, member, kind.alignment);
        self.ends.push(self.bytes.len());
        self
    }

    /// Appends the last member, which is of variable size.
    pub(super) fn last(mut self, member: &[u8], kind: Member) -> Vec<u8> {
        append(&mut self.bytes, member, kind.alignment);
        self.ends.reverse();
        framed(self.bytes, &self.ends)
    }
}

/// Writes an array of elements of variable size.
#[derive(Debug)]
pub(super) struct ArrayWriter {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    alignment: usize,
}

impl ArrayWriter {
    pub(super) fn new(alignment: usize) -> ArrayWriter {
        ArrayWriter { bytes: Vec::new(), ends: Vec::new(), alignment }
    }

    pub(super) fn push(&mut self, element: &[u8]) {
        append(&mut self.bytes, element, self.alignment);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn finish(self) -> Vec<u8> {
        framed(self.bytes, &self.ends)
    }
}

/// The bytes of a string.
pub(super) fn terminated(text: &[u8]) -> Vec<u8> {
    [text, b"\0"].concat()
}

/// The bytes of a variant.
pub(super) fn write_variant(value: &[u8], kind: &str) -> Vec<u8> {
    [value, b"\0", kind.as_bytes()].concat()
}

fn append(bytes: &mut Vec<u8>, member: &[u8], alignment: usize) {
    bytes.resize(align(bytes.len(), alignment), 0);
    bytes.extend_from_slice(member);
}

fn framed(mut bytes: Vec<u8>, ends: &[usize]) -> Vec<u8> {
    let fits = |width: &usize| {
        let limit = 1_u64.checked_shl(8 * *width as u32).unwrap_or(u64::MAX);
        ((bytes.len() + ends.len() * width) as u64) < limit
    };
    let width = [1, 2, 4].into_iter().find(fits).unwrap_or(8);
    for &end in ends {
        bytes.extend_from_slice(&(end as u64).to_le_bytes()[..width]);
    }
    bytes
}

/// How many bytes an end has in a container of this size.
fn offset_width(size: usize) -> usize {
    match size as u64 {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// The end that stands at a place. What is not there, or is no number of this machine's, is no place in any bytes.
fn offset(bytes: &[u8], at: usize, width: usize) -> usize {
    let mut number = [0; 8];
    match bytes.get(at..at + width) {
        Some(found) => number[..width].copy_from_slice(found),
        None => return usize::MAX,
    }
    usize::try_from(u64::from_le_bytes(number)).unwrap_or(usize::MAX)
}

fn part(bytes: &[u8], start: usize, end: usize, limit: usize) -> Result<&[u8], Malformed> {
    let part = if end <= limit { bytes.get(start..end) } else { None };
    part.ok_or(Malformed("something ends outside of what it is in"))
}

fn align(position: usize, alignment: usize) -> usize {
    position.checked_next_multiple_of(alignment).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(bytes: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
        array(bytes, 1)?.collect()
    }

    fn written(elements: &[&[u8]]) -> Vec<u8> {
        let mut writer = ArrayWriter::new(1);
        for element in elements {
            writer.push(element);
        }
        writer.finish()
    }

    #[test]
    fn examples_of_the_specification() {
        // 2.7, "Array of Strings Example", and "Structure Example" without its last member.
        let texts = b"i\0can\0has\0strings?\0\x02\x06\x0a\x13";
        assert_eq!(elements(texts), Ok(vec![&b"i\0"[..], b"can\0", b"has\0", b"strings?\0"]));
        assert_eq!(written(&[b"i\0", b"can\0", b"has\0", b"strings?\0"]), texts);
        let pair = TupleWriter::default().variable(b"foo\0", Member::BYTES).last(b"bar\0", Member::BYTES);
        assert_eq!(pair, b"foo\0bar\0\x04");
        assert_eq!(tuple(&pair, [Member::BYTES; 2]), Ok([&b"foo\0"[..], b"bar\0"]));
    }

    #[test]
    fn ends_are_as_wide_as_the_whole_needs() {
        for size in [0, 1, 253, 254, 255, 256, 65_530, 65_533, 65_534, 65_536, 70_000] {
            let element = vec![b'x'; size];
            let bytes = written(&[&element]);
            let width = bytes.len() - size;
            assert_eq!(width, offset_width(bytes.len()), "{size}");
            assert_eq!(elements(&bytes), Ok(vec![&element[..]]), "{size}");
        }
        assert!(written(&[]).is_empty() && elements(&[]) == Ok(vec![]));
    }

    #[test]
    fn members_are_aligned() {
        let bytes = TupleWriter::default()
            .variable(b"a\0", Member::BYTES)
            .fixed(&7_u64.to_be_bytes())
            .variable(b"", Member::BYTES)
            .last(b"v", Member::VARIANTS);
        assert_eq!(bytes, b"a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07v\x10\x02");
        let kinds = [Member::BYTES, Member::U64, Member::BYTES, Member::VARIANTS];
        assert_eq!(tuple(&bytes, kinds), Ok([&b"a\0"[..], &7_u64.to_be_bytes(), b"", b"v"]));
    }

    #[test]
    fn what_ends_outside_is_refused() {
        for bytes in [&b"\x05"[..], b"ab\x03", b"ab\x02\x01\x02", b"abcd\x03\x02"] {
            assert!(elements(bytes).is_err(), "{bytes:?}");
        }
        assert!(tuple(b"", [Member::BYTES; 2]).is_err());
        assert!(tuple(b"ab\x07", [Member::BYTES; 2]).is_err());
        assert!(tuple(b"abc", [Member::U32, Member::BYTES]).is_err());
        assert!(
            text(b"").is_err() && text(b"a").is_err() && text(b"a\0b\0").is_err() && text(b"\xff\0").is_err()
        );
        assert!(variant(b"abc").is_err());
        assert_eq!(variant(b"a\0\0s"), Ok((&b"a\0"[..], "s")));
    }
}
