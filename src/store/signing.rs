//! Who signs a store. A store remembers by its index who that is; the secret keys are elsewhere, or an agent has them.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use super::Error;
use super::directory::Store;
use super::index::{INDEX, Signed};
use super::openpgp::{
    AgentKey, Certificates, Fingerprint, Refusal, SecretKey, SignError, Signer, is_secret, sockets,
};
use crate::sys::{Context, Root};

/// The certificates of the keys that sign a store, for who wants to trust them.
pub const KEYS: &str = "key.asc";

/// The same as a keyring of GnuPG, which systemd takes as it is.
pub const KEYRING: &str = "key.gpg";

/// More than this is no key.
const LARGEST_KEY: u64 = 1 << 20;

/// The names under which signatures of `SHA256SUMS` are looked for, and whether they are in armour: the first by systemd 252 to 257
/// and by most others, the second first of all by systemd 258 and later, which also know the rest.
pub const SIGNATURES: [(&str, bool); 4] = [
    ("SHA256SUMS.gpg", false),
    ("SHA256SUMS.sha256.asc", true),
    ("SHA256SUMS.sha256.gpg", false),
    ("SHA256SUMS.asc", true),
];

/// Reads the key of a file: a secret one, which nobody else may read; or a public one, whose secret key an agent has.
pub fn read_key(
    path: &Path,
    now: SystemTime,
    passphrase: impl FnOnce() -> Result<Vec<u8>, SignError>,
) -> Result<Box<dyn Signer>, Error> {
    let metadata = std::fs::metadata(path).context("examine", path)?;
    let bad = |source| Error::Key { path: path.to_owned(), source };
    if metadata.len() > LARGEST_KEY {
        return Err(bad(SignError::NoSecret));
    }
    let bytes = std::fs::read(path).context("read", path)?;
    if !is_secret(&bytes) {
        return AgentKey::find(&bytes, &sockets(), now)
            .map(|key| Box::new(key) as Box<dyn Signer>)
            .map_err(bad);
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(Error::Exposed(path.to_owned()));
    }
    SecretKey::parse(&bytes, now, passphrase).map(|key| Box::new(key) as Box<dyn Signer>).map_err(bad)
}

