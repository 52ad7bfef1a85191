//! OpenPGP (RFC 9580), as much of it as signatures of stores need: certificates, what they allow at a moment, and detached
//! signatures, read and made.
//!
//! Bytes of others are taken apart here as far as packets, with bounds; the crate `pgp` gets single packets of kinds and
//! algorithms that are wanted, and does the cryptography. What a certificate allows is decided here: nothing counts that its
//! primary key did not sign.

mod agent;
mod armour;
mod certificate;
mod error;
mod fingerprint;
mod packets;
mod policy;
mod secret;
mod signer;
mod tag;
mod verify;

pub use agent::{AgentKey, sockets};
pub use certificate::Certificates;
pub use error::{BadKey, Refusal, SignError, Unfit};
pub use fingerprint::Fingerprint;
pub use secret::{Made, NewKey, SecretKey, certificates_in, is_secret};
pub use signer::{Signer, armoured, armoured_signature};

#[cfg(test)]
mod tests;
