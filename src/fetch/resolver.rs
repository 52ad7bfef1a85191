//! Names of hosts, as the host's own resolver knows them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::sys::with_causes;
use crate::tool::getent;

/// More addresses of one host than these are not tried.
const MOST: usize = 16;

/// Asks getent(1).
#[derive(Debug)]
pub(super) struct ByGetent {
    pub(super) patience: Duration,
    /// Whose address is wanted, whoever is asked for.
    pub(super) instead: Option<Uri>,
}

impl Resolver for ByGetent {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let uri = self.instead.as_ref().unwrap_or(uri);
        let host = uri.host().unwrap_or_default();
        let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(usual);
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let found = match literal {
            Ok(address) => vec![address],
            Err(_) => getent::addresses(host, self.patience)
                .map_err(|error| ureq::Error::Other(with_causes(&error).into()))?,
        };
        let mut addresses = self.empty();
        found.into_iter().take(MOST).for_each(|address| addresses.push(SocketAddr::new(address, port)));
        if addresses.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(addresses) }
    }
}
