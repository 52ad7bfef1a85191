//! What tells a package without a look at all of its header.

use std::fmt;

use crate::package::header::{Glance, Tags, tag};

/// The digests that a header has of itself: the SHA-1 of its immutable region, and the MD5 of region and payload
/// (SHA1HEADER and SIGMD5). Two headers with the same ones are of the same package, as rpm, which checks them, sees it.
/// Packages of the 6th format and keys have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; SHA1 + MD5]);

const SHA1: usize = 20;
const MD5: usize = 16;

impl Fingerprint {
    /// Of a header; `None` where it has not both digests.
    pub fn of(header: &Glance<'_>) -> Option<Fingerprint> {
        Fingerprint::new(header.string(tag::SHA1_HEADER)?, header.bytes(tag::SIG_MD5)?)
    }

    /// Of both digests, as a header and the tables of a database have them.
    pub(super) fn new(sha1: &[u8], md5: &[u8]) -> Option<Fingerprint> {
        let mut digests = [0; SHA1 + MD5];
        let (own, others) = digests.split_at_mut(SHA1);
        read_digits(sha1, own)?;
        others.copy_from_slice(Some(md5).filter(|md5| md5.len() == MD5)?);
        Some(Fingerprint(digests))
    }

    /// Reads what `Display` writes; `None` where it is no fingerprint.
    pub fn parse(text: &str) -> Option<Fingerprint> {
        let mut digests = [0; SHA1 + MD5];
        read_digits(text.as_bytes(), &mut digests)?;
        Some(Fingerprint(digests))
    }
}

/// Reads exactly as many bytes as are wanted, of two hexadecimal digits each.
fn read_digits(text: &[u8], bytes: &mut [u8]) -> Option<()> {
    if text.len() != 2 * bytes.len() {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8);
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(())
}

/// 72 hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::header::{Builder, Value};

    #[test]
    fn a_fingerprint_is_made_of_both_digests_and_comes_back_as_written() {
        let digests = |sha1: &str, md5: &[u8]| {
            let blob = Builder::new()
                .add(tag::NAME, Value::String(b"a".to_vec()))
                .dribble(tag::SHA1_HEADER, Value::String(sha1.as_bytes().to_vec()))
                .dribble(tag::SIG_MD5, Value::Binary(md5.to_vec()))
                .build();
            Fingerprint::of(&Glance::of(&blob).expect("a good header"))
        };
        let sha1 = "0123456789abcdef0123456789abcdef01234567";
        let found = digests(sha1, &[0xab; 16]).expect("both are there");
        assert_eq!(found.to_string(), format!("{sha1}{}", "ab".repeat(16)));
        assert_eq!(Fingerprint::parse(&found.to_string()), Some(found));
        assert_ne!(digests(sha1, &[0xac; 16]), Some(found));
        for (sha1, md5) in
            [("", &[1; 16][..]), (sha1, &[][..]), ("01", &[1; 35]), (&sha1.replace('0', " "), &[1; 16])]
        {
            assert_eq!(digests(sha1, md5), None, "{sha1:?} {md5:?}");
        }
        let blob = Builder::new().add(tag::NAME, Value::String(b"a".to_vec())).build();
        assert_eq!(Fingerprint::of(&Glance::of(&blob).expect("a good header")), None);
    }
}
