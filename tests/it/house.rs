//! The rules of the house: which room may know which, who may be unsafe, start programs or print,
//! and what no file has. Each rule is shown a text that breaks it, so that it is known to be able
//! to fail.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms in their one order; each imports only those before it.
const ROOMS: &[&str] = &[
    "event",
    "sys",
    "tool",
    "package",
    "host",
    "pkgdb",
    "overlay",
    "shell",
    "live",
    "hooks",
    "resolve",
    "image",
    "fetch",
    "extension",
    "store",
    "layer",
    "cli",
];

/// More lines than this are a reason to split a file by meaning.
const LONGEST: usize = 700;

/// One file, with its path from the top of the repository.
struct Source {
    path: PathBuf,
    text: String,
    /// The text with comments, strings and character literals blanked, line by line.
    code: String,
}

struct Rule {
    name: &'static str,
    find: fn(&Source) -> Vec<String>,
    /// Paths with texts that break the rule.
    broken: &'static [(&'static str, &'static str)],
    /// Paths with texts that do not, however much they look like it.
    kept: &'static [(&'static str, &'static str)],
}

const RULES: &[Rule] = &[
    Rule {
        name: "a room imports only rooms before it",
        find: upward_imports,
        broken: &[
            ("src/sys/x.rs", "use crate::overlay::Error;"),
            ("src/sys/x.rs", "use crate::{event::Event, overlay::{self, Mode}};"),
            ("src/sys/x.rs", "pub(crate) use crate::{\n    event::Event,\n    shell,\n};"),
            ("src/host/mod.rs", "fn f() { crate::overlay::f() }"),
            ("src/host/mod.rs", "type T = Vec<crate :: cli::Cli>;"),
            ("src/host/mod.rs", "use super::overlay;"),
            ("src/event.rs", "use crate::sys::Root;"),
            ("src/overlay/x.rs", "use crate::nowhere::X;"),
            ("src/guests/x.rs", "//! A room that is not in the order."),
        ],
        kept: &[
            ("src/shell/x.rs", "use crate::overlay::{self, live::X};"),
            ("src/shell/x.rs", "use crate::{event::Event, shell::Mode};"),
            ("src/sys/x.rs", "// crate::overlay\nconst X: &str = \"crate::overlay\"; /* crate::cli */"),
            ("src/host/mod.rs", "use super::base;\nmod tests { use super::*; }"),
            ("src/lib.rs", "pub use crate::cli::run;"),
        ],
    },
    Rule {
        name: "no path climbs two floors",
        find: |source| matches(source, &["super::super"]),
        broken: &[("src/sys/x.rs", "use super::super::Root;"), ("src/sys/x.rs", "super :: super::f()")],
        kept: &[("src/sys/x.rs", "// super::super\nuse super::Root;")],
    },
    Rule {
        name: "nobody takes all of the root",
        find: |source| matches(source, &["crate::*", "crate::{*"]),
        broken: &[("src/cli/x.rs", "pub use crate::*;"), ("src/cli/x.rs", "use crate::{*};")],
        kept: &[("src/cli/x.rs", "use crate::shell::*;")],
    },
    Rule {
        name: "only sys is unsafe",
        find: |source| outside(source, "src/sys", &["unsafe ", "unsafe{", "allow(unsafe_code"]),
        broken: &[
            ("src/cli/x.rs", "fn f() { unsafe { g() } }"),
            ("src/cli/x.rs", "unsafe extern \"C\" {}"),
            ("src/cli/x.rs", "#![allow(unsafe_code)]"),
        ],
        kept: &[("src/sys/x.rs", "unsafe { g() }"), ("src/cli/x.rs", "/// unsafe {\nlet not_unsafe = 1;")],
    },
    Rule {
        name: "only tool starts programs",
        find: |source| outside(source, "src/tool", &["Command::new"]),
        broken: &[("src/host/x.rs", "let output = Command::new(\"rpm\").output();")],
        kept: &[("src/tool/x.rs", "Command::new(\"rpm\")"), ("src/host/x.rs", "// Command::new")],
    },
    Rule {
        name: "only cli prints",
        find: |source| outside(source, "src/cli", &["println!", "eprintln!", "print!", "eprint!", "dbg!"]),
        broken: &[("src/host/x.rs", "println!(\"x\")"), ("src/overlay/x.rs", "std::eprint!(\"x\")")],
        kept: &[("src/cli/x.rs", "eprintln!(\"x\")"), ("src/host/x.rs", "pretty_print!()")],
    },
    Rule {
        name: "a file begins by saying what it is for",
        find: |source| finding(!source.text.starts_with("//! "), "does not begin with '//! '"),
        broken: &[("src/host/x.rs", "use std::fs;"), ("tests/it/x.rs", "\n//! Late.")],
        kept: &[("src/host/x.rs", "//! Something.\n")],
    },
    Rule {
        name: "a file is short enough to read",
        find: |source| finding(source.text.lines().count() > LONGEST, "is longer than 700 lines"),
        broken: &[("src/host/x.rs", TOO_LONG)],
        kept: &[("src/host/x.rs", "//! Short.\n")],
    },
    Rule {
        name: "nothing is left for later",
        find: left_for_later,
        broken: &[
            ("src/host/x.rs", concat!("// TO", "DO: think")),
            ("tests/it/x.rs", concat!("// FIX", "ME")),
            ("src/host/x.rs", "fn f() { todo!() }"),
            ("src/host/x.rs", "fn f() { unimplemented!(\"yet\") }"),
        ],
        kept: &[("src/host/x.rs", "// all done\nlet todo = 1;")],
    },
    Rule {
        name: "no test is left out",
        find: |source| matches(source, &["#[ignore"]),
        broken: &[("tests/it/x.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}")],
        kept: &[("tests/it/x.rs", "// #[ignore]\n#[test]\nfn f() {}")],
    },
];

