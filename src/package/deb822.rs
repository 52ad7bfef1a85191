//! Stanzas of fields, as dpkg and apt keep them (deb822(5)), over bytes: what is read is written again byte
//! for byte.
//!
//! ```text
//! Package: strace          a field: name, colon, value
//! Conffiles:               a value may begin on the next line
//!  /etc/x 0123…            lines that begin with a blank continue it
//!                          an empty line ends the stanza
//! ```
//!
//! As in dpkg's own parser (lib/dpkg/parse.c), a field that comes twice, a line of blanks alone inside of a
//! value, and an end without a newline are errors. There are no comments.

use super::Error;

/// All stanzas of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// Empty lines before the first stanza.
    before: usize,
    /// The stanzas in their order.
    pub stanzas: Vec<Stanza>,
}

/// Fields that describe one thing. Stanzas of the same lines are equal, wherever they were found.
#[derive(Debug, Clone)]
pub struct Stanza {
    text: Vec<u8>,
    fields: Vec<Field>,
    /// Empty lines after it.
    after: usize,
    line: usize,
}

/// Where a field is in its stanza's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    begin: usize,
    colon: usize,
    end: usize,
}

/// More fields than any stanza has; looking for duplicates stays cheap.
const MOST_FIELDS: usize = 1024;

impl Document {
    /// Reads a file's stanzas.
    pub fn parse(text: &[u8]) -> Result<Document, Error> {
        let mut document = Document::default();
        let mut open: Option<Stanza> = None;
        for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if line == b"\n" {
                document.stanzas.extend(open.take());
                match document.stanzas.last_mut() {
                    Some(last) => last.after += 1,
                    None => document.before += 1,
                }
            } else {
                open.get_or_insert_with(|| Stanza::empty(index + 1)).take_line(line, index + 1)?;
            }
        }
        document.stanzas.extend(open);
        Ok(document)
    }

    /// A document of stanzas, with one empty line after each, as dpkg and apt write it.
    pub fn of(stanzas: impl IntoIterator<Item = Stanza>) -> Document {
        let spaced = stanzas.into_iter().map(|stanza| Stanza { after: 1, ..stanza });
        Document { before: 0, stanzas: spaced.collect() }
    }

    /// The file's text.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = vec![b'\n'; self.before];
        for stanza in &self.stanzas {
            text.extend_from_slice(&stanza.text);
            text.resize(text.len() + stanza.after, b'\n');
        }
        text
    }
}

impl Stanza {
    /// A stanza without fields, that begins at a line of its file.
    fn empty(line: usize) -> Stanza {
        Stanza { text: Vec::new(), fields: Vec::new(), after: 0, line }
    }

    /// A stanza of these fields.
    pub fn of<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Stanza {
        let mut stanza = Stanza::empty(1);
        for (name, value) in fields {
            stanza.set(name, value.as_bytes());
        }
        stanza
    }

    /// The line of the file at which it was found, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The stanza's lines.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The value of a field, whose name is looked for in upper and lower case alike. Blanks around it are
    /// none of it; its lines are as they were written.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.find(name).map(|index| self.value(self.fields[index]))
    }

    /// The value of a field where that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Names and values in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| (self.name(*field), self.value(*field)))
    }

    /// Gives a field a value, in its place or after all others. A value of several lines has its blanks at
    /// the beginning of each but the first.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        let blank: &[u8] = if value.starts_with(b"\n") || value.is_empty() { b"" } else { b" " };
        let line = [name.as_bytes(), b":", blank, value, b"\n"].concat();
        let (begin, index) = match self.find(name) {
            Some(index) => (self.fields[index].begin, index),
            None => (self.text.len(), self.fields.len()),
        };
        self.remove(name);
        self.text.splice(begin..begin, line.iter().copied());
        for field in self.fields.iter_mut().skip(index) {
            *field = field.moved(line.len(), 0);
        }
        self.fields.insert(index, Field { begin, colon: begin + name.len(), end: begin + line.len() });
    }

    /// Takes a field away, where it is there.
    pub fn remove(&mut self, name: &str) {
        let Some(index) = self.find(name) else { return };
        let field = self.fields.remove(index);
        self.text.drain(field.begin..field.end);
        for later in self.fields.iter_mut().skip(index) {
            *later = later.moved(0, field.end - field.begin);
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| self.name(*field).eq_ignore_ascii_case(name.as_bytes()))
    }

    fn name(&self, field: Field) -> &[u8] {
        self.text[field.begin..field.colon].trim_ascii_end()
    }

    fn value(&self, field: Field) -> &[u8] {
        let value = self.text[field.colon + 1..field.end].trim_ascii_end();
        let first = value.iter().position(|byte| *byte == b'\n' || !byte.is_ascii_whitespace());
        &value[first.unwrap_or(value.len())..]
    }

    fn take_line(&mut self, line: &[u8], number: usize) -> Result<(), Error> {
        let wrong = |problem| Err(Error::Line { line: number, problem });
        if !line.ends_with(b"\n") {
            return wrong("is the last and has no newline");
        }
        let begin = self.text.len();
        let end = begin + line.len();
        if line[0].is_ascii_whitespace() {
            if line.trim_ascii().is_empty() {
                return wrong("has nothing but blanks");
            }
            let Some(last) = self.fields.last_mut() else { return wrong("continues no field") };
            last.end = end;
        } else {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                return wrong("has no colon");
            };
            let name = line[..colon].trim_ascii_end();
            if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
                return wrong("does not begin with a field's name");
            }
            if self.fields.iter().any(|field| self.name(*field).eq_ignore_ascii_case(name)) {
                return wrong("gives a field a second value");
            }
            if self.fields.len() == MOST_FIELDS {
                return wrong("is one field too many");
            }
            self.fields.push(Field { begin, colon: begin + colon, end });
        }
        self.text.extend_from_slice(line);
        Ok(())
    }
}

