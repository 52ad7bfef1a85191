//! Whether bytes are signed by somebody who is trusted.

use std::time::SystemTime;

use pgp::packet::{Signature, SignatureType};
use pgp::types::KeyDetails;

use super::armour::{self, Kind};
use super::certificate::{Certificate, Subkey, read_signature};
use super::error::{Refusal, Unfit};
use super::packets;
use super::{Certificates, Fingerprint, policy, tag};

/// More bytes are no signature, and more signatures than this are looked at by nobody.
const LARGEST: usize = 1 << 20;
const MOST: usize = 32;

/// A key that a signature may be made with.
enum Signer<'a> {
    Primary(&'a Certificate),
    Subkey(&'a Certificate, &'a Subkey),
}

impl Certificates {
    /// Checks a detached signature (or several, of which one that is good is enough), binary or in armour, of data; the primary
    /// key of whoever signed. Where none is good, what is wrong with the one that comes nearest.
    pub fn verify(&self, signature: &[u8], data: &[u8], now: SystemTime) -> Result<Fingerprint, Refusal> {
        let mut nearest = None;
        let mut strangers = Vec::new();
        for signature in signatures(signature)? {
            match self.verify_one(&signature, data, now) {
                Ok(by) => return Ok(by),
                Err(Refusal::Stranger { by }) => strangers.extend(by),
                Err(refusal) => nearest = nearest.or(Some(refusal)),
            }
        }
        Err(nearest.unwrap_or(Refusal::Stranger { by: strangers }))
    }

    /// When somebody who is trusted has signed data so: the last time, where it was several times.
    pub fn signed_at(&self, signature: &[u8], data: &[u8], now: SystemTime) -> Option<SystemTime> {
        let found = signatures(signature).ok()?;
        let good = found.iter().filter(|signature| self.verify_one(signature, data, now).is_ok());
        good.filter_map(Signature::created).map(policy::time_of).max()
    }

    fn verify_one(
        &self,
        signature: &Signature,
        data: &[u8],
        now: SystemTime,
    ) -> Result<Fingerprint, Refusal> {
        if signature.typ() != Some(SignatureType::Binary) {
            return Err(Refusal::Other);
        }
        let mut refusal = Refusal::Stranger { by: vec![issuer(signature)] };
        for signer in self.all().iter().flat_map(signers).filter(|signer| signer.may_have_made(signature)) {
            match signer.verify(signature, data, now) {
                Ok(by) => return Ok(by),
                Err(other) => refusal = other,
            }
        }
        Err(refusal)
    }
}

/// The signatures that bytes have.
fn signatures(bytes: &[u8]) -> Result<Vec<Signature>, Refusal> {
    let is_small = bytes.len() <= LARGEST;
    let opened =
        is_small.then(|| armour::open(bytes, Kind::Signature)).flatten().ok_or(Refusal::Unreadable)?;
    let packets = packets::split(&opened).ok_or(Refusal::Unreadable)?;
    let mut found = Vec::new();
    for packet in packets.iter().filter(|packet| !packet.is_filler()) {
        if packet.tag != tag::SIGNATURE {
            return Err(Refusal::Other);
        }
        // One that is not understood may stand beside one that is.
        found.extend(read_signature(packet));
    }
    if found.is_empty() || found.len() > MOST { Err(Refusal::Unreadable) } else { Ok(found) }
}

/// Who says that he signed; nobody has checked it.
fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|found| format!("{found:X}"));
    let id = || signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase());
    fingerprint.or_else(id).unwrap_or_else(|| "somebody".to_owned())
}

fn signers(certificate: &Certificate) -> impl Iterator<Item = Signer<'_>> {
    let subkeys = certificate.subkeys.iter().map(|subkey| Signer::Subkey(certificate, subkey));
    std::iter::once(Signer::Primary(certificate)).chain(subkeys)
}

impl Signer<'_> {
    fn certificate(&self) -> &Certificate {
        match self {
            Signer::Primary(certificate) | Signer::Subkey(certificate, _) => certificate,
        }
    }

    /// Whether the signature names this key, or none.
    fn may_have_made(&self, signature: &Signature) -> bool {
        let (fingerprint, id) = match self {
            Signer::Primary(certificate) => {
                (certificate.primary.fingerprint(), certificate.primary.legacy_key_id())
            }
            Signer::Subkey(_, subkey) => (subkey.key.fingerprint(), subkey.key.legacy_key_id()),
        };
        let (fingerprints, ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
        let names_nobody = fingerprints.is_empty() && ids.is_empty();
        names_nobody || fingerprints.contains(&&fingerprint) || fingerprints.is_empty() && ids.contains(&&id)
    }

    /// First whether the signature is what it says, so that all else is said of one that is.
    fn verify(&self, signature: &Signature, data: &[u8], now: SystemTime) -> Result<Fingerprint, Refusal> {
        let by = || self.certificate().fingerprint();
        let digest = signature.hash_alg().ok_or(Refusal::Unreadable)?;
        if !policy::is_strong(digest) {
            return Err(Refusal::Weak { by: by(), digest: digest.to_string() });
        }
        let verified = match self {
            Signer::Primary(certificate) => signature.verify(&certificate.primary, data),
            Signer::Subkey(_, subkey) => signature.verify(&subkey.key, data),
        };
        verified.map_err(|_| Refusal::Changed { by: by() })?;
        self.judge_time(signature, now)?;
        self.judge_key(now)?;
        Ok(by())
    }

    fn judge_time(&self, signature: &Signature, now: SystemTime) -> Result<(), Refusal> {
        let by = || self.certificate().fingerprint();
        let made = signature.created().ok_or(Refusal::Unreadable)?;
        let at = policy::time_of(made);
        if policy::is_future(at, now) {
            return Err(Refusal::Future { by: by(), at });
        }
        let key_made = match self {
            Signer::Primary(certificate) => certificate.primary.created_at(),
            Signer::Subkey(_, subkey) => subkey.key.created_at(),
        };
        if made < key_made {
            return Err(Refusal::Early { by: by() });
        }
        match policy::end_of(made, signature.signature_expiration_time()) {
            Some(at) if at <= now => Err(Refusal::SignatureExpired { by: by(), at }),
            _ if policy::has_critical_notation(signature) => Err(Refusal::Unreadable),
            _ => Ok(()),
        }
    }

    fn judge_key(&self, now: SystemTime) -> Result<(), Refusal> {
        let certificate = self.certificate();
        let may_sign = certificate.judge_primary(now)?;
        match self {
            Signer::Subkey(_, subkey) => certificate.judge_subkey(subkey, now),
            Signer::Primary(_) if may_sign => Ok(()),
            Signer::Primary(_) => Err(Refusal::Unfit { by: certificate.fingerprint(), why: Unfit::Purpose }),
        }
    }
}
