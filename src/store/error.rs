//! What can go wrong with a store.

use std::path::PathBuf;

use super::openpgp::{self, Fingerprint, Refusal};
use super::sums::BadSums;
use crate::extension;
use crate::extension::matching::Mismatch;
use crate::sys::IoError;

/// A refusal or failure that a caller can act on. The store is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] IoError),
    /// An image could not be looked into.
    #[error(transparent)]
    Extension(#[from] extension::Error),
    /// There is no store.
    #[error("there is no store in '{}': it has no index.json", .0.display())]
    None(PathBuf),
    /// There was one.
    #[error("'{}' has what is a store's, and no index.json", .0.display())]
    Lost(PathBuf),
    /// There is something already.
    #[error("'{}' is a store already", .0.display())]
    Exists(PathBuf),
    /// The directory to be made a store has files.
    #[error("'{}' has files already, and is no store", .0.display())]
    NotEmpty(PathBuf),
    /// Somebody else writes it.
    #[error("another program is writing the store '{}'", .0.display())]
    Busy(PathBuf),
    /// Its index is none.
    #[error("'{}' is no index: {problem}", path.display())]
    Index {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Its index is of a later format than is known here.
    #[error("the format of '{}' is {format}, and this program knows {}", path.display(), super::index::FORMAT)]
    Later {
        /// Where.
        path: PathBuf,
        /// Which.
        format: u32,
    },
    /// Its list of digests is none.
    #[error("'{}' is no list of digests: {problem}", path.display())]
    Sums {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        problem: BadSums,
    },
    /// An image does not say what it is called.
    #[error("'{}' has no name for a store, and no manifest that tells one: NAME_VERSION_ARCHITECTURE.raw", .0.display())]
    Unnamed(PathBuf),
    /// systemd would merge an image nowhere.
    #[error("'{}' would be merged nowhere: {mismatch}", path.display())]
    Unmatched {
        /// The image.
        path: PathBuf,
        /// Why.
        mismatch: Box<Mismatch>,
    },
    /// The name of an image says another architecture than the image.
    #[error("'{}' is for {says}, and its name says {named}", path.display())]
    Misnamed {
        /// The image.
        path: PathBuf,
        /// What its release file says.
        says: String,
        /// What its name says.
        named: String,
    },
    /// The name of an image says another version than the image.
    #[error("'{}' is version {says}, and its name says {named}", path.display())]
    OtherVersion {
        /// The image.
        path: PathBuf,
        /// What its manifest says.
        says: String,
        /// What its name says.
        named: String,
    },
    /// An image is not the one that was built.
    #[error("'{}' is not as it was built: its manifest says other digests", .0.display())]
    Damaged(PathBuf),
    /// Another image has the name.
    #[error("the store has another '{file}': what was published stays what it is")]
    Published {
        /// Its name.
        file: String,
    },
    /// The store is signed, and what it is signed with is not there.
    #[error("the store is signed by {key}, and the secret key for it is not at hand")]
    KeyMissing {
        /// The fingerprint.
        key: String,
    },
    /// The store is signed by others than who is to sign now.
    #[error("the store is signed by {}, not by {given}", keys.join(" and "))]
    OtherKey {
        /// Who signs it.
        keys: Vec<String>,
        /// Who was named.
        given: Fingerprint,
    },
    /// The index is not what was signed.
    #[error("'{}' is not what was signed, and is not signed again: {refused}", path.display())]
    Altered {
        /// Where.
        path: PathBuf,
        /// What is wrong with its signatures.
        refused: Box<Refusal>,
    },
    /// No list says which images in a directory are the store's own.
    #[error("in '{}', no SHA256SUMS that the store's key has signed says which images are its own{}", path.display(), because(refused.as_deref()))]
    Unproven {
        /// Where.
        path: PathBuf,
        /// What is wrong with its signatures; none where it, or they, are not there.
        refused: Option<Box<Refusal>>,
    },
    /// A page would take the place of a file that this program did not make.
    #[error("'{}' is in the way of a page, and this program did not make it", .0.display())]
    NotOurPage(PathBuf),
    /// A store that has images and that nobody signs is to be signed by the way.
    #[error("the store has images, and is not signed")]
    NotSigned,
    /// A store that nobody signs.
    #[error("the store is not signed, and no key was given")]
    NoKey,
    /// A key that the store does not have.
    #[error("the store is not signed by {0}")]
    NotSigner(String),
    /// The store would be left without a key.
    #[error("{0} is the only key that signs the store")]
    OnlyKey(String),
    /// A key cannot be used.
    #[error("cannot use the key '{}'", path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: openpgp::SignError,
    },
    /// It could not be signed.
    #[error("cannot sign with {key}")]
    Sign {
        /// With which key.
        key: Fingerprint,
        /// Why.
        source: openpgp::SignError,
    },
    /// There is a key of that name.
    #[error("there is a key of '{name}' already: '{}'", place.display())]
    KeyOfName {
        /// Whose.
        name: String,
        /// Its file.
        place: PathBuf,
    },
    /// A file is in the place of a key that is to be made.
    #[error("'{}' is there already, and no key is written over it", .0.display())]
    KeyIsThere(PathBuf),
    /// A key is known by its fingerprint alone.
    #[error("the certificate of the key {key} is not at hand{}", whose(has))]
    NoCertificate {
        /// Which.
        key: Fingerprint,
        /// The keys whose certificates the store has.
        has: Vec<Fingerprint>,
    },
    /// Others can read a secret key.
    #[error("others may read the secret key '{}'", .0.display())]
    Exposed(PathBuf),
    /// A secret key lies where a web server shows it.
    #[error("the secret key '{}' lies in the store, where everybody can read it", .0.display())]
    InStore(PathBuf),
    /// What is no day.
    #[error("'{0}' is no day: YYYY-MM-DD, a number of days, or 'none'")]
    NoDay(String),
    /// A day that is over.
    #[error("the store was best before {0}, which is over")]
    Over(String),
    /// What is to be removed is not there.
    #[error("the store has no '{0}'")]
    NotThere(String),
}

fn because(refused: Option<&Refusal>) -> String {
    refused.map_or_else(String::new, |refused| format!(": {refused}"))
}

fn whose(has: &[Fingerprint]) -> String {
    let names: Vec<String> = has.iter().map(ToString::to_string).collect();
    if names.is_empty() { String::new() } else { format!("; the store has that of {}", names.join(" and ")) }
}
