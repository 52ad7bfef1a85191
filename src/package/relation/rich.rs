//! Rich (boolean) dependencies, as rpm's `rpmrichParse` reads them.
//!
//! ```text
//! rich = "(" part { operator part } ")"
//! part = rich | name [ sign version ]
//! ```
//!
//! Blanks and commas separate. Only `and`, `or` and `with` can be repeated, and no two operators mix, but
//! for `else` after `if` or `unless`.

use std::collections::HashSet;
use std::hash::Hash;

use super::{Relation, Sense};
use crate::package::Evr;

/// Nesting deeper than this is refused. What people write has three levels; rpm itself knows no limit.
const DEEPEST: usize = 64;

/// What stands between two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Both.
    And,
    /// Either.
    Or,
    /// The first where the second is there.
    If,
    /// The first where the second is not there.
    Unless,
    /// And where it is the other way round, the third.
    Else,
    /// Both, by one package.
    With,
    /// The first, by a package that is not the second.
    Without,
}

impl Operator {
    fn parse(word: &str) -> Option<Operator> {
        Some(match word {
            "and" => Operator::And,
            "or" => Operator::Or,
            "if" => Operator::If,
            "unless" => Operator::Unless,
            "else" => Operator::Else,
            "with" => Operator::With,
            "without" => Operator::Without,
            _ => return None,
        })
    }

    fn is_condition(self) -> bool {
        matches!(self, Operator::If | Operator::Unless)
    }
}

/// A rich dependency or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rich<'a> {
    /// A plain relation.
    One(Relation<'a>),
    /// Parts in parentheses: one, and any number of others with their operators.
    Group {
        /// The first part.
        first: Box<Rich<'a>>,
        /// What follows.
        rest: Vec<(Operator, Rich<'a>)>,
    },
}

/// Why a text is no rich dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RichError {
    /// It does not begin with a parenthesis.
    #[error("a rich dependency begins with '('")]
    NotRich,
    /// A part is missing.
    #[error("a part is missing in a rich dependency")]
    MissingPart,
    /// A sign is not followed by a version.
    #[error("a version is missing in a rich dependency")]
    MissingVersion,
    /// A word between two parts is no operator.
    #[error("a rich dependency has an unknown operator")]
    UnknownOperator,
    /// Operators are mixed, or one is repeated that cannot be.
    #[error("a rich dependency mixes operators, or repeats one that cannot be repeated")]
    MixedOperators,
    /// The last parenthesis is missing.
    #[error("a rich dependency is not closed")]
    Unterminated,
    /// It has more levels than anybody writes.
    #[error("a rich dependency is nested too deep")]
    TooDeep,
}

