//! Private keys: RSA, whose signatures are always the same, and ECDSA, whose are not.

use std::fmt;

use ring::rand::SystemRandom;
use ring::rsa;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256,
};

use super::base64;
use super::certificate::{Certificate, Hash, PublicKey};
use super::der::{self, BIT_STRING, Der, INTEGER, OCTET_STRING, OID, SEQUENCE};
use super::{oid, pkcs7};
use crate::image::ddi::error::KeyProblem;

/// A private key with its certificate.
pub struct Signer {
    certificate: Certificate,
    key: Key,
}

enum Key {
    Rsa(Box<rsa::KeyPair>),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
}

impl Signer {
    /// From PEM files: a private key (PKCS #8, or of the older forms PKCS #1 and SEC 1), not encrypted, and the certificate of its public key.
    pub fn from_pem(key: &[u8], certificate: &[u8]) -> Result<Signer, KeyProblem> {
        let certificate = Certificate::from_pem(certificate)?;
        let key = read_key(key)?;
        if key.public() != *certificate.key() {
            return Err(KeyProblem::NotOurs);
        }
        Ok(Signer { certificate, key })
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// A detached signature, without attributes, in the form of PKCS #7.
    pub(in crate::image::ddi) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyProblem> {
        let random = SystemRandom::new();
        let signature = match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map(|()| signature)
            }
            Key::P256(key) | Key::P384(key) => key.sign(&random, message).map(|made| made.as_ref().to_vec()),
        };
        let signature = signature.map_err(|_| KeyProblem::Refused)?;
        Ok(pkcs7::encode(&self.certificate, self.key.hash(), &signature))
    }
}

/// The key itself is not shown.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("subject", &self.certificate.subject()).finish_non_exhaustive()
    }
}

impl Key {
    fn public(&self) -> PublicKey {
        match self {
            Key::Rsa(key) => PublicKey::Rsa(key.public().as_ref().to_vec()),
            Key::P256(key) => PublicKey::P256(key.public_key().as_ref().to_vec()),
            Key::P384(key) => PublicKey::P384(key.public_key().as_ref().to_vec()),
        }
    }

    fn hash(&self) -> Hash {
        match self {
            Key::Rsa(_) | Key::P256(_) => Hash::Sha256,
            Key::P384(_) => Hash::Sha384,
        }
    }
}

fn read_key(text: &[u8]) -> Result<Key, KeyProblem> {
    let block = base64::pem(text)
        .into_iter()
        .find(|block| block.label.ends_with("PRIVATE KEY"))
        .ok_or(KeyProblem::NoKey)?;
    if block.is_encrypted || block.label == "ENCRYPTED PRIVATE KEY" {
        return Err(KeyProblem::Encrypted);
    }
    let content = block.content.ok_or(KeyProblem::Unusable)?;
    match &*block.label {
        "PRIVATE KEY" => read_pkcs8(&content),
        "RSA PRIVATE KEY" => rsa::KeyPair::from_der(&content).map(|key| Key::Rsa(Box::new(key))).ok(),
        "EC PRIVATE KEY" => read_sec1(&content, None),
        _ => None,
    }
    .ok_or(KeyProblem::Unusable)
}

/// What all kinds of keys are wrapped in (RFC 5958).
fn read_pkcs8(content: &[u8]) -> Option<Key> {
    let mut inside = Der::only(content, SEQUENCE)?.inside();
    inside.take(INTEGER)?;
    let mut algorithm = inside.take(SEQUENCE)?.inside();
    let key = inside.take(OCTET_STRING)?.content;
    match algorithm.take(OID)?.content {
        oid::RSA => rsa::KeyPair::from_der(key).map(|key| Key::Rsa(Box::new(key))).ok(),
        oid::EC_KEY => read_sec1(key, Some(algorithm.take(OID)?.content)),
        _ => None,
    }
}

/// A key on a curve (RFC 5915), which names the curve itself where nobody else did.
fn read_sec1(content: &[u8], curve: Option<&[u8]>) -> Option<Key> {
    let mut inside = Der::only(content, SEQUENCE)?.inside();
    inside.take(INTEGER)?;
    let private = inside.take(OCTET_STRING)?.content;
    let own = inside.take_if(der::FIELD_0).and_then(|field| field.inside().take(OID));
    let public = inside.take_if(der::FIELD_1)?.inside().take(BIT_STRING)?.bits()?;
    let random = SystemRandom::new();
    let key =
        |algorithm| EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public, &random).ok();
    match curve.or(own.map(|element| element.content))? {
        oid::P256 => key(&ECDSA_P256_SHA256_ASN1_SIGNING).map(Key::P256),
        oid::P384 => key(&ECDSA_P384_SHA384_ASN1_SIGNING).map(Key::P384),
        _ => None,
    }
}