impl PartialEq for Stanza {
    fn eq(&self, other: &Stanza) -> bool {
        self.text == other.text
    }
}

impl Eq for Stanza {}

impl Field {
    fn moved(self, ahead: usize, back: usize) -> Field {
        let by = |position: usize| position + ahead - back;
        Field { begin: by(self.begin), colon: by(self.colon), end: by(self.end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] =
        b"Package: a\nConffiles:\n /etc/a 1\n /etc/b 2\nEmpty:\nVersion : 1 \n\nPackage:b\nX-x: \xfe\n\n";

    fn parse(text: &[u8]) -> Document {
        Document::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn values_are_found() {
        let document = parse(TWO);
        let [a, b] = &document.stanzas[..] else { panic!("{document:?}") };
        assert_eq!(a.text("package"), Some("a"));
        assert_eq!(a.text("Conffiles"), Some("\n /etc/a 1\n /etc/b 2"));
        assert_eq!(a.text("Empty"), Some(""));
        assert_eq!(a.text("VERSION"), Some("1"));
        assert_eq!(a.text("Pack"), None);
        assert_eq!((a.line(), b.line()), (1, 8));
        assert_eq!(b.fields().collect::<Vec<_>>(), [(&b"Package"[..], &b"b"[..]), (b"X-x", b"\xfe")]);
    }

    #[test]
    fn what_is_read_is_written_again() {
        for text in [TWO, b"", b"\n", b"\n\n\nA: 1\n", b"A: 1\n\n\n\nB: 2\n\n", b"A:1\n\tx\n"] {
            assert_eq!(parse(text).to_bytes(), text);
        }
        assert_eq!(Document::of(parse(b"\nA: 1\n\n\nB: 2\n").stanzas).to_bytes(), b"A: 1\n\nB: 2\n\n");
    }

    #[test]
    fn fields_are_set_and_removed() {
        let mut stanza = Stanza::of([("A", "1"), ("B", "\n 2\n 3"), ("C", "4")]);
        stanza.set("b", b"longer than before");
        stanza.set("D", b"5");
        stanza.set("A", b"");
        assert_eq!(stanza.as_bytes(), b"A:\nb: longer than before\nC: 4\nD: 5\n");
        stanza.remove("B");
        stanza.remove("nothing");
        assert_eq!(stanza.as_bytes(), b"A:\nC: 4\nD: 5\n");
        assert_eq!(stanza.text("D"), Some("5"));
        assert_eq!(parse(stanza.as_bytes()).stanzas, [stanza]);
    }

    #[test]
    fn what_is_malformed_is_told_with_its_line() {
        for (text, line, problem) in [
            (&b"A: 1"[..], 1, "is the last and has no newline"),
            (b"A: 1\n\n 2\n", 3, "continues no field"),
            (b"A: 1\nB\n", 2, "has no colon"),
            (b"A: 1\n: 2\n", 2, "does not begin with a field's name"),
            (b"A b: 1\n", 1, "does not begin with a field's name"),
            (b"A: 1\nB: 2\na : 3\n", 3, "gives a field a second value"),
            (b"A: 1\n \nB: 2\n", 2, "has nothing but blanks"),
        ] {
            let found = Document::parse(text).err();
            assert_eq!(found, Some(Error::Line { line, problem }), "{}", text.escape_ascii());
        }
        let many: Vec<String> = (0..=MOST_FIELDS).map(|number| format!("A{number}: 1\n")).collect();
        assert!(Document::parse(many.concat().as_bytes()).is_err());
    }
}