impl<'a> Rich<'a> {
    /// Reads a rich dependency at the beginning of a text, as rpm does for its index: what comes after
    /// the last parenthesis is not looked at.
    pub fn parse(text: &'a str) -> Result<Rich<'a>, RichError> {
        let mut parser = Parser { rest: text };
        parser.group(DEEPEST)
    }

    /// The names for which rpm's database has a row each besides that of the whole text: of all parts,
    /// sorted, each once; with a `!` in front where more of them would make it less satisfied
    /// (`updateRichDep`).
    pub fn index_names(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut negated = false;
        self.collect(&mut negated, &mut found);
        // rpm sorts while plain names have a blank where others have their '!'.
        found.sort();
        found.dedup();
        found.into_iter().map(|name| name.strip_prefix(' ').map(str::to_owned).unwrap_or(name)).collect()
    }

    /// Whether it holds where `providers` tells who provides a plain relation (rpm's `unsatisfiedDepend`).
    pub fn holds<P: Eq + Hash>(&self, providers: &dyn Fn(&Relation<'_>) -> HashSet<P>) -> bool {
        let (first, rest) = match self {
            // What rpm itself can do is no package's affair.
            Rich::One(relation) => {
                return relation.name.starts_with("rpmlib(") || !providers(relation).is_empty();
            }
            Rich::Group { first, rest } => (first, rest),
        };
        let holds = |part: &Rich<'_>| part.holds(providers);
        let otherwise = || rest.get(1).map(|(_, part)| holds(part));
        match rest.first() {
            Some((Operator::And, _)) => holds(first) && rest.iter().all(|(_, part)| holds(part)),
            Some((Operator::Or, _)) => holds(first) || rest.iter().any(|(_, part)| holds(part)),
            Some((Operator::If, condition)) if holds(condition) => holds(first),
            Some((Operator::If, _)) => otherwise().unwrap_or(true),
            Some((Operator::Unless, condition)) if holds(condition) => otherwise().unwrap_or(false),
            None | Some((Operator::Unless | Operator::Else, _)) => holds(first),
            Some((Operator::With | Operator::Without, _)) => !self.who(providers).is_empty(),
        }
    }

    /// Which packages are meant, each by itself (rpm's `unsatisfiedDependSet`).
    fn who<P: Eq + Hash>(&self, providers: &dyn Fn(&Relation<'_>) -> HashSet<P>) -> HashSet<P> {
        let (first, rest) = match self {
            Rich::One(relation) => return providers(relation),
            Rich::Group { first, rest } => (first, rest),
        };
        let mut found = first.who(providers);
        for (operator, part) in rest {
            let others = part.who(providers);
            match operator {
                Operator::With => found.retain(|package| others.contains(package)),
                Operator::Without => found.retain(|package| !others.contains(package)),
                Operator::Or => found.extend(others),
                // rpm finds nobody: these are about more than one package.
                Operator::And | Operator::If | Operator::Unless | Operator::Else => return HashSet::new(),
            }
        }
        found
    }

    /// Its plain relations.
    pub fn relations(&self) -> Vec<&Relation<'a>> {
        match self {
            Rich::One(relation) => vec![relation],
            Rich::Group { first, rest } => {
                let parts = rest.iter().map(|(_, part)| part);
                std::iter::once(&**first).chain(parts).flat_map(Rich::relations).collect()
            }
        }
    }

    fn collect(&self, negated: &mut bool, found: &mut Vec<String>) {
        match self {
            Rich::One(relation) => {
                // Features of rpm; a plain `rpmlib(` is a name like any other.
                if !(relation.name.starts_with("rpmlib(") && relation.name.len() > "rpmlib(".len()) {
                    found.push(format!("{}{}", if *negated { '!' } else { ' ' }, relation.name));
                }
            }
            Rich::Group { first, rest } => {
                let mut condition = found.len();
                first.collect(negated, found);
                for (operator, part) in rest {
                    if operator.is_condition() {
                        condition = found.len();
                        *negated = !*negated;
                    } else if *operator == Operator::Else {
                        // What is asked in between counts both ways.
                        let turned: Vec<String> = found[condition..].iter().map(|name| turn(name)).collect();
                        found.extend(turned);
                        *negated = !*negated;
                    }
                    part.collect(negated, found);
                }
                if rest.last().is_some_and(|(operator, _)| operator.is_condition()) {
                    *negated = !*negated;
                }
            }
        }
    }
}

fn turn(name: &str) -> String {
    match name.strip_prefix('!') {
        Some(plain) => format!(" {plain}"),
        None => format!("!{}", &name[1..]),
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn group(&mut self, depth: usize) -> Result<Rich<'a>, RichError> {
        self.rest = self.rest.strip_prefix('(').ok_or(RichError::NotRich)?;
        let depth = depth.checked_sub(1).ok_or(RichError::TooDeep)?;
        let first = Box::new(self.part(depth)?);
        let mut rest = Vec::new();
        let mut chained = None;
        while !self.closes()? {
            let operator = self.operator()?;
            if operator == Operator::Else && chained.is_some_and(Operator::is_condition) {
                chained = None;
            }
            let repeats = matches!(operator, Operator::And | Operator::Or | Operator::With);
            if chained.is_some_and(|before| before != operator || !repeats) {
                return Err(RichError::MixedOperators);
            }
            chained = Some(operator);
            rest.push((operator, self.part(depth)?));
        }
        Ok(Rich::Group { first, rest })
    }

    fn part(&mut self, depth: usize) -> Result<Rich<'a>, RichError> {
        self.skip_blanks();
        match self.rest.bytes().next() {
            Some(b')') => Err(RichError::MissingPart),
            Some(b'(') => self.group(depth),
            _ => self.relation().map(Rich::One),
        }
    }

    fn relation(&mut self) -> Result<Relation<'a>, RichError> {
        let name = self.word();
        if name.is_empty() {
            return Err(RichError::MissingPart);
        }
        self.skip_blanks();
        let mut ahead = Parser { rest: self.rest };
        let Some(sense) = Sense::parse(ahead.word()) else { return Ok(Relation::any(name)) };
        ahead.skip_blanks();
        let version = ahead.word();
        self.rest = ahead.rest;
        if version.is_empty() {
            return Err(RichError::MissingVersion);
        }
        Ok(Relation { name: name.into(), sense, evr: Some(Evr::parse(version)) })
    }

    fn operator(&mut self) -> Result<Operator, RichError> {
        let length = self.rest.bytes().take_while(|byte| !is_blank(*byte) && *byte != b')').count();
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        Operator::parse(word).ok_or(RichError::UnknownOperator)
    }

