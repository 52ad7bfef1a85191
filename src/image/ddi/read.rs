//! An image that somebody made: its table, and which partitions belong together.

use super::error::Error;
use super::gpt;
use super::signature::{self, Signature};
use super::table::{Partition, Table};
use super::types::{Architecture, Designator, Kind, Role};
use super::verity::{self, Superblock};
use crate::image::Source;

/// An image whose table was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ddi {
    /// Its partitions.
    pub table: Table,
    /// What of systems is in it; at least one.
    pub parts: Vec<Part>,
}

/// Files for one place on one processor, with what protects them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Part {
    /// For which processor.
    pub architecture: Architecture,
    /// For which place.
    pub designator: Designator,
    /// The partition with the file system image.
    pub data: Partition,
    /// That with its hash tree.
    pub verity: Option<Partition>,
    /// That with the signature of the tree's root.
    pub signature: Option<Partition>,
}

impl Ddi {
    /// Reads the table of an image. Nothing of what is in the partitions is read, or known to be right.
    pub fn read(source: &dyn Source) -> Result<Ddi, Error> {
        let table = Table::read(source)?;
        let found = |kind: Kind| {
            let mut found = table
                .partitions
                .iter()
                .filter(|partition| partition.kind() == Some(kind) && partition.flags & gpt::NO_AUTO == 0);
            match (found.next(), found.next()) {
                (Some(_), Some(_)) => Err(Error::Several(kind)),
                (one, _) => Ok(one.cloned()),
            }
        };
        let mut parts = Vec::new();
        for partition in &table.partitions {
            let Some(kind @ Kind { role: Role::Data, .. }) = partition.kind() else { continue };
            let Some(data) = found(kind)? else { continue };
            parts.push(Part {
                architecture: kind.architecture,
                designator: kind.designator,
                data,
                verity: found(Kind { role: Role::Verity, ..kind })?,
                signature: found(Kind { role: Role::Signature, ..kind })?,
            });
        }
        if parts.is_empty() { Err(Error::NoPayload) } else { Ok(Ddi { table, parts }) }
    }

    /// What a machine would take of it: of what is for its processor that for `/`, or else for `/usr`.
    pub fn part(&self, architecture: Architecture) -> Option<&Part> {
        self.parts.iter().filter(|part| part.architecture == architecture).min_by_key(|part| part.designator)
    }
}

impl Part {
    /// Reads what the hash tree says of itself; `None` where there is none.
    pub fn superblock(&self, source: &dyn Source) -> Result<Option<Superblock>, Error> {
        let Some(partition) = &self.verity else { return Ok(None) };
        let mut bytes = vec![0; partition.length.min(verity::SUPERBLOCK as u64) as usize];
        source.read_at(partition.offset, &mut bytes)?;
        Ok(Some(Superblock::parse(&bytes)?))
    }

    /// Reads the signature, which is not checked by that; `None` where there is none, `Some(None)` where it cannot be read.
    #[allow(
        clippy::option_option,
        reason = "a partition without a signature is not the same as no partition"
    )]
    pub fn read_signature(&self, source: &dyn Source) -> Result<Option<Option<Signature>>, Error> {
        let Some(partition) = &self.signature else { return Ok(None) };
        let mut bytes = vec![0; partition.length.min(signature::MOST) as usize];
        source.read_at(partition.offset, &mut bytes)?;
        Ok(Some(Signature::parse(&bytes)))
    }
}
