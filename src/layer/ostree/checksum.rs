//! Names of objects: the SHA-256 of what they are, and which kind they are of.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The SHA-256 by which an object is named.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Checksum(pub [u8; 32]);

/// A text is no checksum: 64 hexadecimal digits in lower case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no checksum of 64 hexadecimal digits")]
pub struct NoChecksum(pub String);

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A regular file or a symbolic link.
    File,
    /// The names in a directory.
    DirTree,
    /// Owner, mode and attributes of a directory.
    DirMeta,
    /// A state of a whole tree.
    Commit,
}

/// An object's kind and checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// What it is.
    pub kind: ObjectKind,
    /// Its name among these.
    pub checksum: Checksum,
}

impl Checksum {
    /// Of bytes that are there as a whole.
    pub fn of(bytes: &[u8]) -> Checksum {
        Checksum(Sha256::digest(bytes).into())
    }

    /// As an object of this kind.
    pub fn as_object(self, kind: ObjectKind) -> ObjectName {
        ObjectName { kind, checksum: self }
    }
}

impl ObjectName {
    /// Where it is in a repository: `objects/12/34….KIND`.
    pub fn path(&self) -> String {
        let text = self.checksum.to_string();
        format!("objects/{}/{}.{}", &text[..2], &text[2..], self.kind.suffix())
    }
}

impl ObjectKind {
    /// How names of its files end.
    pub fn suffix(self) -> &'static str {
        match self {
            ObjectKind::File => "file",
            ObjectKind::DirTree => "dirtree",
            ObjectKind::DirMeta => "dirmeta",
            ObjectKind::Commit => "commit",
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.checksum, self.kind.suffix())
    }
}

impl FromStr for Checksum {
    type Err = NoChecksum;

    fn from_str(text: &str) -> Result<Checksum, NoChecksum> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let bad = || NoChecksum(text.to_owned());
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return Err(bad());
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = 16 * digit(pair[0]).ok_or_else(bad)? + digit(pair[1]).ok_or_else(bad)?;
        }
        Ok(Checksum(bytes))
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> String {
        checksum.to_string()
    }
}

impl TryFrom<String> for Checksum {
    type Error = NoChecksum;

    fn try_from(text: String) -> Result<Checksum, NoChecksum> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_read_as_they_are_written() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let checksum: Checksum = empty.parse().expect("64 digits");
        assert_eq!(checksum, Checksum::of(b""));
        assert_eq!(checksum.to_string(), empty);
        let path = checksum.as_object(ObjectKind::DirTree).path();
        assert_eq!(path, format!("objects/e3/{}.dirtree", &empty[2..]));
        for bad in
            ["", "e3", &empty.to_uppercase(), &empty.replace('e', "g"), &format!("{empty}0"), &"é".repeat(32)]
        {
            assert_eq!(bad.parse::<Checksum>(), Err(NoChecksum(bad.to_owned())), "{bad}");
        }
    }
}
