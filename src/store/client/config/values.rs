//! What the files say, key by key, with the line where it stands: a later file takes the place of single keys of earlier ones.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Error;

/// So much of a line is shown that makes no sense.
const LONGEST_QUOTE: usize = 80;

/// Where something stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    file: PathBuf,
    line: usize,
}

/// A word, a number and the like, as far as they occur here.
#[derive(Debug, Clone)]
enum Value {
    Word(String),
    Words(Vec<(String, Place)>),
    Number(i64),
    Truth(bool),
    Other,
}

/// Keys that nobody has asked for yet.
#[derive(Debug, Default)]
pub(super) struct Table(BTreeMap<String, (Value, Place)>);

/// All that is said.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Outside of any table.
    pub(super) top: Table,
    /// The tables of stores, and where they began.
    pub(super) stores: BTreeMap<String, (Table, Place)>,
}

impl Place {
    /// The error that something there is wrong.
    pub(super) fn wrong(&self, why: String) -> Error {
        Error::Config { path: self.file.clone(), line: self.line, why }
    }
}

impl Said {
    /// Adds what a file says.
    pub(super) fn read(&mut self, file: &Path, text: &[u8]) -> Result<(), Error> {
        let place = |line| Place { file: file.to_owned(), line };
        let text = std::str::from_utf8(text).map_err(|_| place(1).wrong("it is not UTF-8".to_owned()))?;
        let at = |start: usize| place(text.get(..start).unwrap_or(text).matches('\n').count() + 1);
        let parsed = DeTable::parse(text).map_err(|error| {
            let words = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
            let place = at(error.span().map_or(0, |span| span.start));
            // Its words alone, as "invalid digit found in string", do not say of what.
            let line = text.lines().nth(place.line - 1).unwrap_or_default();
            place.wrong(format!("{words}: {}", quoted(line)))
        })?;
        for (key, value) in parsed.get_ref() {
            let place = at(key.span().start);
            match (&**key.get_ref(), value.get_ref()) {
                ("store", DeValue::Table(stores)) => self.read_stores(stores, &at)?,
                ("store", _) => return Err(place.wrong("store is a table: [store.NAME]".to_owned())),
                (name, value) => drop(self.top.0.insert(name.to_owned(), (Value::of(value, &at), place))),
            }
        }
        Ok(())
    }

    fn read_stores(&mut self, stores: &DeTable<'_>, at: &dyn Fn(usize) -> Place) -> Result<(), Error> {
        for (name, value) in stores {
            let place = at(name.span().start);
            let DeValue::Table(keys) = value.get_ref() else {
                return Err(place.wrong(format!("store.{} is no table: [store.NAME]", name.get_ref())));
            };
            let known = self.stores.entry(name.get_ref().to_string());
            let (table, _) = known.or_insert_with(|| (Table::default(), place));
            for (key, value) in keys {
                let value = (Value::of(value.get_ref(), at), at(key.span().start));
                table.0.insert(key.get_ref().to_string(), value);
            }
        }
        Ok(())
    }
}

/// What is shown of a line that makes no sense. A header is a secret.
fn quoted(line: &str) -> String {
    let line = line.trim();
    let shown = if line.starts_with("header") { line.split('=').next().unwrap_or_default() } else { line };
    shown.chars().take(LONGEST_QUOTE).collect()
}

impl Value {
    fn of(value: &DeValue<'_>, at: &dyn Fn(usize) -> Place) -> Value {
        match value {
            DeValue::String(word) => Value::Word(word.to_string()),
            DeValue::Boolean(is) => Value::Truth(*is),
            DeValue::Integer(number) => {
                i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Other, Value::Number)
            }
            DeValue::Array(items) => {
                let word = |item: &Spanned<DeValue<'_>>| {
                    Some((item.get_ref().as_str()?.to_owned(), at(item.span().start)))
                };
                items.iter().map(word).collect::<Option<_>>().map_or(Value::Other, Value::Words)
            }
            _ => Value::Other,
        }
    }
}

impl Table {
    /// A word.
    pub(super) fn word(&mut self, key: &str) -> Result<Option<(String, Place)>, Error> {
        match self.0.remove(key) {
            None => Ok(None),
            Some((Value::Word(word), place)) => Ok(Some((word, place))),
            Some((_, place)) => Err(place.wrong(format!("{key} is a text in quotation marks"))),
        }
    }

    /// Words, or one alone.
    pub(super) fn words(&mut self, key: &str) -> Result<Vec<(String, Place)>, Error> {
        match self.0.remove(key) {
            None => Ok(Vec::new()),
            Some((Value::Word(word), place)) => Ok(vec![(word, place)]),
            Some((Value::Words(words), _)) => Ok(words),
            Some((_, place)) => {
                Err(place.wrong(format!("{key} is a text in quotation marks, or a list of such")))
            }
        }
    }

    /// A number of some.
    pub(super) fn number(&mut self, key: &str, allowed: RangeInclusive<u32>) -> Result<Option<u32>, Error> {
        let Some((value, place)) = self.0.remove(key) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => u32::try_from(number).ok().filter(|number| allowed.contains(number)),
            _ => None,
        };
        let (least, most) = (allowed.start(), allowed.end());
        number.map(Some).ok_or_else(|| place.wrong(format!("{key} is a number from {least} to {most}")))
    }

    /// Whether something is so.
    pub(super) fn truth(&mut self, key: &str) -> Result<Option<bool>, Error> {
        match self.0.remove(key) {
            None => Ok(None),
            Some((Value::Truth(is), _)) => Ok(Some(is)),
            Some((_, place)) => Err(place.wrong(format!("{key} is true or false"))),
        }
    }

    /// The same, to be said with what is missing, which may be meant.
    pub(super) fn unknown_in_short(&self) -> String {
        let word = |(key, (_, place)): (&String, &(Value, Place))| format!("'{key}' (line {})", place.line);
        let words: Vec<String> = self.0.iter().map(word).collect();
        if words.is_empty() { String::new() } else { format!("; not known: {}", words.join(", ")) }
    }

    /// What nobody has asked for, in words.
    pub(super) fn unknown(&self) -> Vec<String> {
        let words = |(key, (_, place)): (&String, &(Value, Place))| {
            format!("{}, line {}: '{key}' is not known, and not heeded", place.file.display(), place.line)
        };
        self.0.iter().map(words).collect()
    }
}
