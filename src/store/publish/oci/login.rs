//! Saying to a registry who asks (OCI Distribution's token authentication): by name and password, or by a token that is had for those.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::fetch::{Address, Error, Reply, Sender};

/// Larger is no answer of who gives tokens.
const LARGEST_TOKEN: u64 = 1 << 20;
/// No file of logins is larger.
const LARGEST_LOGINS: u64 = 4 << 20;

/// What is said of oneself, and what is known of that.
pub(super) struct Login {
    host: String,
    repository: String,
    /// Whether the registry itself is asked without TLS.
    is_plain: bool,
    said: Option<String>,
}

/// What podman-login(1) and docker-login(1) write.
#[derive(Deserialize)]
struct Logins {
    #[serde(default)]
    auths: std::collections::HashMap<String, Known>,
}

#[derive(Deserialize)]
struct Known {
    /// Name and password, with a colon between them, in base64.
    auth: Option<String>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Login {
    pub(super) fn new(host: &str, repository: &str, is_plain: bool) -> Login {
        Login { host: host.to_owned(), repository: repository.to_owned(), is_plain, said: None }
    }

    /// The header that says it.
    pub(super) fn field(&self) -> Option<(&'static str, String)> {
        Some(("authorization", self.said.clone()?))
    }

    /// Answers a registry that wants to know who asks. `false` where there is nothing more to say.
    pub(super) fn answer(&mut self, sender: &Sender, refused: &Reply) -> Result<bool, Error> {
        let known = known(&self.host).map(|auth| format!("Basic {auth}"));
        let said = match refused.header("www-authenticate").and_then(Challenge::parse) {
            Some(challenge) => self.token(sender, &challenge, known)?.map(|token| format!("Bearer {token}")),
            None => known,
        };
        let is_new = said.is_some() && said != self.said;
        self.said = said;
        Ok(is_new)
    }

    fn token(
        &self,
        sender: &Sender,
        challenge: &Challenge,
        known: Option<String>,
    ) -> Result<Option<String>, Error> {
        // A password goes nowhere without TLS because a server says so.
        let may_be_told = self.is_plain || challenge.realm.starts_with("https://");
        let Some(realm) = Address::of_file(&challenge.realm).ok().filter(|_| may_be_told) else {
            return Ok(None);
        };
        let scope = format!("repository:{}:pull,push,delete", self.repository);
        let address = realm.with_query(&[("service", &challenge.service), ("scope", &scope)]);
        let fields: Vec<_> = known.map(|known| ("authorization", known)).into_iter().collect();
        let reply = sender.get(&address, &fields, LARGEST_TOKEN)?.expect_success()?;
        let token = serde_json::from_slice::<Token>(&reply.bytes).ok();
        Ok(token.and_then(|Token { token, access_token }| token.or(access_token)))
    }
}

/// `Bearer realm="…",service="…"`.
struct Challenge {
    realm: String,
    service: String,
}

impl Challenge {
    fn parse(header: &str) -> Option<Challenge> {
        let (scheme, rest) = header.split_once(' ')?;
        let value = |name: &str| {
            let (_, after) = rest.split_once(&format!("{name}=\""))?;
            Some(after.split('"').next()?.to_owned())
        };
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        Some(Challenge { realm: value("realm")?, service: value("service").unwrap_or_default() })
    }
}

/// What is noted for a registry, where containers-auth.json(5) and docker have it.
fn known(host: &str) -> Option<String> {
    places().into_iter().find_map(|path| {
        let text = std::fs::metadata(&path)
            .ok()
            .filter(|found| found.len() <= LARGEST_LOGINS)
            .and(std::fs::read(&path).ok())?;
        let logins: Logins = serde_json::from_slice(&text).ok()?;
        let of = |name: &str| logins.auths.get(name).and_then(|known| known.auth.clone());
        of(host).or_else(|| of(&format!("https://{host}"))).or_else(|| of(&format!("https://{host}/v2/")))
    })
}

fn places() -> Vec<PathBuf> {
    let directory = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let below = |base: Option<PathBuf>, path: &str| base.map(|base| base.join(Path::new(path)));
    [
        directory("REGISTRY_AUTH_FILE"),
        below(directory("XDG_RUNTIME_DIR"), "containers/auth.json"),
        below(directory("HOME"), ".config/containers/auth.json"),
        below(directory("DOCKER_CONFIG"), "config.json"),
        below(directory("HOME"), ".docker/config.json"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_says_who_gives_tokens() {
        let challenge = Challenge::parse(r#"Bearer realm="https://a/t",service="r.example",scope="x""#);
        let challenge = challenge.expect("it is one");
        assert_eq!((&*challenge.realm, &*challenge.service), ("https://a/t", "r.example"));
        for other in ["Basic realm=\"x\"", "Bearer", "Bearer service=\"x\""] {
            assert!(Challenge::parse(other).is_none(), "{other}");
        }
    }
}
