//! Where the keys are that sign a store.

use std::env;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, ValueHint};

use crate::cli::output;
use crate::cli::report::Error;
use crate::store::openpgp::{BadKey, Certificates, Fingerprint, SignError, Signer, certificates_in};
use crate::store::{self, KEYS, Store, read_key};
use crate::sys::{Context, terminal};

/// By what keys a store is signed.
#[derive(Debug, Args)]
pub(super) struct KeyOptions {
    /// The secret key that signs the store; or a public key whose secret one
    /// gpg-agent has. Without it, the store's keys are looked for by their
    /// fingerprints in ~/.config/onlay/store-keys ($ONLAY_STORE_KEYS)
    #[arg(long, value_name = "FILE", env = "ONLAY_STORE_KEY", value_hint = ValueHint::FilePath, hide_env = true)]
    key: Vec<PathBuf>,
    /// The file of the key's passphrase; without it, the terminal is asked
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    passphrase_file: Option<PathBuf>,
    /// Leave the store without signatures
    #[arg(long, conflicts_with = "key")]
    unsigned: bool,
}

impl KeyOptions {
    /// Has a store signed by its keys, or by those that are given where it has none yet.
    pub(super) fn apply(&self, store: &mut Store) -> Result<(), Error> {
        if self.unsigned {
            store.leave_unsigned();
            return Ok(());
        }
        let signers = self.signers(store)?;
        Ok(store.use_signers(signers)?)
    }

    pub(super) fn is_unsigned(&self) -> bool {
        self.unsigned
    }

    /// The keys that are given, or those of a store that are where keys are.
    pub(super) fn signers(&self, store: &Store) -> Result<Vec<Box<dyn Signer>>, Error> {
        if self.key.is_empty() { self.found(store, &store.index().keys) } else { self.given(store) }
    }

    /// The keys that are given.
    pub(super) fn given(&self, store: &Store) -> Result<Vec<Box<dyn Signer>>, Error> {
        self.key.iter().map(|path| self.read(store, path)).collect()
    }

    /// Those of these keys that are where keys are.
    pub(super) fn found(&self, store: &Store, keys: &[String]) -> Result<Vec<Box<dyn Signer>>, Error> {
        let Some(directory) = directory() else { return Ok(Vec::new()) };
        let candidates = |key: &String| {
            let names = [format!("{key}.key"), format!("{key}.asc")];
            names.into_iter().map(|name| directory.join(name)).find(|path| path.exists())
        };
        keys.iter().filter_map(candidates).map(|path| self.read(store, &path)).collect()
    }

    fn read(&self, store: &Store, path: &Path) -> Result<Box<dyn Signer>, Error> {
        if store.has_within(path)? && is_secret(path) {
            return Err(store::Error::InStore(path.to_owned()).into());
        }
        let ask = || passphrase(self.passphrase_file.as_deref(), path);
        Ok(read_key(path, SystemTime::now(), ask)?)
    }
}

fn is_secret(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| store::openpgp::is_secret(&bytes))
}

/// Where clients have the certificates of those whom they trust.
pub(in crate::cli) const TRUSTED: [&str; 2] = ["/etc/onlay/keys", "/usr/lib/onlay/keys"];

/// The certificates of those who are trusted: of files, or of fingerprints, whose certificate is in the store itself, where secret keys
/// are, or where clients have theirs.
pub(super) fn trusted(words: &[PathBuf], store: &Path) -> Result<Option<Certificates>, Error> {
    let mut all = Certificates::default();
    for path in words {
        let is_file = path.symlink_metadata().is_ok();
        let fingerprint = path.to_str().and_then(|word| word.parse::<Fingerprint>().ok());
        if let Some(key) = fingerprint.filter(|_| !is_file) {
            all.extend(with_fingerprint(key, store)?);
            continue;
        }
        let bytes = std::fs::read(path).context("read", path)?;
        let bad = |source: BadKey| store::Error::Key { path: path.clone(), source: source.into() };
        all.extend(Certificates::parse(&bytes).map_err(bad)?);
    }
    Ok((!words.is_empty()).then_some(all))
}

fn with_fingerprint(key: Fingerprint, store: &Path) -> Result<Certificates, Error> {
    let own = std::fs::read(store.join(KEYS)).ok().and_then(|bytes| Certificates::parse(&bytes).ok());
    let own = own.unwrap_or_default();
    let mut known = own.clone();
    let places = directory().into_iter().chain(TRUSTED.map(PathBuf::from));
    for (_, certificates) in places.flat_map(|place| in_directory(&place)) {
        known.extend(certificates);
    }
    let found = known.only(std::slice::from_ref(&key));
    if found.is_empty() {
        let has = own.fingerprints();
        return Err(store::Error::NoCertificate { key, has }.into());
    }
    Ok(found)
}

/// The keys in the files of a directory, public and secret ones. What is none is passed over.
pub(super) fn in_directory(directory: &Path) -> Vec<(PathBuf, Certificates)> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let is_key = |path: &PathBuf| {
        let suffix = path.extension().and_then(|suffix| suffix.to_str());
        suffix.is_some_and(|suffix| ["key", "asc", "gpg", "pgp"].contains(&suffix)) && path.is_file()
    };
    let read = |path: PathBuf| {
        let public = certificates_in(&std::fs::read(&path).ok()?).ok()?;
        Some((path, Certificates::parse(&public).ok()?))
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_key).collect();
    paths.sort_unstable();
    paths.into_iter().filter_map(read).collect()
}

/// Where keys are that nobody names.
pub(in crate::cli) fn directory() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = || set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    set("ONLAY_STORE_KEYS").or_else(|| config().map(|config| config.join("onlay/store-keys")))
}

/// Where the secret key with a fingerprint is, unless somebody says otherwise.
pub(super) fn usual_place(key: &Fingerprint) -> Option<PathBuf> {
    directory().map(|directory| directory.join(format!("{key}.key")))
}

/// The passphrase of a key: what its file says, or a person.
pub(super) fn passphrase(file: Option<&Path>, of: &Path) -> Result<Vec<u8>, SignError> {
    match file {
        Some(file) => first_line(file),
        None => ask(&format!("passphrase of {}: ", output::path(of))),
    }
}

pub(super) fn first_line(file: &Path) -> Result<Vec<u8>, SignError> {
    let mut text = std::fs::read(file).context("read", file)?;
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    text.truncate(end);
    text.pop_if(|last| *last == b'\r');
    Ok(text)
}

pub(super) fn ask(question: &str) -> Result<Vec<u8>, SignError> {
    terminal::ask_secretly(question)?.ok_or(SignError::NoPassphrase)
}
