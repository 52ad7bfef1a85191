//! Requests, read with bounds (RFC 9112).

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

/// The most bytes of a request's line and fields.
const LARGEST: usize = 16 << 10;
/// The most ranges that one may ask for; who asks for more gets the whole.
pub(super) const MOST_RANGES: usize = 256;

/// What those hear who come when too many are there.
pub(super) const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    /// As it was sent.
    pub(super) target: String,
    /// Whether more may follow on this connection.
    pub(super) is_kept: bool,
    pub(super) range: Option<String>,
    pub(super) if_range: Option<String>,
    pub(super) if_none_match: Option<String>,
    pub(super) if_modified_since: Option<String>,
}

/// Why bytes are no request that can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    Malformed,
    Large,
    Late,
    Version,
    /// It brings content, for which nothing here is.
    Content,
}

impl Bad {
    pub(super) fn status(self) -> (u16, &'static str) {
        match self {
            Bad::Malformed => (400, "Bad Request"),
            Bad::Late => (408, "Request Timeout"),
            Bad::Content => (413, "Content Too Large"),
            Bad::Large => (431, "Request Header Fields Too Large"),
            Bad::Version => (505, "HTTP Version Not Supported"),
        }
    }
}

impl Request {
    /// Reads the next one; `before` has what came with the last one. `None` where nobody asks any more. Who has begun has to be
    /// done within `patience`, however many bytes he sends meanwhile.
    pub(super) fn read(
        stream: &mut impl Read,
        before: &mut Vec<u8>,
        patience: Duration,
    ) -> Result<Option<Request>, Bad> {
        let mut begun = (!before.is_empty()).then(Instant::now);
        loop {
            if let Some(end) = end_of_head(before) {
                let head: Vec<u8> = before.drain(..end).collect();
                return Request::parse(&head).map(Some);
            }
            if before.len() > LARGEST {
                return Err(Bad::Large);
            }
            if begun.is_some_and(|begun| begun.elapsed() >= patience) {
                return Err(Bad::Late);
            }
            let mut chunk = [0; 4096];
            match stream.read(&mut chunk) {
                Ok(0) if before.is_empty() => return Ok(None),
                Ok(0) => return Err(Bad::Malformed),
                Ok(length) => {
                    begun.get_or_insert_with(Instant::now);
                    before.extend_from_slice(&chunk[..length]);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nobody has to ask.
                Err(_) if before.is_empty() => return Ok(None),
                Err(_) => return Err(Bad::Late),
            }
        }
    }

    /// Takes the head of one apart.
    pub(super) fn parse(head: &[u8]) -> Result<Request, Bad> {
        let text = std::str::from_utf8(head).map_err(|_| Bad::Malformed)?;
        let mut lines = text.split("\r\n");
        let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let [method, target, version] = words[..] else { return Err(Bad::Malformed) };
        let is_1_1 = match version {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ if version.starts_with("HTTP/") => return Err(Bad::Version),
            _ => return Err(Bad::Malformed),
        };
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_word(method) || !is_word(target) {
            return Err(Bad::Malformed);
        }
        let mut request = Request {
            method: method.to_owned(),
            target: target.to_owned(),
            is_kept: is_1_1,
            ..Request::default()
        };
        let mut has_host = false;
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(Bad::Malformed)?;
            has_host |= name.eq_ignore_ascii_case("host");
            request.take(name, value.trim())?;
        }
        if is_1_1 && !has_host { Err(Bad::Malformed) } else { Ok(request) }
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Bad> {
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(Bad::Malformed);
        }
        let kept = || Some(value.to_owned());
        match &*name.to_ascii_lowercase() {
            "range" => self.range = kept(),
            "if-range" => self.if_range = kept(),
            "if-none-match" => self.if_none_match = kept(),
            "if-modified-since" => self.if_modified_since = kept(),
            "connection" => {
                let says = |word: &str| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word));
                self.is_kept = !says("close") && (self.is_kept || says("keep-alive"));
            }
            "content-length" if value != "0" => return Err(Bad::Content),
            "transfer-encoding" => return Err(Bad::Content),
            _ => {}
        }
        Ok(())
    }

    /// The name that is asked for, relative to the store: decoded, without a query. `None` where it is none.
    pub(super) fn name(&self) -> Option<String> {
        let path = self.target.strip_prefix('/')?;
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let mut bytes = Vec::with_capacity(path.len());
        let mut rest = path.as_bytes();
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            if first == b'%' {
                let (digits, after) = rest.split_at_checked(2)?;
                let digits = std::str::from_utf8(digits)
                    .ok()
                    .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            } else {
                bytes.push(first);
            }
        }
        String::from_utf8(bytes).ok()
    }
}

/// Where the fields of a request end: after an empty line.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// The parts of a file that a range asks for (RFC 9110, 14.1.2), as first bytes and lengths. `None` where the field is to be ignored;
/// none in the list where the file has none of them.
pub(super) fn ranges(field: &str, size: u64) -> Option<Vec<(u64, u64)>> {
    let parts: Vec<&str> = field.strip_prefix("bytes=")?.split(',').map(str::trim).collect();
    if parts.len() > MOST_RANGES {
        return None;
    }
    let mut found = Vec::new();
    for part in parts {
        let (first, last) = part.split_once('-')?;
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(first) || !is_number(last) {
            return None;
        }
        let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
        let (first, end) = match (first.is_empty(), last.is_empty()) {
            (true, true) => return None,
            (true, false) => (size.saturating_sub(number(last)), size),
            (false, true) => (number(first), size),
            (false, false) if number(last) < number(first) => return None,
            (false, false) => (number(first), number(last).saturating_add(1).min(size)),
        };
        if first < end {
            found.push((first, end - first));
        }
    }
    Some(found)
}
