//! Which version of systemd a host has: what it takes for an extension changed over the years.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::{Contents, Error, Layer, Stack};
use crate::sys::FileKind;

/// A version of systemd, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemdVersion {
    /// The release.
    pub major: u32,
    /// The stable update of it.
    pub minor: u32,
}

/// The shared code of systemd's programs is a library that has the version in its name.
const LIBRARY: &str = "libsystemd-shared-";

/// The largest of these libraries has 4 MB.
const LARGEST_LIBRARY: usize = 32 << 20;

impl SystemdVersion {
    /// The first release that this room knows the rules of.
    pub const FIRST: SystemdVersion = SystemdVersion { major: 252, minor: 0 };
    /// The last one, whose rules are taken for newer ones, too.
    pub const LAST: SystemdVersion = SystemdVersion { major: 262, minor: 0 };

    /// The version that is installed in a base of one layer.
    pub fn of(base: &dyn Contents) -> Result<Option<SystemdVersion>, Error> {
        SystemdVersion::installed(&Stack::new(vec![Layer { contents: base, hierarchies: None }]))
    }

    /// The version that is installed in a base; `None` where none is.
    pub fn installed(base: &Stack<'_>) -> Result<Option<SystemdVersion>, Error> {
        let mut directories = vec!["usr/lib/systemd".into(), "usr/lib64/systemd".into()];
        for name in base.list(Path::new("usr/lib"))? {
            if name.as_encoded_bytes().ends_with(b"-linux-gnu") || name.as_encoded_bytes().contains(&b'-') {
                directories.push(Path::new("usr/lib").join(name).join("systemd"));
            }
        }
        for directory in directories {
            for name in base.list(&directory)? {
                let Some(version) = name.to_str().and_then(of_library) else { continue };
                let path = directory.join(&name);
                let is_file = base.resolve(&path)?.is_some_and(|node| node.item.kind == FileKind::File);
                return Ok(is_file.then_some(version.updated(base, &path)?));
            }
        }
        Ok(None)
    }

    /// Debian names the library by the release alone. Only of one release the update matters: then it is looked for
    /// in what the library says of itself, as in "257.13 (257.13-1~deb13u1)".
    fn updated(self, base: &Stack<'_>, library: &Path) -> Result<SystemdVersion, Error> {
        if self.major != 257 || self.minor != 0 {
            return Ok(self);
        }
        let content = base.read(library, LARGEST_LIBRARY)?.unwrap_or_default();
        let digits = find_version(&content).map_or(&b""[..], |at| &content[at..content.len().min(at + 16)]);
        let text = String::from_utf8_lossy(digits);
        Ok(text.trim_start_matches([' ', '(']).parse().unwrap_or(self))
    }
}

/// Where in a library its version is said. Most of it is passed over in strides: it is done each time that extensions are looked at.
fn find_version(content: &[u8]) -> Option<usize> {
    const SAID: [&[u8; 5]; 2] = [b"257.1", b" (257"];
    let mut at = 0;
    while let Some(five) = content.get(at..at + 5) {
        if SAID.iter().any(|said| five == *said) {
            return Some(at);
        }
        let may_be_within = matches!(five[4], b'1' | b'2' | b'5' | b'7' | b'.' | b' ' | b'(');
        at += if may_be_within { 1 } else { 5 };
    }
    None
}

/// `libsystemd-shared-257.7-1.fc42.so` or `libsystemd-shared-257.so`.
fn of_library(name: &str) -> Option<SystemdVersion> {
    name.strip_prefix(LIBRARY)?.strip_suffix(".so")?.parse().ok()
}

impl FromStr for SystemdVersion {
    type Err = Error;

    /// Takes what `systemctl --version` says, and what packages have: `257`, `257.13-1~deb13u1`, `258~rc1`.
    fn from_str(text: &str) -> Result<SystemdVersion, Error> {
        let number = |text: &str| {
            let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
            (text[..end].parse::<u32>().ok(), text[end..].to_owned())
        };
        let (major, rest) = number(text.trim());
        let major = major.filter(|major| *major >= 100).ok_or_else(|| Error::NoVersion(text.to_owned()))?;
        let minor = rest.strip_prefix('.').and_then(|rest| number(rest).0).unwrap_or_default();
        Ok(SystemdVersion { major, minor })
    }
}

impl fmt::Display for SystemdVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor {
            0 => write!(f, "{}", self.major),
            minor => write!(f, "{}.{minor}", self.major),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_wherever_it_is() {
        for before in 0..12 {
            for said in ["257.13 (257", " (257.7-1"] {
                let content = [&b"2571. 57(7 2257(x"[..before], said.as_bytes(), b"\0"].concat();
                assert_eq!(find_version(&content), Some(before), "{before} {said}");
            }
        }
        assert_eq!(find_version(b"257 and no more 2571"), None);
        assert_eq!(find_version(b""), None);
    }

    #[test]
    fn versions_are_read_as_they_are_written() {
        for (text, version) in [
            ("257", Some((257, 0))),
            ("257.13-1~deb13u1", Some((257, 13))),
            ("258~rc1", Some((258, 0))),
            (" 252.39", Some((252, 39))),
            ("v257", None),
            ("12", None),
            ("", None),
        ] {
            let read = text.parse::<SystemdVersion>().ok().map(|version| (version.major, version.minor));
            assert_eq!(read, version, "{text}");
        }
        assert_eq!(
            of_library("libsystemd-shared-257.7-1.fc42.so").map(|version| version.to_string()).as_deref(),
            Some("257.7")
        );
        assert_eq!(
            of_library("libsystemd-shared-257.so").map(|version| version.to_string()).as_deref(),
            Some("257")
        );
        assert_eq!(of_library("libsystemd-core-257.so"), None);
    }
}
