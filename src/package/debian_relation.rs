//! Relations between Debian packages: Depends, Conflicts, Provides and their like (deb-control(5)).

use std::cmp::Ordering;
use std::fmt;

use super::{DebianVersion, Error};

/// What one package says of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The other package, or what it provides.
    pub name: String,
    /// Of which architecture.
    pub arch: Qualifier,
    /// In which versions; `None` is in any.
    pub version: Option<(Operator, DebianVersion)>,
}

/// An architecture in a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Qualifier {
    /// None was named: the package's own, or any, as the field has it.
    Implied,
    /// `:any`.
    Any,
    /// `:native`, or one by name.
    Only(String),
}

/// How versions compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Operator {
    /// Whether a version stands so to a wanted one.
    pub fn holds(self, version: &DebianVersion, wanted: &DebianVersion) -> bool {
        let found = version.cmp(wanted);
        match self {
            Operator::Earlier => found == Ordering::Less,
            Operator::EarlierOrEqual => found != Ordering::Greater,
            Operator::Equal => found == Ordering::Equal,
            Operator::LaterOrEqual => found != Ordering::Less,
            Operator::Later => found == Ordering::Greater,
        }
    }

    /// Reads an operator at the beginning; a lone `<` or `>` includes equality, and none is equality.
    fn parse(text: &str) -> (Operator, &str) {
        let known = [
            ("<<", Operator::Earlier),
            ("<=", Operator::EarlierOrEqual),
            (">=", Operator::LaterOrEqual),
            (">>", Operator::Later),
            ("=", Operator::Equal),
            ("<", Operator::EarlierOrEqual),
            (">", Operator::LaterOrEqual),
        ];
        known
            .into_iter()
            .find_map(|(word, operator)| Some((operator, text.strip_prefix(word)?)))
            .unwrap_or((Operator::Equal, text))
    }
}

impl Relation {
    /// Reads a field: all of the outer list must hold, one of each inner list.
    pub fn parse_all(text: &str) -> Result<Vec<Vec<Relation>>, Error> {
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        text.split(',').map(|group| group.split('|').map(Relation::parse).collect()).collect()
    }

    /// Reads one relation.
    pub fn parse(text: &str) -> Result<Relation, Error> {
        let text = text.trim();
        let wrong = |problem| Error::Relation { text: text.to_owned(), problem };
        let (before, version) = match text.split_once('(') {
            Some((before, rest)) => {
                let inside = rest.strip_suffix(')').ok_or_else(|| wrong("does not end with ')'"))?;
                (before.trim_end(), Some(parse_version(inside)?))
            }
            None => (text, None),
        };
        let (name, arch) = match before.split_once(':') {
            Some((name, "any")) => (name, Qualifier::Any),
            Some((name, arch)) if is_word(arch, "-") => (name, Qualifier::Only(arch.to_owned())),
            Some(_) => return Err(wrong("names no architecture after ':'")),
            None => (before, Qualifier::Implied),
        };
        if !is_word(name, "-+._") {
            return Err(wrong("does not begin with a package's name"));
        }
        Ok(Relation { name: name.to_owned(), arch, version })
    }

    /// Whether a version is meant.
    pub fn takes(&self, version: &DebianVersion) -> bool {
        self.version.as_ref().is_none_or(|(operator, wanted)| operator.holds(version, wanted))
    }
}

fn parse_version(inside: &str) -> Result<(Operator, DebianVersion), Error> {
    let (operator, version) = Operator::parse(inside.trim());
    Ok((operator, DebianVersion::parse(version.trim())?))
}

/// Whether a word is of letters and digits and, after the first, of some others.
fn is_word(text: &str, others: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || others.contains(letter))
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operator::Earlier => "<<",
            Operator::EarlierOrEqual => "<=",
            Operator::Equal => "=",
            Operator::LaterOrEqual => ">=",
            Operator::Later => ">>",
        })
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.arch {
            Qualifier::Implied => {}
            Qualifier::Any => f.write_str(":any")?,
            Qualifier::Only(arch) => write!(f, ":{arch}")?,
        }
        match &self.version {
            Some((operator, version)) => write!(f, " ({operator} {version})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_read() {
        for (text, shown) in [
            ("libc6", "libc6"),
            (" libc6  (>=2.36) ", "libc6 (>= 2.36)"),
            ("python3:any (>= 3.11~)", "python3:any (>= 3.11~)"),
            ("libc6:i386(<<1:2-3)", "libc6:i386 (<< 1:2-3)"),
            ("a (< 1)", "a (<= 1)"),
            ("a (> 1)", "a (>= 1)"),
            ("a (1)", "a (= 1)"),
            ("g++", "g++"),
        ] {
            let relation = Relation::parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(relation.to_string(), shown);
            assert_eq!(Relation::parse(shown).as_ref(), Ok(&relation));
        }
    }

    #[test]
    fn fields_are_alternatives_in_a_list() {
        let all = Relation::parse_all("a (>= 1) | b,\n c:any").expect("it is right");
        let shown: Vec<Vec<String>> =
            all.iter().map(|group| group.iter().map(Relation::to_string).collect()).collect();
        assert_eq!(shown, [vec!["a (>= 1)", "b"], vec!["c:any"]]);
        assert_eq!(Relation::parse_all(" "), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_relation_is_refused() {
        for text in
            ["", "a,", "a||b", "a (>= 1", "a (>= 1) b", "a ()", "a:", "a:b c", "-a", "ä", "a b", "a (>= 1 2)"]
        {
            assert!(Relation::parse_all(&format!("{text},x")).is_err(), "{text}");
        }
    }

    #[test]
    fn operators_hold_as_their_signs_say() {
        let version = |text| DebianVersion::parse(text).expect("a version");
        for (operator, expected) in [
            (Operator::Earlier, [true, false, false]),
            (Operator::EarlierOrEqual, [true, true, false]),
            (Operator::Equal, [false, true, false]),
            (Operator::LaterOrEqual, [false, true, true]),
            (Operator::Later, [false, false, true]),
        ] {
            let found = ["1", "2", "3"].map(|text| operator.holds(&version(text), &version("2")));
            assert_eq!(found, expected, "{operator}");
        }
    }
}