    /// Whether the group ends here, which is then behind us.
    fn closes(&mut self) -> Result<bool, RichError> {
        self.skip_blanks();
        if self.rest.is_empty() {
            return Err(RichError::Unterminated);
        }
        match self.rest.strip_prefix(')') {
            Some(rest) => {
                self.rest = rest;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn skip_blanks(&mut self) {
        let count = self.rest.bytes().take_while(|byte| is_separator(*byte)).count();
        self.rest = &self.rest[count..];
    }

    /// Up to a separator, or to a parenthesis that was not opened in it.
    fn word(&mut self) -> &'a str {
        let mut open = 0;
        let mut belongs = |byte: &u8| {
            match byte {
                b'(' => open += 1,
                b')' if open == 0 => return false,
                b')' => open -= 1,
                byte if is_separator(*byte) => return false,
                _ => {}
            }
            true
        };
        let length = self.rest.as_bytes().iter().take_while(|byte| belongs(byte)).count();
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        word
    }
}

/// rpm's `risspace`.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn is_separator(byte: u8) -> bool {
    is_blank(byte) || byte == b','
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_of_rpms_index() {
        for (text, names) in [
            ("(a and b)", &["a", "b"][..]),
            ("(b >= 1 or a < 2 or c)", &["a", "b", "c"]),
            ("(a if b)", &["!b", "a"]),
            ("(a unless b)", &["!b", "a"]),
            // The condition counts both ways, the two outcomes only plainly.
            ("(a if b else c)", &["a", "b", "!b", "c"]),
            ("(a if (b if c))", &["a", "c", "!b"]),
            ("((a if b) and c)", &["!b", "a", "c"]),
            ("(a with b without c)", &[]),
            ("(a and a)", &["a"]),
            ("(rpmlib(X) and a)", &["a"]),
            ("(lib.so()(64bit) or a,b)", &[]),
            ("(lib.so()(64bit) or a) junk", &["a", "lib.so()(64bit)"]),
            ("(a)", &["a"]),
        ] {
            let parsed = Rich::parse(text);
            let mut expected: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            expected.sort();
            let mut found = parsed.as_ref().map(Rich::index_names).unwrap_or_default();
            found.sort();
            assert_eq!(found, expected, "{text}: {parsed:?}");
        }
    }

    #[test]
    fn they_hold_as_in_rpms_manual() {
        // Packages are numbered; who has `xy` provides both.
        let packages = ["a", "b", "xy", "y"];
        let who = |relation: &Relation<'_>| -> HashSet<usize> {
            let has = |(_, package): &(usize, &&str)| package.contains(&*relation.name);
            packages.iter().enumerate().filter(has).map(|(number, _)| number).collect()
        };
        for (text, expected) in [
            ("(a)", true),
            ("(n)", false),
            ("(a and b)", true),
            ("(a and b and n)", false),
            ("(n or m or b)", true),
            ("(n or m)", false),
            ("(a if b)", true),
            ("(n if b)", false),
            ("(n if m)", true),
            ("(n if b else a)", false),
            ("(n if m else a)", true),
            ("(a if m else n)", false),
            ("(a unless n)", true),
            ("(a unless b)", false),
            ("(n unless m)", false),
            ("(n unless b else a)", true),
            ("(a unless b else n)", false),
            ("(x with y)", true),
            ("(a with y)", false),
            ("(x with y with a)", false),
            ("(y without x)", true),
            ("(x without y)", false),
            ("(a without n)", true),
            ("((a or x) with y)", true),
            ("((a and x) with y)", false),
            ("(n or (x with y))", true),
            ("((n if b) or a)", true),
            ("(rpmlib(RichDependencies) and a)", true),
            ("(a and (b or n))", true),
        ] {
            assert_eq!(Rich::parse(text).expect("a good one").holds(&who), expected, "{text}");
        }
    }

    #[test]
    fn what_rpm_refuses_is_refused() {
        for (text, error) in [
            ("a", RichError::NotRich),
            ("()", RichError::MissingPart),
            ("(a and)", RichError::MissingPart),
            ("(a", RichError::Unterminated),
            ("(a and b", RichError::Unterminated),
            ("(a >= )", RichError::MissingVersion),
            ("(a xor b)", RichError::UnknownOperator),
            ("(a and b or c)", RichError::MixedOperators),
            ("(a if b if c)", RichError::MixedOperators),
        ] {
            assert_eq!(Rich::parse(text), Err(error), "{text}");
        }
        // Whatever it may mean, rpm takes it.
        assert!(Rich::parse("(a else b)").is_ok());
        let deep = format!("{}a{}", "(".repeat(5000), ")".repeat(5000));
        assert_eq!(Rich::parse(&deep), Err(RichError::TooDeep));
    }

    #[test]
    fn no_text_brings_it_down() {
        let mut random = fastrand::Rng::with_seed(3);
        let parts = ["(", ")", " ", ",", "a", "if", "else", "and", "é", ">=", "1", "rpmlib(", "unless"];
        for _ in 0..20_000 {
            let text: String =
                (0..random.usize(0..12)).map(|_| parts[random.usize(0..parts.len())]).collect();
            if let Ok(rich) = Rich::parse(&text) {
                rich.index_names();
                rich.holds(&|relation| HashSet::from([relation.name.len()]));
            }
        }
    }
}
