//! Writing an image. The file system image goes through memory once, in pieces of half a megabyte, or not at all where it
//! was written to its place in the first place.

use std::fs::File;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::Error;
use super::gpt::{self, Entry, Header, SECTOR};
use super::guid::{self, Guid};
use super::signature::{Signature, Signer};
use super::target::Target;
use super::types::{Architecture, Designator, Kind, Role};
use super::verity::{self, BLOCK, Data, RootHash, Superblock};
use crate::image::{FileSource, Source};
use crate::sys::{Context, IoError};

/// Where the file system image is in an image, in bytes.
pub const PAYLOAD_OFFSET: u64 = 1024 * 1024;

/// What an image is made of.
#[derive(Debug)]
pub struct Request<'a> {
    /// The file system image.
    pub payload: Payload<'a>,
    /// The processor that its programs are for.
    pub architecture: Architecture,
    /// What of a system it is. Extensions are [`Designator::Root`]: they have a directory `usr`.
    pub designator: Designator,
    /// How it can be known that it is what it was.
    pub protection: Protection<'a>,
}

/// Where a file system image comes from.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// All of a file, which is copied.
    File(&'a File, &'a Path),
    /// It is in the image already, at [`PAYLOAD_OFFSET`], with this many bytes.
    InPlace(u64),
}

/// How it can be known that a file system image is what it was.
#[derive(Debug, Clone, Copy)]
pub enum Protection<'a> {
    /// It cannot.
    Nothing,
    /// By a hash tree.
    Verity,
    /// By a hash tree whose root is signed.
    Signed(&'a Signer),
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// The hash tree's root, where there is a tree.
    pub root_hash: Option<RootHash>,
    /// Bytes of the whole image.
    pub size: u64,
}

/// Writes an image to a file that is empty, or has but a file system image in its place. The file is as long as the
/// image then, and is not synced. After a failure there is no image in it.
pub fn write(request: &Request<'_>, file: &File, path: &Path) -> Result<Written, Error> {
    let target = Target { file, path };
    let (payload, name, in_place) = match request.payload {
        Payload::File(payload, name) => (payload, name, None),
        Payload::InPlace(length) => (file, path, Some(length)),
    };
    if let Some(length) = in_place {
        pad(target, length)?;
    }
    let source = FileSource::new(payload, name)?;
    let length = in_place.unwrap_or(source.size());
    if length == 0 {
        return Err(Error::Empty(name.to_owned()));
    }
    let data = if in_place.is_some() {
        Data { source: &source, offset: PAYLOAD_OFFSET, length, copy_to: None }
    } else {
        Data { source: &source, offset: 0, length, copy_to: Some(PAYLOAD_OFFSET) }
    };
    let mut layout = Layout::new(request);
    layout.add(Role::Data, length.next_multiple_of(u64::from(BLOCK)), gpt::READ_ONLY);
    let root_hash = match request.protection {
        Protection::Nothing => {
            layout.name_after(&digest_of(&data, target)?);
            None
        }
        Protection::Verity => Some(protect(&data, target, &mut layout, None)?),
        Protection::Signed(signer) => Some(protect(&data, target, &mut layout, Some(signer))?),
    };
    Ok(Written { root_hash, size: layout.write(target)? })
}

/// Fills up the last block of a file system image that is in its place.
fn pad(target: Target<'_>, length: u64) -> Result<(), IoError> {
    let lacking = length.next_multiple_of(u64::from(BLOCK)) - length;
    target.write_at(PAYLOAD_OFFSET + length, &vec![0; lacking as usize])
}

/// Adds a hash tree and its signature.
fn protect(
    data: &Data<'_>,
    target: Target<'_>,
    layout: &mut Layout,
    signer: Option<&Signer>,
) -> Result<RootHash, Error> {
    let salt = salt(data)?;
    let mut superblock = Superblock {
        guid: Guid::NIL,
        data_block: BLOCK,
        hash_block: BLOCK,
        data_blocks: data.length.div_ceil(u64::from(BLOCK)),
        salt: salt.to_vec(),
    };
    let tree = layout.add(Role::Verity, superblock.geometry()?.size(), gpt::READ_ONLY);
    let root_hash = verity::build(data, &salt, target, tree)?;
    superblock.guid = derive(&root_hash.0, "superblock");
    let mut block = superblock.encode().to_vec();
    block.resize(BLOCK as usize, 0);
    target.write_at(tree, &block)?;
    if let Some(signer) = signer {
        let content = Signature::make(root_hash, signer)?.encode();
        let place = layout.add(Role::Signature, content.len() as u64, 0);
        target.write_at(place, &content)?;
    }
    layout.name_after(&root_hash.0);
    let (first, last) = guid::halves(&root_hash.0);
    layout.entries[0].guid = Guid::from_bytes(first);
    layout.entries[1].guid = Guid::from_bytes(last);
    Ok(root_hash)
}

