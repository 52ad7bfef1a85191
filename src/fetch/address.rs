//! Where a directory or a file is: a path, or a URL of few kinds (RFC 3986).

use std::fmt;
use std::path::{Path, PathBuf};

use super::Problem;

/// An address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A path of this machine.
    Path(PathBuf),
    /// A URL of a web server.
    Web(Web),
}

/// A URL of a web server, taken apart as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// `https`, and not `http`.
    pub(super) is_secure: bool,
    /// Host and port as they stand there, in small letters.
    pub(super) host: String,
    /// What follows, from its `/` on, percent-encoded.
    pub(super) path: String,
    /// What follows a `?`. It may be a secret, and is not shown.
    pub(super) query: Option<String>,
}

impl Address {
    /// Reads the address of a directory: an absolute path, or a URL.
    pub fn parse(text: &str) -> Result<Address, String> {
        if text.chars().any(|letter| letter.is_control() || letter == ' ') {
            return Err("an address has neither blanks nor control characters".to_owned());
        }
        if let Some(path) = text.strip_prefix("file://") {
            let path = decoded(path.strip_prefix("localhost").unwrap_or(path));
            return Address::of_path(&path.ok_or("its percent signs make no sense")?);
        }
        if text.starts_with('/') {
            return Address::of_path(text);
        }
        let web = Web::parse(text)?;
        if web.query.is_some() {
            return Err("the address of a directory has no '?'".to_owned());
        }
        Ok(Address::Web(web))
    }

    /// Reads the address of one file of a web server, which may have a query.
    pub fn of_file(text: &str) -> Result<Address, String> {
        Web::parse(text).map(Address::Web)
    }

    /// With these fields of a query besides, which are encoded.
    #[must_use]
    pub fn with_query(&self, fields: &[(&str, &str)]) -> Address {
        let Address::Web(web) = self else { return self.clone() };
        let mut query = web.query.clone().unwrap_or_default();
        for (name, value) in fields {
            let separator = if query.is_empty() { "" } else { "&" };
            query.push_str(&format!("{separator}{name}={}", encoded(value).replace('/', "%2F")));
        }
        Address::Web(Web { query: Some(query), ..web.clone() })
    }

    /// This directory of a web server and those above it, the topmost first.
    pub fn directories(&self) -> Vec<Address> {
        let Address::Web(web) = self else { return Vec::new() };
        let path = web.path.trim_matches('/');
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let at = |end| Address::Web(Web { path: format!("/{}/", &path[..end]), query: None, ..web.clone() });
        if path.is_empty() { Vec::new() } else { ends.map(at).collect() }
    }

    fn of_path(text: &str) -> Result<Address, String> {
        let path = Path::new(text);
        if path.is_absolute() {
            Ok(Address::Path(path.to_owned()))
        } else {
            Err("its path is not absolute".to_owned())
        }
    }

    /// The address of a file in this directory, or in one below it.
    #[must_use]
    pub fn join(&self, file: &str) -> Address {
        match self {
            Address::Path(path) => Address::Path(path.join(file.trim_start_matches('/'))),
            Address::Web(web) => {
                let path = format!("{}/{}", web.path.trim_end_matches('/'), encoded(file));
                Address::Web(Web { path, ..web.clone() })
            }
        }
    }

    /// Whether it is on the same server as another one, by the same scheme: a secret of that one may be told there.
    pub(super) fn has_host_of(&self, other: &Address) -> bool {
        match (self, other) {
            (Address::Web(one), Address::Web(other)) => {
                (one.is_secure, one.authority()) == (other.is_secure, other.authority())
            }
            _ => false,
        }
    }
}

impl Web {
    fn parse(text: &str) -> Result<Web, String> {
        let (scheme, rest) = text.split_once("://").ok_or("it is neither an absolute path nor a URL")?;
        let is_secure = match &*scheme.to_ascii_lowercase() {
            "https" => true,
            "http" => false,
            other => return Err(format!("the scheme '{other}' is not known: http, https and file are")),
        };
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let rest = rest.split('#').next().unwrap_or_default();
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        if authority.contains('@') {
            return Err("a password is given in a header file, not in the address".to_owned());
        }
        if !is_authority(authority) {
            return Err("it has no host that there could be".to_owned());
        }
        let path = if path.is_empty() { "/" } else { path };
        Ok(Web {
            is_secure,
            host: authority.to_ascii_lowercase(),
            path: path.to_owned(),
            query: query.map(str::to_owned),
        })
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    /// All of it, as a server is asked for it.
    pub(super) fn url(&self) -> String {
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}://{}{}{query}", self.scheme(), self.host, self.path)
    }

    /// Host and port, also where that is the usual one.
    pub(super) fn authority(&self) -> (&str, u16) {
        let usual = if self.is_secure { 443 } else { 80 };
        let at = self.host.rfind(':').filter(|at| !self.host[*at..].contains(']'));
        match at {
            Some(at) => (&self.host[..at], self.host[at + 1..].parse().unwrap_or(usual)),
            None => (&self.host, usual),
        }
    }

