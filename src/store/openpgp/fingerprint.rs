//! What a key is known by.

use std::fmt;
use std::str::FromStr;

/// The fingerprint of a primary key: 20 bytes where it is of version 4, 32 where of version 6 (RFC 9580, 5.5.4).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(Vec<u8>);

/// What is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no fingerprint of a key: 40 or 64 hexadecimal digits")]
pub struct NoFingerprint;

impl Fingerprint {
    pub(super) fn of(key: &impl pgp::types::KeyDetails) -> Fingerprint {
        Fingerprint(key.fingerprint().as_bytes().to_vec())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// As people write it: with or without blanks, in capitals or not, after `0x` or not.
impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    fn from_str(word: &str) -> Result<Fingerprint, NoFingerprint> {
        let word: String = word.chars().filter(|letter| !letter.is_whitespace()).collect();
        let digits = word.strip_prefix("0x").unwrap_or(&word).as_bytes();
        if ![40, 64].contains(&digits.len()) {
            return Err(NoFingerprint);
        }
        let value = |digit: u8| char::from(digit).to_digit(16).ok_or(NoFingerprint);
        let byte = |pair: &[u8]| Ok((value(pair[0])? << 4 | value(pair[1])?) as u8);
        Ok(Fingerprint(digits.chunks_exact(2).map(byte).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_them_in_many_ways() {
        let plain = "0123456789ABCDEF0123456789ABCDEF01234567";
        let known: Fingerprint = plain.parse().expect("a fingerprint");
        assert_eq!(known.to_string(), plain);
        for word in [
            "0x0123456789abcdef0123456789abcdef01234567",
            "0123 4567 89AB CDEF 0123  4567 89AB CDEF 0123 4567",
        ] {
            assert_eq!(word.parse(), Ok(known.clone()), "{word}");
        }
        for word in [
            "",
            "0123456789ABCDEF",
            "G123456789ABCDEF0123456789ABCDEF01234567",
            "x@example.org",
            "é123456789ABCDEF0123456789ABCDEF0123456",
        ] {
            assert_eq!(word.parse::<Fingerprint>(), Err(NoFingerprint), "{word}");
        }
        assert!("0".repeat(64).parse::<Fingerprint>().is_ok());
    }
}