/// A salt that different data has another of.
fn salt(data: &Data<'_>) -> Result<[u8; 32], IoError> {
    let mut first = vec![0; data.length.min(u64::from(BLOCK)) as usize];
    data.source.read_at(data.offset, &mut first)?;
    let digest = Sha256::new_with_prefix(b"onlay verity salt\0").chain_update(data.length.to_le_bytes());
    Ok(digest.chain_update(&first).finalize().into())
}

/// The SHA-256 of data that no tree is made for, copied on the way.
fn digest_of(data: &Data<'_>, target: Target<'_>) -> Result<[u8; 32], IoError> {
    const PIECE: u64 = 512 * 1024;
    let mut digest = Sha256::new();
    let mut buffer = Vec::new();
    for start in (0..data.length).step_by(PIECE as usize) {
        data.take(start, PIECE, &mut buffer, target)?;
        digest.update(&buffer);
    }
    Ok(digest.finalize().into())
}

/// An identity that follows from a digest and what it is for.
fn derive(digest: &[u8; 32], purpose: &str) -> Guid {
    let derived = Sha256::new_with_prefix(b"onlay GUID\0").chain_update(digest).chain_update(purpose);
    Guid::from_digest(&derived.finalize().into())
}

/// Partitions one after the other.
struct Layout {
    architecture: Architecture,
    designator: Designator,
    entries: Vec<Entry>,
    disk: Guid,
    /// Where the next one begins, in bytes.
    end: u64,
}

impl Layout {
    fn new(request: &Request<'_>) -> Layout {
        let &Request { architecture, designator, .. } = request;
        Layout { architecture, designator, entries: Vec::new(), disk: Guid::NIL, end: PAYLOAD_OFFSET }
    }

    /// Adds a partition of whole blocks, and tells where it begins.
    fn add(&mut self, role: Role, size: u64, flags: u64) -> u64 {
        let kind = Kind { architecture: self.architecture, designator: self.designator, role };
        let start = self.end;
        self.end += size;
        self.entries.push(Entry {
            number: self.entries.len() as u32 + 1,
            kind: kind.guid(),
            guid: Guid::NIL,
            first: start / SECTOR,
            last: self.end / SECTOR - 1,
            flags,
            label: kind.to_string(),
        });
        start
    }

    /// Gives all an identity that follows from a digest.
    fn name_after(&mut self, digest: &[u8; 32]) {
        self.disk = derive(digest, "disk");
        for entry in &mut self.entries {
            entry.guid = derive(digest, &entry.label);
        }
    }

    /// Writes both tables, and tells how long the image is.
    fn write(&self, target: Target<'_>) -> Result<u64, IoError> {
        let tail = (gpt::ENTRY_SECTORS + 1) * SECTOR;
        let size = (self.end + tail).next_multiple_of(u64::from(BLOCK));
        let sectors = size / SECTOR;
        let entries = gpt::encode_entries(&self.entries);
        let primary = Header {
            own: 1,
            other: sectors - 1,
            first_usable: PAYLOAD_OFFSET / SECTOR,
            last_usable: sectors - 2 - gpt::ENTRY_SECTORS,
            disk: self.disk,
            entries: 2,
            entry_count: gpt::ENTRIES,
            entry_size: gpt::ENTRY,
            entries_crc: gpt::crc32(&entries),
        };
        let backup =
            Header { own: primary.other, other: primary.own, entries: primary.last_usable + 1, ..primary };
        target.file.set_len(size).context("set the length of", target.path)?;
        target.write_at(backup.entries * SECTOR, &entries)?;
        target.write_at(backup.own * SECTOR, &backup.encode())?;
        target.write_at(primary.entries * SECTOR, &entries)?;
        target.write_at(primary.own * SECTOR, &primary.encode())?;
        target.write_at(0, &gpt::protective_mbr(sectors))?;
        Ok(size)
    }
}
