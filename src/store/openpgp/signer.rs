//! Making signatures: what is the same whoever holds the key.

use std::time::SystemTime;

use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PacketTrait, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::types::{KeyDetails, KeyVersion, Password, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};

use super::armour::{self, Kind};
use super::{Fingerprint, SignError};

/// Somebody who can sign: a key in a file, or one that an agent holds.
pub trait Signer: std::fmt::Debug {
    /// Its certificate, which those who trust it need: a transferable public key (RFC 9580, 10.1), binary.
    fn certificate(&self) -> &[u8];

    /// The fingerprint of its primary key.
    fn fingerprint(&self) -> Fingerprint;

    /// A detached signature of bytes, made now: one packet, binary.
    fn sign(&self, data: &[u8], now: SystemTime) -> Result<Vec<u8>, SignError>;

    /// The same in armour.
    fn sign_armoured(&self, data: &[u8], now: SystemTime) -> Result<String, SignError> {
        self.sign(data, now).map(|signature| armoured_signature(&signature))
    }
}

/// A signature in armour.
pub fn armoured_signature(signature: &[u8]) -> String {
    armour::close(signature, Kind::Signature)
}

/// A certificate in armour.
pub fn armoured(certificate: &[u8]) -> String {
    armour::close(certificate, Kind::PublicKey)
}

/// The digest that is signed: the one of whose like gpg 2.2 and all later ones have, and that every key here can sign.
pub(super) const DIGEST: HashAlgorithm = HashAlgorithm::Sha512;

/// A detached signature by a key.
pub(super) fn detached(
    key: &impl pgp::types::SigningKey,
    password: &Password,
    data: &[u8],
    now: SystemTime,
) -> Result<Vec<u8>, SignError> {
    let config = config(key, SignatureType::Binary, now, Vec::new())?;
    let signature = config.sign(key, password, data)?;
    written(&signature)
}

/// What a signature of a kind says besides its own.
pub(super) fn config(
    key: &impl KeyDetails,
    kind: SignatureType,
    now: SystemTime,
    says: Vec<SubpacketData>,
) -> Result<SignatureConfig, SignError> {
    let mut config = if key.version() == KeyVersion::V6 {
        SignatureConfig::v6_with_salt(kind, key.algorithm(), DIGEST, random::<32>()?.to_vec())
    } else {
        SignatureConfig::v4(kind, key.algorithm(), DIGEST)
    };
    let made = Timestamp::try_from(now).map_err(|_| SignError::Clock)?;
    let always =
        [SubpacketData::SignatureCreationTime(made), SubpacketData::IssuerFingerprint(key.fingerprint())];
    let hashed = always.into_iter().chain(says).map(Subpacket::regular);
    config.hashed_subpackets = hashed.collect::<Result<_, _>>()?;
    if key.version() == KeyVersion::V4 {
        config.unhashed_subpackets =
            vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))?];
    }
    Ok(config)
}

/// A signature as a packet.
pub(super) fn written(signature: &Signature) -> Result<Vec<u8>, SignError> {
    let mut bytes = Vec::new();
    signature.to_writer_with_header(&mut bytes)?;
    Ok(bytes)
}

/// Bytes that nobody can guess.
pub(super) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], SignError> {
    let mut bytes = [0; LENGTH];
    SystemRandom::new().fill(&mut bytes).map_err(|_| SignError::NoRandom)?;
    Ok(bytes)
}
