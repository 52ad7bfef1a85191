//! rpm's versions: `[epoch:]version[-release]` and their order.
//!
//! The rules are rpm's (rpm-version(7), `rpmvercmp` and `rpmver`): a version is a row of segments, each all
//! digits or all ASCII letters; everything else only separates them. `~` sorts before the end of a version,
//! `^` after it and before any further segment.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// A version of rpm's. Two are equal where rpm finds neither newer: `1.0` and `1_0` are.
#[derive(Debug, Clone)]
pub struct Evr<'a> {
    /// The epoch; none counts as 0.
    pub epoch: Option<Cow<'a, str>>,
    /// The version.
    pub version: Cow<'a, str>,
    /// The release, which versions in dependencies may lack.
    pub release: Option<Cow<'a, str>>,
}

impl<'a> Evr<'a> {
    /// Splits a text as rpm does: digits before a `:` are the epoch, what follows the last `-` the release.
    pub fn parse(text: &'a str) -> Evr<'a> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (epoch, rest) = match text[digits..].strip_prefix(':') {
            Some(rest) if digits == 0 => (Some("0"), rest),
            Some(rest) => (Some(&text[..digits]), rest),
            None => (None, text),
        };
        // A dash among the digits of an epoch there cannot be, so the rest is where to look.
        let (version, release) = match rest.rsplit_once('-') {
            Some((version, release)) => (version, Some(release)),
            None => (rest, None),
        };
        Evr { epoch: epoch.map(Cow::from), version: version.into(), release: release.map(Cow::from) }
    }

    /// The same, with its texts its own.
    pub fn into_owned(self) -> Evr<'static> {
        let own = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        Evr { epoch: self.epoch.map(own), version: own(self.version), release: self.release.map(own) }
    }
}

/// As rpm writes it, without an epoch where there is none.
impl fmt::Display for Evr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(epoch) = &self.epoch {
            write!(f, "{epoch}:")?;
        }
        f.write_str(&self.version)?;
        match &self.release {
            Some(release) => write!(f, "-{release}"),
            None => Ok(()),
        }
    }
}

impl Ord for Evr<'_> {
    fn cmp(&self, other: &Evr<'_>) -> Ordering {
        let (own, others) = (self.epoch.as_deref(), other.epoch.as_deref());
        compare_versions(own.unwrap_or("0"), others.unwrap_or("0"))
            .then_with(|| compare_versions(&self.version, &other.version))
            .then_with(|| match (&self.release, &other.release) {
                (Some(own), Some(others)) => compare_versions(own, others),
                (own, others) => own.is_some().cmp(&others.is_some()),
            })
    }
}

