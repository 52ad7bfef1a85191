//! Versions of Debian packages and their order (deb-version(7)).

use std::cmp::Ordering;
use std::fmt;
use std::num::IntErrorKind;

use super::Error;

/// `[epoch:]upstream[-revision]`. Versions that are written differently can be equal: `1.0` and `0:1.00-0`.
#[derive(Clone)]
pub struct DebianVersion {
    text: String,
    epoch: u32,
    /// Where the upstream version begins, and where it ends.
    upstream: (usize, usize),
}

impl DebianVersion {
    /// Reads a version as dpkg does from its database: what it only warns of (letters that should not be
    /// there, an upstream version that begins with no digit) is taken.
    pub fn parse(text: &str) -> Result<DebianVersion, Error> {
        let text = text.trim_matches([' ', '\t']);
        let wrong = |problem| Error::Version { text: text.to_owned(), problem };
        if text.is_empty() {
            return Err(wrong("is empty"));
        }
        if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
            return Err(wrong("has blanks inside"));
        }
        let (epoch, begin) = match text.split_once(':') {
            Some((epoch, _)) => (parse_epoch(epoch).map_err(wrong)?, epoch.len() + 1),
            None => (0, 0),
        };
        let end = text[begin..].rfind('-').map_or(text.len(), |at| begin + at);
        if begin == text.len() {
            return Err(wrong("has nothing after the colon"));
        }
        if end == begin {
            return Err(wrong("has no upstream version"));
        }
        if end + 1 == text.len() {
            return Err(wrong("has an empty revision"));
        }
        Ok(DebianVersion { text: text.to_owned(), epoch, upstream: (begin, end) })
    }

    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn upstream(&self) -> &[u8] {
        &self.text.as_bytes()[self.upstream.0..self.upstream.1]
    }

    /// The revision; none is the same as `0`.
    fn revision(&self) -> &[u8] {
        self.text.as_bytes().get(self.upstream.1 + 1..).unwrap_or_default()
    }
}

/// An epoch fits a C `int`, and is read as C does, in dpkg too.
fn parse_epoch(text: &str) -> Result<u32, &'static str> {
    match text.parse::<u32>() {
        Ok(epoch) if i32::try_from(epoch).is_ok() => Ok(epoch),
        Err(error) if *error.kind() != IntErrorKind::PosOverflow => Err("has an epoch that is no number"),
        _ => Err("has an epoch that is too large"),
    }
}

impl Ord for DebianVersion {
    fn cmp(&self, other: &DebianVersion) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_part(self.upstream(), other.upstream()))
            .then_with(|| compare_part(self.revision(), other.revision()))
    }
}

/// By turns a part without digits, where `~` comes before the end and letters before all else, and a number.
fn compare_part(mut one: &[u8], mut other: &[u8]) -> Ordering {
    while !one.is_empty() || !other.is_empty() {
        let (words, numbers) =
            (leading(one, |byte| !byte.is_ascii_digit()), |rest| leading(rest, |byte| byte.is_ascii_digit()));
        let other_words = leading(other, |byte| !byte.is_ascii_digit());
        let found = compare_words(&one[..words], &other[..other_words]);
        if found.is_ne() {
            return found;
        }
        (one, other) = (&one[words..], &other[other_words..]);
        let (digits, other_digits) = (numbers(one), numbers(other));
        let found = compare_numbers(&one[..digits], &other[..other_digits]);
        if found.is_ne() {
            return found;
        }
        (one, other) = (&one[digits..], &other[other_digits..]);
    }
    Ordering::Equal
}

/// How many bytes at the beginning are such.
fn leading(text: &[u8], is_such: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|byte| !is_such(*byte)).unwrap_or(text.len())
}

fn compare_words(one: &[u8], other: &[u8]) -> Ordering {
    let length = one.len().max(other.len());
    let weigh = |text: &[u8], at: usize| text.get(at).map_or(0, |byte| weight(*byte));
    (0..length)
        .map(|at| weigh(one, at).cmp(&weigh(other, at)))
        .find(|found| found.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// The end of a part weighs 0.
fn weight(byte: u8) -> i32 {
    match byte {
        b'~' => -1,
        _ if byte.is_ascii_alphabetic() => i32::from(byte),
        _ => i32::from(byte) + 256,
    }
}

/// Numbers of any length.
fn compare_numbers(one: &[u8], other: &[u8]) -> Ordering {
    let significant = |digits: &[u8]| leading(digits, |byte| byte == b'0');
    let (one, other) = (&one[significant(one)..], &other[significant(other)..]);
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

impl PartialOrd for DebianVersion {
    fn partial_cmp(&self, other: &DebianVersion) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for DebianVersion {
    fn eq(&self, other: &DebianVersion) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for DebianVersion {}

impl fmt::Display for DebianVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for DebianVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> DebianVersion {
        DebianVersion::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Against real dpkg: `dpkgdb::versions_are_ordered_as_by_dpkg`.
    #[test]
    fn versions_have_an_order() {
        let ordered = [
            "0~~",
            "0~",
            "0",
            "0a",
            "0+",
            "0.",
            "0.1~rc1",
            "0.1",
            "1a",
            "1-b-1",
            "1.0~",
            "1.0",
            "1.0-0.1",
            "1.0-1~bpo12+1",
            "1.0-1",
            "1.0-1+b1",
            "1.0.1-1",
            "1.9",
            "1.10",
            "2-1-1",
            "12345678901234567890",
            "1:0",
            "1:0:1",
            "2:0",
            "10:0",
        ];
        for (index, lower) in ordered.iter().enumerate() {
            assert_eq!(version(lower).cmp(&version(lower)), Ordering::Equal, "{lower}");
            for higher in &ordered[index + 1..] {
                assert_eq!(version(lower).cmp(&version(higher)), Ordering::Less, "{lower} < {higher}");
                assert_eq!(version(higher).cmp(&version(lower)), Ordering::Greater, "{higher} > {lower}");
            }
        }
    }

    #[test]
    fn versions_can_be_written_in_several_ways() {
        for (one, other) in
            [("1.0", "0:1.0"), ("1.0", "1.0-0"), ("1.01", "1.1"), ("1.a0", "1.a"), (" 1\t", "1")]
        {
            assert_eq!(version(one), version(other));
        }
        assert_eq!(version("1:2.0-3+b1").to_string(), "1:2.0-3+b1");
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for (text, problem) in [
            ("", "is empty"),
            ("  ", "is empty"),
            ("1 2", "has blanks inside"),
            ("1\n2", "has blanks inside"),
            ("a:1", "has an epoch that is no number"),
            (":1", "has an epoch that is no number"),
            ("-1:1", "has an epoch that is no number"),
            ("2147483648:1", "has an epoch that is too large"),
            ("99999999999:1", "has an epoch that is too large"),
            ("1:", "has nothing after the colon"),
            ("1:-1", "has no upstream version"),
            ("1-", "has an empty revision"),
        ] {
            let expected = Error::Version { text: text.trim_matches([' ', '\t']).to_owned(), problem };
            assert_eq!(DebianVersion::parse(text).err(), Some(expected), "{text}");
        }
    }
}
