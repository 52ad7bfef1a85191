//! How a source is asked.

use std::fmt;
use std::time::Duration;

use super::ProxyChoice;

/// How a source is asked.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who is asked to ask.
    pub proxy: ProxyChoice,
    /// A header that goes with each request to the host of the first address.
    pub header: Option<Header>,
    /// So many bytes in a second, at most.
    pub limit_rate: Option<u64>,
    /// Nobody waits longer for a sign of life.
    pub timeout: Duration,
    /// So many times is asked again where that may help.
    pub retries: u32,
    /// So long is waited before the first of them; then twice as long each time.
    pub first_wait: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            proxy: ProxyChoice::Environment,
            header: None,
            limit_rate: None,
            timeout: Duration::from_secs(30),
            retries: 4,
            first_wait: Duration::from_millis(500),
        }
    }
}

/// A header of requests, which may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    pub(super) name: String,
    pub(super) value: String,
}

impl Header {
    /// Reads one line, `NAME: VALUE`; `None` where it is none.
    pub fn parse(text: &str) -> Option<Header> {
        let (name, value) = text.trim().split_once(':')?;
        let is_token = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
        let value = value.trim();
        let is_value = |letter: char| letter.is_ascii_graphic() || letter == ' ';
        let is_header = !name.is_empty()
            && name.chars().all(is_token)
            && !value.is_empty()
            && value.chars().all(is_value);
        is_header.then(|| Header { name: name.to_owned(), value: value.to_owned() })
    }
}

/// Nobody gets to see its value.
impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: (hidden)", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_one_line_and_is_not_shown() {
        let header = Header::parse("Authorization: Bearer abc\n").expect("a header");
        assert_eq!((&*header.name, &*header.value), ("Authorization", "Bearer abc"));
        assert_eq!(format!("{header:?}"), "Authorization: (hidden)");
        for text in ["", "Bearer", "A b: c", "A:", "A: b\nC: d", ": x"] {
            assert_eq!(Header::parse(text), None, "{text:?}");
        }
    }
}
