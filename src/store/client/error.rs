//! What keeps a host from using stores.

use std::path::PathBuf;

use super::Nothing;
use crate::fetch;
use crate::store;
use crate::store::openpgp::Refusal;
use crate::store::sums::BadSums;
use crate::sys::IoError;
use crate::{extension, extension::activate};

/// A refusal or failure that a caller can act on. Nothing was installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the configuration makes no sense.
    #[error("cannot use '{}', line {line}: {why}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Its line.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// No store is configured.
    #[error("no store is configured in '{}'", .0.display())]
    NoStores(PathBuf),
    /// A store cannot be used, or what it has is not what it says.
    #[error("store '{store}': {problem}")]
    Store {
        /// Its name.
        store: String,
        /// Why.
        problem: Box<StoreError>,
    },
    /// No store has what is wanted, or nothing of it fits.
    #[error("cannot add '{name}': {nothing}")]
    Nothing {
        /// The extension.
        name: String,
        /// Why.
        nothing: Box<Nothing>,
    },
    /// An extension could not be looked into.
    #[error(transparent)]
    Extension(#[from] extension::Error),
    /// What there is on the host could not be looked at.
    #[error(transparent)]
    Activate(#[from] activate::Error),
    /// An operation on a file failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// Why a store is not believed, or has not what it says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// One of its keys is not there, or is none.
    #[error("its key '{key}' {why}")]
    Key {
        /// As it is configured.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no signature.
    #[error("{0} is not signed")]
    Unsigned(String),
    /// No signature is good.
    #[error("the signature of {file} is not good: {refusal}")]
    Signature {
        /// What is signed.
        file: String,
        /// Which check failed.
        refusal: Refusal,
    },
    /// Its index is none.
    #[error("its index.json is none: {0}")]
    Index(String),
    /// Its list of digests is none.
    #[error("its SHA256SUMS is none: {0}")]
    Sums(#[from] BadSums),
    /// Somebody shows an old index.
    #[error("its index is older than one that was seen before: it has serial {serial}, and {seen} was seen")]
    Older {
        /// What it says.
        serial: u64,
        /// What was seen.
        seen: u64,
    },
    /// Somebody shows an old list.
    #[error(
        "its SHA256SUMS is older than one that was seen before: it was signed at {signed}, and one of {seen} was seen"
    )]
    OlderList {
        /// When this one was signed.
        signed: String,
        /// When the other was.
        seen: String,
    },
    /// It is not to be believed any more.
    #[error("what it lists was to be believed until {0}, and has expired")]
    Expired(String),
    /// It does not say until when in words that make sense.
    #[error("what it lists is to be believed until '{0}', which is no day")]
    NoDay(String),
    /// There is neither kind of list.
    #[error("there is no store at {0}: neither index.json nor SHA256SUMS is there")]
    None(String),
    /// It was not to be asked, and nothing is known of it.
    #[error("nothing is known of it: it was never asked here")]
    Unseen,
    /// Of an image, it says what is not so.
    #[error("it says of {file} what it is not: {what}")]
    Lie {
        /// The image.
        file: String,
        /// What.
        what: String,
    },
    /// An image of it is none.
    #[error("{file} cannot be used: {problem}")]
    Image {
        /// The image.
        file: String,
        /// Why.
        problem: Box<store::Error>,
    },
    /// An image of it cannot be unpacked.
    #[error("{file} cannot be unpacked: {problem}")]
    Packed {
        /// The file.
        file: String,
        /// Why.
        problem: String,
    },
    /// Something could not be fetched.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// An operation on a file failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl StoreError {
    /// Whether it only cannot be reached at the moment.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, StoreError::Fetch(error) if error.may_pass() || error.is_of_proxy())
    }

    /// Whether what it lists is not there.
    pub(super) fn is_not_there(&self) -> bool {
        match self {
            StoreError::None(_) => true,
            StoreError::Fetch(error) => error.is_not_there(),
            _ => false,
        }
    }

    /// The same of a store with a name.
    pub(super) fn of(self, store: &str) -> Error {
        match self {
            // The disk is no store's.
            StoreError::Io(error) | StoreError::Fetch(fetch::Error::Io(error)) => Error::Io(error),
            problem => Error::Store { store: store.to_owned(), problem: Box::new(problem) },
        }
    }
}
