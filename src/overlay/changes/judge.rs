//! Whether a file that was copied up is still the same.

use std::ffi::OsStr;
use std::path::Path;

use super::ChangeKind;
use super::place::Place;
use super::upper::{Node, Status};
use crate::sys::{Context, FileKind, IoError, Root, Xattrs, fill};

/// How much of two files is compared at a time.
const BLOCK: usize = 128 * 1024;

/// How a file differs from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not at all.
    Same,
    /// In metadata only.
    Metadata,
    /// In what it is or contains.
    Content,
}

impl Verdict {
    /// The change that this amounts to.
    pub(super) fn kind(self) -> Option<ChangeKind> {
        match self {
            Verdict::Same => None,
            Verdict::Metadata => Some(ChangeKind::Metadata),
            Verdict::Content => Some(ChangeKind::Changed),
        }
    }
}

/// Compares files, with the memory that this takes.
#[derive(Debug)]
pub(super) struct Judge {
    left: Vec<u8>,
    right: Vec<u8>,
}

/// A name in a directory of the lower, with what lies there.
#[derive(Debug)]
pub(super) struct Below<'p, 'a> {
    pub(super) dir: &'p mut Place<'a>,
    pub(super) name: &'p OsStr,
    pub(super) status: Status,
}

impl Judge {
    pub(super) fn new() -> Judge {
        Judge { left: vec![0; BLOCK], right: vec![0; BLOCK] }
    }

    /// How a file in the directory `here` of the upper differs from one below: first what costs
    /// nothing, then contents, and metadata only when contents are the same.
    pub(super) fn file(
        &mut self,
        here: &mut Place<'_>,
        node: &Node,
        below: &mut Below<'_, '_>,
    ) -> Result<Verdict, IoError> {
        let (status, old) = (&node.status, &below.status);
        let same = (status.kind, status.device, status.size) == (old.kind, old.device, old.size)
            && match status.kind {
                FileKind::File => {
                    self.same_content(here.dir()?, &node.name, below.dir.dir()?, below.name, old.size)?
                }
                FileKind::Symlink => {
                    here.dir()?.read_link(&node.name)? == below.dir.dir()?.read_link(below.name)?
                }
                _ => true,
            };
        if same { metadata(node, below) } else { Ok(Verdict::Content) }
    }

    /// Whether two regular files of this size have the same content.
    pub(super) fn same_content(
        &mut self,
        dir: &Root,
        name: &OsStr,
        other_dir: &Root,
        other_name: &OsStr,
        size: u64,
    ) -> Result<bool, IoError> {
        if size == 0 {
            return Ok(true);
        }
        let mut file = dir.open_child_file(name)?;
        let mut other = other_dir.open_child_file(other_name)?;
        let mut left = size;
        while left > 0 {
            let length = left.min(BLOCK as u64) as usize;
            let (block, other_block) = (&mut self.left[..length], &mut self.right[..length]);
            let read = fill(&mut file, block).context("read", dir.join(name))?;
            let other_read = fill(&mut other, other_block).context("read", other_dir.join(other_name))?;
            if block[..read] != other_block[..other_read] {
                return Ok(false);
            }
            if read < length {
                break;
            }
            left -= length as u64;
        }
        Ok(true)
    }
}

/// Whether metadata differs. A directory's time of modification does not count: it says only that
/// something in it changed.
pub(super) fn metadata(node: &Node, below: &mut Below<'_, '_>) -> Result<Verdict, IoError> {
    let (status, old) = (&node.status, &below.status);
    let same = (status.mode, status.owner) == (old.mode, old.owner)
        && (status.is_dir() || status.modified == old.modified)
        && node.xattrs == Xattrs::read(below.dir.dir()?, Path::new(below.name))?;
    Ok(if same { Verdict::Same } else { Verdict::Metadata })
}
