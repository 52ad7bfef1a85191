//! Secret keys in files: made here, or by others.

use std::time::{Duration, SystemTime};

use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::crypto::{ed25519, eddsa_legacy};
use pgp::packet::{self, KeyFlags, PacketTrait, PubKeyInner, SignatureType, SubpacketData, UserId};
use pgp::types::{
    KeyVersion, PacketHeaderVersion, Password, PlainSecretParams, PublicParams, S2kParams, SecretParams,
    StringToKey, Tag, Timestamp,
};

use super::armour::{self, Kind};
use super::packets::{self, RawPacket};
use super::signer::{self, Signer};
use super::{Certificates, Fingerprint, SignError, tag};

/// How often a passphrase is digested, in the form of RFC 9580, 3.7.1.3: 16 MiB, as GnuPG does it on slow machines.
const ROUNDS: u8 = 224;

/// A secret key with its certificate.
#[derive(Debug)]
pub struct SecretKey {
    certificate: Vec<u8>,
    fingerprint: Fingerprint,
    part: Part,
    passphrase: Password,
}

/// The part of it that signs files.
#[derive(Debug)]
enum Part {
    Primary(packet::SecretKey),
    Subkey(packet::SecretSubkey),
}

/// A key that is to be made.
#[derive(Debug)]
pub struct NewKey<'a> {
    /// Whose it is, as people read it: `NAME <ADDRESS>`, or a name alone.
    pub user: &'a str,
    /// How long it is to be used.
    pub lasts: Option<Duration>,
    /// What keeps those from using it who get hold of the file.
    pub passphrase: Option<&'a [u8]>,
}

/// A file of a new key.
pub struct Made {
    /// The secret key, in armour; anybody who can read it can sign.
    pub secret: String,
    /// Its certificate, binary.
    pub certificate: Vec<u8>,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
}

impl NewKey<'_> {
    /// Makes a key that signs: one of version 4 with Ed25519 in the older form, which gpg 2.2 reads, too.
    pub fn make(&self, now: SystemTime) -> Result<Made, SignError> {
        let made = Timestamp::try_from(now).map_err(|_| SignError::Clock)?;
        let secret = ed25519::SecretKey::try_from_bytes(signer::random()?, ed25519::Mode::EdDSALegacy)?;
        let secret = PlainSecretParams::EdDSALegacy(eddsa_legacy::SecretKey::Ed25519(secret));
        let public = PublicParams::try_from(&secret)?;
        let inner = PubKeyInner::new(KeyVersion::V4, PublicKeyAlgorithm::EdDSALegacy, made, None, public)?;
        let public = packet::PublicKey::from_inner(inner)?;
        let mut key = packet::SecretKey::new(public.clone(), SecretParams::Plain(secret))?;
        let user = UserId::from_str(PacketHeaderVersion::New, self.user)?;
        let config = signer::config(&key, SignatureType::CertPositive, now, self.says()?)?;
        let binding = config.sign_certification(&key, &public, &Password::empty(), Tag::UserId, &user)?;
        let mut rest = Vec::new();
        user.to_writer_with_header(&mut rest)?;
        rest.extend(signer::written(&binding)?);
        if let Some(passphrase) = self.passphrase {
            key.set_password_with_s2k(&Password::from(passphrase), locked_by_passphrase()?)?;
        }
        let (mut certificate, mut secret) = (Vec::new(), Vec::new());
        public.to_writer_with_header(&mut certificate)?;
        key.to_writer_with_header(&mut secret)?;
        certificate.extend(&rest);
        secret.extend(&rest);
        let secret = armour::close(&secret, Kind::PrivateKey);
        Ok(Made { secret, certificate, fingerprint: Fingerprint::of(&public) })
    }

    /// What its owner says of it.
    fn says(&self) -> Result<Vec<SubpacketData>, SignError> {
        let mut flags = KeyFlags::default();
        flags.set_certify(true);
        flags.set_sign(true);
        let digests = [HashAlgorithm::Sha512, HashAlgorithm::Sha256];
        let mut says = vec![
            SubpacketData::KeyFlags(flags),
            SubpacketData::PreferredHashAlgorithms(digests.into_iter().collect()),
            SubpacketData::IsPrimary(true),
        ];
        if let Some(lasts) = self.lasts {
            let seconds = u32::try_from(lasts.as_secs()).map_err(|_| SignError::Clock)?;
            says.push(SubpacketData::KeyExpirationTime(pgp::types::Duration::from_secs(seconds)));
        }
        Ok(says)
    }
}

/// How a secret is kept by a passphrase, as all versions of GnuPG read it.
fn locked_by_passphrase() -> Result<S2kParams, SignError> {
    let s2k = StringToKey::IteratedAndSalted {
        hash_alg: HashAlgorithm::Sha256,
        salt: signer::random()?,
        count: ROUNDS,
    };
    let iv = signer::random::<16>()?.to_vec().into();
    Ok(S2kParams::Cfb { sym_alg: SymmetricKeyAlgorithm::AES256, s2k, iv })
}

