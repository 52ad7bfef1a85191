//! A registry of container images (OCI Distribution 1.1): each file is an artifact of its own, with one layer, under a tag that
//! is made of its name. oras(1) and its like fetch it: `oras pull REGISTRY/REPOSITORY:index.json`.

mod login;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use login::Login;

use super::contents::{Content, Item};
use super::target::{accepted, body, found, patiently};
use super::{Error, Settings, Target};
use crate::fetch::{Address, Body, Reply, Sender};
use crate::package::Identity;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The content of an empty configuration (OCI Image 1.1, guidance for an empty descriptor).
const EMPTY: &[u8] = b"{}";
const EMPTY_KIND: &str = "application/vnd.oci.empty.v1+json";
/// What the artifacts are: files of a store.
const ARTIFACT: &str = "application/vnd.onlay.store.file.v1";
/// What name a layer is to get as a file.
const TITLE: &str = "org.opencontainers.image.title";

/// A repository of a registry.
pub(super) struct Registry {
    home: Address,
    sender: Sender,
    login: Login,
    has_empty: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    config: Layer,
    layers: Vec<Layer>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Registry {
    /// Opens `REGISTRY/REPOSITORY`. Who publishes is read where podman(1) and docker(1) note it.
    pub(super) fn open(rest: &str, settings: &Settings) -> Result<Registry, String> {
        let (host, repository) = rest.split_once('/').ok_or("it names no repository")?;
        let repository = repository.trim_matches('/');
        let is_name =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "/._-".contains(letter);
        if repository.is_empty() || !repository.chars().all(is_name) {
            return Err("a repository's name has small letters, digits and '/', '.', '_', '-'".to_owned());
        }
        let scheme = if settings.plain_http { "http" } else { "https" };
        let home = Address::of_file(&format!("{scheme}://{host}/v2/{repository}"))?;
        let sender = Sender::new(&home, settings.options.clone());
        Ok(Registry {
            login: Login::new(host, repository, settings.plain_http),
            home,
            sender,
            has_empty: false,
        })
    }

    /// Asks, and where the registry wants to know who asks, says it and asks again.
    fn ask(
        &mut self,
        method: &str,
        address: &Address,
        kind: &str,
        content: Option<&Content<'_>>,
    ) -> Result<Reply, Error> {
        let sent = || content.map_or(Ok(Body::None), body);
        let with = |login: &Login| {
            let kind = (!kind.is_empty()).then(|| ("content-type", kind.to_owned()));
            [("accept", MANIFEST.to_owned())].into_iter().chain(kind).chain(login.field()).collect::<Vec<_>>()
        };
        let reply = self.sender.send(method, address, &with(&self.login), sent()?)?;
        if reply.status != 401 || !self.login.answer(&self.sender, &reply)? {
            return Ok(reply);
        }
        Ok(self.sender.send(method, address, &with(&self.login), sent()?)?)
    }

    fn at(&self, kind: &str, what: &str) -> Address {
        self.home.join(kind).join(what)
    }

    /// The artifact under a file's tag, and its own digest. What is none of ours is as good as nothing, and is replaced.
    fn artifact(&mut self, file: &str) -> Result<Option<(Layer, String)>, Error> {
        let address = self.at("manifests", &tag(file));
        let reply = self.ask("GET", &address, "", None)?;
        let Some(reply) = found(reply, &format!("a question for '{file}'"))? else { return Ok(None) };
        let own = format!("sha256:{}", Identity::of(&reply.bytes));
        let manifest = serde_json::from_slice::<Manifest>(&reply.bytes).ok();
        Ok(manifest.and_then(|mut manifest| manifest.layers.pop()).map(|layer| (layer, own)))
    }

    /// Has a blob be there (OCI Distribution 1.1, "Pushing a blob monolithically").
    fn put_blob(&mut self, digest: &str, what: &str, content: &Content<'_>) -> Result<(), Error> {
        let blob = self.at("blobs", digest);
        if self.ask("HEAD", &blob, "", None)?.is_success() {
            return Ok(());
        }
        let uploads = self.home.join("blobs/uploads/");
        let begun = accepted(self.ask("POST", &uploads, "", None)?, what)?;
        let address = begun.location()?.with_query(&[("digest", digest)]);
        accepted(self.ask("PUT", &address, "application/octet-stream", Some(content))?, what).map(|_| ())
    }

    fn put_once(&mut self, item: &Item, content: &Content<'_>) -> Result<(), Error> {
        let what = format!("'{}'", item.file);
        let empty = Layer::of(EMPTY_KIND, Identity::of(EMPTY), EMPTY.len() as u64);
        if !self.has_empty {
            self.put_blob(&empty.digest, &what, &Content::Bytes(EMPTY))?;
            self.has_empty = true;
        }
        let mut layer = Layer::of("application/octet-stream", item.sha256, item.size);
        layer.annotations.insert(TITLE.to_owned(), item.file.clone());
        self.put_blob(&layer.digest, &what, content)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            artifact_type: Some(ARTIFACT.to_owned()),
            config: empty,
            layers: vec![layer],
        };
        let text = serde_json::to_vec(&manifest).expect("it has nothing that JSON cannot say");
        let address = self.at("manifests", &tag(&item.file));
        accepted(self.ask("PUT", &address, MANIFEST, Some(&Content::Bytes(&text)))?, &what).map(|_| ())
    }

