//! What an extension and its image are called.

use std::fmt;
use std::str::FromStr;

use crate::extension::database;

/// The name of an extension: what its extension-release file is named after, and its image begins with.
///
/// systemd matches the image's name up to the first `_` or `+` with the release file (since 257), and what comes after is
/// version and architecture: so neither is in a name, and one without them is right for every systemd.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtensionName(String);

/// Words that are no name of an extension.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no name for an extension: letters, digits, '.' and '-', at most 64, a letter or digit first, \
     and not that of a generated one"
)]
pub struct InvalidName(String);

/// The longest name: with version and architecture it must be one of a file.
const LONGEST: usize = 64;

impl ExtensionName {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ExtensionName {
    type Err = InvalidName;

    fn from_str(word: &str) -> Result<ExtensionName, InvalidName> {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        let begins = word.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let is_free = !database::is_generated(word);
        if begins && is_free && word.len() <= LONGEST && word.bytes().all(is_good) {
            return Ok(ExtensionName(word.to_owned()));
        }
        Err(InvalidName(word.to_owned()))
    }
}

impl fmt::Display for ExtensionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The version of a package as that of an extension, which is a part of its image's name.
///
/// An epoch is left out, as dpkg and rpm do in names of files. What systemd does not take in a version (of the letters that
/// [UAPI.10](https://uapi-group.org/specifications/specs/version_format_specification/) knows, it is all but `~` and `^`
/// before 258) becomes a `.`; `~` and `^` stay, since no other letter sorts like them.
pub fn version_of(package: &str) -> String {
    let without_epoch = match package.split_once(':') {
        Some((epoch, rest)) if !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => package,
    };
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '~' | '^');
    without_epoch.chars().map(|c| if is_good(c) { c } else { '.' }).collect()
}

/// The file name of an image: `NAME_VERSION_ARCHITECTURE.raw`, the only form that every systemd from 252 on and
/// systemd-sysupdate's patterns take. Without an architecture it is one for all.
pub fn image_name(name: &ExtensionName, version: &str, architecture: Option<&str>) -> String {
    format!("{name}_{version}_{}.raw", architecture.unwrap_or(ANY))
}

/// The word for no architecture in particular.
const ANY: &str = "any";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_match_everywhere() {
        for good in ["strace", "debug-tools", "a", "lib.x", "7zip"] {
            assert_eq!(good.parse::<ExtensionName>().expect("a name").as_str(), good);
        }
        for bad in ["", "a_b", "g++", ".hidden", "-x", "a/b", "a b", "ä", &"x".repeat(65), database::NAME] {
            assert!(bad.parse::<ExtensionName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_are_packages_without_their_epoch() {
        for (package, version) in [
            ("6.13+ds-1", "6.13+ds-1"),
            ("1:2.38.1-5+deb12u3", "2.38.1-5+deb12u3"),
            ("1.0~rc1^git1-0.1", "1.0~rc1^git1-0.1"),
            ("2024_01", "2024.01"),
            ("x:1", "x.1"),
        ] {
            assert_eq!(version_of(package), version);
        }
        let name = "gdb".parse().expect("a name");
        assert_eq!(image_name(&name, "16.3-1", Some("x86-64")), "gdb_16.3-1_x86-64.raw");
        assert_eq!(image_name(&name, "1", None), "gdb_1_any.raw");
    }
}
