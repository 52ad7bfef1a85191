//! Asking web servers: who is trusted, which proxy, where an answer leads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ureq::http::Request;
use ureq::http::header::LOCATION;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Proxy};

use super::address::Web;
use super::answer::{Answer, problem_of};
use super::options::proxy_of_environment;
use super::resolver::ByGetent;
use super::send::Body;
use super::{Address, Header, Options, Problem};

/// Who leads on more often leads nowhere.
const MOST_REDIRECTS: usize = 8;
const USER_AGENT: &str = concat!("onlay/", env!("CARGO_PKG_VERSION"));
/// Headers of an answer are not longer.
const LARGEST_HEAD: usize = 64 << 10;

/// A header of a request: its name, and what it says.
pub(super) type Field = (&'static str, String);

/// Which agent is for what: whether it speaks TLS, and through which proxy.
type Kind = (bool, Option<String>);

/// Asks web servers.
pub(super) struct Http {
    options: Options,
    /// The address whose host the header is for.
    home: Address,
    /// They keep connections, and are made when they are needed: to read all authorities takes time.
    agents: Mutex<Vec<(Kind, Agent)>>,
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
        let agent = self.agent(web)?;
        let mut request = agent.get(web.url());
        for (name, value) in fields {
            request = request.header(*name, value);
        }
        if let Some(header) = self.header_for(web) {
            request = request.header(&header.name, &header.value);
        }
        let response = request.call().map_err(|error| problem_of(error, self.options.timeout))?;
        Ok(Answer::of(response, &self.options))
    }

    /// Sends something, and follows nowhere: what leads on elsewhere is an answer like another.
    pub(super) fn send(
        &self,
        method: &str,
        web: &Web,
        fields: &[Field],
        body: Body<'_>,
    ) -> Result<Answer, Problem> {
        let agent = self.agent(web)?;
        let mut request = Request::builder().method(method).uri(web.url());
        for (name, value) in fields {
            request = request.header(*name, value);
        }
        if let Some(header) = self.header_for(web) {
            request = request.header(&header.name, &header.value);
        }
        let unusable = |error: ureq::http::Error| Problem::Protocol(error.to_string());
        let sent = match body {
            Body::None => agent.run(request.body(()).map_err(unusable)?),
            Body::Bytes(bytes) => agent.run(request.body(bytes).map_err(unusable)?),
            Body::File(file) => agent.run(request.body(file).map_err(unusable)?),
        };
        let response = sent.map_err(|error| problem_of(error, self.options.timeout))?;
        Ok(Answer::of(response, &self.options))
    }

    /// The secret, where it is for this server.
    fn header_for(&self, web: &Web) -> Option<&Header> {
        let header = self.options.header.as_ref()?;
        self.home.has_host_of(&Address::Web(web.clone())).then_some(header)
    }

    fn agents(&self) -> MutexGuard<'_, Vec<(Kind, Agent)>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn agent(&self, web: &Web) -> Result<Agent, Problem> {
        let proxy = match &self.options.proxy {
            Some(proxy) => Some(proxy.clone()).filter(|proxy| !proxy.is_empty()),
            None => proxy_of_environment(web.authority().0, web.is_secure),
        };
        let is_tls = web.is_secure || proxy.as_ref().is_some_and(|proxy| proxy.starts_with("https:"));
        let kind = (is_tls, proxy);
        if let Some((_, agent)) = self.agents().iter().find(|(known, _)| *known == kind) {
            return Ok(agent.clone());
        }
        let agent = self.make_agent(&kind)?;
        self.agents().push((kind, agent.clone()));
        Ok(agent)
    }

    fn make_agent(&self, (is_tls, proxy): &Kind) -> Result<Agent, Problem> {
        let timeout = Some(self.options.timeout);
        let unusable = |_| Problem::Protocol("the proxy that is given is no address of one".to_owned());
        let proxy = proxy.as_deref().map(Proxy::new).transpose().map_err(unusable)?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
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
        if *is_tls {
            config = config.tls_config(trust()?);
        }
        let resolver = ByGetent { patience: self.options.timeout };
        Ok(Agent::with_parts(config.build(), DefaultConnector::default(), resolver))
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
