//! What can be wrong with an image of partitions, and with keys for one.

use std::path::PathBuf;

use super::types::Kind;
use crate::sys::IoError;

/// A refusal or failure that a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no sign of a partition table.
    #[error("is no disk image: there is no partition table (GPT)")]
    NoTable,
    /// Neither the table nor its copy can be used.
    #[error("has a partition table that cannot be used: {primary}; its backup {backup}")]
    Table {
        /// What is wrong with the one at the beginning.
        primary: TableProblem,
        /// What is wrong with the one at the end.
        backup: TableProblem,
    },
    /// Two partitions are the same part.
    #[error("has several partitions of type '{0}'")]
    Several(Kind),
    /// There is nothing that could be shown.
    #[error("has no partition for / or /usr")]
    NoPayload,
    /// A hash tree cannot be used.
    #[error("has a hash tree that cannot be used: {0}")]
    Tree(#[from] TreeProblem),
    /// There is nothing to put into an image.
    #[error("'{}' is empty: a partition has to have something in it", .0.display())]
    Empty(PathBuf),
    /// The signature that was made is not the certificate's.
    #[error("cannot sign")]
    Key(#[from] KeyProblem),
    /// An operation on a file failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// What is wrong with one of the two copies of a partition table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableProblem {
    /// No header is there.
    #[error("is missing")]
    Missing,
    /// It ends before its end.
    #[error("is cut off")]
    Short,
    /// The header has another size than any that is known.
    #[error("has a header of {0} bytes")]
    HeaderSize(u32),
    /// The header was changed or damaged.
    #[error("has a header whose checksum does not match")]
    HeaderSum,
    /// The header belongs elsewhere.
    #[error("has a header that belongs to sector {says}, not {is}")]
    Place {
        /// Where it says that it is.
        says: u64,
        /// Where it is.
        is: u64,
    },
    /// Nobody makes tables like this.
    #[error("has {count} entries of {size} bytes")]
    Entries {
        /// How many.
        count: u32,
        /// Of how many bytes each.
        size: u32,
    },
    /// The entries lie where they cannot.
    #[error("has entries outside of the image or among the partitions")]
    EntriesPlace,
    /// The entries were changed or damaged.
    #[error("has entries whose checksum does not match")]
    EntriesSum,
    /// A partition lies where none may be.
    #[error("has a partition {partition} that is not within the space for partitions")]
    Outside {
        /// Which, counted from 1.
        partition: u32,
    },
    /// Two partitions share a sector.
    #[error("has partitions {one} and {other} on the same sectors")]
    Overlap {
        /// The first of them on the disk.
        one: u32,
        /// The second.
        other: u32,
    },
    /// Space for partitions lies beyond the end.
    #[error("has space for partitions up to sector {last}, of {sectors}")]
    Beyond {
        /// The last sector for partitions.
        last: u64,
        /// How many sectors the image has.
        sectors: u64,
    },
    /// It says something else than the other copy.
    #[error("differs from the primary one")]
    Differs,
}

/// Why a hash tree cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeProblem {
    /// It does not begin as one does.
    #[error("there is no superblock of dm-verity")]
    Missing,
    /// It is of a version or type that is not known.
    #[error("its version is {version}, type {kind}; known are 1 and 1")]
    Version {
        /// Of the superblock.
        version: u32,
        /// Of the hashes.
        kind: u32,
    },
    /// Hashes are made in another way.
    #[error("its hashes are '{0}', known is 'sha256'")]
    Algorithm(String),
    /// Blocks have a size that dm-verity does not know.
    #[error("its blocks have {data} bytes for data and {hash} for hashes")]
    BlockSizes {
        /// Of what is hashed.
        data: u32,
        /// Of the tree.
        hash: u32,
    },
    /// The salt is longer than its place.
    #[error("its salt has {0} bytes")]
    Salt(u16),
    /// It is for more data than there is.
    #[error("it is for {blocks} blocks of data, the partition has {available}")]
    TooMuchData {
        /// For so many.
        blocks: u64,
        /// So many are there.
        available: u64,
    },
    /// The tree needs more than its partition.
    #[error("it needs {needed} bytes, its partition has {available}")]
    TooLarge {
        /// So much.
        needed: u64,
        /// So much is there.
        available: u64,
    },
    /// It is for nothing.
    #[error("it is for no data")]
    NoData,
}

/// Why a key or certificate cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// There is no private key in it.
    #[error("there is no private key in PEM form")]
    NoKey,
    /// It needs a passphrase.
    #[error("the private key is encrypted; decrypt it first (openssl pkey -in KEY -out PLAIN)")]
    Encrypted,
    /// It is of a kind or size that is not supported.
    #[error(
        "the private key is not usable: it has to be RSA of 2048 to 4096 bits, or ECDSA on P-256 or P-384"
    )]
    Unusable,
    /// There is no certificate in it.
    #[error("there is no certificate in PEM form")]
    NoCertificate,
    /// The certificate makes no sense.
    #[error("the certificate cannot be read")]
    BadCertificate,
    /// The two do not belong together.
    #[error("the private key is not the certificate's")]
    NotOurs,
    /// The system has no random numbers, or the key is damaged.
    #[error("the private key does not sign")]
    Refused,
}
