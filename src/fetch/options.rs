//! How a source is asked.

use std::fmt;
use std::time::Duration;

/// How a source is asked.
#[derive(Debug, Clone)]
pub struct Options {
    /// The proxy; none where `Some` is empty, and the environment's where nothing is said.
    pub proxy: Option<String>,
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
            proxy: None,
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

/// The proxy for a host, by the environment, as curl(1) reads it; `is_secure` is whether the address is one of https.
pub(super) fn proxy_of_environment(host: &str, is_secure: bool) -> Option<String> {
    let read = |names: &[&str]| {
        names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    };
    // Upper case HTTP_PROXY is what a client sends as `Proxy:` to who runs CGI scripts.
    let named: &[&str] = if is_secure { &["https_proxy", "HTTPS_PROXY"] } else { &["http_proxy"] };
    let proxy = read(named).or_else(|| read(&["all_proxy", "ALL_PROXY"]))?;
    let exceptions = read(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
    (!is_exempt(host, &exceptions)).then_some(proxy)
}

/// Whether a host is one of a list of names with commas between them, or below one, or `*` is.
fn is_exempt(host: &str, exceptions: &str) -> bool {
    exceptions.split([',', ' ']).filter(|word| !word.is_empty()).any(|word| {
        let word = word.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
        word == "*" || host == word || host.strip_suffix(&*word).is_some_and(|before| before.ends_with('.'))
    })
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

    #[test]
    fn some_hosts_are_exempt_from_proxies() {
        for (host, list, is) in [
            ("a.example.org", "example.org", true),
            ("a.example.org", ".example.org", true),
            ("example.org", "x, example.org", true),
            ("badexample.org", "example.org", false),
            ("x", "*", true),
            ("x", "", false),
        ] {
            assert_eq!(is_exempt(host, list), is, "{host} {list}");
        }
    }
}
