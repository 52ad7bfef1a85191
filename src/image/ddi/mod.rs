//! Discoverable disk images: a file system image in a partition table, whose types of partitions say what is in it (UAPI.2
//! and UAPI.3), a hash tree by which the kernel notices every changed byte (dm-verity), and a signature of the tree's root
//! by which it is known who made it. systemd calls it a DDI.
//!
//! ```text
//! protective MBR, partition table
//! 1 MiB  root-x86-64             the file system image, up to a whole block of 4096 bytes
//!        root-x86-64-verity      superblock and hash tree
//!        root-x86-64-verity-sig  JSON with the signature, 16 KiB
//! the partition table again
//! ```
//!
//! What is written follows from the file system image, the processor and the key alone: there are no random numbers and no
//! time in it, but for signatures with ECDSA keys. The GUIDs of the first two partitions are the two halves of the root
//! hash, as the specification wants it, and all others come from it as well; the salt comes from the image's length and
//! its first block, which in every file system says what else is in it.
//!
//! What is read was made by anybody. A table is believed when its sums are right, and a block of data when its hash is;
//! a signature says nothing before it was checked against a certificate that the caller trusts.

mod error;
mod gpt;
mod guid;
mod parallel;
mod read;
mod signature;
mod table;
mod target;
mod types;
mod verify;
mod verity;
mod write;

pub use error::{Error, KeyProblem, TableProblem, TreeProblem};
pub use gpt::{NO_AUTO, READ_ONLY};
pub use guid::Guid;
pub use read::{Ddi, Part};
pub(crate) use signature::base64;
pub use signature::{Certificate, Fingerprint, Signature, SignatureProblem, Signer, TRUSTED, Trusted};
pub use table::{Flaw, Partition, Table};
pub use types::{Architecture, Designator, Kind, Role};
pub use verify::{Origin, SignatureReport, Verification};
pub use verity::{BadBlocks, RootHash, Superblock, TreeReport};
pub use write::{PAYLOAD_OFFSET, Payload, Protection, Request, Written, write};

#[cfg(test)]
mod tests;