const TOO_LONG: &str = {
    const LINES: [u8; LONGEST + 1] = [b'\n'; LONGEST + 1];
    match std::str::from_utf8(&LINES) {
        Ok(text) => text,
        Err(_) => panic!("newlines are text"),
    }
};

#[test]
fn the_house_keeps_its_rules() {
    let sources = house();
    assert!(sources.len() > 40, "only {} files: is this the house?", sources.len());
    let findings: Vec<String> = RULES
        .iter()
        .flat_map(|rule| sources.iter().map(move |source| (rule, source)))
        .flat_map(|(rule, source)| {
            (rule.find)(source)
                .into_iter()
                .map(move |found| format!("{}: {found} ({})", source.path.display(), rule.name))
        })
        .collect();
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn each_rule_can_fail() {
    for rule in RULES {
        for (path, text) in rule.broken {
            let found = (rule.find)(&Source::new(path.into(), (*text).to_owned()));
            assert!(!found.is_empty(), "'{}' lets pass: {text}", rule.name);
        }
        for (path, text) in rule.kept {
            let found = (rule.find)(&Source::new(path.into(), (*text).to_owned()));
            assert!(found.is_empty(), "'{}' finds {found:?} in: {text}", rule.name);
        }
    }
}

#[test]
fn every_room_is_in_the_map() {
    let map = fs::read_to_string(top().join("src/lib.rs")).expect("the map is there");
    for source in house() {
        if let Some(room) = room_of(&source.path) {
            assert!(map.contains(&format!("mod {room};")), "src/lib.rs does not name '{room}'");
        }
    }
}

#[test]
fn blanked_text_keeps_its_code_and_its_lines() {
    for (text, code) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("x\"y", 'z', '\'', b"q")"#, r#"f("    ", ' ', '  ', b" ")"#),
        (r##"r#"a"b"# c"##, r##"r#"   "# c"##),
        ("fn f<'a>(x: &'a str) // y", "fn f<'a>(x: &'a str)     "),
        ("\"a\nb\" c", "\" \n \" c"),
    ] {
        assert_eq!(blank(text), code, "{text}");
    }
}

impl Source {
    fn new(path: PathBuf, text: String) -> Source {
        Source { code: blank(&text), path, text }
    }
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of Rust in the repository's rooms, tests, benches and fuzz targets.
fn house() -> Vec<Source> {
    let mut found = Vec::new();
    for directory in ["src", "tests", "benches", "fuzz"] {
        collect(&top().join(directory), &mut found);
    }
    found
}

fn collect(directory: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a readable file");
            let inside = path.strip_prefix(top()).expect("below the top").to_owned();
            found.push(Source::new(inside, text));
        }
    }
}

/// The room that a file belongs to; the map and the program belong to none.
fn room_of(path: &Path) -> Option<&str> {
    let below = path.strip_prefix("src").ok()?;
    let first = below.iter().next()?.to_str()?;
    (!["lib.rs", "main.rs"].contains(&first)).then(|| first.strip_suffix(".rs").unwrap_or(first))
}

fn upward_imports(source: &Source) -> Vec<String> {
    let Some(room) = room_of(&source.path) else { return Vec::new() };
    let Some(own) = ROOMS.iter().position(|known| *known == room) else {
        return vec![format!("'{room}' is no room of the order")];
    };
    let code = without_blanks(&source.code);
    let mut imports = first_names(&code, "crate::");
    if source.path.ends_with("mod.rs") || source.path.parent() == Some(Path::new("src")) {
        // The parent of a room is the root. A module inside the file has the room as its parent.
        let outside = code.split("modtests{").next().unwrap_or_default();
        let siblings = first_names(outside, "super::");
        imports.extend(siblings.into_iter().filter(|name| ROOMS.contains(&name.as_str())));
    }
    imports
        .into_iter()
        .filter(|name| name.starts_with(|first: char| first.is_ascii_lowercase()))
        .filter(|name| ROOMS.iter().position(|known| known == name).is_none_or(|other| other > own))
        .map(|name| format!("'{room}' imports '{name}'"))
        .collect()
}