impl Store {
    /// Whether a file lies in the store's directory, or below.
    pub fn has_within(&self, path: &Path) -> Result<bool, Error> {
        let path = std::path::absolute(path).context("find", path)?;
        for directory in path.ancestors().skip(1) {
            if Root::open(directory)?.is_same(&self.dir)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lets it be signed from now on by these keys, the first of which also signs for systemd.
    pub fn set_signers(&mut self, signers: Vec<Box<dyn Signer>>) {
        let mut seen = BTreeSet::new();
        self.signers = signers.into_iter().filter(|signer| seen.insert(signer.fingerprint())).collect();
        self.index.keys = self.signers.iter().map(|signer| signer.fingerprint().to_string()).collect();
        self.is_changed = true;
    }

    /// Has the keys at hand that sign it. One that does not is refused: whoever uses another one has to say so.
    pub fn use_signers(&mut self, signers: Vec<Box<dyn Signer>>) -> Result<(), Error> {
        if self.index.keys.is_empty() {
            if signers.is_empty() {
                return Ok(());
            }
            // Who is to answer for what is there already says so by `sign`.
            if !self.index.images.is_empty() {
                return Err(Error::NotSigned);
            }
            self.set_signers(signers);
            return Ok(());
        }
        self.take_signers(signers)?;
        self.expect_own_index()
    }

    /// Has all keys at hand that sign it, and no others.
    pub(super) fn take_signers(&mut self, signers: Vec<Box<dyn Signer>>) -> Result<(), Error> {
        for signer in signers {
            let given = signer.fingerprint();
            if !self.index.keys.contains(&given.to_string()) {
                return Err(Error::OtherKey { keys: self.index.keys.clone(), given });
            }
            self.signers.push(signer);
        }
        self.find_signers().map(drop)
    }

    /// The certificates of the keys that are at hand.
    fn own_certificates(&self) -> Certificates {
        let mut own = Certificates::default();
        for signer in &self.signers {
            own.extend(Certificates::parse(signer.certificate()).unwrap_or_default());
        }
        own
    }

    /// Whether one of the keys that are at hand has signed an index.
    pub(super) fn is_own(&self, signed: &Signed) -> bool {
        self.expect_signed(signed).is_ok()
    }

    /// When one of the keys that are at hand has signed a list of digests, which is one's own only then; why none of its signatures
    /// counts, if there is one.
    pub(super) fn expect_own_list(&self, text: &[u8]) -> Result<Option<SystemTime>, Option<Refusal>> {
        let now = SystemTime::now();
        let own = self.own_certificates();
        let mut refused = None;
        for (name, _) in SIGNATURES {
            let Ok(signature) = self.dir.read(name, LARGEST_KEY) else { continue };
            match own.verify(&signature, text, now) {
                Ok(_) => return Ok(own.signed_at(&signature, text, now)),
                Err(refusal) => refused = Some(refusal),
            }
        }
        Err(refused)
    }

    /// An index is signed again only where one of those who sign it has signed it as it is. Who can write the store and has no key
    /// is not to have his words signed.
    fn expect_own_index(&self) -> Result<(), Error> {
        let refused = |refused| Error::Altered { path: self.dir.join(INDEX), refused: Box::new(refused) };
        let found = self.found.as_ref().ok_or_else(|| Error::None(self.dir.path().to_owned()))?;
        self.expect_signed(found).map_err(refused)
    }

    fn expect_signed(&self, signed: &Signed) -> Result<(), Refusal> {
        let (own, now) = (self.own_certificates(), SystemTime::now());
        let mut refused = Refusal::Unreadable;
        for signature in &signed.signatures {
            match own.verify(signature.as_bytes(), &signed.bytes, now) {
                Ok(_) => return Ok(()),
                Err(refusal) => refused = refusal,
            }
        }
        Err(refused)
    }

    /// Gives one of its keys up, which need not be at hand; these are the others.
    pub fn drop_signer(&mut self, key: &Fingerprint, others: Vec<Box<dyn Signer>>) -> Result<(), Error> {
        let key = key.to_string();
        if !self.index.keys.contains(&key) {
            return Err(Error::NotSigner(key));
        }
        let kept: Vec<String> = self.index.keys.iter().filter(|other| **other != key).cloned().collect();
        if kept.is_empty() {
            return Err(Error::OnlyKey(key));
        }
        self.index.keys = kept;
        self.is_changed = true;
        self.use_signers(others)
    }

    /// Takes one more key, which signs after those that it has.
    pub fn add_signer(&mut self, signer: Box<dyn Signer>) {
        self.index.keys.push(signer.fingerprint().to_string());
        self.signers.push(signer);
        self.is_changed = true;
    }

    /// Leaves it without signatures.
    pub fn leave_unsigned(&mut self) {
        self.is_changed |= !self.index.keys.is_empty();
        self.index.keys.clear();
    }

    /// Signs it anew, whether or not anything has changed.
    pub fn sign(&mut self) -> Result<(), Error> {
        if self.index.keys.is_empty() {
            return Err(Error::NoKey);
        }
        self.is_changed = true;
        Ok(())
    }

    /// Whoever signs it, in the index's order.
    pub(super) fn find_signers(&self) -> Result<Vec<&dyn Signer>, Error> {
        let of = |key: &String| {
            let found = self.signers.iter().find(|signer| signer.fingerprint().to_string() == *key);
            found.map(AsRef::as_ref).ok_or_else(|| Error::KeyMissing { key: key.clone() })
        };
        self.index.keys.iter().map(of).collect()
    }

    /// The certificates that it has of its own keys.
    pub fn certificates(&self) -> Certificates {
        let read = self.dir.read(KEYS, LARGEST_KEY).ok();
        read.and_then(|text| Certificates::parse(&text).ok()).unwrap_or_default()
    }

    /// Whether all signatures are there and right, of what the lists say now.
    pub(super) fn is_signed(&self, sums: &[u8], now: SystemTime) -> bool {
        if self.index.keys.is_empty() {
            return ![KEYS, KEYRING].iter().any(|name| self.dir.exists(name))
                && SIGNATURES.iter().all(|(name, _)| !self.dir.exists(*name));
        }
        let certificates = self.certificates();
        let Some(signed) = &self.found else { return false };
        let is_by = |key: &String, signature: &[u8], data: &[u8]| {
            let Ok(key) = key.parse::<Fingerprint>() else { return false };
            certificates.only(&[key]).verify(signature, data, now).is_ok()
        };
        let keys = &self.index.keys;
        let index_is = keys.iter().all(|key| {
            signed.signatures.iter().any(|signature| is_by(key, signature.as_bytes(), &signed.bytes))
        });
        let list_is = |name: &str| {
            self.dir.read(name, LARGEST_KEY).is_ok_and(|signature| is_by(&keys[0], &signature, sums))
        };
        index_is && SIGNATURES.iter().all(|(name, _)| list_is(name))
    }
}
