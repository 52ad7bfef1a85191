//! A patch as it is stored.

use super::LIMIT;
use crate::image::squashfs::{Algorithm, Compression};
use crate::image::{LARGEST_BLOCK, Recompressor};
use crate::package::Identity;
use crate::store::delta::Error;
use crate::store::delta::bytes::{Reader, compress, decompress, put, put_distance};

const MAGIC: &[u8; 8] = b"ONLAYPA1";
/// What every version of the format begins with.
const FAMILY: usize = 7;
/// The most bytes of what is to be done.
const LARGEST_CONTROL: usize = 64 << 20;

const COPY: u64 = 0;
const DATA: u64 = 1;
const PACK: u64 = 2;

/// What a patch is for, and what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the older image.
    pub old_size: u64,
    /// Its SHA-256.
    pub old: Identity,
    /// Bytes of the new image.
    pub new_size: u64,
    /// Its SHA-256.
    pub new: Identity,
    /// With what blocks of the older image are compressed.
    pub unpacked: Option<Algorithm>,
    /// How blocks of the new one are compressed: settings, the size of blocks, and the fingerprint.
    pub packed: Option<(Compression, u32, [u8; 8])>,
}

/// Bytes of the older image that others refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Where they begin.
    pub at: u64,
    /// How many.
    pub stored: u32,
    /// How many come out of them; `None` where they are not compressed.
    pub raw: Option<u32>,
}

/// What comes next in the new image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Bytes of the older image.
    Copy {
        /// Where they begin.
        at: u64,
        /// How many.
        length: u64,
    },
    /// So many bytes of the group, as they are.
    Data(u32),
    /// Bytes of the group, compressed.
    Pack {
        /// How many.
        raw: u32,
        /// To how many.
        stored: u32,
    },
}

/// A part of the new image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// What its bytes refer to.
    pub references: Vec<Reference>,
    /// How many bytes it has.
    pub raw: u32,
    /// The frame that they are in; empty where there are none.
    pub frame: Vec<u8>,
    /// What is to be done.
    pub operations: Vec<Operation>,
}

/// A patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// What it is for.
    pub head: Head,
    /// One part of the new image after the other.
    pub groups: Vec<Group>,
}

impl Group {
    /// Bytes of all references, decompressed.
    fn before(&self) -> u64 {
        self.references.iter().map(|reference| u64::from(reference.raw.unwrap_or(reference.stored))).sum()
    }
}

impl Patch {
    /// As it is stored.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let control = self.control();
        let frame = compress(&control, b"", 19)?;
        let mut bytes = MAGIC.to_vec();
        let head = &self.head;
        bytes.extend(head.old_size.to_le_bytes());
        bytes.extend(head.old.digest());
        bytes.extend(head.new_size.to_le_bytes());
        bytes.extend(head.new.digest());
        bytes.push(head.unpacked.map_or(0, |algorithm| algorithm.id() as u8));
        let (settings, block_size, fingerprint) = match head.packed {
            Some((compression, block_size, fingerprint)) => (settings(compression), block_size, fingerprint),
            None => ([0; 2], 0, [0; 8]),
        };
        bytes.extend(settings);
        bytes.push(0);
        bytes.extend(block_size.to_le_bytes());
        bytes.extend(fingerprint);
        bytes.extend((control.len() as u32).to_le_bytes());
        bytes.extend((frame.len() as u32).to_le_bytes());
        bytes.extend(frame);
        self.groups.iter().for_each(|group| bytes.extend_from_slice(&group.frame));
        Ok(bytes)
    }

    fn control(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut end = 0;
        put(&mut bytes, self.groups.len() as u64);
        for group in &self.groups {
            put(&mut bytes, group.references.len() as u64);
            for reference in &group.references {
                put_distance(&mut bytes, end, reference.at);
                put(&mut bytes, reference.stored.into());
                put(&mut bytes, reference.raw.unwrap_or(0).into());
                end = reference.at + u64::from(reference.stored);
            }
            put(&mut bytes, group.raw.into());
            put(&mut bytes, group.frame.len() as u64);
            put(&mut bytes, group.operations.len() as u64);
            for operation in &group.operations {
                match *operation {
                    Operation::Copy { at, length } => {
                        put(&mut bytes, length << 2 | COPY);
                        put_distance(&mut bytes, end, at);
                        end = at + length;
                    }
                    Operation::Data(length) => put(&mut bytes, u64::from(length) << 2 | DATA),
                    Operation::Pack { raw, stored } => {
                        put(&mut bytes, u64::from(raw) << 2 | PACK);
                        put(&mut bytes, stored.into());
                    }
                }
            }
        }
        bytes
    }

    /// Reads one. All places are inside of the older image, the operations use up all bytes of their groups, and give as many
    /// as the new image has.
    pub fn parse(bytes: &[u8]) -> Result<Patch, Error> {
        let mut reader = Reader(bytes);
        let head = parse_head(&mut reader)?;
        let length = u32::from_le_bytes(reader.array()?) as usize;
        let stored = u32::from_le_bytes(reader.array()?) as usize;
        if length > LARGEST_CONTROL {
            return Err(Error::Nonsense("there is too much to be done"));
        }
        let control = decompress(reader.take(stored)?, b"", length)?;
        let mut parser = Parser { head: &head, control: Reader(&control), frames: reader, end: 0, made: 0 };
        let count = parser.control.number()?;
        let groups = (0..count).map(|_| parser.group()).collect::<Result<Vec<_>, _>>()?;
        if parser.made != head.new_size {
            return Err(Error::Nonsense("it gives more or less than the image"));
        }
        parser.control.end()?;
        parser.frames.end()?;
        Ok(Patch { head, groups })
    }
}

