//! Certificates: public keys with what their owners say of them.

use std::time::SystemTime;

use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureType, UserId};
use pgp::types::{KeyDetails, PublicParams, Tag};

use super::armour::{self, Kind};
use super::error::{BadKey, Refusal, Unfit};
use super::packets::{self, RawPacket};
use super::{Fingerprint, policy, tag};

/// More bytes are no file of keys.
const LARGEST: usize = 4 << 20;

/// Certificates that are trusted: some file of keys, or several of them.
#[derive(Debug, Clone, Default)]
pub struct Certificates(Vec<Certificate>);

/// One primary key, with all that is signed with it.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) primary: PublicKey,
    /// Signatures right on the primary key: what it says of itself, and its revocation.
    direct: Vec<Signature>,
    users: Vec<(UserId, Vec<Signature>)>,
    pub(super) subkeys: Vec<Subkey>,
}

/// A subkey of a kind that signs.
#[derive(Debug, Clone)]
pub(super) struct Subkey {
    pub(super) key: PublicSubkey,
    signatures: Vec<Signature>,
}

/// A public key of a certificate.
#[derive(Debug)]
pub(super) enum Component {
    Primary(PublicKey),
    Subkey(PublicSubkey),
}

impl Component {
    pub(super) fn details(&self) -> &dyn KeyDetails {
        match self {
            Component::Primary(key) => key,
            Component::Subkey(key) => key,
        }
    }

    pub(super) fn params(&self) -> &PublicParams {
        self.details().public_params()
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        match self {
            Component::Primary(key) => Fingerprint::of(key),
            Component::Subkey(key) => Fingerprint::of(key),
        }
    }
}

/// Whose signatures come next in a stream of packets.
enum Place {
    Primary,
    User,
    Subkey,
    /// Those of something that is left out.
    Nowhere,
}

impl Certificates {
    /// Reads certificates, binary or in armour, one or several. A part of one that is not understood (a subkey of a new kind)
    /// is left out; it would not count.
    pub fn parse(bytes: &[u8]) -> Result<Certificates, BadKey> {
        if bytes.len() > LARGEST {
            return Err(BadKey::Large);
        }
        let bytes = armour::open(bytes, Kind::PublicKey).ok_or_else(|| unreadable(bytes))?;
        let packets = packets::split(&bytes).ok_or(BadKey::Unreadable)?;
        let mut all = Certificates::default();
        let mut place = Place::Nowhere;
        for packet in packets.iter().filter(|packet| !packet.is_filler()) {
            place = all.take(packet, place)?;
        }
        if all.0.is_empty() { Err(BadKey::Unreadable) } else { Ok(all.merged()) }
    }

    /// Puts others to them.
    pub fn extend(&mut self, others: Certificates) {
        self.0.extend(others.0);
        *self = std::mem::take(self).merged();
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fingerprints of their primary keys.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.0.iter().map(Certificate::fingerprint).collect()
    }

    /// The first name of each, as its owner writes it.
    pub fn users(&self) -> Vec<String> {
        let first = |one: &Certificate| {
            one.users.first().map(|(user, _)| String::from_utf8_lossy(user.id()).into_owned())
        };
        self.0.iter().map(|one| first(one).unwrap_or_default()).collect()
    }

    /// Until when each may be used: why it may not any more, or when it ends.
    pub fn ends(&self, now: SystemTime) -> Vec<Result<Option<SystemTime>, Refusal>> {
        self.0.iter().map(|one| one.judge_primary(now).map(|_| one.end(now))).collect()
    }

    /// Those of them whose primary key has one of these fingerprints.
    #[must_use]
    pub fn only(&self, wanted: &[Fingerprint]) -> Certificates {
        let is_wanted = |one: &&Certificate| wanted.contains(&one.fingerprint());
        Certificates(self.0.iter().filter(is_wanted).cloned().collect())
    }

    /// The key of one certificate that signs files at a moment: the newest subkey that may, or the primary key.
    pub(super) fn signing_component(&self, now: SystemTime) -> Result<Component, Refusal> {
        let certificate = self.0.first().ok_or(Refusal::Unreadable)?;
        let may_sign = certificate.judge_primary(now)?;
        let subkeys =
            certificate.subkeys.iter().filter(|subkey| certificate.judge_subkey(subkey, now).is_ok());
        match subkeys.max_by_key(|subkey| subkey.key.created_at()) {
            Some(subkey) => Ok(Component::Subkey(subkey.key.clone())),
            None if may_sign => Ok(Component::Primary(certificate.primary.clone())),
            None => Err(Refusal::Unfit { by: certificate.fingerprint(), why: Unfit::Purpose }),
        }
    }

