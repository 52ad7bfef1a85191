//! Why something could not be fetched.

use std::time::Duration;

use super::Proxy;
use crate::event::counted;
use crate::package::Identity;
use crate::sys::IoError;

/// A failure, with the address that it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What is at an address could not be had, or is not what it should be.
    #[error("cannot fetch {address}: {problem}")]
    Failed {
        /// The address, as people read it.
        address: String,
        /// Which check failed.
        problem: Problem,
    },
    /// What came could not be written, or what is at a path not be read.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// What is wrong with an answer, or with there being none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// There is no such file.
    #[error("it is not there")]
    NotThere,
    /// It is there, and may not be read.
    #[error("it may not be read by who runs this")]
    Denied,
    /// The server says something else than what was asked for (RFC 9110, 15).
    #[error("the server says {0}")]
    Status(u16),
    /// Nobody knows the host.
    #[error("no address of its host is known{0}")]
    Host(String),
    /// The connection could not be made, or broke.
    #[error("{0}")]
    Connection(String),
    /// The server is not who it should be, or says nothing that makes sense.
    #[error("{0}")]
    Protocol(String),
    /// The proxy does not let through (RFC 9110, 15.5.8).
    #[error("{}", refused_by(proxy, *status))]
    Proxy {
        /// Which proxy.
        proxy: String,
        /// What it says.
        status: u16,
    },
    /// The server says nothing more.
    #[error("the server said nothing for {} s", .0.as_secs())]
    Idle(Duration),
    /// The server sends so little that it would never end.
    #[error("only {bytes} bytes came in {} s", time.as_secs())]
    Slow {
        /// So many.
        bytes: u64,
        /// In this time.
        time: Duration,
    },
    /// It ended early.
    #[error("it ended after {got} of {expected} bytes")]
    CutOff {
        /// What came.
        got: u64,
        /// What should have come.
        expected: u64,
    },
    /// It is longer than it may be.
    #[error("it has more than the {0} bytes that it may have")]
    TooLong(u64),
    /// It has another length than it should have.
    #[error("it has {found} bytes, and it should have {expected}")]
    Length {
        /// What it has.
        found: u64,
        /// What it should have.
        expected: u64,
    },
    /// It is something else than it should be.
    #[error("it has another SHA-256 than it should have: {found}, and not {expected}")]
    Digest {
        /// What it has.
        found: Identity,
        /// What it should have.
        expected: Identity,
    },
    /// Another part of it came than was asked for.
    #[error("another part of it came than was asked for: {0}")]
    Range(String),
    /// The server has files only as a whole.
    #[error("the server sends no parts of files")]
    NoRanges,
    /// It leads on and on.
    #[error("it leads on more than {}", counted(*.0, "time"))]
    Redirects(usize),
    /// It leads to another scheme.
    #[error("it leads on to another scheme, '{0}'")]
    OtherScheme(String),
    /// It leads nowhere.
    #[error("it leads on to what is no address: {0}")]
    BadRedirect(String),
    /// It is packed in a way that was not asked for.
    #[error("it comes packed as '{0}', which was not asked for")]
    Encoding(String),
}

impl Problem {
    /// What went wrong before there was any answer of the server, by way of a proxy.
    pub(super) fn through(self, proxy: &Proxy) -> Problem {
        match self {
            Problem::Status(status) => Problem::Proxy { proxy: proxy.to_string(), status },
            Problem::Host(why) => {
                Problem::Connection(format!("no address of the proxy {proxy} is known{why}"))
            }
            Problem::Idle(time) => Problem::Connection(format!(
                "nobody said anything for {} s (through the proxy {proxy})",
                time.as_secs()
            )),
            Problem::Connection(why) => Problem::Connection(format!("{why} (through the proxy {proxy})")),
            Problem::Protocol(why) => Problem::Protocol(format!("{why} (through the proxy {proxy})")),
            other => other,
        }
    }

    /// Whether it may be gone when the same is asked for again.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Problem::Status(status) | Problem::Proxy { status, .. } => {
                matches!(status, 408 | 425 | 429 | 500..)
            }
            Problem::Host(_)
            | Problem::Connection(_)
            | Problem::Idle(_)
            | Problem::Slow { .. }
            | Problem::CutOff { .. } => true,
            _ => false,
        }
    }
}

/// What it means that a proxy does not connect.
fn refused_by(proxy: &str, status: u16) -> String {
    match status {
        // Of some, the first is for whoever says none, and the second for whoever says wrong ones.
        407 | 401 => format!("the proxy {proxy} wants a name and a password that it knows ({status})"),
        _ => format!("the proxy {proxy} does not lead there: it says {status}"),
    }
}

impl Error {
    pub(super) fn at(address: &impl ToString, problem: Problem) -> Error {
        Error::Failed { address: address.to_string(), problem }
    }

    /// Whether there is no such file, wherever it was looked for.
    pub fn is_not_there(&self) -> bool {
        matches!(self, Error::Failed { problem: Problem::NotThere, .. })
    }

    /// Whether the network, or the server, was to blame, and what came so far may be a part of what is wanted.
    pub fn may_pass(&self) -> bool {
        matches!(self, Error::Failed { problem, .. } if problem.may_pass())
    }

    /// Whether a proxy is in the way, so that nothing is known of what is behind it.
    pub fn is_of_proxy(&self) -> bool {
        matches!(self, Error::Failed { problem: Problem::Proxy { .. }, .. })
    }
}
