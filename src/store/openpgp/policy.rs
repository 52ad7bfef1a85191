//! What counts: digests, keys, moments.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{EcdsaPublicParams, EddsaLegacyPublicParams, KeyDetails, PublicParams, Timestamp};

use super::error::Unfit;

/// How far a clock may be behind another's.
const SKEW: Duration = Duration::from_secs(300);

/// The least bits of an RSA key.
const LEAST_BITS: u16 = 2048;

/// Algorithms of keys whose signatures are checked (RFC 9580, 9.1): RSA, ECDSA, EdDSA in its older and its newer form.
const ALGORITHMS: [u8; 5] = [1, 3, 19, 22, 27];

pub(super) fn is_known_algorithm(algorithm: u8) -> bool {
    ALGORITHMS.contains(&algorithm)
}

/// Whether nobody can make two texts with one digest.
pub(super) fn is_strong(digest: HashAlgorithm) -> bool {
    use HashAlgorithm as D;
    matches!(digest, D::Sha224 | D::Sha256 | D::Sha384 | D::Sha512 | D::Sha3_256 | D::Sha3_512)
}

/// Whether a key is of a kind and size whose signatures count.
pub(super) fn judge_key(key: &impl KeyDetails) -> Result<(), Unfit> {
    match key.public_params() {
        PublicParams::RSA(rsa) => {
            // Its modulus comes first, and how many bits that has before it (RFC 9580, 3.2 and 5.5.5.1).
            let bytes = rsa.to_bytes().map_err(|_| Unfit::Short(0))?;
            let bits = bytes.first_chunk().map_or(0, |bits| u16::from_be_bytes(*bits));
            if bits < LEAST_BITS { Err(Unfit::Short(bits.into())) } else { Ok(()) }
        }
        PublicParams::ECDSA(
            EcdsaPublicParams::P256 { .. } | EcdsaPublicParams::P384 { .. } | EcdsaPublicParams::P521 { .. },
        )
        | PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Ed25519 { .. })
        | PublicParams::Ed25519(_) => Ok(()),
        _ => Err(Unfit::Curve),
    }
}

/// When something was made, as time.
pub(super) fn time_of(stamp: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(stamp.as_secs().into())
}

/// Whether a moment has not come yet, by a clock that may be a little behind.
pub(super) fn is_future(moment: SystemTime, now: SystemTime) -> bool {
    moment > now + SKEW
}

/// When something that was made at `from` ends; zero seconds are no end.
pub(super) fn end_of(from: Timestamp, lasts: Option<pgp::types::Duration>) -> Option<SystemTime> {
    let seconds = lasts.map(pgp::types::Duration::as_secs).filter(|seconds| *seconds != 0)?;
    Some(time_of(from) + Duration::from_secs(seconds.into()))
}

/// Whether a signature of a key on keys counts, its cryptography aside: its digest, and its time.
pub(super) fn counts(signature: &Signature, now: SystemTime) -> bool {
    let Some(made) = signature.created() else { return false };
    signature.hash_alg().is_some_and(is_strong)
        && !is_future(time_of(made), now)
        && end_of(made, signature.signature_expiration_time()).is_none_or(|end| end > now)
        && !has_critical_notation(signature)
}

/// Whether a signature says something that only counts for who understands it (RFC 9580, 5.2.3.24), and nobody here does.
pub(super) fn has_critical_notation(signature: &Signature) -> bool {
    let Some(config) = signature.config() else { return true };
    let mut hashed = config.hashed_subpackets();
    hashed.any(|packet| packet.is_critical && matches!(packet.data, SubpacketData::Notation(_)))
}

/// Whether a signature says what its key is for; and, if so, whether that is to sign.
pub(super) fn purpose(signature: &Signature) -> Option<bool> {
    let config = signature.config()?;
    config.hashed_subpackets().find_map(|packet| match &packet.data {
        SubpacketData::KeyFlags(flags) => Some(flags.sign()),
        _ => None,
    })
}