    pub(super) fn all(&self) -> &[Certificate] {
        &self.0
    }

    /// Takes the next packet, and says whose signatures may follow.
    fn take(&mut self, packet: &RawPacket<'_>, place: Place) -> Result<Place, BadKey> {
        match packet.tag {
            tag::PUBLIC_KEY => {
                self.0.push(Certificate::begin(packet)?);
                return Ok(Place::Primary);
            }
            tag::SECRET_KEY | tag::SECRET_SUBKEY => return Err(BadKey::Secret),
            _ => {}
        }
        let certificate = self.0.last_mut().ok_or(BadKey::Unreadable)?;
        Ok(certificate.take(packet, place))
    }

    /// With the parts of each certificate together: a file may have an older and a newer copy of one.
    fn merged(self) -> Certificates {
        let mut merged: Vec<Certificate> = Vec::new();
        for one in self.0 {
            match merged.iter_mut().find(|other| other.fingerprint() == one.fingerprint()) {
                Some(other) => other.absorb(one),
                None => merged.push(one),
            }
        }
        Certificates(merged)
    }
}

/// Why bytes without armour around a public key are none.
fn unreadable(bytes: &[u8]) -> BadKey {
    let is_secret = armour::open(bytes, Kind::PrivateKey).is_some();
    if is_secret { BadKey::Secret } else { BadKey::Unreadable }
}

