//! Base 64 (RFC 4648, 4), and what PEM wraps in it (RFC 7468).

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes as text, with padding and without line ends.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// What a text stands for; `None` where it is none. Blanks and line ends do not count.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let letters: Vec<u8> = text.iter().copied().filter(|letter| !letter.is_ascii_whitespace()).collect();
    let padding = letters.iter().rev().take_while(|letter| **letter == b'=').count();
    if !letters.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(letters.len() / 4 * 3);
    for group in letters[..letters.len() - padding].chunks(4) {
        let bits = group.iter().try_fold(0_u32, |bits, letter| Some(bits << 6 | value(*letter)?))?;
        let bits = bits << (6 * (4 - group.len()));
        let whole = bits.to_be_bytes();
        let length = group.len() * 6 / 8;
        // Bits that stand for nothing are zeros, or several texts would be the same bytes.
        if whole[1 + length..].iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(&whole[1..=length]);
    }
    Some(bytes)
}

fn value(letter: u8) -> Option<u32> {
    Some(u32::from(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

/// One block of a PEM file.
pub(super) struct Block {
    /// What it says that it is: `CERTIFICATE`.
    pub(super) label: String,
    /// Its content; `None` where that is no base 64.
    pub(super) content: Option<Vec<u8>>,
    /// Whether it has a header that says that it is encrypted, as old forms of keys do (RFC 1421).
    pub(super) is_encrypted: bool,
}

/// The blocks of a PEM file, in order. Text between them is for people.
pub(super) fn pem(text: &[u8]) -> Vec<Block> {
    let text = String::from_utf8_lossy(text);
    let mut blocks = Vec::new();
    let mut rest = &*text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let Some((label, body)) = after.split_once("-----") else { break };
        let end = format!("-----END {label}-----");
        let Some((body, after)) = body.split_once(&end) else { break };
        let (content, is_encrypted) = (decode(body.as_bytes()), body.contains("ENCRYPTED"));
        blocks.push(Block { label: label.to_owned(), content, is_encrypted });
        rest = after;
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, 10.
    const VECTORS: [(&str, &str); 7] = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ];

    #[test]
    fn vectors_are_met() {
        for (bytes, text) in VECTORS {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes.as_bytes()));
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(encode(&all).as_bytes()), Some(all));
        assert_eq!(decode(b"Zm9v\r\n YmFy\n").as_deref(), Some(&b"foobar"[..]));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["Z", "Zg", "Zg=", "Zh==", "Zm9=", "====", "Z===", "Zg==Zg==", "Zm-v", "=Zm9"] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn blocks_are_found_between_text() {
        let text = b"Subject: x\n-----BEGIN A-----\nZm9v\nYmFy\n-----END A-----\nmore\n\
            -----BEGIN B C-----\nProc-Type: 4,ENCRYPTED\n\nZm9v\n-----END B C-----\n-----BEGIN D-----\nZm9v\n";
        let blocks = pem(text);
        let found: Vec<_> = blocks.iter().map(|block| (&*block.label, block.content.as_deref())).collect();
        assert_eq!(found, [("A", Some(&b"foobar"[..])), ("B C", None)]);
        assert!(!blocks[0].is_encrypted && blocks[1].is_encrypted);
        assert!(pem(b"-----BEGIN ").is_empty());
    }
}
