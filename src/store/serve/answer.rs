//! Answers: a file, parts of one, or why not (RFC 9110).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use super::names::{Names, Shown};
use super::request::{Request, ranges};

/// What stands between parts. It is in no file by intention, and in one by chance it does no harm: lengths are told.
const BOUNDARY: &str = "onlay-8f1d7c52a94e4b0db6";

/// An answer to be sent.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Fields besides those that all answers have.
    fields: Vec<(&'static str, String)>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    None,
    Words(String),
    /// Parts of a file, each with what is sent before it, and what is sent after all.
    Parts {
        file: File,
        parts: Vec<(String, u64, u64)>,
        end: String,
    },
}

impl Answer {
    /// The answer to a request.
    pub(super) fn to(request: &Request, names: &Names) -> Answer {
        if !["GET", "HEAD"].contains(&&*request.method) {
            let mut answer = Answer::words(405);
            answer.fields.push(("Allow", "GET, HEAD".to_owned()));
            return answer;
        }
        let Some((name, shown)) =
            request.name().and_then(|name| names.open(&name).map(|shown| (name, shown)))
        else {
            return Answer::words(404);
        };
        let mut answer = Answer::with(request, &name, shown);
        if answer.status == 416 {
            answer.fields.retain(|(name, _)| *name == "Content-Range");
        }
        answer
    }

    fn words(status: u16) -> Answer {
        let content = Content::Words(format!("{status} {}\n", reason(status)));
        Answer { status, fields: vec![("Content-Type", "text/plain; charset=utf-8".to_owned())], content }
    }

    fn with(request: &Request, name: &str, shown: Shown) -> Answer {
        let Shown { file, size, tag, changed, is_final } = shown;
        let changed = http_date(changed);
        // What was published under a name stays what it is; lists are to be asked for again.
        let cache = if is_final { "public, max-age=31536000, immutable" } else { "no-cache" };
        let mut fields = vec![
            ("ETag", tag.clone()),
            ("Last-Modified", changed.clone()),
            ("Cache-Control", cache.to_owned()),
            ("Accept-Ranges", "bytes".to_owned()),
        ];
        if is_unchanged(request, &tag, &changed) {
            return Answer { status: 304, fields, content: Content::None };
        }
        let kind = kind_of(name);
        let same = |value: &String| *value == tag || *value == changed;
        let wanted = request.range.as_ref().filter(|_| request.if_range.as_ref().is_none_or(same));
        match wanted.and_then(|range| ranges(range, size)).as_deref() {
            None => {
                fields.push(("Content-Type", kind.to_owned()));
                let parts = vec![(String::new(), 0, size)];
                Answer { status: 200, fields, content: Content::Parts { file, parts, end: String::new() } }
            }
            Some([]) => {
                fields.push(("Content-Range", format!("bytes */{size}")));
                Answer { status: 416, fields, content: Content::None }
            }
            Some([(first, length)]) => {
                fields.push(("Content-Type", kind.to_owned()));
                fields.push(("Content-Range", content_range(*first, *length, size)));
                let parts = vec![(String::new(), *first, *length)];
                Answer { status: 206, fields, content: Content::Parts { file, parts, end: String::new() } }
            }
            Some(several) => {
                fields.push(("Content-Type", format!("multipart/byteranges; boundary={BOUNDARY}")));
                let head = |(first, length): &(u64, u64)| {
                    let range = content_range(*first, *length, size);
                    let head =
                        format!("\r\n--{BOUNDARY}\r\nContent-Type: {kind}\r\nContent-Range: {range}\r\n\r\n");
                    (head, *first, *length)
                };
                let parts = several.iter().map(head).collect();
                let end = format!("\r\n--{BOUNDARY}--\r\n");
                Answer { status: 206, fields, content: Content::Parts { file, parts, end } }
            }
        }
    }

    /// Sends it; how many bytes its content had.
    pub(super) fn send(&mut self, stream: &mut TcpStream, request: &Request) -> io::Result<u64> {
        let length = match &self.content {
            Content::None => 0,
            Content::Words(words) => words.len() as u64,
            Content::Parts { parts, end, .. } => {
                parts.iter().map(|(head, _, length)| head.len() as u64 + length).sum::<u64>()
                    + end.len() as u64
            }
        };
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nDate: {}\r\n",
            self.status,
            reason(self.status),
            http_date(SystemTime::now())
        );
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.status != 304 {
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        let kept = if request.is_kept { "keep-alive" } else { "close" };
        head.push_str(&format!("X-Content-Type-Options: nosniff\r\nConnection: {kept}\r\n\r\n"));
        stream.write_all(head.as_bytes())?;
        if request.method == "HEAD" {
            return Ok(0);
        }
        match &mut self.content {
            Content::None => {}
            Content::Words(words) => stream.write_all(words.as_bytes())?,
            Content::Parts { file, parts, end } => {
                for (head, first, length) in parts {
                    stream.write_all(head.as_bytes())?;
                    file.seek(SeekFrom::Start(*first))?;
                    let sent = io::copy(&mut file.take(*length), stream)?;
                    // A file that has become shorter: the connection ends, and whoever reads sees that something is missing.
                    if sent != *length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                stream.write_all(end.as_bytes())?;
            }
        }
        Ok(length)
    }
}

/// Whether who asks has it already. Where both are asked for, the tag decides (RFC 9110, 13.2.2).
fn is_unchanged(request: &Request, tag: &str, changed: &str) -> bool {
    match (&request.if_none_match, &request.if_modified_since) {
        (Some(known), _) => {
            let is_it = |one: &str| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag;
            known.split(',').map(str::trim).any(is_it)
        }
        (None, Some(since)) => since == changed,
        (None, None) => false,
    }
}

fn content_range(first: u64, length: u64, size: u64) -> String {
    format!("bytes {first}-{}/{size}", first + length - 1)
}

fn kind_of(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("json") => "application/json",
        Some("html") => "text/html; charset=utf-8",
        Some("atom") => "application/atom+xml",
        Some("asc") => "text/plain; charset=utf-8",
        _ if name.is_empty() => "text/html; charset=utf-8",
        _ if name == crate::store::SUMS => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Range Not Satisfiable",
    }
}

/// A moment in HTTP's words: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
pub(super) fn http_date(moment: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
    // `1994-11-06T08:49:37Z`
    let text = humantime::format_rfc3339_seconds(moment).to_string();
    let month = text[5..7].parse::<usize>().unwrap_or(1);
    let (day, month) = (DAYS[(days % 7) as usize], MONTHS[(month - 1) % 12]);
    format!("{day}, {} {month} {} {} GMT", &text[8..10], &text[..4], &text[11..19])
}