/// The names that follow a prefix: one, or the first of each branch in braces.
fn first_names(code: &str, prefix: &str) -> Vec<String> {
    let identifier = |text: &str| -> String {
        text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
    };
    let mut found = Vec::new();
    for (position, _) in code.match_indices(prefix) {
        // `$crate::` and `my_crate::` are other words; `use` runs into `crate` without its blank.
        let rest = &code[position + prefix.len()..];
        let Some(branches) = rest.strip_prefix('{') else {
            found.push(identifier(rest));
            continue;
        };
        let mut depth = 0;
        let mut at_start = true;
        for (index, letter) in branches.char_indices() {
            if at_start && depth == 0 && letter != '}' {
                found.push(identifier(&branches[index..]));
            }
            at_start = letter == ',';
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    found
}

fn left_for_later(source: &Source) -> Vec<String> {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let mut found: Vec<String> = words
        .into_iter()
        .filter(|word| source.text.split(|c: char| !c.is_alphanumeric()).any(|found| found == *word))
        .map(|word| format!("has {word}"))
        .collect();
    found.extend(matches(source, &["todo!", "unimplemented!"]));
    found
}

fn outside(source: &Source, room: &str, words: &[&str]) -> Vec<String> {
    let is_elsewhere = source.path.starts_with("src") && !source.path.starts_with(room);
    if is_elsewhere { matches(source, words) } else { Vec::new() }
}

/// The words that are in the code, each as the beginning of a word, with any blanks around `::`.
fn matches(source: &Source, words: &[&str]) -> Vec<String> {
    let mut code = source.code.clone();
    for part in [" ::", ":: "] {
        while code.contains(part) {
            code = code.replace(part, "::");
        }
    }
    words
        .iter()
        .filter(|word| {
            code.match_indices(**word).any(|(position, _)| {
                !code[..position].ends_with(|before: char| before.is_alphanumeric() || before == '_')
            })
        })
        .map(|word| format!("has '{}'", word.trim_end()))
        .collect()
}

fn finding(is_broken: bool, words: &str) -> Vec<String> {
    if is_broken { vec![words.to_owned()] } else { Vec::new() }
}

fn without_blanks(code: &str) -> String {
    code.chars().filter(|letter| !letter.is_whitespace()).collect()
}

/// Blanks what is no code: comments, and the insides of strings and character literals.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (kept_before, length, kept_after) = skipped(rest, code.chars().next_back());
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let inside = kept_before..length - kept_after;
        for (index, letter) in rest[..length].char_indices() {
            let is_kept = !inside.contains(&index) || letter == '\n';
            code.push(if is_kept { letter } else { ' ' });
        }
        rest = &rest[length..];
    }
    code
}

/// How long the comment or literal is that begins here (0: none does), and how many bytes at its
/// beginning and end are code.
fn skipped(text: &str, before: Option<char>) -> (usize, usize, usize) {
    let is_word =
        |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    if text.starts_with("//") {
        return (0, text.find('\n').unwrap_or(text.len()), 0);
    }
    if text.starts_with("/*") {
        return (0, block_comment(text), 0);
    }
    if text.starts_with('"') {
        return (1, quoted(text, '"'), 1);
    }
    if text.starts_with('r') && (!is_word(before) || before == Some('b')) {
        let hashes = text[1..].bytes().take_while(|byte| *byte == b'#').count();
        if text[1 + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let opening = hashes + 2;
            let length = text[opening..].find(&end).map_or(text.len(), |at| opening + at + end.len());
            return (opening, length, end.len());
        }
    }
    // A lifetime has no closing quote where a character literal has one.
    let mut letters = text.chars().skip(1);
    if text.starts_with('\'') && (letters.next() == Some('\\') || letters.next() == Some('\'')) {
        return (1, quoted(text, '\''), 1);
    }
    (0, 0, 0)
}

fn quoted(text: &str, quote: char) -> usize {
    let mut letters = text.char_indices().skip(1);
    while let Some((index, letter)) = letters.next() {
        if letter == '\\' {
            letters.next();
        } else if letter == quote {
            return index + 1;
        }
    }
    text.len()
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut index = 0;
    while index < text.len() {
        match &text.as_bytes()[index..] {
            [b'/', b'*', ..] => (depth, index) = (depth + 1, index + 2),
            [b'*', b'/', ..] if depth == 1 => return index + 2,
            [b'*', b'/', ..] => (depth, index) = (depth - 1, index + 2),
            _ => index += 1,
        }
    }
    text.len()
}
