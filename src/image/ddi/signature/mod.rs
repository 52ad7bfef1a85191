//! What is in a partition with a signature: a line of JSON, and zeros up to its end.
//!
//! ```text
//! {"rootHash":"64 hexadecimal digits","certificateFingerprint":"64 more","signature":"base 64"}
//! ```
//!
//! Signed are the digits of the root hash, as text. The certificate is not in it: who checks has it already, and finds it
//! by the SHA-256 of its DER form.

pub(crate) mod base64;
mod certificate;
mod der;
mod key;
mod oid;
mod pkcs7;
mod trusted;

pub use certificate::{Certificate, Fingerprint};
pub use key::Signer;
pub use pkcs7::SignatureProblem;
pub use trusted::{TRUSTED, Trusted};

use serde::{Deserialize, Serialize};

use super::error::KeyProblem;
use super::verity::RootHash;

/// Bytes of the partition, where its text is not longer; systemd-repart makes as many.
const SIZE: usize = 16 * 1024;

/// What is read of one. More could only be zeros.
pub(super) const MOST: u64 = 1024 * 1024;

/// A signature of a root hash, which may be anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// What it says that it is of.
    pub root_hash: RootHash,
    /// SHA-256 of the certificate that it says it was made with, where it says that.
    pub fingerprint: Option<Fingerprint>,
    /// In the form of PKCS #7.
    message: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Text {
    root_hash: String,
    // systemd writes it, and can read a signature without.
    certificate_fingerprint: Option<String>,
    signature: String,
}

impl Signature {
    /// Signs a root hash.
    pub(super) fn make(root_hash: RootHash, signer: &Signer) -> Result<Signature, KeyProblem> {
        let message = signer.sign(root_hash.to_string().as_bytes())?;
        let fingerprint = Some(signer.certificate().fingerprint());
        Ok(Signature { root_hash, fingerprint, message })
    }

    /// The content of a partition with it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let text = Text {
            root_hash: self.root_hash.to_string(),
            certificate_fingerprint: self.fingerprint.as_ref().map(Fingerprint::to_string),
            signature: base64::encode(&self.message),
        };
        let mut bytes = serde_json::to_vec(&text).expect("three strings are JSON");
        // Whoever reads it looks for the zero.
        let size = (bytes.len() + 1).next_multiple_of(4096).max(SIZE);
        bytes.resize(size, 0);
        bytes
    }

    /// Reads the content of a partition; `None` where there is none in it.
    pub fn parse(bytes: &[u8]) -> Option<Signature> {
        let text = bytes.split(|byte| *byte == 0).next()?;
        let text: Text = serde_json::from_slice(text).ok()?;
        let fingerprint = match text.certificate_fingerprint {
            Some(digits) => Some(Fingerprint(RootHash::parse(&digits)?.0)),
            None => None,
        };
        let message = base64::decode(text.signature.as_bytes())?;
        Some(Signature { root_hash: RootHash::parse(&text.root_hash)?, fingerprint, message })
    }

    /// The signature itself, in the form of PKCS #7.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Checks that it is that of one of these certificates, and of its root hash. Tells which.
    pub fn verify<'a>(&self, certificates: &'a [Certificate]) -> Result<&'a Certificate, SignatureProblem> {
        pkcs7::verify(&self.message, self.root_hash.to_string().as_bytes(), certificates)
    }
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests;
