//! `SHA256SUMS`: the digests of all files of a store, as sha256sum(1) writes them and systemd-pull reads them.

use std::collections::BTreeMap;

use crate::package::Identity;

/// The name of the list.
pub const SUMS: &str = "SHA256SUMS";

/// The digests of files, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums(pub BTreeMap<String, Identity>);

/// Why bytes are no list of digests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSums {
    /// It is not text.
    #[error("it is not UTF-8")]
    NotText,
    /// It was cut off.
    #[error("its last line has no end")]
    CutOff,
    /// A line that is none of `DIGEST  NAME`.
    #[error("line {0} is no digest and name")]
    Line(usize),
    /// A name that leads elsewhere, or that no terminal should see.
    #[error("line {0} has a name that no file of a store can have")]
    Name(usize),
    /// A name with two digests.
    #[error("'{0}' has two digests")]
    Twice(String),
}

impl Sums {
    /// Reads a list. A name may have directories (systemd 262 takes such), but does not lead out of the store.
    pub fn parse(bytes: &[u8]) -> Result<Sums, BadSums> {
        let text = std::str::from_utf8(bytes).map_err(|_| BadSums::NotText)?;
        let mut sums = BTreeMap::new();
        if text.is_empty() {
            return Ok(Sums(sums));
        }
        let lines = text.strip_suffix('\n').ok_or(BadSums::CutOff)?.split('\n');
        for (number, line) in (1..).zip(lines) {
            let (digest, name) = line.split_at_checked(64).ok_or(BadSums::Line(number))?;
            let digest = Identity::parse(&digest.to_ascii_lowercase()).ok_or(BadSums::Line(number))?;
            let name = name.strip_prefix(' ').and_then(|name| name.strip_prefix([' ', '*']));
            let name = name.ok_or(BadSums::Line(number))?;
            if !is_name(name) {
                return Err(BadSums::Name(number));
            }
            if sums.insert(name.to_owned(), digest).is_some_and(|other| other != digest) {
                return Err(BadSums::Twice(name.to_owned()));
            }
        }
        Ok(Sums(sums))
    }

    /// As it is written: sorted by name.
    pub fn to_text(&self) -> String {
        let lines = self.0.iter().map(|(name, digest)| [&*digest.to_string(), "  ", name, "\n"].concat());
        lines.collect()
    }
}

/// Whether a name can be one of a file in a store, or in a directory of it, and leads nowhere else.
pub(super) fn is_name(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part != "." && part != "..";
    name.split('/').all(is_part) && !name.contains(|letter: char| letter.is_control() || letter == '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_others_are_read_and_ours_are_the_same_again() {
        let digest = Identity::of(b"x");
        let text = format!("{digest} *a.raw\n{digest}  sub/b.raw\n");
        let sums = Sums::parse(text.as_bytes()).expect("a list");
        assert_eq!(sums.0.len(), 2);
        assert_eq!(Sums::parse(sums.to_text().as_bytes()), Ok(sums));
        assert_eq!(Sums::parse(b""), Ok(Sums::default()));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let digest = Identity::of(b"x");
        let other = Identity::of(b"y");
        for (text, problem) in [
            (format!("{digest}  a"), BadSums::CutOff),
            (format!("{digest}  a\n\n"), BadSums::Line(2)),
            (format!("{digest} a\n"), BadSums::Line(1)),
            ("abc  a\n".to_owned(), BadSums::Line(1)),
            (format!("{digest}  ../a\n"), BadSums::Name(1)),
            (format!("{digest}  /a\n"), BadSums::Name(1)),
            (format!("{digest}  a\u{1b}\n"), BadSums::Name(1)),
            (format!("{digest}  a\\b\n"), BadSums::Name(1)),
            (format!("{digest}  a\n{other}  a\n"), BadSums::Twice("a".to_owned())),
        ] {
            assert_eq!(Sums::parse(text.as_bytes()), Err(problem), "{text:?}");
        }
        assert_eq!(Sums::parse(b"\xff\n"), Err(BadSums::NotText));
    }
}
