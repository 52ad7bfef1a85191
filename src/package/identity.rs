//! What tells one installed package from another.

use std::fmt;
use std::fs::File;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::digest::Algorithm;
use crate::sys::IoError;

/// The SHA-256 of what a database holds of an installed package: of rpm's header as it is stored, of
/// dpkg's stanza. Numbers that a database gives to its entries (rpm's `hnum`) are none: rebuilding it
/// gives others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity([u8; 32]);

impl Identity {
    /// The identity of what is stored as these bytes.
    pub fn of(bytes: &[u8]) -> Identity {
        Identity(Sha256::digest(bytes).into())
    }

    /// The identity of what is stored as these bytes, one part behind the other.
    pub fn of_parts(parts: &[impl AsRef<[u8]>]) -> Identity {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update(part);
        }
        Identity(digest.finalize().into())
    }

    /// The SHA-256 of a whole file, wherever in it was read before; `path` is its name in errors.
    pub fn of_file(file: &File, path: &Path) -> Result<Identity, IoError> {
        let digest = Algorithm::Sha256.digest_file(file, path)?;
        Ok(Identity(digest.bytes().try_into().expect("a SHA-256 has 32 bytes")))
    }

    /// An identity whose SHA-256 was made elsewhere.
    pub fn from_digest(digest: [u8; 32]) -> Identity {
        Identity(digest)
    }

    /// The SHA-256.
    pub fn digest(self) -> [u8; 32] {
        self.0
    }

    /// Reads what `Display` writes; `None` where it is no identity.
    pub fn parse(text: &str) -> Option<Identity> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut found = [0; 32];
        for (byte, pair) in found.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16).filter(|_| !digit.is_ascii_uppercase());
            *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
        }
        Some(Identity(found))
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_comes_back_as_written() {
        let identity = Identity::of(b"abc");
        let text = identity.to_string();
        assert_eq!(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Identity::parse(&text), Some(identity));
        for bad in
            ["", "ba78", &text[1..], &text.to_uppercase(), &text.replace('b', "g"), &format!("{text}0")]
        {
            assert_eq!(Identity::parse(bad), None, "{bad}");
        }
    }
}
