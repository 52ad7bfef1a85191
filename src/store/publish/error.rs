//! Why a store is not published.

use std::path::PathBuf;

use crate::fetch;
use crate::store;
use crate::sys::IoError;

/// What stands in the way. What was published before is as it was, but that new files may be there already.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A server could not be reached, or refuses.
    #[error("{0}")]
    Network(fetch::Error),
    /// A server refuses something.
    #[error("the server refuses {what}: it says {status}{}", said(.why))]
    Refused {
        /// What.
        what: String,
        /// Its status.
        status: u16,
        /// Its words.
        why: String,
    },
    /// A file is larger than the server takes.
    #[error("'{file}' has {size} bytes, and an object store takes {largest} in one request")]
    TooLarge {
        /// The file.
        file: String,
        /// Its size in bytes.
        size: u64,
        /// The most that there may be.
        largest: u64,
    },
    /// The address is none that can be published to.
    #[error("'{address}' is no address to publish to: {why}")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The environment does not say who publishes.
    #[error("who publishes is not said: {0}")]
    Credentials(String),
    /// What is there is newer.
    #[error("what is there is newer than this store: its serial is {theirs}, and this one's {ours}")]
    Newer {
        /// There.
        theirs: u64,
        /// Here.
        ours: u64,
    },
    /// What is there is something else.
    #[error(
        "what is there is another store than this one: both have the serial {0}, and say different things"
    )]
    Another(u64),
    /// What is there is no index.
    #[error("there is an index.json already, which is none of a store: {0}")]
    NotOurs(String),
    /// A page would take the place of a file that this program did not make.
    #[error("there is a '{0}' already, which this program did not make")]
    NotOurPage(String),
    /// The pages of the store were made of another index.
    #[error("the pages in '{}' show another state of the store", .0.display())]
    StalePages(PathBuf),
    /// Somebody else publishes.
    #[error("somebody else has published there meanwhile")]
    ChangedMeanwhile,
    /// A file of the store is not what its lists say.
    #[error("'{}' is not what the store's lists say", .0.display())]
    Damaged(PathBuf),
    /// The lists of the store say different things.
    #[error("the lists of '{}' say different things: a change of it goes on, or was not finished", .0.display())]
    Unequal(PathBuf),
    /// A file of the store has gone.
    #[error("the store has no '{0}' any more: it was changed meanwhile")]
    Gone(String),
}

impl From<fetch::Error> for Error {
    fn from(error: fetch::Error) -> Error {
        match error {
            fetch::Error::Io(error) => Error::Io(error),
            other => Error::Network(other),
        }
    }
}

impl Error {
    /// Whether the same may go well a moment later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Error::Network(error) => error.may_pass(),
            Error::Refused { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502..=504),
            _ => false,
        }
    }
}

/// The first line of a server's words; pages for browsers say nothing that a status does not.
fn said(why: &str) -> String {
    let line = why.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    // What object stores have for people to read (Amazon S3, error responses).
    let line = match line.split_once("<Code>") {
        Some((_, code)) => code.split('<').next().unwrap_or_default(),
        None if line.starts_with('<') => return String::new(),
        None => line,
    };
    let shown: String = line.chars().filter(|letter| !letter.is_control()).take(200).collect();
    if shown.is_empty() { shown } else { format!(" ({shown})") }
}
