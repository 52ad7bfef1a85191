//! Detached signatures in the form of PKCS #7 (RFC 2315; RFC 5652 calls it CMS): SignedData that says whose certificate
//! belongs to the key, and has the signature itself.

use sha2::{Digest, Sha256, Sha384, Sha512};

use super::certificate::{Certificate, Hash, PublicKey};
use super::der::{self, Der, Element, FIELD_0, INTEGER, NULL, OCTET_STRING, OID, SEQUENCE, SET, element};
use super::oid;

/// Why a signature is not one of these certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SignatureProblem {
    /// It cannot be read.
    #[error("it is no detached signature in the form of PKCS #7")]
    Malformed,
    /// It is in a form that cannot be checked here.
    #[error("it is of a kind that cannot be checked here")]
    Unsupported,
    /// The certificate is not at hand.
    #[error("it was made with none of the certificates that are trusted")]
    UnknownSigner,
    /// The certificate is there, but its key did not sign this.
    #[error("it is not the signature of this root hash")]
    Wrong,
}

/// A signature as a message of its own: what `openssl smime -sign -nocerts -noattr -binary -outform DER` writes.
pub(super) fn encode(certificate: &Certificate, hash: Hash, signature: &[u8]) -> Vec<u8> {
    let null = element(NULL, &[]);
    let digest = element(SEQUENCE, &[&element(OID, &[hash.oid()]), &null]);
    let algorithm = match certificate.key() {
        PublicKey::Rsa(_) => element(SEQUENCE, &[&element(OID, &[oid::RSA]), &null]),
        _ if hash == Hash::Sha384 => element(SEQUENCE, &[&element(OID, &[oid::ECDSA_SHA384])]),
        _ => element(SEQUENCE, &[&element(OID, &[oid::ECDSA_SHA256])]),
    };
    let version = element(INTEGER, &[&[1]]);
    let signer = element(
        SEQUENCE,
        &[
            &version,
            &certificate.issuer_and_serial(),
            &digest,
            &algorithm,
            &element(OCTET_STRING, &[signature]),
        ],
    );
    let content = element(SEQUENCE, &[&element(OID, &[oid::DATA])]);
    let signed =
        element(SEQUENCE, &[&version, &element(SET, &[&digest]), &content, &element(SET, &[&signer])]);
    element(SEQUENCE, &[&element(OID, &[oid::SIGNED_DATA]), &element(FIELD_0, &[&signed])])
}

/// Checks a signature of a message, and tells which of the certificates made it. Where several signed, all of them have
/// to be trusted, as OpenSSL has it; the first is told.
pub(super) fn verify<'a>(
    bytes: &[u8],
    message: &[u8],
    certificates: &'a [Certificate],
) -> Result<&'a Certificate, SignatureProblem> {
    let mut signers = signers(bytes).ok_or(SignatureProblem::Malformed)?.inside();
    let mut first = None;
    while !signers.is_empty() {
        let signer = signers.take(SEQUENCE).ok_or(SignatureProblem::Malformed)?;
        let found = verify_one(signer, message, certificates)?;
        first.get_or_insert(found);
    }
    first.ok_or(SignatureProblem::Malformed)
}

/// The set of who signed.
fn signers(bytes: &[u8]) -> Option<Element<'_>> {
    let mut message = Der::only(bytes, SEQUENCE)?.inside();
    if message.take(OID)?.content != oid::SIGNED_DATA {
        return None;
    }
    let mut signed = Der::only(message.take(FIELD_0)?.content, SEQUENCE)?.inside();
    signed.take(INTEGER)?;
    signed.take(SET)?;
    // The content is elsewhere: one with content of its own would be the signature of that.
    let mut content = signed.take(SEQUENCE)?.inside();
    if content.take(OID)?.content != oid::DATA || !content.is_empty() {
        return None;
    }
    signed.take_if(FIELD_0);
    signed.take_if(der::FIELD_1);
    signed.take(SET).filter(|_| signed.is_empty())
}

fn verify_one<'a>(
    signer: Element<'_>,
    message: &[u8],
    certificates: &'a [Certificate],
) -> Result<&'a Certificate, SignatureProblem> {
    let Signer { name, hash, attributes, signature } =
        Signer::parse(signer).ok_or(SignatureProblem::Malformed)?;
    let hash = Hash::of(hash).ok_or(SignatureProblem::Unsupported)?;
    let certificate = certificates
        .iter()
        .find(|certificate| certificate.issuer_and_serial() == name.whole)
        .ok_or(if name.tag == SEQUENCE {
        SignatureProblem::UnknownSigner
    } else {
        SignatureProblem::Unsupported
    })?;
    let signed = match attributes {
        None => message.to_vec(),
        Some(attributes) if digest_in(attributes).as_deref() == Some(&*hash.digest(message)) => {
            // What is signed then are the attributes, as the set that they are.
            element(SET, &[attributes.content])
        }
        Some(_) => return Err(SignatureProblem::Wrong),
    };
    match certificate.key().verifies(hash, &signed, signature) {
        Some(true) => Ok(certificate),
        Some(false) => Err(SignatureProblem::Wrong),
        None => Err(SignatureProblem::Unsupported),
    }
}

/// What is said of one who signed.
struct Signer<'a> {
    name: Element<'a>,
    hash: &'a [u8],
    attributes: Option<Element<'a>>,
    signature: &'a [u8],
}

impl<'a> Signer<'a> {
    fn parse(element: Element<'a>) -> Option<Signer<'a>> {
        let mut inside = element.inside();
        inside.take(INTEGER)?;
        let name = inside.next()?;
        let hash = inside.take(SEQUENCE)?.inside().take(OID)?.content;
        let attributes = inside.take_if(FIELD_0);
        inside.take(SEQUENCE)?;
        let signature = inside.take(OCTET_STRING)?.content;
        Some(Signer { name, hash, attributes, signature })
    }
}

/// The digest of the message among signed attributes.
fn digest_in(attributes: Element<'_>) -> Option<Vec<u8>> {
    let mut all = attributes.inside();
    while let Some(attribute) = all.take(SEQUENCE) {
        let mut pair = attribute.inside();
        if pair.take(OID)?.content == oid::MESSAGE_DIGEST {
            return Some(Der::only(pair.take(SET)?.content, OCTET_STRING)?.content.to_vec());
        }
    }
    None
}

impl Hash {
    fn of(name: &[u8]) -> Option<Hash> {
        [Hash::Sha256, Hash::Sha384, Hash::Sha512].into_iter().find(|hash| hash.oid() == name)
    }

    fn oid(self) -> &'static [u8] {
        match self {
            Hash::Sha256 => oid::SHA256,
            Hash::Sha384 => oid::SHA384,
            Hash::Sha512 => oid::SHA512,
        }
    }

    fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha256 => Sha256::digest(message).to_vec(),
            Hash::Sha384 => Sha384::digest(message).to_vec(),
            Hash::Sha512 => Sha512::digest(message).to_vec(),
        }
    }
}