/// A file of a secret key, taken apart.
struct Parts {
    /// The same file as a certificate, by which it is decided what may sign.
    certificate: Vec<u8>,
    keys: Vec<Part>,
}

/// Whether a file has a secret key, in armour or not.
pub fn is_secret(bytes: &[u8]) -> bool {
    let opened = armour::open(bytes, Kind::PrivateKey);
    let first = opened
        .as_deref()
        .and_then(packets::split)
        .and_then(|packets| packets.first().map(|packet| packet.tag));
    first == Some(tag::SECRET_KEY)
}

/// The certificates in a file of keys, public or secret, in armour or not: binary, one after another.
pub fn certificates_in(bytes: &[u8]) -> Result<Vec<u8>, SignError> {
    if is_secret(bytes) {
        return SecretKey::certificate_in(bytes);
    }
    let public = armour::open(bytes, Kind::PublicKey).ok_or(super::BadKey::Unreadable)?;
    Certificates::parse(&public)?;
    Ok(public)
}

impl SecretKey {
    /// The certificate of a secret key in a file, which need not be unlocked for that.
    pub fn certificate_in(bytes: &[u8]) -> Result<Vec<u8>, SignError> {
        let opened = armour::open(bytes, Kind::PrivateKey).ok_or(SignError::NoSecret)?;
        let packets = packets::split(&opened).ok_or(SignError::NoSecret)?;
        Parts::of(&packets).map(|parts| parts.certificate)
    }

    /// Reads a secret key of a file, binary or in armour. `passphrase` is asked for one if it needs one.
    pub fn parse(
        bytes: &[u8],
        now: SystemTime,
        passphrase: impl FnOnce() -> Result<Vec<u8>, SignError>,
    ) -> Result<SecretKey, SignError> {
        let opened = armour::open(bytes, Kind::PrivateKey).ok_or(SignError::NoSecret)?;
        let packets = packets::split(&opened).ok_or(SignError::NoSecret)?;
        let Parts { certificate, keys } = Parts::of(&packets)?;
        let certificates = Certificates::parse(&certificate)?;
        let [fingerprint] = &certificates.fingerprints()[..] else { return Err(SignError::Several) };
        let wanted = certificates.signing_component(now)?.fingerprint();
        let part = keys.into_iter().find(|part| part.fingerprint() == wanted).ok_or(SignError::NoSecret)?;
        let passphrase =
            if part.is_locked() { Password::from(&passphrase()?[..]) } else { Password::empty() };
        part.unlock(&passphrase)?;
        Ok(SecretKey { fingerprint: fingerprint.clone(), certificate, part, passphrase })
    }
}

impl Parts {
    fn of(packets: &[RawPacket<'_>]) -> Result<Parts, SignError> {
        let mut parts = Parts { certificate: Vec::new(), keys: Vec::new() };
        for packet in packets {
            let header = packet.header().ok_or(SignError::NoSecret)?;
            match packet.tag {
                tag::SECRET_KEY => {
                    let key = packet::SecretKey::try_from_reader(header, packet.body)?;
                    key.public_key().to_writer_with_header(&mut parts.certificate)?;
                    parts.keys.push(Part::Primary(key));
                }
                tag::SECRET_SUBKEY => {
                    let key = packet::SecretSubkey::try_from_reader(header, packet.body)?;
                    key.public_key().to_writer_with_header(&mut parts.certificate)?;
                    parts.keys.push(Part::Subkey(key));
                }
                _ => parts.certificate.extend(packet.to_bytes()),
            }
        }
        Ok(parts)
    }
}

impl Part {
    fn fingerprint(&self) -> Fingerprint {
        match self {
            Part::Primary(key) => Fingerprint::of(key.public_key()),
            Part::Subkey(key) => Fingerprint::of(key.public_key()),
        }
    }

    fn is_locked(&self) -> bool {
        match self {
            Part::Primary(key) => key.secret_params().is_encrypted(),
            Part::Subkey(key) => key.secret_params().is_encrypted(),
        }
    }

    /// Whether it can be used with a passphrase.
    fn unlock(&self, passphrase: &Password) -> Result<(), SignError> {
        let unlocked = match self {
            Part::Primary(key) => key.unlock(passphrase, |_, _| Ok(())),
            Part::Subkey(key) => key.unlock(passphrase, |_, _| Ok(())),
        };
        match unlocked {
            Ok(Ok(())) => Ok(()),
            _ if self.is_locked() => Err(SignError::Passphrase),
            Ok(Err(error)) | Err(error) => Err(error.into()),
        }
    }
}

impl Signer for SecretKey {
    fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    fn sign(&self, data: &[u8], now: SystemTime) -> Result<Vec<u8>, SignError> {
        match &self.part {
            Part::Primary(key) => signer::detached(key, &self.passphrase, data, now),
            Part::Subkey(key) => signer::detached(key, &self.passphrase, data, now),
        }
    }
}