impl PartialOrd for Evr<'_> {
    fn partial_cmp(&self, other: &Evr<'_>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Evr<'_> {
    fn eq(&self, other: &Evr<'_>) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Evr<'_> {}

/// Which of two versions is newer, without epochs and releases: `rpmvercmp`.
pub fn compare_versions(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    if one == other {
        return Ordering::Equal;
    }
    loop {
        one = without_separators(one);
        other = without_separators(other);
        // Before the end comes `~`, behind it `^`.
        match (one.first(), other.first()) {
            (Some(b'~'), Some(b'~')) | (Some(b'^'), Some(b'^')) => {
                (one, other) = (&one[1..], &other[1..]);
                continue;
            }
            (Some(b'~'), _) | (None, Some(b'^')) => return Ordering::Less,
            (_, Some(b'~')) | (Some(b'^'), None) => return Ordering::Greater,
            (Some(b'^'), Some(_)) => return Ordering::Less,
            (Some(_), Some(b'^')) => return Ordering::Greater,
            (None, _) | (_, None) => return one.len().cmp(&other.len()),
            _ => {}
        }
        let (segment, rest) = segment(one);
        let (others_segment, others_rest) = segment_like(other, segment[0]);
        match compare_segments(segment, others_segment) {
            Ordering::Equal => (one, other) = (rest, others_rest),
            unequal => return unequal,
        }
    }
}

fn without_separators(text: &[u8]) -> &[u8] {
    let means_nothing = |byte: &u8| !byte.is_ascii_alphanumeric() && !matches!(byte, b'~' | b'^');
    let count = text.iter().take_while(|byte| means_nothing(byte)).count();
    &text[count..]
}

/// The segment at the beginning of a text that begins with one, and the rest.
fn segment(text: &[u8]) -> (&[u8], &[u8]) {
    segment_like(text, text[0])
}

/// The digits, or letters, at the beginning, whichever `like` is; and the rest.
fn segment_like(text: &[u8], like: u8) -> (&[u8], &[u8]) {
    let is_number = like.is_ascii_digit();
    let belongs = |byte: &u8| if is_number { byte.is_ascii_digit() } else { byte.is_ascii_alphabetic() };
    text.split_at(text.iter().take_while(|byte| belongs(byte)).count())
}

/// `other` is empty where it is of the other kind; numbers are newer than letters.
fn compare_segments(one: &[u8], other: &[u8]) -> Ordering {
    let is_number = one[0].is_ascii_digit();
    if other.is_empty() {
        return if is_number { Ordering::Greater } else { Ordering::Less };
    }
    if !is_number {
        return one.cmp(other);
    }
    let significant = |digits: &'_ [u8]| digits.iter().take_while(|byte| **byte == b'0').count();
    let (one, other) = (&one[significant(one)..], &other[significant(other)..]);
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In rpm's own order, equal ones in one line (rpm's tests/rpmvercmp.at, and what people publish).
    const ASCENDING: &[&[&str]] = &[
        &["~"],
        &["", ".", "_"],
        &["^"],
        &["a", "a.", "_a", "a\u{e9}"],
        &["a.0", "a0"],
        &["xyz10"],
        &["0", "00", "0."],
        &["1.0~rc1~git123"],
        &["1.0~rc1"],
        &["1.0~rc1^2"],
        &["1.0~rc2"],
        &["1.0", "1_0", "1.00", "01.0", "1+0"],
        &["1.0^"],
        &["1.0^git1~pre"],
        &["1.0^git1"],
        &["1.0^git2"],
        &["1.0a"],
        &["1.0.1"],
        &["1.0.010", "1.0.10"],
        &["1.1.a"],
        &["1.1.1"],
        &["2"],
        &["99999999999999999999999999"],
        &["100000000000000000000000000"],
    ];

    #[test]
    fn versions_are_in_rpms_order() {
        for (index, ones) in ASCENDING.iter().enumerate() {
            for (others_index, others) in ASCENDING.iter().enumerate() {
                for (one, other) in ones.iter().flat_map(|one| others.iter().map(move |other| (one, other))) {
                    let expected = index.cmp(&others_index);
                    assert_eq!(compare_versions(one, other), expected, "'{one}' and '{other}'");
                }
            }
        }
    }

    #[test]
    fn texts_are_split_and_written_as_they_were() {
        for (text, epoch, version, release) in [
            ("1.0", None, "1.0", None),
            ("1.0-2", None, "1.0", Some("2")),
            ("3:1.0-2", Some("3"), "1.0", Some("2")),
            ("1.0-a-2", None, "1.0-a", Some("2")),
            ("1a:2", None, "1a:2", None),
            ("", None, "", None),
            ("-", None, "", Some("")),
        ] {
            let evr = Evr::parse(text);
            assert_eq!(evr.epoch.as_deref(), epoch, "{text}");
            assert_eq!((&*evr.version, evr.release.as_deref()), (version, release), "{text}");
            assert_eq!(evr.to_string(), text);
            assert_eq!(evr.clone().into_owned(), evr);
        }
        assert_eq!(Evr::parse(":1").to_string(), "0:1");
    }

    #[test]
    fn epochs_come_first_and_no_release_before_any() {
        let ascending = ["1", "1-1", "1-2", "2", "1:0", "1:0-1", "2:0", "10:0"];
        for pair in ascending.windows(2) {
            assert!(Evr::parse(pair[0]) < Evr::parse(pair[1]), "{pair:?}");
        }
        assert_eq!(Evr::parse("0:1-1"), Evr::parse("1-1"));
        assert_eq!(Evr::parse("01:1-1"), Evr::parse("1:1-1"));
    }
}
