//! os-release(5): which distribution and version a root holds.

use std::collections::BTreeMap;

use crate::sys::Root;

/// The fields of an os-release file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OsRelease {
    fields: BTreeMap<String, String>,
}

impl OsRelease {
    /// Reads /etc/os-release, else /usr/lib/os-release; neither is an empty release.
    pub fn read(root: &Root) -> OsRelease {
        ["etc/os-release", "usr/lib/os-release"]
            .into_iter()
            .find_map(|name| root.read(name, 64 * 1024).ok())
            .map(|content| OsRelease::parse(&String::from_utf8_lossy(&content)))
            .unwrap_or_default()
    }

    /// Parses the shell-like assignments of the format as systemd does (os-release(5)); lines that are none are passed
    /// over, and of several assignments to one field the last one counts.
    pub fn parse(text: &str) -> OsRelease {
        let mut fields = BTreeMap::new();
        let mut rest = text.trim_start_matches(BLANKS);
        while !rest.is_empty() {
            rest = match assignment(rest) {
                Some((key, value, rest)) => {
                    fields.insert(key, value);
                    rest
                }
                None => rest.split_once(LINE_ENDS).map_or("", |(_, rest)| rest),
            };
            rest = rest.trim_start_matches(BLANKS);
        }
        OsRelease { fields }
    }

    /// Whether nothing is assigned.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// One field as it was assigned, be it to nothing.
    pub fn assigned(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }

    /// One field, such as `VERSION_ID`, unless it is missing or empty.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// `ID`, which is `linux` by default.
    pub fn id(&self) -> &str {
        self.get("ID").unwrap_or("linux")
    }

    /// The name for people.
    pub fn pretty_name(&self) -> String {
        match (self.get("PRETTY_NAME"), self.get("VERSION_ID")) {
            (Some(name), _) => name.to_owned(),
            (None, Some(version)) => format!("{} {version}", self.id()),
            (None, None) => self.id().to_owned(),
        }
    }
}

const LINE_ENDS: [char; 2] = ['\n', '\r'];
const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// The assignment at the beginning of a text, and what follows its line.
fn assignment(text: &str) -> Option<(String, String, &str)> {
    let line_end = text.find(LINE_ENDS).unwrap_or(text.len());
    let equals = text[..line_end].find('=')?;
    if text.starts_with(['#', ';']) {
        return None;
    }
    let (value, rest) = value(&text[equals + 1..]);
    Some((text[..equals].trim_end_matches(BLANKS).to_owned(), value, rest))
}

/// A value: pieces with and without quotes, up to the end of a line that no backslash and no quote continues.
fn value(text: &str) -> (String, &str) {
    let mut value = String::new();
    // Blanks count within the value, not around it.
    let mut blanks = String::new();
    let mut letters = text.chars();
    let mut is_plain = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\n' | '\r' => break,
            '\\' => {
                value.push_str(&std::mem::take(&mut blanks));
                value.extend(letters.next().filter(|next| !LINE_ENDS.contains(next)));
                is_plain = true;
            }
            // A quote within a word is a letter like others.
            quote @ ('\'' | '"') if !is_plain => quoted(&mut letters, quote, &mut value),
            blank if BLANKS.contains(&blank) => {
                if is_plain {
                    blanks.push(blank);
                }
            }
            plain => {
                value.push_str(&std::mem::take(&mut blanks));
                value.push(plain);
                is_plain = true;
            }
        }
    }
    (value, letters.as_str())
}

/// What stands in quotes; in double ones, a backslash takes their meaning from the letters that have one.
fn quoted(letters: &mut std::str::Chars<'_>, quote: char, value: &mut String) {
    while let Some(letter) = letters.next() {
        match letter {
            end if end == quote => return,
            '\\' if quote == '"' => match letters.next() {
                Some(special @ ('"' | '\\' | '`' | '$')) => value.push(special),
                Some('\n') | None => {}
                Some(other) => value.extend(['\\', other]),
            },
            plain => value.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lose_their_quotes() {
        let release = OsRelease::parse(
            "# comment\nID=debian\nPRETTY_NAME=\"Debian \\\"13\\\"\"\nVERSION_ID='13'\nEMPTY=\nbroken\nA=\"\n",
        );
        assert_eq!(release.id(), "debian");
        assert_eq!(release.pretty_name(), "Debian \"13\"");
        assert_eq!(release.get("VERSION_ID"), Some("13"));
        assert_eq!(release.get("EMPTY"), None);
        assert_eq!(release.get("A"), Some("\n"));
    }

    #[test]
    fn values_are_what_systemd_reads() {
        for (text, value) in [
            ("X=a b \t\nY=1", "a b"),
            ("X = a", "a"),
            ("X=\"a\"b", "ab"),
            ("X='a' \"b\"", "ab"),
            ("X=a\"b\"", "a\"b\""),
            ("X=a\\\nb", "ab"),
            ("X=a\\ ", "a "),
            ("X=\"a\\$b\\c\"", "a$b\\c"),
            ("X=\"a\nb\"", "a\nb"),
            ("; X=1\n#X=2\nX=3\nX=4", "4"),
            ("no assignment\nX=1\r\n", "1"),
            ("X=", ""),
            ("  X=1", "1"),
        ] {
            assert_eq!(OsRelease::parse(text).assigned("X"), Some(value), "{text:?}");
        }
        assert!(OsRelease::parse("# X=1\n\nno\n").is_empty());
    }

    #[test]
    fn an_empty_release_has_the_default_id() {
        assert_eq!(OsRelease::default().pretty_name(), "linux");
    }
}
