//! What there is to say of a merged database.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the database of a host with extensions does not say all, or says something that may surprise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[non_exhaustive]
pub enum Remark {
    /// The host's database is where no extension is laid.
    OutOfReach {
        /// Its directory.
        database: PathBuf,
        /// Whose it is: `dpkg` or `rpm`.
        system: String,
    },
    /// An image does not say what packages are in it.
    NoRecords {
        /// The extension.
        extension: String,
    },
    /// An image has packages of another kind than the host's.
    OtherSystem {
        /// The extension.
        extension: String,
        /// Whose they are: `dpkg` or `rpm`.
        system: String,
    },
    /// What an image says of its packages makes no sense.
    Unreadable {
        /// The extension.
        extension: String,
        /// Why.
        why: String,
    },
    /// The base has a package in another version.
    Replaces {
        /// The extension.
        extension: String,
        /// The package.
        package: String,
        /// Its version, which is seen.
        version: String,
        /// The base's, which is not in the database.
        base: String,
    },
    /// Another extension that lies above has a package in another version.
    Covered {
        /// The extension.
        extension: String,
        /// The package.
        package: String,
        /// Its version, which is not in the database.
        version: String,
        /// The extension above.
        by: String,
    },
    /// The database could not be merged.
    Failed {
        /// Why.
        why: String,
    },
}

impl Remark {
    /// Whether something went wrong, which is to be said each time.
    pub fn is_failure(&self) -> bool {
        matches!(self, Remark::Failed { .. } | Remark::Unreadable { .. })
    }

    /// Whether it is about the host, whatever extensions there are: to be said once.
    pub fn is_of_host(&self) -> bool {
        matches!(self, Remark::OutOfReach { .. })
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::OutOfReach { database, system } => write!(
                f,
                "{system} does not know the packages of extensions, since its database '{}' is not in /usr; \
                 'onlay ext owner' does",
                database.display()
            ),
            Remark::NoRecords { extension } => {
                write!(f, "'{extension}' does not say what packages it has: the database is without them")
            }
            Remark::OtherSystem { extension, system } => {
                write!(f, "'{extension}' has packages of {system}, which are not in this host's database")
            }
            Remark::Unreadable { extension, why } => {
                write!(f, "what '{extension}' says of its packages cannot be read: {why}")
            }
            Remark::Replaces { extension, package, version, base } => {
                write!(
                    f,
                    "'{extension}' has {package} in version {version}, which replaces the base's {base}"
                )
            }
            Remark::Covered { extension, package, version, by } => {
                write!(
                    f,
                    "'{extension}' has {package} in version {version}, but '{by}' lies above with another"
                )
            }
            Remark::Failed { why } => write!(f, "the package database is without extensions: {why}"),
        }
    }
}
