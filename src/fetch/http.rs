//! Asking web servers: who is trusted, by which way, where an answer leads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ureq::Agent;
use ureq::http::Request;
use ureq::http::header::LOCATION;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::{Connector as _, DefaultConnector, TcpConnector};

use super::address::Web;
use super::answer::{Answer, problem_of};
use super::forward::Forward;
use super::proxy::of_environment;
use super::resolver::ByGetent;
use super::send::Body;
use super::{Address, Header, Options, Problem, Proxy, ProxyChoice};

/// Who leads on more often leads nowhere.
const MOST_REDIRECTS: usize = 8;
const USER_AGENT: &str = concat!("onlay/", env!("CARGO_PKG_VERSION"));
/// Headers of an answer are not longer.
const LARGEST_HEAD: usize = 64 << 10;

/// A header of a request: its name, and what it says.
pub(super) type Field = (&'static str, String);

/// How one gets to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    /// Whether one speaks TLS with it.
    is_secure: bool,
    /// Who is asked to go between.
    proxy: Option<Proxy>,
}

/// Asks web servers.
pub(super) struct Http {
    options: Options,
    /// The address whose host the header is for.
    home: Address,
    /// They keep connections, and are made when they are needed: to read all authorities takes time.
    agents: Mutex<Vec<(Way, Agent)>>,
}

impl Http {
    pub(super) fn new(options: Options, home: Address) -> Http {
        Http { options, home, agents: Mutex::default() }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// Asks for a file, and follows where the answer leads.
    pub(super) fn get(&self, web: &Web, fields: &[Field]) -> Result<Answer, Problem> {
        let mut at = web.clone();
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.get_one(&at, fields)?;
            match answer.status {
                301 | 302 | 303 | 307 | 308 => {
                    let location = answer.headers.get(LOCATION).and_then(|location| location.to_str().ok());
                    at = at.redirected(location.unwrap_or_default())?;
                }
                _ => return Ok(answer),
            }
        }
        Err(Problem::Redirects(MOST_REDIRECTS))
    }

    fn get_one(&self, web: &Web, fields: &[Field]) -> Result<Answer, Problem> {
        let way = self.way(web)?;
        let mut request = self.agent(&way)?.get(web.url());
        for (name, value) in self.headers(web, &way, fields) {
            request = request.header(name, value);
        }
        self.answered(&way, request.call())
    }

    /// Sends something, and follows nowhere: what leads on elsewhere is an answer like another.
    pub(super) fn send(
        &self,
        method: &str,
        web: &Web,
        fields: &[Field],
        body: Body<'_>,
    ) -> Result<Answer, Problem> {
        let way = self.way(web)?;
        let agent = self.agent(&way)?;
        let mut request = Request::builder().method(method).uri(web.url());
        for (name, value) in self.headers(web, &way, fields) {
            request = request.header(name, value);
        }
        let unusable = |error: ureq::http::Error| Problem::Protocol(error.to_string());
        let sent = match body {
            Body::None => agent.run(request.body(()).map_err(unusable)?),
            Body::Bytes(bytes) => agent.run(request.body(bytes).map_err(unusable)?),
            Body::File(file) => agent.run(request.body(file).map_err(unusable)?),
        };
        self.answered(&way, sent)
    }

    /// What came of a request, or what is wrong: where somebody goes between, with who that is.
    fn answered(
        &self,
        way: &Way,
        sent: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answer, Problem> {
        let problem = match sent {
            // Only a proxy asks so for a name.
            Ok(response) if way.forwards().is_some() && response.status() == 407 => Problem::Status(407),
            Ok(response) => return Ok(Answer::of(response, &self.options)),
            Err(error) => problem_of(error, self.options.timeout),
        };
        Err(match &way.proxy {
            Some(proxy) => problem.through(proxy),
            None => problem,
        })
    }

    /// All that a request says besides what it is for.
    fn headers<'a>(
        &'a self,
        web: &Web,
        way: &Way,
        fields: &'a [Field],
    ) -> impl Iterator<Item = (&'a str, String)> {
        let secret = self.header_for(web).map(|header| (&*header.name, header.value.clone()));
        let of_proxy = way.forwards().and_then(Proxy::authorization);
        fields.iter().cloned().chain(of_proxy).chain(secret)
    }

    /// The secret, where it is for this server.
    fn header_for(&self, web: &Web) -> Option<&Header> {
        let header = self.options.header.as_ref()?;
        self.home.has_host_of(&Address::Web(web.clone())).then_some(header)
    }

    fn agents(&self) -> MutexGuard<'_, Vec<(Way, Agent)>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn way(&self, web: &Web) -> Result<Way, Problem> {
        let proxy = match &self.options.proxy {
            ProxyChoice::Given(proxy) => Some(proxy.clone()),
            ProxyChoice::Direct => None,
            ProxyChoice::Environment => of_environment(web.authority().0, web.is_secure)?,
        };
        Ok(Way { is_secure: web.is_secure, proxy })
    }

    fn agent(&self, way: &Way) -> Result<Agent, Problem> {
        if let Some((_, agent)) = self.agents().iter().find(|(known, _)| known == way) {
            return Ok(agent.clone());
        }
        let agent = self.make_agent(way)?;
        self.agents().push((way.clone(), agent.clone()));
        Ok(agent)
    }

    fn make_agent(&self, way: &Way) -> Result<Agent, Problem> {
        let timeout = Some(self.options.timeout);
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(USER_AGENT)
            .accept_encoding("identity")
            .max_response_header_size(LARGEST_HEAD)
            .timeout_connect(timeout)
            .timeout_send_request(timeout)
            .timeout_recv_response(timeout)
            .timeout_per_read(timeout)
            .timeout_per_write(timeout)
            // WebDAV has its own.
            .allow_non_standard_methods(true);
        let mut resolver = ByGetent { patience: self.options.timeout, instead: None };
        if let Some(proxy) = way.forwards() {
            resolver.instead = Some(proxy.uri().clone());
            let config = config.max_idle_connections(0).build();
            return Ok(Agent::with_parts(config, ().chain(TcpConnector::default()).chain(Forward), resolver));
        }
        let proxy = way.proxy.as_ref();
        config = config.proxy(proxy.map(|proxy| proxy.inner().clone()));
        if way.is_secure || proxy.is_some_and(Proxy::is_secure) {
            config = config.tls_config(trust()?);
        }
        Ok(Agent::with_parts(config.build(), DefaultConnector::default(), resolver))
    }
}

impl Way {
    /// The proxy that asks by itself, instead of connecting with the server.
    fn forwards(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|proxy| !self.is_secure && !proxy.is_secure())
    }
}

/// Trusts whom the host trusts: `SSL_CERT_FILE`, `SSL_CERT_DIR`, and where distributions have their authorities.
fn trust() -> Result<TlsConfig, Problem> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(Problem::Protocol(format!("this host has no certificates of authorities to trust{why}")));
    }
    let certificates = found.certs.iter().map(|der| Certificate::from_der(der).to_owned());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::from(certificates.collect::<Vec<_>>()))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build())
}
