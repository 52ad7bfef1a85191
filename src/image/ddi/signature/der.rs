//! The distinguished encoding of ASN.1 (ITU-T X.690): what certificates and signatures are written in.

/// A type or place of an element.
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// The first and second element that is only there at times; they have elements in them.
pub(super) const FIELD_0: u8 = 0xa0;
pub(super) const FIELD_1: u8 = 0xa1;

/// Elements one after the other.
#[derive(Clone, Copy)]
pub(super) struct Der<'a>(&'a [u8]);

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    /// What is in it.
    pub(super) content: &'a [u8],
    /// It with its tag and length.
    pub(super) whole: &'a [u8],
}

impl<'a> Der<'a> {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The next element; `None` where there is none, or it makes no sense.
    pub(super) fn next(&mut self) -> Option<Element<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        // Tags of several bytes are in nothing that is read here.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (length, header) = length(rest)?;
        let content = rest.get(header..)?.get(..length)?;
        let (whole, after) = self.0.split_at(1 + header + length);
        self.0 = after;
        Some(Element { tag, content, whole })
    }

    /// The next element, which is of a type.
    pub(super) fn take(&mut self, tag: u8) -> Option<Element<'a>> {
        self.next().filter(|element| element.tag == tag)
    }

    /// The next element if it is of a type; otherwise nothing is taken.
    pub(super) fn take_if(&mut self, tag: u8) -> Option<Element<'a>> {
        let is_next = self.0.first() == Some(&tag);
        if is_next { self.next() } else { None }
    }

    /// The one element of a type that these bytes are.
    pub(super) fn only(bytes: &'a [u8], tag: u8) -> Option<Element<'a>> {
        let mut all = Der(bytes);
        all.take(tag).filter(|_| all.is_empty())
    }
}

impl<'a> Element<'a> {
    /// The elements in it.
    pub(super) fn inside(self) -> Der<'a> {
        Der(self.content)
    }

    /// The bytes of a bit string that is made of whole ones.
    pub(super) fn bits(self) -> Option<&'a [u8]> {
        self.content.strip_prefix(&[0])
    }
}

/// A length, and how many bytes say it.
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        return Some((usize::from(first), 1));
    }
    let count = usize::from(first & 0x7f);
    let number = rest.get(..count).filter(|_| (1..=4).contains(&count))?;
    let length = number.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    // There is one way only to say it: the shortest.
    let is_shortest = number[0] != 0 && length >= 0x80;
    is_shortest.then_some((usize::try_from(length).ok()?, 1 + count))
}

/// An element of parts.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![tag];
    if length < 0x80 {
        bytes.push(length as u8);
    } else {
        let number = (length as u32).to_be_bytes();
        let first = number.iter().position(|byte| *byte != 0).unwrap_or(3);
        bytes.push(0x80 | (4 - first) as u8);
        bytes.extend_from_slice(&number[first..]);
    }
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let content = vec![7; length];
            let bytes = element(SEQUENCE, &[&content[..length / 2], &content[length / 2..]]);
            let read = Der::only(&bytes, SEQUENCE).expect("an element");
            assert_eq!((read.content, read.whole), (&content[..], &bytes[..]));
            assert_eq!(Der::only(&bytes, SET), None);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bytes in [
            &b"\x30"[..],
            b"\x30\x01",
            b"\x30\x80\x00\x00",
            b"\x30\x81\x01\x00",
            b"\x30\x82\x00\x80",
            b"\x30\x84\xff\xff\xff\xff\x00",
            b"\x30\x85\x00\x00\x00\x00\x01\x00",
            b"\x3f\x01\x00",
        ] {
            assert_eq!(Der(bytes).next(), None, "{bytes:02x?}");
        }
        assert_eq!(Der::only(b"\x05\x00\x05\x00", NULL), None);
    }
}
