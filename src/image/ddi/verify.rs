//! Whether an image is what its maker made, and who that is.

use serde::Serialize;

use super::error::{Error, TreeProblem};
use super::read::Part;
use super::signature::{Certificate, Fingerprint, Signature, SignatureProblem};
use super::table::Partition;
use super::verity::{self, Place, RootHash, Superblock, TreeReport};
use crate::image::Source;

/// What was checked of a part, and what came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Its data against its hash tree; `None` where it has none.
    pub tree: Option<TreeReport>,
    /// Who says what the root hash of the tree should be; `None` where there is no tree.
    pub root_hash_from: Option<Origin>,
    /// Whether the GUIDs of data and tree are the two halves of that root hash. systemd finds no others.
    pub is_found_by_root_hash: bool,
    /// The signature of the root hash.
    pub signature: SignatureReport,
}

/// Who says what a root hash should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Who asked.
    Caller,
    /// The image's signature.
    Signature,
    /// The GUIDs of the two partitions.
    Guids,
}

/// What a signature is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SignatureReport {
    /// There is none.
    Absent,
    /// There is a partition for one, with something else.
    Unreadable,
    /// It is good, and of one of the certificates that the caller trusts.
    Good {
        /// Whose it is.
        subject: String,
        /// Of the certificate.
        fingerprint: Fingerprint,
    },
    /// It is not known to be good.
    Bad {
        /// Why.
        problem: SignatureProblem,
        /// Of the certificate that it says it was made with.
        fingerprint: Option<Fingerprint>,
    },
    /// It is of another root hash than the caller asked for.
    Foreign {
        /// What it is of.
        root_hash: RootHash,
    },
}

impl Verification {
    /// Whether all blocks are what they were when the tree was made. It says nothing of who made it.
    pub fn is_intact(&self) -> bool {
        self.tree.as_ref().is_some_and(TreeReport::is_sound)
    }

    /// Whether it is also of somebody whom the caller trusts.
    pub fn is_trusted(&self) -> bool {
        self.is_intact() && matches!(self.signature, SignatureReport::Good { .. })
    }
}

impl Part {
    /// Checks all of its blocks, and its signature against the certificates that the caller trusts. The root hash is the
    /// one that is given, or that of the signature, or that of the partitions' GUIDs.
    pub fn verify(
        &self,
        source: &dyn Source,
        certificates: &[Certificate],
        root_hash: Option<RootHash>,
    ) -> Result<Verification, Error> {
        let signature = self.read_signature(source)?;
        let signed = signature.as_ref().and_then(Option::as_ref).map(|signature| signature.root_hash);
        let guids = self.verity.as_ref().map(|tree| root_hash_of(&self.data, tree));
        let origins = [(root_hash, Origin::Caller), (signed, Origin::Signature), (guids, Origin::Guids)];
        let expected = origins.into_iter().find_map(|(hash, origin)| Some((hash?, origin)));
        let signature = match signature {
            None => SignatureReport::Absent,
            Some(None) => SignatureReport::Unreadable,
            Some(Some(signature)) if root_hash.is_some_and(|hash| hash != signature.root_hash) => {
                SignatureReport::Foreign { root_hash: signature.root_hash }
            }
            Some(Some(signature)) => judge(&signature, certificates),
        };
        let tree = match expected {
            Some((root_hash, _)) => self.check_tree(source, root_hash)?,
            None => None,
        };
        Ok(Verification {
            root_hash_from: expected.filter(|_| tree.is_some()).map(|(_, origin)| origin),
            is_found_by_root_hash: tree.is_some() && guids == expected.map(|(hash, _)| hash),
            tree,
            signature,
        })
    }

    fn check_tree(&self, source: &dyn Source, root_hash: RootHash) -> Result<Option<TreeReport>, Error> {
        let (Some(tree), Some(superblock)) = (&self.verity, self.superblock(source)?) else {
            return Ok(None);
        };
        check_size(&superblock, &self.data, tree)?;
        let place = Place { source, data: self.data.offset, tree: tree.offset };
        verity::check(&place, &superblock, root_hash).map(Some)
    }
}

fn judge(signature: &Signature, certificates: &[Certificate]) -> SignatureReport {
    match signature.verify(certificates) {
        Ok(certificate) => SignatureReport::Good {
            subject: certificate.subject().to_owned(),
            fingerprint: certificate.fingerprint(),
        },
        Err(problem) => SignatureReport::Bad { problem, fingerprint: signature.fingerprint },
    }
}

/// A tree lies in its partition, and is for no more data than there is.
fn check_size(superblock: &Superblock, data: &Partition, tree: &Partition) -> Result<(), TreeProblem> {
    let needed = superblock.geometry()?.size();
    if needed > tree.length {
        return Err(TreeProblem::TooLarge { needed, available: tree.length });
    }
    let available = data.length / u64::from(superblock.data_block);
    if superblock.data_blocks > available {
        return Err(TreeProblem::TooMuchData { blocks: superblock.data_blocks, available });
    }
    Ok(())
}

/// The hash whose halves are the GUIDs of two partitions.
fn root_hash_of(data: &Partition, tree: &Partition) -> RootHash {
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(&data.guid.to_bytes());
    hash[16..].copy_from_slice(&tree.guid.to_bytes());
    RootHash(hash)
}
