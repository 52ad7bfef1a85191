//! `multipart/byteranges`: several parts of a file in one answer (RFC 9110, 14.6).

use std::ops::Range;

use super::{Sieve, check_within};
use crate::fetch::answer::{Answer, Part};
use crate::fetch::{Address, Error, Problem};

/// No line between two parts is longer.
const LONGEST_LINE: usize = 4 << 10;
/// Nor are there more of them.
const MOST_LINES: usize = 32;
/// So many bytes are read at once.
const PIECE: usize = 64 << 10;

/// What parts are divided by; `None` where the answer does not consist of parts.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/byteranges") {
        return None;
    }
    let word = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    (!word.is_empty() && word.len() <= 200).then(|| word.to_owned())
}

/// Reads all parts of an answer, in their order.
pub(super) fn read(
    answer: &mut Answer,
    address: &Address,
    boundary: &str,
    asked: &[Range<u64>],
    sieve: &mut Sieve<'_, '_>,
) -> Result<(), Error> {
    let failed = |problem| Error::at(address, problem);
    let mut input = Input { answer, buffer: vec![0; PIECE], at: 0, end: 0 };
    let (delimiter, close) = (format!("--{boundary}"), format!("--{boundary}--"));
    let mut last = 0;
    // As many as were asked for, or fewer where a server puts some together.
    for _ in 0..=asked.len() {
        if !input.find_line(&delimiter, &close).map_err(failed)? {
            return Ok(());
        }
        let part = input.head().map_err(failed)?;
        check_within(part, asked).map_err(failed)?;
        if part.start < last {
            return Err(failed(Problem::Range("its parts are not in order".to_owned())));
        }
        last = part.end;
        let mut at = part.start;
        while at < part.end {
            let piece = input.piece(part.end - at).map_err(failed)?;
            if piece.is_empty() {
                return Err(failed(Problem::CutOff {
                    got: at - part.start,
                    expected: part.end - part.start,
                }));
            }
            sieve.take(at, piece)?;
            at += piece.len() as u64;
        }
    }
    Err(failed(Problem::Range("more parts came than were asked for".to_owned())))
}

/// Bytes of an answer, of which some are lines.
struct Input<'a> {
    answer: &'a mut Answer,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
}

impl Input<'_> {
    /// Goes behind the line that begins a part; `false` where it was the last one's end.
    fn find_line(&mut self, delimiter: &str, close: &str) -> Result<bool, Problem> {
        for _ in 0..MOST_LINES {
            let line = self.line()?;
            if line == delimiter || line == close {
                return Ok(line == delimiter);
            }
        }
        Err(Problem::Range("its parts are not divided".to_owned()))
    }

    /// Reads the headers of a part.
    fn head(&mut self) -> Result<Part, Problem> {
        let mut found = None;
        for _ in 0..MOST_LINES {
            let line = self.line()?;
            if line.is_empty() {
                return found.ok_or_else(|| Problem::Range("a part of it does not say which".to_owned()));
            }
            if let Some((name, value)) = line.split_once(':')
                && name.trim().eq_ignore_ascii_case("content-range")
            {
                found = Part::parse(value);
            }
        }
        Err(Problem::Range("a part of it has too many headers".to_owned()))
    }

    fn line(&mut self) -> Result<String, Problem> {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            if line.len() >= LONGEST_LINE {
                return Err(Problem::Range("its parts are not divided".to_owned()));
            }
            let Some(byte) = self.piece(1)?.first().copied() else {
                return Err(Problem::Connection(
                    "the server ended the connection between two parts".to_owned(),
                ));
            };
            line.push(byte);
        }
        Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned())
    }

    /// The next bytes, no more than some; none at the end.
    fn piece(&mut self, most: u64) -> Result<&[u8], Problem> {
        if self.at == self.end {
            self.at = 0;
            self.end = self.answer.read(&mut self.buffer)?;
        }
        let count = usize::try_from(most).unwrap_or(usize::MAX).min(self.end - self.at);
        let from = self.at;
        self.at += count;
        Ok(&self.buffer[from..from + count])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_is_what_the_type_says() {
        for (text, word) in [
            ("multipart/byteranges; boundary=00000000000000000001", Some("00000000000000000001")),
            ("Multipart/ByteRanges;charset=x; Boundary=\"a b\"", Some("a b")),
            ("multipart/byteranges", None),
            ("multipart/byteranges; boundary=", None),
            ("application/octet-stream; boundary=x", None),
        ] {
            assert_eq!(boundary(text).as_deref(), word, "{text}");
        }
    }
}
