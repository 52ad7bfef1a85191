//! Why keys and signatures are refused, in words that say which check failed.

use std::time::SystemTime;

use super::Fingerprint;
use crate::sys::IoError;

/// Why bytes are no certificate to check signatures with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadKey {
    /// They are too many.
    #[error("it is larger than any file of keys")]
    Large,
    /// They are no OpenPGP.
    #[error("there is no OpenPGP key in it that can be read")]
    Unreadable,
    /// They are a secret key where a public one is wanted.
    #[error("it has a secret key; give the public one")]
    Secret,
    /// A key of a kind that signs nothing here.
    #[error("the key {key} cannot be used: {why}")]
    Unfit {
        /// Which.
        key: Fingerprint,
        /// Why.
        why: Unfit,
    },
    /// There is a primary key of a version or an algorithm that is not known.
    #[error("it has a key of a version or an algorithm that is not known")]
    Unknown,
}

/// Why a key makes no signature that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// RSA with fewer bits than 2048.
    #[error("it has only {0} bits")]
    Short(usize),
    /// A curve that is not known.
    #[error("its curve is not known")]
    Curve,
    /// Nothing by which its owner says what it is for.
    #[error("it is not signed by itself, at most with SHA-1 or MD5")]
    Unsigned,
    /// Its owner said that it is for other purposes.
    #[error("its owner does not let it sign files")]
    Purpose,
    /// A subkey that the primary key does not have, or that does not want to be its.
    #[error("it is no subkey that signs of a key that is trusted")]
    Unbound,
}

/// Why a signature is refused: which check failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The bytes are no signature.
    #[error("there is no OpenPGP signature in it that can be read")]
    Unreadable,
    /// It is a signature of something else, such as of another key.
    #[error("it is no signature of a file")]
    Other,
    /// Nobody whose key is known signed.
    #[error("it is signed by {by}, whose key is not known here", by = by.join(" and "))]
    Stranger {
        /// Fingerprints or key ids that the signatures name, which nobody has checked.
        by: Vec<String>,
    },
    /// It is not the signature of these bytes.
    #[error(
        "what is signed by {by} was changed, or the signature was: it is not the signature of these bytes"
    )]
    Changed {
        /// Whose it would be.
        by: Fingerprint,
    },
    /// The signature is made with a digest that can be forged.
    #[error("the signature by {by} uses {digest}, which is too weak")]
    Weak {
        /// Whose it is.
        by: Fingerprint,
        /// Which digest.
        digest: String,
    },
    /// The key is not to be used any more.
    #[error("the key {by} expired on {}", date(*at))]
    Expired {
        /// Whose it is.
        by: Fingerprint,
        /// Since when.
        at: SystemTime,
    },
    /// The owner has revoked the key.
    #[error("the key {by} was revoked by its owner")]
    Revoked {
        /// Whose it is.
        by: Fingerprint,
    },
    /// The key may not sign files.
    #[error("the key {by} cannot be used: {why}")]
    Unfit {
        /// Whose it is.
        by: Fingerprint,
        /// Why.
        why: Unfit,
    },
    /// The signature was made later than now.
    #[error("the signature by {by} is from the future, {}: is the clock right?", moment(*at))]
    Future {
        /// Whose it is.
        by: Fingerprint,
        /// When it says that it was made.
        at: SystemTime,
    },
    /// The signature says itself that it does not count any more.
    #[error("the signature by {by} expired on {}", date(*at))]
    SignatureExpired {
        /// Whose it is.
        by: Fingerprint,
        /// Since when.
        at: SystemTime,
    },
    /// The signature was made before its key.
    #[error("the signature by {by} is older than its key")]
    Early {
        /// Whose it is.
        by: Fingerprint,
    },
}

/// Why nothing can be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// There is no secret key that signs.
    #[error("there is no secret key in it that may sign and can be read")]
    NoSecret,
    /// There is more than one.
    #[error("it has several keys; give a file with one")]
    Several,
    /// The passphrase is missing or wrong.
    #[error("its passphrase is another one")]
    Passphrase,
    /// It needs one, and nobody can be asked.
    #[error("it needs a passphrase, and there is nobody to ask")]
    NoPassphrase,
    /// Its certificate cannot be used.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// A file could not be read, or a terminal.
    #[error(transparent)]
    Io(#[from] IoError),
    /// It must not sign any more.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The time is none that OpenPGP can say: it ends in 2106.
    #[error("the clock, or how long it is to last, is beyond what OpenPGP can say")]
    Clock,
    /// The kernel has no random bytes.
    #[error("there are no random bytes")]
    NoRandom,
    /// No agent has the secret key.
    #[error("it is a public key, and no gpg-agent that answers has its secret key")]
    NotHeld,
    /// An agent refused.
    #[error("gpg-agent did not sign: {0}")]
    Agent(String),
    /// An agent said what is no answer.
    #[error("gpg-agent answers what is no answer")]
    AgentNonsense,
    /// The cryptography failed.
    #[error("it cannot be used")]
    Failed(#[source] Box<pgp::errors::Error>),
}

impl From<pgp::errors::Error> for SignError {
    fn from(error: pgp::errors::Error) -> SignError {
        SignError::Failed(Box::new(error))
    }
}

fn moment(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

fn date(time: SystemTime) -> String {
    moment(time).chars().take(10).collect()
}
