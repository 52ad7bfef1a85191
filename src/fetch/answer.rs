//! What a web server answers: a status, headers, and bytes that are counted.

use std::io::Read;
use std::time::Duration;

use ureq::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, LAST_MODIFIED};
use ureq::http::{HeaderMap, Response};
use ureq::{Body, BodyReader};

use super::pace::Pace;
use super::{Error, Options, Problem};

/// As much is read at once.
const PIECE: usize = 128 << 10;

/// An answer whose bytes are still to come.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    body: BodyReader<'static>,
    timeout: Duration,
    pace: Pace,
    got: u64,
}

/// Which part of a file an answer has (RFC 9110, 14.4): from the first byte to before the last, and of how many, where that is
/// known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) all: Option<u64>,
}

impl Answer {
    pub(super) fn of(response: Response<Body>, options: &Options) -> Answer {
        let (head, body) = response.into_parts();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.into_with_config().limit(u64::MAX).reader(),
            timeout: options.timeout,
            pace: Pace::new(options.limit_rate, options.timeout),
            got: 0,
        }
    }

    pub(super) fn text(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How many bytes are to come, as the server says.
    pub(super) fn length(&self) -> Option<u64> {
        self.text(CONTENT_LENGTH)?.parse().ok()
    }

    /// How it is packed, where it is.
    pub(super) fn encoding(&self) -> Option<&str> {
        self.text(CONTENT_ENCODING).filter(|word| !word.eq_ignore_ascii_case("identity"))
    }

    pub(super) fn part(&self) -> Option<Part> {
        Part::parse(self.text(CONTENT_RANGE)?)
    }

    /// By what the server tells this version of the file from others.
    pub(super) fn tags(&self) -> (Option<String>, Option<String>) {
        let text = |name| self.text(name).map(str::to_owned);
        (text(ETAG), text(LAST_MODIFIED))
    }

    /// The next bytes; none at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Problem> {
        let count = match self.body.read(buffer) {
            Ok(count) => count,
            Err(error) => match (problem_of(error.into(), self.timeout), self.length()) {
                (Problem::Connection(_), Some(expected)) if self.got < expected => {
                    return Err(Problem::CutOff { got: self.got, expected });
                }
                (problem, _) => return Err(problem),
            },
        };
        self.got += count as u64;
        self.pace.took(count as u64)?;
        Ok(count)
    }

    /// Gives all bytes that come to `sink`; more than `limit` are an error. Says how many they were.
    pub(super) fn pour(
        &mut self,
        address: &impl ToString,
        limit: u64,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let mut buffer = vec![0; PIECE];
        let mut all = 0;
        loop {
            let count = self.read(&mut buffer).map_err(|problem| Error::at(address, problem))?;
            if count == 0 {
                return Ok(all);
            }
            all += count as u64;
            if all > limit {
                return Err(Error::at(address, Problem::TooLong(limit)));
            }
            sink(&buffer[..count])?;
        }
    }

    /// What a status that is neither success nor a redirect means.
    pub(super) fn refusal(&self) -> Problem {
        match self.status {
            404 | 410 => Problem::NotThere,
            status => Problem::Status(status),
        }
    }
}

impl Part {
    /// Reads `bytes 0-99/1234` or `bytes 0-99/*`.
    pub(super) fn parse(text: &str) -> Option<Part> {
        let (range, all) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (start, last) = (first.trim().parse().ok()?, last.trim().parse::<u64>().ok()?);
        let end = last.checked_add(1)?;
        let all = match all.trim() {
            "*" => None,
            number => Some(number.parse().ok()?),
        };
        (start < end && all.is_none_or(|all| end <= all)).then_some(Part { start, end, all })
    }
}

/// What went wrong, in words of ours.
pub(super) fn problem_of(error: ureq::Error, timeout: Duration) -> Problem {
    use std::io::ErrorKind;
    match error {
        ureq::Error::HostNotFound => Problem::Host(String::new()),
        ureq::Error::Other(error) => Problem::Host(format!(": {error}")),
        ureq::Error::Timeout(_) => Problem::Idle(timeout),
        ureq::Error::Io(error) => match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Problem::Idle(timeout),
            // What TLS has to say.
            ErrorKind::InvalidData => Problem::Protocol(error.to_string()),
            ErrorKind::UnexpectedEof => Problem::Connection("the server ended the connection".to_owned()),
            _ => Problem::Connection(without_number(&error.to_string())),
        },
        ureq::Error::ConnectProxyFailed(why) => match status_in(&why) {
            Some(status) => Problem::Status(status),
            None => Problem::Connection("it ended the connection".to_owned()),
        },
        ureq::Error::ConnectionFailed => Problem::Connection("there is no connection".to_owned()),
        other => Problem::Protocol(other.to_string()),
    }
}

/// The status that a proxy has answered with.
fn status_in(text: &str) -> Option<u16> {
    text.split(|letter: char| !letter.is_ascii_digit()).find(|word| word.len() == 3)?.parse().ok()
}

/// The system's words without the "(os error 111)" that the standard library adds.
fn without_number(text: &str) -> String {
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_says_which_bytes_it_has() {
        let part = |start, end, all| Some(Part { start, end, all });
        for (text, read) in [
            ("bytes 0-99/1234", part(0, 100, Some(1234))),
            ("bytes 5-5/6", part(5, 6, Some(6))),
            ("bytes 0-99/*", part(0, 100, None)),
            ("bytes */1234", None),
            ("bytes 99-0/1234", None),
            ("bytes 0-99/50", None),
            ("bytes 0-18446744073709551615/*", None),
            ("items 0-1/2", None),
            ("bytes 0-1", None),
        ] {
            assert_eq!(Part::parse(text), read, "{text}");
        }
    }
}
