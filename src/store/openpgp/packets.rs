//! The packets of a stream of bytes (RFC 9580, 4), taken apart with bounds: only whole packets of a stated length.

use pgp::packet::PacketHeader;
use pgp::types::{PacketHeaderVersion, PacketLength, Tag};

use super::tag;

/// One packet: what it is, and its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawPacket<'a> {
    pub(super) tag: u8,
    pub(super) body: &'a [u8],
}

impl RawPacket<'_> {
    /// A header for it in the new form, which says the length that it has.
    pub(super) fn header(&self) -> Option<PacketHeader> {
        let length = PacketLength::Fixed(u32::try_from(self.body.len()).ok()?);
        PacketHeader::from_parts(PacketHeaderVersion::New, Tag::from(self.tag), length).ok()
    }

    /// As it is written, in the new form.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![0xc0 | self.tag, 255];
        bytes.extend((self.body.len() as u32).to_be_bytes());
        bytes.extend(self.body);
        bytes
    }

    /// Whether it says nothing.
    pub(super) fn is_filler(&self) -> bool {
        [tag::MARKER, tag::TRUST, tag::PADDING].contains(&self.tag)
    }
}

/// Takes bytes apart; `None` where they are no packets. Lengths that are not stated at once (partial and indeterminate ones) are
/// for messages, and none of the packets here has them.
pub(super) fn split(mut bytes: &[u8]) -> Option<Vec<RawPacket<'_>>> {
    let mut packets = Vec::new();
    while let Some((&first, rest)) = bytes.split_first() {
        let (tag, length, rest) = match first >> 6 {
            0b11 => {
                let (length, rest) = new_length(rest)?;
                (first & 0x3f, length, rest)
            }
            0b10 => {
                let (length, rest) = old_length(first & 3, rest)?;
                (first >> 2 & 0xf, length, rest)
            }
            _ => return None,
        };
        let (body, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        packets.push(RawPacket { tag, body });
        bytes = rest;
    }
    Some(packets)
}

/// RFC 9580, 4.2.1.
fn new_length(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match *bytes {
        [first @ 0..=191, ref rest @ ..] => Some((first.into(), rest)),
        [first @ 192..=223, second, ref rest @ ..] => {
            Some((((u32::from(first) - 192) << 8) + u32::from(second) + 192, rest))
        }
        [255, a, b, c, d, ref rest @ ..] => Some((u32::from_be_bytes([a, b, c, d]), rest)),
        _ => None,
    }
}

/// RFC 9580, 4.2.2.
fn old_length(kind: u8, bytes: &[u8]) -> Option<(u32, &[u8])> {
    match (kind, bytes) {
        (0, [length, rest @ ..]) => Some(((*length).into(), rest)),
        (1, [a, b, rest @ ..]) => Some((u16::from_be_bytes([*a, *b]).into(), rest)),
        (2, [a, b, c, d, rest @ ..]) => Some((u32::from_be_bytes([*a, *b, *c, *d]), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_lengths_are_read() {
        let body = [7; 1000];
        for (head, length) in [
            (&[0xc2, 3][..], 3),
            (&[0xc2, 192, 8], 200),
            (&[0xc2, 195, 40], 1000),
            (&[0xc2, 255, 0, 0, 3, 232], 1000),
            (&[0x88, 5], 5),
            (&[0x89, 3, 232], 1000),
            (&[0x8a, 0, 0, 0, 1], 1),
        ] {
            let whole = [head, &body[..length]].concat();
            assert_eq!(split(&whole), Some(vec![RawPacket { tag: 2, body: &body[..length] }]), "{head:?}");
            assert_eq!(split(&RawPacket { tag: 2, body: &body[..length] }.to_bytes()), split(&whole));
            let twice = [&whole[..], &whole[..]].concat();
            assert_eq!(split(&twice).map(|packets| packets.len()), Some(2));
            for end in 1..whole.len() {
                assert_eq!(split(&whole[..end]), None, "{head:?} {end}");
            }
        }
        for bytes in [&b"\x02"[..], b"\x8b\x00", b"\xc2\xe1\x00\x00", b"\xc2\xff\xff\xff\xff\xff"] {
            assert_eq!(split(bytes), None, "{bytes:?}");
        }
        assert_eq!(split(b""), Some(Vec::new()));
    }
}
