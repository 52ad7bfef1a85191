//! Who goes between here and a web server (RFC 9110, 3.7): which proxy is asked, and how.

use std::fmt;
use std::net::IpAddr;

use ureq::ProxyProtocol;
use ureq::http::Uri;

use super::Problem;
use super::http::Field;
use crate::image::ddi::base64;

/// Which proxy is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProxyChoice {
    /// The one of the environment, where it has any.
    #[default]
    Environment,
    /// None.
    Direct,
    /// This one.
    Given(Proxy),
}

/// A proxy that is asked by http or https. Its password is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(ureq::Proxy);

impl Proxy {
    /// Reads `http://NAME:PASSWORD@HOST:PORT`, or the same with `https`; without a scheme, it is http.
    pub fn parse(text: &str) -> Result<Proxy, String> {
        if let Some((scheme, _)) = text.split_once("://")
            && !["http", "https"].contains(&&*scheme.to_ascii_lowercase())
        {
            return Err(format!("proxies by '{scheme}' are not known: http and https are"));
        }
        ureq::Proxy::new(text).map(Proxy).map_err(|_| "it is no address of a proxy".to_owned())
    }

    /// Whether one speaks TLS with it.
    pub(super) fn is_secure(&self) -> bool {
        self.0.protocol() == ProxyProtocol::Https
    }

    pub(super) fn inner(&self) -> &ureq::Proxy {
        &self.0
    }

    /// Where it is.
    pub(super) fn uri(&self) -> &Uri {
        self.0.uri()
    }

    /// Who asks, where it is to know that (RFC 9110, 11.7.2).
    pub(super) fn authorization(&self) -> Option<Field> {
        if self.0.username().is_none() && self.0.password().is_none() {
            return None;
        }
        let [name, password] = [self.0.username(), self.0.password()].map(Option::unwrap_or_default);
        let said = base64::encode(format!("{name}:{password}").as_bytes());
        Some(("Proxy-Authorization", format!("Basic {said}")))
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure() { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.0.host(), self.0.port())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The proxy for a host, by the environment, as curl(1) reads it; `is_secure` is whether the address is one of https.
pub(super) fn of_environment(host: &str, is_secure: bool) -> Result<Option<Proxy>, Problem> {
    let read = |names: &[&'static str]| {
        let said = |name: &&'static str| Some((*name, std::env::var(name).ok()?));
        names.iter().find_map(|name| said(name).filter(|(_, value)| !value.is_empty()))
    };
    // Upper case HTTP_PROXY is what a client sends as `Proxy:` to who runs CGI scripts.
    let named: &[&str] = if is_secure { &["https_proxy", "HTTPS_PROXY"] } else { &["http_proxy"] };
    let Some((name, proxy)) = read(named).or_else(|| read(&["all_proxy", "ALL_PROXY"])) else {
        return Ok(None);
    };
    let exceptions = read(&["no_proxy", "NO_PROXY"]).map(|(_, list)| list).unwrap_or_default();
    if is_exempt(host, &exceptions) {
        return Ok(None);
    }
    let unusable = |why| Problem::Protocol(format!("{name} of the environment cannot be used: {why}"));
    Proxy::parse(&proxy).map(Some).map_err(unusable)
}

/// Whether a host is one of a list of names and addresses with commas between them, below one, or in a network, or `*` is.
fn is_exempt(host: &str, exceptions: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>().ok();
    exceptions.split([',', ' ']).filter(|word| !word.is_empty()).any(|word| {
        let word = word.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
        let word = word.trim_start_matches('[').trim_end_matches(']');
        word == "*"
            || host == word
            || host.strip_suffix(word).is_some_and(|before| before.ends_with('.'))
            || address.is_some_and(|address| is_in_network(address, word))
    })
}

/// Whether an address is in a network, as `10.0.0.0/8`.
fn is_in_network(address: IpAddr, network: &str) -> bool {
    let Some((first, length)) = network.split_once('/') else { return false };
    let (Ok(first), Ok(length)) = (first.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    // What is left of both when all but that many leading bits are shifted out.
    match (address, first) {
        (IpAddr::V4(one), IpAddr::V4(other)) if length <= 32 => {
            (one.to_bits() ^ other.to_bits()).checked_shr(32 - length).unwrap_or(0) == 0
        }
        (IpAddr::V6(one), IpAddr::V6(other)) if length <= 128 => {
            (one.to_bits() ^ other.to_bits()).checked_shr(128 - length).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_hosts_are_exempt_from_proxies() {
        for (host, list, is) in [
            ("a.example.org", "example.org", true),
            ("a.example.org", ".example.org", true),
            ("example.org", "x, example.org", true),
            ("badexample.org", "example.org", false),
            ("x", "*", true),
            ("x", "", false),
            ("[::1]", "localhost,127.0.0.1,::1", true),
            ("[::1]", "[::1]", true),
            ("10.1.2.3", "10.0.0.0/8", true),
            ("11.1.2.3", "10.0.0.0/8", false),
            ("11.1.2.3", "0.0.0.0/0", true),
            ("10.1.2.3", "10.1.2.3/32", true),
            ("10.1.2.4", "10.1.2.3/32,10.0.0.0/33", false),
            ("[fd00::5]", "fd00::/8", true),
            ("[fe00::5]", "fd00::/8,::/129", false),
            ("[fe00::5]", "::/0", true),
        ] {
            assert_eq!(is_exempt(host, list), is, "{host} {list}");
        }
    }

    #[test]
    fn a_proxy_is_of_http_or_https_and_its_password_is_not_shown() {
        for (text, shown, said) in [
            ("http://proxy:3128", "http://proxy:3128", None),
            ("proxy", "http://proxy:80", None),
            ("https://proxy/", "https://proxy:443", None),
            ("http://me:p%40ss@proxy:3128/", "http://proxy:3128", Some("Basic bWU6cEBzcw==")),
            ("HTTP://me@[::1]:3128", "http://[::1]:3128", Some("Basic bWU6")),
        ] {
            let proxy = Proxy::parse(text).expect("a proxy");
            assert_eq!((&*proxy.to_string(), &*format!("{proxy:?}")), (shown, shown), "{text}");
            assert_eq!(proxy.authorization().map(|(_, value)| value).as_deref(), said, "{text}");
        }
        for (text, why) in [
            ("socks5://proxy", "proxies by 'socks5' are not known: http and https are"),
            ("http://", "it is no address of a proxy"),
            ("http://a b", "it is no address of a proxy"),
            ("http://%ff@proxy", "it is no address of a proxy"),
        ] {
            assert_eq!(Proxy::parse(text).expect_err(text), why);
        }
    }
}
