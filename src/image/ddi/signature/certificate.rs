//! Certificates (X.509, RFC 5280): as much of them as says whose key it is, and which. Nothing is asked of when they
//! are valid, what for, or who vouches for them: systemd and the kernel, too, take those that they were given as they are.

use std::fmt;

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use sha2::{Digest as _, Sha256};

use super::base64;
use super::der::{self, BIT_STRING, Der, Element, INTEGER, OID, SEQUENCE};
use super::oid;
use crate::image::ddi::error::KeyProblem;

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    issuer: Vec<u8>,
    serial: Vec<u8>,
    subject: String,
    key: PublicKey,
}

/// SHA-256 of all of a certificate, by which images name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// Whose signatures can be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PublicKey {
    Rsa(Vec<u8>),
    P256(Vec<u8>),
    P384(Vec<u8>),
    /// Of a kind that is not known here.
    Other,
}

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Certificate {
    /// The first one in a PEM file.
    pub fn from_pem(text: &[u8]) -> Result<Certificate, KeyProblem> {
        let block = base64::pem(text)
            .into_iter()
            .find(|block| ["CERTIFICATE", "X509 CERTIFICATE"].contains(&&*block.label))
            .ok_or(KeyProblem::NoCertificate)?;
        block.content.and_then(Certificate::parse).ok_or(KeyProblem::BadCertificate)
    }

    fn parse(der: Vec<u8>) -> Option<Certificate> {
        let mut signed = Der::only(&der, SEQUENCE)?.inside().take(SEQUENCE)?.inside();
        signed.take_if(der::FIELD_0);
        let serial = signed.take(INTEGER)?.whole.to_vec();
        signed.take(SEQUENCE)?;
        let issuer = signed.take(SEQUENCE)?.whole.to_vec();
        signed.take(SEQUENCE)?;
        let subject = name(signed.take(SEQUENCE)?);
        let key = PublicKey::parse(signed.take(SEQUENCE)?)?;
        Some(Certificate { der, issuer, serial, subject, key })
    }

    /// SHA-256 of all of it, by which images name it.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Sha256::digest(&self.der).into())
    }

    /// Whose it is, in its own words: the common name, or all of them where there is none.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// How signatures name it: who issued it, and under which number.
    pub(super) fn issuer_and_serial(&self) -> Vec<u8> {
        der::element(SEQUENCE, &[&self.issuer, &self.serial])
    }

    pub(super) fn key(&self) -> &PublicKey {
        &self.key
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::hex(&self.0))
    }
}

impl serde::Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl PublicKey {
    /// Reads what RFC 5280 calls SubjectPublicKeyInfo.
    fn parse(element: Element<'_>) -> Option<PublicKey> {
        let mut inside = element.inside();
        let mut algorithm = inside.take(SEQUENCE)?.inside();
        let name = algorithm.take(OID)?.content;
        let bits = inside.take(BIT_STRING)?.bits()?.to_vec();
        let curve = algorithm.take_if(OID).map(|curve| curve.content);
        Some(match (name, curve) {
            (oid::RSA, _) => PublicKey::Rsa(bits),
            (oid::EC_KEY, Some(oid::P256)) => PublicKey::P256(bits),
            (oid::EC_KEY, Some(oid::P384)) => PublicKey::P384(bits),
            _ => PublicKey::Other,
        })
    }

    /// Whether a signature is this key's. `None`: that cannot be told here.
    pub(super) fn verifies(&self, hash: Hash, message: &[u8], signature: &[u8]) -> Option<bool> {
        let (algorithm, key): (&'static dyn VerificationAlgorithm, _) = match (self, hash) {
            (PublicKey::Rsa(key), Hash::Sha256) => (&signature::RSA_PKCS1_2048_8192_SHA256, key),
            (PublicKey::Rsa(key), Hash::Sha384) => (&signature::RSA_PKCS1_2048_8192_SHA384, key),
            (PublicKey::Rsa(key), Hash::Sha512) => (&signature::RSA_PKCS1_2048_8192_SHA512, key),
            (PublicKey::P256(key), Hash::Sha256) => (&signature::ECDSA_P256_SHA256_ASN1, key),
            (PublicKey::P256(key), Hash::Sha384) => (&signature::ECDSA_P256_SHA384_ASN1, key),
            (PublicKey::P384(key), Hash::Sha256) => (&signature::ECDSA_P384_SHA256_ASN1, key),
            (PublicKey::P384(key), Hash::Sha384) => (&signature::ECDSA_P384_SHA384_ASN1, key),
            _ => return None,
        };
        Some(UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok())
    }
}

/// A name as text.
fn name(element: Element<'_>) -> String {
    let mut parts = Vec::new();
    let mut sets = element.inside();
    while let Some(set) = sets.next() {
        let mut pairs = set.inside();
        while let Some(pair) = pairs.next() {
            let mut pair = pair.inside();
            if let (Some(kind), Some(value)) = (pair.take(OID), pair.next()) {
                let value = String::from_utf8_lossy(value.content);
                parts.push((kind.content == oid::COMMON_NAME, value.escape_default().to_string()));
            }
        }
    }
    match parts.iter().find(|(is_common, _)| *is_common) {
        Some((_, name)) => name.clone(),
        None => parts.into_iter().map(|(_, value)| value).collect::<Vec<_>>().join(", "),
    }
}
