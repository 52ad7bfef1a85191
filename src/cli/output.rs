//! How things look: sizes, times, paths, tables, JSON.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;

use serde::Serialize;

use super::arguments::{DEFAULT_STATE, Place};
use super::report::Error;
use crate::event::counted;

/// Writes to stdout; a reader that has gone is a quiet end, as for any filter.
pub(super) fn print(text: &str) -> Result<(), Error> {
    std::io::stdout().write_all(text.as_bytes()).map_err(Error::Output)
}

/// Whether nothing is to be said but errors; set once, when it is known.
static QUIET: OnceLock<bool> = OnceLock::new();

/// Whether nothing is to be said but errors.
pub(super) fn is_quiet() -> bool {
    QUIET.get().is_some_and(|quiet| *quiet)
}

/// Writes a line to stderr that may be left out.
pub(super) fn say(line: &str) {
    if !is_quiet() {
        complain(line);
    }
}

/// Writes a line to stderr. Nobody can be told where that fails (a closed pipe, a full disk), and
/// no work stops for it. Whatever names and texts of others are in it, it stays one line.
pub(super) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", visible(line));
}

/// Writes a question to stderr, without the end of a line.
pub(super) fn ask(question: &str) {
    let _ = write!(std::io::stderr(), "{question}");
}

/// Writes lines of our own to stderr that may be left out.
pub(super) fn say_lines(lines: &str) {
    if !is_quiet() {
        let _ = std::io::stderr().write_all(lines.as_bytes());
    }
}

/// A text in which control characters, which a terminal would act on, are escaped.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        push_visible(&mut shown, letter);
    }
    shown
}

fn push_visible(text: &mut String, letter: char) {
    match letter {
        '\n' => text.push_str("\\n"),
        '\t' => text.push_str("\\t"),
        control if control.is_control() => text.push_str(&format!("\\x{:02x}", control as u32)),
        plain => text.push(plain),
    }
}

/// What to type to reach the same state and root again; set once, when they are known.
static PROGRAM: OnceLock<String> = OnceLock::new();

/// Remembers where this run works, for hints that can be copied, and whether it is to be quiet.
pub(super) fn remember(place: &Place) {
    let _ = QUIET.set(place.quiet);
    let mut words = "onlay".to_owned();
    if place.state != Path::new(DEFAULT_STATE) {
        words.push_str(&format!(" --state {}", shell_word(&place.state)));
    }
    if place.root != Path::new("/") {
        words.push_str(&format!(" --root {}", shell_word(&place.root)));
    }
    // A second run in one process would be a test, which reads no hints.
    let _ = PROGRAM.set(words);
}

/// A path as a shell takes it: quoted where it must be.
pub(super) fn shell_word(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+:,@%".contains(letter);
    if path.chars().all(is_plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

/// The program's name as a hint gives it, with the place where this run works.
pub(super) fn program() -> &'static str {
    PROGRAM.get().map_or("onlay", String::as_str)
}

/// Words that name commands, as 'onlay ext refresh', with the place where this run works.
pub(super) fn as_typed(words: &str) -> String {
    words.replace("'onlay ", &format!("'{} ", program()))
}

/// Writes a value as JSON with a newline.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(value).expect("our own types serialise");
    text.push('\n');
    print(&text)
}

/// A size in bytes as people read it, in powers of 1000: "312 B", "8.1 MB".
pub(super) fn size(bytes: u64) -> String {
    const UNITS: &[&str] = &["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let unit = (bytes.ilog10() / 3) as usize;
    let tenths = u128::from(bytes) * 10 / 1000u128.pow(unit as u32);
    let name = UNITS[unit - 1];
    if tenths < 100 {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    } else {
        format!("{} {name}", tenths / 10)
    }
}

/// What a directory holds: "1 entry, 312 B", "44 entries, 3.4 MB".
pub(super) fn holds(entries: u64, bytes: u64) -> String {
    format!("{}, {}", counted(entries, "entry"), size(bytes))
}

/// How long ago something was: "now", "5 min ago", "3 days ago".
pub(super) fn ago(time: SystemTime) -> String {
    let Ok(elapsed) = SystemTime::now().duration_since(time) else { return "now".to_owned() };
    let seconds = elapsed.as_secs();
    match seconds {
        0..60 => "now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// A path on one line: control characters, backslashes and bytes that are no UTF-8 are escaped.
pub(super) fn path(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter == '\\' {
                text.push('\\');
            }
            push_visible(&mut text, letter);
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// A path in JSON: a string, or an array of bytes where it is no UTF-8 (as `journalctl -o json`
/// writes such values).
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum JsonPath<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> From<&'a Path> for JsonPath<'a> {
    fn from(path: &'a Path) -> Self {
        path.to_str().map_or(JsonPath::Bytes(path.as_os_str().as_bytes()), JsonPath::Text)
    }
}

/// Columns, as wide as their widest cell; the last one runs on.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn sizes_have_two_digits_that_matter() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (8_123_456, "8.1 MB"),
            (99_949, "99 kB"),
            (999_999, "999 kB"),
            (1_000_000, "1.0 MB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_path_stays_on_its_line() {
        assert_eq!(
            path(Path::new(OsStr::from_bytes(b"/a\nb\\c\xff\x1b/\xc3\xa4"))),
            "/a\\nb\\\\c\\xff\\x1b/ä"
        );
    }

    #[test]
    fn what_others_wrote_stays_on_its_line() {
        assert_eq!(visible("a\u{1b}[2J\n\tb\u{9b}\\c ä"), "a\\x1b[2J\\n\\tb\\x9b\\c ä");
    }

    #[test]
    fn hints_can_be_pasted() {
        for (path, word) in [("/a/b-c.d", "/a/b-c.d"), ("/a b", "'/a b'"), ("/it's", r"'/it'\''s'")] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }

    #[test]
    fn a_table_has_no_trailing_blanks() {
        let row = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>();
        assert_eq!(table(&[row(&["NAME", "SIZE"]), row(&["x", ""])]), "NAME  SIZE\nx\n");
    }
}
