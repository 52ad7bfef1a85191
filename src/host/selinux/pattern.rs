//! A pattern of file_contexts(5): a regular expression of PCRE2's, which a whole path must match.
//!
//! libselinux puts `^` before it and `$` behind it, compiles it so that `.` is any byte, and compares bytes. Here each byte is one
//! character of Latin-1, in pattern and path, so that paths need not be text.

use regex_lite::{Regex, RegexBuilder};

/// What a pattern is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// One path, and nothing else.
    Path(Vec<u8>),
    /// A regular expression, and what all paths that match begin with.
    Regex(Vec<u8>),
}

/// What has a meaning in a regular expression. The same after a backslash, and three more, have none.
const SPECIAL: &[u8] = b".^$?*+|[({])}";
const ESCAPED: &[u8] = b".^$?*+|[({])}-_,";

impl Pattern {
    /// What a pattern is, by the rule that libselinux decides by.
    pub(super) fn of(text: &[u8]) -> Pattern {
        let mut literal = Vec::with_capacity(text.len());
        let mut bytes = text.iter().copied().enumerate();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'\\' => match bytes.next() {
                    Some((_, escaped)) if ESCAPED.contains(&escaped) => literal.push(escaped),
                    _ => return Pattern::Regex(fixed(text, literal, at)),
                },
                special if SPECIAL.contains(&special) => return Pattern::Regex(fixed(text, literal, at)),
                plain => literal.push(plain),
            }
        }
        Pattern::Path(literal)
    }
}

/// What all matches begin with, where the first special thing is at `at`: without a last byte that may come several times or not at
/// all, and nothing where there are alternatives to the whole.
fn fixed(text: &[u8], mut literal: Vec<u8>, at: usize) -> Vec<u8> {
    if has_alternatives(text) {
        return Vec::new();
    }
    if matches!(text[at], b'?' | b'*' | b'{') {
        literal.pop();
    }
    literal
}

/// Whether a `|` stands outside of all parentheses.
fn has_alternatives(text: &[u8]) -> bool {
    let (mut depth, mut is_escaped, mut is_class) = (0u32, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'[' => is_class = true,
            b']' => is_class = false,
            b'(' if !is_class => depth += 1,
            b')' if !is_class => depth = depth.saturating_sub(1),
            b'|' if !is_class && depth == 0 => return true,
            _ => {}
        }
    }
    false
}

/// Compiles a regular expression; says what is wrong with it.
pub(super) fn compile(text: &[u8]) -> Result<Regex, String> {
    /// libselinux's bound.
    const LONGEST: usize = 4096;
    /// Bytes of a compiled one; the largest of a policy take a hundredth.
    const LARGEST: usize = 1 << 20;
    if text.len() >= LONGEST {
        return Err(format!("it has {} bytes", text.len()));
    }
    // PCRE2's '$' is also before a line's end that is the last byte.
    let anchored = format!("^{}(?:\n?\\z)", latin(text));
    let compiled = RegexBuilder::new(&anchored).dot_matches_new_line(true).size_limit(LARGEST).build();
    compiled.map_err(|error| error.to_string())
}

/// Bytes as characters.
pub(super) fn latin(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fixed_in_a_pattern_is_known() {
        let path = |text: &str| Pattern::Path(text.into());
        let regex = |text: &str| Pattern::Regex(text.into());
        for (text, expected) in [
            ("/usr/bin/ls", path("/usr/bin/ls")),
            (r"/usr/bin/x\.sh", path("/usr/bin/x.sh")),
            (r"/usr/bin/a\-b", path("/usr/bin/a-b")),
            (r"/usr/bin/\d", regex("/usr/bin/")),
            ("/usr/bin/.*", regex("/usr/bin/")),
            ("/usr/s?bin/x", regex("/usr/")),
            ("/usr/libx*", regex("/usr/lib")),
            ("/usr/libx+", regex("/usr/libx")),
            ("/usr/libx{2}", regex("/usr/lib")),
            (r"/usr/lib/x\.?", regex("/usr/lib/x")),
            ("/usr/x(/.*)?", regex("/usr/x")),
            ("/usr/x(/a|/b)", regex("/usr/x")),
            ("/usr/x.|/usr/y.", regex("")),
            ("/usr/[x|y]z", regex("/usr/")),
        ] {
            assert_eq!(Pattern::of(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_whole_path_matches_byte_by_byte() {
        for (text, path, is_match) in [
            (&b"/usr/x(/.*)?"[..], &b"/usr/x"[..], true),
            (b"/usr/x(/.*)?", b"/usr/xy", false),
            (b"/usr/x(/.*)?", b"/usr/x/\xff\n", true),
            (b"/usr/x/.", b"/usr/x/\xc3\xa4", false),
            (b"/usr/x/..", b"/usr/x/\xc3\xa4", true),
            (b"/usr/x/[^/]+", b"/usr/x/a/b", false),
            (b"/usr/lib/[0-9]{2,3}\\.so(\\.[^/]*)*", b"/usr/lib/123.so.1", true),
            (b"/usr/\xff.*", b"/usr/\xff1", true),
        ] {
            let compiled = compile(text).expect("it compiles");
            assert_eq!(compiled.is_match(&latin(path)), is_match, "{}", latin(text));
        }
        assert!(compile(b"/usr/(").is_err());
        assert!(compile(&[b'x'; 5000]).is_err());
    }
}
