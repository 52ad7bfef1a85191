//! What tells a package without a look at all of its header.

use std::fmt;

use crate::package::Header;
use crate::package::header::tag;

/// The digests that a header has of itself: the SHA-1 of its immutable region, and the MD5 of region and payload
/// (SHA1HEADER and SIGMD5). Two headers with the same ones are of the same package, as rpm, which checks them, sees it.
/// Packages of the 6th format and keys have none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

const SHA1_DIGITS: usize = 40;
const MD5_BYTES: usize = 16;

impl Fingerprint {
    /// Of a header; `None` where it has not both digests.
    pub fn of(header: &Header<'_>) -> Option<Fingerprint> {
        Fingerprint::new(header.string(tag::SHA1_HEADER)?, header.bytes(tag::SIG_MD5)?)
    }

    fn new(sha1: &[u8], md5: &[u8]) -> Option<Fingerprint> {
        if (sha1.len(), md5.len()) != (SHA1_DIGITS, MD5_BYTES) {
            return None;
        }
        let mut text = String::from_utf8(sha1.to_vec()).ok()?;
        for byte in md5 {
            text.push_str(&format!("{byte:02x}"));
        }
        Fingerprint::parse(&text)
    }

    /// Reads what `Display` writes; `None` where it is no fingerprint.
    pub fn parse(text: &str) -> Option<Fingerprint> {
        let is_one =
            text.len() == SHA1_DIGITS + 2 * MD5_BYTES && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_one.then(|| Fingerprint(text.to_owned()))
    }
}

/// 72 hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
            Fingerprint::of(&Header::parse(&blob).expect("a good header"))
        };
        let sha1 = "0123456789abcdef0123456789abcdef01234567";
        let found = digests(sha1, &[0xab; 16]).expect("both are there");
        assert_eq!(found.to_string(), format!("{sha1}{}", "ab".repeat(16)));
        assert_eq!(Fingerprint::parse(&found.to_string()), Some(found.clone()));
        assert_ne!(digests(sha1, &[0xac; 16]), Some(found));
        for (sha1, md5) in
            [("", &[1; 16][..]), (sha1, &[][..]), ("01", &[1; 35]), (&sha1.replace('0', " "), &[1; 16])]
        {
            assert_eq!(digests(sha1, md5), None, "{sha1:?} {md5:?}");
        }
        let blob = Builder::new().add(tag::NAME, Value::String(b"a".to_vec())).build();
        assert_eq!(Fingerprint::of(&Header::parse(&blob).expect("a good header")), None);
    }
}
