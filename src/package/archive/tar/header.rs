//! A header of tar.
//!
//! ```text
//! 0   name 100     100 mode 8      108 uid 8      116 gid 8     124 size 12    136 mtime 12
//! 148 checksum 8   156 type 1      157 link 100   257 magic 6   263 version 2
//! 265 user 32      297 group 32    329 major 8    337 minor 8
//! 345 prefix 155 (ustar), or sparse (GNU): 386 four of offset 12 and length 12, 482 more 1, 483 real size 12
//! ```
//!
//! Numbers are octal digits, or big-endian bytes behind one of 0x80 (0xff: negative).

use super::PART;
use super::sparse::Map;
use crate::package::archive::error::Fault;

/// What everything in a tar is a multiple of.
pub(super) const BLOCK: usize = 512;

pub(super) struct Header<'a>(&'a [u8; BLOCK]);

impl<'a> Header<'a> {
    /// A header whose checksum is right; `None` for the zeros at the end.
    pub(super) fn parse(block: &'a [u8; BLOCK]) -> Result<Option<Header<'a>>, Fault> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header(block);
        let noted = header.number(148, 8)?;
        let bytes =
            || block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
        let sum: i64 = bytes().map(i64::from).sum();
        // Some have counted with signs.
        let signed: i64 = bytes().map(|byte| i64::from(byte as i8)).sum();
        if noted != sum && noted != signed {
            return Err(Fault::malformed(PART, "a header's checksum is wrong"));
        }
        Ok(Some(header))
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[156]
    }

    pub(super) fn size(&self) -> Result<u64, Fault> {
        u64::try_from(self.number(124, 12)?).map_err(|_| Fault::malformed(PART, "a size is negative"))
    }

    pub(super) fn mode(&self) -> Result<u32, Fault> {
        Ok(self.number(100, 8)? as u32 & 0o7777)
    }

    pub(super) fn uid(&self) -> Result<u64, Fault> {
        self.natural(108, 8)
    }

    pub(super) fn gid(&self) -> Result<u64, Fault> {
        self.natural(116, 8)
    }

    pub(super) fn mtime(&self) -> Result<i64, Fault> {
        self.number(136, 12)
    }

    pub(super) fn device(&self) -> Result<(u64, u64), Fault> {
        Ok((self.natural(329, 8)?, self.natural(337, 8)?))
    }

    /// The name, behind its prefix where ustar has one.
    pub(super) fn path(&self) -> Vec<u8> {
        let is_ustar = &self.0[257..263] == b"ustar\0";
        match self.text(345, 155) {
            prefix if is_ustar && !prefix.is_empty() => [prefix, b"/", self.text(0, 100)].concat(),
            _ => self.text(0, 100).to_vec(),
        }
    }

    pub(super) fn link(&self) -> &'a [u8] {
        self.text(157, 100)
    }

    /// Names of owners came with ustar and GNU.
    pub(super) fn user(&self) -> &'a [u8] {
        if self.has_magic() { self.text(265, 32) } else { &[] }
    }

    pub(super) fn group(&self) -> &'a [u8] {
        if self.has_magic() { self.text(297, 32) } else { &[] }
    }

    fn has_magic(&self) -> bool {
        &self.0[257..262] == b"ustar"
    }

    /// Where the pieces of an old GNU sparse file are, as far as the header has room; whether more follow; its real size.
    pub(super) fn sparse(&self) -> Result<(Map, bool, u64), Fault> {
        Ok((sparse_pieces(self.0, 386, 4)?, self.0[482] != 0, self.natural(483, 12)?))
    }

    fn text(&self, at: usize, length: usize) -> &'a [u8] {
        let field = &self.0[at..at + length];
        field.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    fn natural(&self, at: usize, length: usize) -> Result<u64, Fault> {
        natural(&self.0[at..at + length])
    }

    fn number(&self, at: usize, length: usize) -> Result<i64, Fault> {
        number(&self.0[at..at + length])
    }
}

/// Pieces of an old GNU sparse file; those without a length are none.
pub(super) fn sparse_pieces(block: &[u8; BLOCK], at: usize, most: usize) -> Result<Map, Fault> {
    let mut map = Map::new();
    for piece in block[at..].chunks_exact(24).take(most) {
        if piece[0] == 0 || piece[12] == 0 {
            break;
        }
        map.push((natural(&piece[..12])?, natural(&piece[12..])?));
    }
    Ok(map)
}

fn natural(field: &[u8]) -> Result<u64, Fault> {
    u64::try_from(number(field)?).map_err(|_| Fault::malformed(PART, "a number is negative"))
}

fn number(field: &[u8]) -> Result<i64, Fault> {
    let wrong = || Fault::malformed(PART, "a number is none");
    let first = *field.first().ok_or_else(wrong)?;
    if first == 0x80 || first == 0xff {
        // All but the last eight bytes must say the sign and nothing else.
        let (above, low) = field[1..].split_at(field.len().saturating_sub(9));
        let sign = if first == 0xff { 0xff } else { 0 };
        let number = low
            .iter()
            .fold(if sign == 0 { 0 } else { -1_i64 }, |number, byte| number << 8 | i64::from(*byte));
        let fits = above.iter().all(|byte| *byte == sign) && (number < 0) == (sign == 0xff);
        return if fits { Ok(number) } else { Err(wrong()) };
    }
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(digits.len());
    digits[..end]
        .iter()
        .try_fold(0_i64, |number, digit| match digit {
            b'0'..=b'7' => number.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
            _ => None,
        })
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_bytes() {
        for (field, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"  17 \0\0\0", Some(0o17)),
            (b"12345670", Some(0o12_345_670)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"0000008\0", None),
            (b"-1\0\0\0\0\0\0", None),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(8 << 30)),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"", None),
        ] {
            assert_eq!(number(field).ok(), expected, "{}", field.escape_ascii());
        }
    }
}