const UNKNOWN: Error = Error::Nonsense("there is no such compressor");

fn parse_head(reader: &mut Reader<'_>) -> Result<Head, Error> {
    let magic = reader.array::<8>()?;
    if magic != *MAGIC {
        let is_later = magic[..FAMILY] == MAGIC[..FAMILY];
        return Err(if is_later { Error::Unknown } else { Error::Nonsense("it is no patch") });
    }
    let old_size = u64::from_le_bytes(reader.array()?);
    let old = Identity::from_digest(reader.array()?);
    let new_size = u64::from_le_bytes(reader.array()?);
    let new = Identity::from_digest(reader.array()?);
    let [unpacked, packed, level, zero] = reader.array()?;
    let block_size = u32::from_le_bytes(reader.array()?);
    let fingerprint = reader.array()?;
    let unpacked = match unpacked {
        0 => None,
        id => Some(Algorithm::from_id(id.into()).ok_or(UNKNOWN)?),
    };
    let packed = match packed {
        0 if level == 0 && block_size == 0 && fingerprint == [0; 8] => None,
        id => {
            let compression = compression(id, level).ok_or(UNKNOWN)?;
            Recompressor::check(compression, block_size).ok_or(UNKNOWN)?;
            Some((compression, block_size, fingerprint))
        }
    };
    if zero != 0 {
        return Err(Error::Unknown);
    }
    Ok(Head { old_size, old, new_size, new, unpacked, packed })
}

fn settings(compression: Compression) -> [u8; 2] {
    let level = match compression {
        Compression::Gzip(level) | Compression::Xz(level) | Compression::Zstd(level) => level,
        Compression::Lz4 | Compression::None => 0,
    };
    [compression.algorithm().id() as u8, level]
}

fn compression(id: u8, level: u8) -> Option<Compression> {
    Some(match Algorithm::from_id(id.into())? {
        Algorithm::Gzip => Compression::Gzip(level),
        Algorithm::Xz => Compression::Xz(level),
        Algorithm::Zstd => Compression::Zstd(level),
        Algorithm::Lz4 if level == 0 => Compression::Lz4,
        Algorithm::Lz4 => return None,
    })
}

struct Parser<'a> {
    head: &'a Head,
    control: Reader<'a>,
    frames: Reader<'a>,
    /// The end of what was named last.
    end: u64,
    /// Bytes of the new image that there are.
    made: u64,
}

impl Parser<'_> {
    fn group(&mut self) -> Result<Group, Error> {
        let mut group = Group::default();
        for _ in 0..self.control.number()? {
            let reference = self.reference()?;
            group.references.push(reference);
            if group.before() > LIMIT as u64 {
                return Err(Error::Nonsense("it refers to too much"));
            }
        }
        group.raw = self.control.small()?;
        let stored = self.control.small()? as usize;
        if group.raw as usize > LIMIT || (group.raw == 0) != (stored == 0) {
            return Err(Error::Nonsense("a group has too many bytes, or none"));
        }
        group.frame = self.frames.take(stored)?.to_vec();
        let mut used = 0u64;
        for _ in 0..self.control.number()? {
            let operation = self.operation()?;
            used += match operation {
                Operation::Copy { .. } => 0,
                Operation::Data(length) | Operation::Pack { raw: length, .. } => u64::from(length),
            };
            group.operations.push(operation);
            if used > u64::from(group.raw) {
                break;
            }
        }
        if used != u64::from(group.raw) {
            return Err(Error::Nonsense("its operations use more or less than there is"));
        }
        Ok(group)
    }

    fn reference(&mut self) -> Result<Reference, Error> {
        let at = self.control.place(self.end)?;
        let stored = self.control.small()?;
        let raw = Some(self.control.small()?).filter(|raw| *raw > 0);
        self.inside(at, stored.into())?;
        if raw.is_some() && (self.head.unpacked.is_none() || stored.max(raw.unwrap_or(0)) > LARGEST_BLOCK) {
            return Err(Error::Nonsense("it refers to no block"));
        }
        Ok(Reference { at, stored, raw })
    }

    fn operation(&mut self) -> Result<Operation, Error> {
        let word = self.control.number()?;
        let length = word >> 2;
        let small = || u32::try_from(length).map_err(|_| Error::Nonsense("a number is too large"));
        let (operation, made) = match word & 3 {
            COPY => {
                let at = self.control.place(self.end)?;
                self.inside(at, length)?;
                (Operation::Copy { at, length }, length)
            }
            DATA => (Operation::Data(small()?), length),
            PACK => {
                let (raw, stored) = (small()?, self.control.small()?);
                let largest = self.head.packed.map_or(0, |(_, size, _)| Recompressor::largest_of(size));
                if raw as usize > largest || stored >= raw {
                    return Err(Error::Nonsense("a block is too large"));
                }
                (Operation::Pack { raw, stored }, stored.into())
            }
            _ => return Err(Error::Nonsense("it wants something done that there is not")),
        };
        let made = self.made.checked_add(made).filter(|made| *made <= self.head.new_size && length > 0);
        self.made = made.ok_or(Error::Nonsense("it gives more than the image, or nothing"))?;
        Ok(operation)
    }

    /// Refuses what is outside of the older image.
    fn inside(&mut self, at: u64, length: u64) -> Result<(), Error> {
        let end = at.checked_add(length).filter(|end| *end <= self.head.old_size && length > 0);
        self.end = end.ok_or(Error::Nonsense("it wants what is outside of the older image"))?;
        Ok(())
    }
}