    /// Removes an artifact. Where the registry removes nothing (405), its tag stays, and no list names it.
    fn remove_once(&mut self, file: &str) -> Result<(), Error> {
        let Some((_, own)) = self.artifact(file)? else { return Ok(()) };
        let address = self.at("manifests", &own);
        let reply = self.ask("DELETE", &address, "", None)?;
        if reply.status == 405 {
            return Ok(());
        }
        found(reply, &format!("the removal of '{file}'")).map(|_| ())
    }
}

impl Target for Registry {
    fn read(&mut self, file: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let options = self.sender.options().clone();
        patiently(&options, || {
            let Some((layer, _)) = self.artifact(file)? else { return Ok(None) };
            let address = self.at("blobs", &layer.digest);
            let reply =
                self.sender.get(&address, &self.login.field().into_iter().collect::<Vec<_>>(), limit)?;
            // Registries keep blobs elsewhere, and lead there.
            let reply = match reply.status {
                301 | 302 | 303 | 307 | 308 => self.sender.get(&reply.location()?, &[], limit)?,
                _ => reply,
            };
            Ok(found(reply, &format!("a question for '{file}'"))?.map(|reply| reply.bytes))
        })
    }

    fn has(&mut self, item: &Item) -> Result<bool, Error> {
        let options = self.sender.options().clone();
        patiently(&options, || {
            let found = self.artifact(&item.file)?;
            Ok(found.is_some_and(|(layer, _)| layer.digest == format!("sha256:{}", item.sha256)))
        })
    }

    fn put(&mut self, item: &Item, content: &Content<'_>) -> Result<(), Error> {
        let options = self.sender.options().clone();
        patiently(&options, || self.put_once(item, content))
    }

    fn shows_pages(&self) -> bool {
        false
    }

    fn remove(&mut self, file: &str) -> Result<(), Error> {
        let options = self.sender.options().clone();
        patiently(&options, || self.remove_once(file))
    }
}

impl Layer {
    fn of(kind: &str, sha256: Identity, size: u64) -> Layer {
        let digest = format!("sha256:{sha256}");
        Layer { media_type: kind.to_owned(), digest, size, annotations: BTreeMap::new() }
    }
}

/// The tag of a file: its name, where that can be one, and in it what no tag can have as the number of the letter
/// (OCI Distribution 1.1: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`).
fn tag(file: &str) -> String {
    let mut tag = String::new();
    for (at, byte) in file.bytes().enumerate() {
        match byte {
            b'.' | b'-' if at > 0 => tag.push(char::from(byte)),
            b'_' => tag.push('_'),
            _ if byte.is_ascii_alphanumeric() => tag.push(char::from(byte)),
            _ => tag.push_str(&format!("__{byte:02x}")),
        }
    }
    if tag.len() > 128 { Identity::of(file.as_bytes()).to_string() } else { tag }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_made_of_names() {
        for (file, expected) in [
            ("index.json", "index.json"),
            ("SHA256SUMS.gpg", "SHA256SUMS.gpg"),
            ("a_1~rc1+b_x86-64.raw", "a_1__7erc1__2bb_x86-64.raw"),
            (".x", "__2ex"),
        ] {
            assert_eq!(tag(file), expected);
        }
        assert_eq!(tag(&"x".repeat(129)).len(), 64);
    }
}