    /// Where an answer leads that has this `Location` (RFC 9110, 10.2.2).
    pub(super) fn redirected(&self, location: &str) -> Result<Web, Problem> {
        let is_text = |letter: char| letter.is_ascii_graphic();
        let bad =
            || Problem::BadRedirect(location.chars().filter(|letter| is_text(*letter)).take(80).collect());
        if location.is_empty() || !location.chars().all(is_text) {
            return Err(bad());
        }
        let next = if let Some(rest) = location.strip_prefix("//") {
            Web::parse(&format!("{}://{rest}", self.scheme()))
        } else if has_scheme(location) {
            match Web::parse(location) {
                Ok(next) if next.is_secure != self.is_secure => {
                    return Err(Problem::OtherScheme(next.scheme().to_owned()));
                }
                Err(_) if !is_web(location) => {
                    return Err(Problem::OtherScheme(
                        location.split(':').next().unwrap_or_default().to_owned(),
                    ));
                }
                other => other,
            }
        } else {
            let directory = &self.path[..=self.path.rfind('/').unwrap_or(0)];
            let path = if location.starts_with('/') {
                location.to_owned()
            } else {
                format!("{directory}{location}")
            };
            Web::parse(&format!("{}://{}{path}", self.scheme(), self.host))
        };
        next.map_err(|_| bad())
    }
}

fn is_web(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.starts_with("http://") || text.starts_with("https://")
}

fn has_scheme(text: &str) -> bool {
    let before = text.split([':', '/', '?']).next().unwrap_or_default();
    text[before.len()..].starts_with(':')
        && before.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
}

/// Host and port: a name, an address of IPv4, or one of IPv6 in brackets.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((address, rest)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            ("x", rest)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    let is_host = !host.is_empty() && !host.starts_with('-') && host.chars().all(is_letter);
    is_host && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// A path in which all but the plainest letters are percent-encoded: some servers take a plus for a blank.
fn encoded(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok().filter(|byte| *byte != 0)?);
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// As people read it, without what may be secret in it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Path(path) => write!(f, "{}", path.display()),
            Address::Web(web) => write!(f, "{}://{}{}", web.scheme(), web.host, web.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_made_from_the_top() {
        let address = |text| Address::of_file(text).expect("an address");
        let of = |text| address(text).directories().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(of("http://a/b/c%20d/"), ["http://a/b/", "http://a/b/c%20d/"]);
        assert_eq!(of("http://a"), [""; 0]);
        let asked = address("http://a/b?x=1").with_query(&[("digest", "sha256:0/"), ("y", "a&b")]);
        assert!(
            matches!(asked, Address::Web(web) if web.url() == "http://a/b?x=1&digest=sha256%3A0%2F&y=a%26b")
        );
    }

    fn parsed(text: &str) -> String {
        Address::parse(text).map_or_else(|why| why, |address| address.to_string())
    }

    #[test]
    fn addresses_are_paths_and_urls_of_few_kinds() {
        for (text, shown) in [
            ("/srv/store", "/srv/store"),
            ("file:///srv/a%20b", "/srv/a b"),
            ("file://localhost/srv", "/srv"),
            ("https://Example.org:8443/x/", "https://example.org:8443/x/"),
            ("http://[::1]:80", "http://[::1]:80/"),
            ("srv/store", "it is neither an absolute path nor a URL"),
            ("file://srv/store", "its path is not absolute"),
            ("ftp://example.org/", "the scheme 'ftp' is not known: http, https and file are"),
            ("https://user:secret@example.org/", "a password is given in a header file, not in the address"),
            ("https://example.org/?a", "the address of a directory has no '?'"),
            ("https:///x", "it has no host that there could be"),
            ("https://-x/", "it has no host that there could be"),
            ("https://x:0/", "it has no host that there could be"),
            ("https://x:y/", "it has no host that there could be"),
            ("https://x\n/", "an address has neither blanks nor control characters"),
        ] {
            assert_eq!(parsed(text), shown, "{text}");
        }
    }

    #[test]
    fn files_are_below_it() {
        let web = Address::parse("https://x/s/").expect("an address").join("a+b_1~rc^1.raw");
        assert_eq!(web.to_string(), "https://x/s/a%2Bb_1~rc%5E1.raw");
        let path = Address::parse("/srv").expect("an address").join("/sub/a.raw");
        assert_eq!(path.to_string(), "/srv/sub/a.raw");
    }

    #[test]
    fn redirects_lead_to_the_same_scheme() {
        let Ok(Address::Web(web)) = Address::parse("https://x/s/a.raw") else { panic!("an address") };
        for (location, to) in [
            ("b.raw", "https://x/s/b.raw"),
            ("/b.raw?key=1", "https://x/b.raw"),
            ("//y:444/b", "https://y:444/b"),
            ("https://y/b#c", "https://y/b"),
            ("http://x/s/a.raw", "it leads on to another scheme, 'http'"),
            ("file:///etc/shadow", "it leads on to another scheme, 'file'"),
            ("javascript:x", "it leads on to another scheme, 'javascript'"),
            ("https://u@y/", "it leads on to what is no address: https://u@y/"),
            ("", "it leads on to what is no address: "),
            ("a b", "it leads on to what is no address: ab"),
        ] {
            let shown = web
                .redirected(location)
                .map_or_else(|why| why.to_string(), |web| Address::Web(web).to_string());
            assert_eq!(shown, to, "{location}");
        }
    }

    #[test]
    fn a_host_is_the_same_with_its_usual_port() {
        let of = |text| Address::parse(text).expect("an address");
        assert!(of("https://x/a").has_host_of(&of("https://x:443/b")));
        for other in ["https://x:444/a", "http://x:443/a", "https://y/a", "/x"] {
            assert!(!of("https://x/a").has_host_of(&of(other)), "{other}");
        }
    }
}