impl Certificate {
    fn begin(packet: &RawPacket<'_>) -> Result<Certificate, BadKey> {
        if !is_known_key(packet) {
            return Err(BadKey::Unknown);
        }
        let header = packet.header().ok_or(BadKey::Unreadable)?;
        let primary = PublicKey::try_from_reader(header, packet.body).map_err(|_| BadKey::Unreadable)?;
        policy::judge_key(&primary).map_err(|why| BadKey::Unfit { key: Fingerprint::of(&primary), why })?;
        Ok(Certificate { primary, direct: Vec::new(), users: Vec::new(), subkeys: Vec::new() })
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.primary)
    }

    fn take(&mut self, packet: &RawPacket<'_>, place: Place) -> Place {
        match packet.tag {
            tag::SIGNATURE => {
                let signatures = match place {
                    Place::Primary => Some(&mut self.direct),
                    Place::User => self.users.last_mut().map(|(_, signatures)| signatures),
                    Place::Subkey => self.subkeys.last_mut().map(|subkey| &mut subkey.signatures),
                    Place::Nowhere => None,
                };
                if let (Some(signatures), Some(signature)) = (signatures, read_signature(packet)) {
                    signatures.push(signature);
                }
                place
            }
            tag::USER_ID => self.take_user(packet).map_or(Place::Nowhere, |()| Place::User),
            tag::PUBLIC_SUBKEY => self.take_subkey(packet).map_or(Place::Nowhere, |()| Place::Subkey),
            _ => Place::Nowhere,
        }
    }

    fn take_user(&mut self, packet: &RawPacket<'_>) -> Option<()> {
        let user = UserId::try_from_reader(packet.header()?, packet.body).ok()?;
        self.users.push((user, Vec::new()));
        Some(())
    }

    fn take_subkey(&mut self, packet: &RawPacket<'_>) -> Option<()> {
        if !is_known_key(packet) {
            return None;
        }
        let key = PublicSubkey::try_from_reader(packet.header()?, packet.body).ok()?;
        if key.version() != self.primary.version() {
            return None;
        }
        self.subkeys.push(Subkey { key, signatures: Vec::new() });
        Some(())
    }

    fn absorb(&mut self, other: Certificate) {
        self.direct.extend(other.direct);
        self.users.extend(other.users);
        for subkey in other.subkeys {
            match self.subkeys.iter_mut().find(|known| known.key.fingerprint() == subkey.key.fingerprint()) {
                Some(known) => known.signatures.extend(subkey.signatures),
                None => self.subkeys.push(subkey),
            }
        }
    }

    /// Whether the primary key may be used at a moment, and whether it may sign files itself.
    pub(super) fn judge_primary(&self, now: SystemTime) -> Result<bool, Refusal> {
        let by = || self.fingerprint();
        // A revocation counts whatever its digest and whenever it says that it was made.
        let is_revocation = |signature: &&Signature| signature.typ() == Some(SignatureType::KeyRevocation);
        if self
            .direct
            .iter()
            .filter(is_revocation)
            .any(|revocation| revocation.verify_key(&self.primary).is_ok())
        {
            return Err(Refusal::Revoked { by: by() });
        }
        let own = self.own_signatures(now);
        let newest = own.first().ok_or_else(|| Refusal::Unfit { by: by(), why: Unfit::Unsigned })?;
        match policy::end_of(self.primary.created_at(), newest.key_expiration_time()) {
            Some(at) if at <= now => Err(Refusal::Expired { by: by(), at }),
            // Who does not say what a key is for lets it do all.
            _ => Ok(own.iter().find_map(|signature| policy::purpose(signature)).unwrap_or(true)),
        }
    }

    fn end(&self, now: SystemTime) -> Option<SystemTime> {
        let lasts = self.own_signatures(now).first()?.key_expiration_time();
        policy::end_of(self.primary.created_at(), lasts)
    }

    /// What the primary key signed of itself that counts, the newest first.
    fn own_signatures(&self, now: SystemTime) -> Vec<&Signature> {
        let says_something = |signature: &&Signature| {
            signature.key_expiration_time().is_some() || policy::purpose(signature).is_some()
        };
        let direct = self.direct.iter().filter(says_something).filter(|signature| {
            signature.typ() == Some(SignatureType::Key)
                && policy::counts(signature, now)
                && signature.verify_key(&self.primary).is_ok()
        });
        let of_users =
            self.users.iter().filter_map(|(user, signatures)| self.own_of_user(user, signatures, now));
        let mut own: Vec<&Signature> = direct.chain(of_users).collect();
        own.sort_by_key(|signature| std::cmp::Reverse(signature.created()));
        own
    }

    /// The newest signature of the primary key on a user id of its own, unless it was revoked.
    fn own_of_user<'a>(
        &self,
        user: &UserId,
        signatures: &'a [Signature],
        now: SystemTime,
    ) -> Option<&'a Signature> {
        let is_own =
            |signature: &&Signature| signature.verify_certification(&self.primary, Tag::UserId, user).is_ok();
        let newest = |is_wanted: &dyn Fn(&&Signature) -> bool| {
            signatures.iter().filter(is_wanted).filter(is_own).max_by_key(|signature| signature.created())
        };
        let is_revocation = |signature: &&Signature| signature.typ() == Some(SignatureType::CertRevocation);
        let certification = newest(&|signature| !is_revocation(signature) && policy::counts(signature, now))?;
        let revocation = newest(&is_revocation);
        let is_revoked = revocation.is_some_and(|revocation| revocation.created() >= certification.created());
        (!is_revoked).then_some(certification)
    }

    /// Whether a subkey may sign files at a moment, where its primary key may be used.
    pub(super) fn judge_subkey(&self, subkey: &Subkey, now: SystemTime) -> Result<(), Refusal> {
        let by = || self.fingerprint();
        let unfit = |why| Err(Refusal::Unfit { by: by(), why });
        if let Err(why) = policy::judge_key(&subkey.key) {
            return unfit(why);
        }
        let is_ours =
            |signature: &&Signature| signature.verify_subkey_binding(&self.primary, &subkey.key).is_ok();
        let of_kind = |kind| subkey.signatures.iter().filter(move |signature| signature.typ() == Some(kind));
        if of_kind(SignatureType::SubkeyRevocation).any(|revocation| is_ours(&revocation)) {
            return Err(Refusal::Revoked { by: by() });
        }
        let bindings = of_kind(SignatureType::SubkeyBinding).filter(|binding| policy::counts(binding, now));
        let Some(binding) = bindings.filter(is_ours).max_by_key(|binding| binding.created()) else {
            return unfit(Unfit::Unbound);
        };
        if let Some(at) =
            policy::end_of(subkey.key.created_at(), binding.key_expiration_time()).filter(|at| *at <= now)
        {
            return Err(Refusal::Expired { by: by(), at });
        }
        if policy::purpose(binding) != Some(true) {
            return unfit(Unfit::Purpose);
        }
        // Or anybody could call another's signing key a subkey of his (RFC 9580, 5.2.1.9).
        let wants_to_be = binding.embedded_signature().is_some_and(|back| {
            policy::counts(back, now) && back.verify_primary_key_binding(&subkey.key, &self.primary).is_ok()
        });
        if wants_to_be { Ok(()) } else { unfit(Unfit::Unbound) }
    }
}

/// Whether a packet has a key of a version and an algorithm whose signatures are checked (RFC 9580, 5.5.2).
fn is_known_key(packet: &RawPacket<'_>) -> bool {
    let is_known_version = packet.body.first().is_some_and(|version| [4, 6].contains(version));
    is_known_version && packet.body.get(5).copied().is_some_and(policy::is_known_algorithm)
}

/// A signature that is read to its end; `None` for one that is not understood.
pub(super) fn read_signature(packet: &RawPacket<'_>) -> Option<Signature> {
    let mut body = packet.body;
    let signature = Signature::try_from_reader(packet.header()?, &mut body).ok()?;
    (body.is_empty() && signature.config().is_some()).then_some(signature)
}
