//! Making an image by a patch.

use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Group, Operation, Patch, Reference};
use crate::image::{Recompressor, Source, Unpacker};
use crate::package::Identity;
use crate::store::delta::Error;
use crate::store::delta::bytes::decompress;
use crate::sys::io_error;

/// As much is copied at once.
const BUFFER: u64 = 256 << 10;
/// So many bytes can come out of all frames for each of the image: blocks of text are compressed less than that.
const MOST_EXPANDED: u64 = 100;
/// So many can, however small the image is.
const ALWAYS_EXPANDED: u64 = 64 << 20;

/// Writes the image that a patch makes of an older one. Whether it is the image that it should be is for the caller to see. `path` is for
/// messages.
pub fn apply(patch: &Patch, old: &dyn Source, target: &mut dyn Write, path: &Path) -> Result<(), Error> {
    let head = &patch.head;
    if old.size() != head.old_size {
        return Err(Error::Other);
    }
    let raw: u64 = patch.groups.iter().map(|group| u64::from(group.raw)).sum();
    if raw > head.new_size.saturating_mul(MOST_EXPANDED).saturating_add(ALWAYS_EXPANDED) {
        return Err(Error::Nonsense("too much is in it"));
    }
    let recompressor = match head.packed {
        Some((compression, block_size, fingerprint)) => {
            let mut recompressor = Recompressor::new(compression, block_size).ok_or(Error::Compressor)?;
            if recompressor.fingerprint() != fingerprint {
                return Err(Error::Compressor);
            }
            Some(recompressor)
        }
        None => None,
    };
    let unpacker = head.unpacked.map(Unpacker::new);
    let mut maker = Maker { old, target, path, unpacker, recompressor };
    patch.groups.iter().try_for_each(|group| maker.group(group))
}

/// The SHA-256 of what a patch makes of an older image.
pub fn apply_to_digest(patch: &Patch, old: &dyn Source) -> Result<Identity, Error> {
    let mut digester = Digesting(Sha256::new());
    apply(patch, old, &mut digester, Path::new("image"))?;
    Ok(Identity::from_digest(digester.0.finalize().into()))
}

/// Takes bytes for their digest alone.
struct Digesting(Sha256);

impl Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Maker<'a> {
    old: &'a dyn Source,
    target: &'a mut dyn Write,
    path: &'a Path,
    unpacker: Option<Unpacker>,
    recompressor: Option<Recompressor>,
}

impl Maker<'_> {
    fn group(&mut self, group: &Group) -> Result<(), Error> {
        let bytes = if group.raw == 0 {
            Vec::new()
        } else {
            let mut before = Vec::new();
            for reference in &group.references {
                add_reference(self.old, self.unpacker.as_mut(), reference, &mut before)?;
            }
            decompress(&group.frame, &before, group.raw as usize)?
        };
        let mut rest = &bytes[..];
        for operation in &group.operations {
            match *operation {
                Operation::Copy { at, length } => self.copy(at, length)?,
                Operation::Data(length) => {
                    let data = take(&mut rest, length)?;
                    self.write(data)?;
                }
                Operation::Pack { raw, stored } => {
                    let block = take(&mut rest, raw)?;
                    self.pack(block, stored)?;
                }
            }
        }
        Ok(())
    }

    fn copy(&mut self, mut at: u64, length: u64) -> Result<(), Error> {
        let end = at + length;
        let mut buffer = vec![0; length.min(BUFFER) as usize];
        while at < end {
            let count = (end - at).min(BUFFER) as usize;
            self.old.read_at(at, &mut buffer[..count])?;
            self.write(&buffer[..count])?;
            at += count as u64;
        }
        Ok(())
    }

    fn pack(&mut self, block: &[u8], stored: u32) -> Result<(), Error> {
        let recompressor =
            self.recompressor.as_mut().ok_or(Error::Nonsense("there is no such compressor"))?;
        let packed = recompressor.pack(block).filter(|packed| packed.len() == stored as usize);
        let packed = packed.ok_or(Error::Wrong)?;
        write(self.target, packed, self.path)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        write(self.target, bytes, self.path)
    }
}

fn write(target: &mut dyn Write, bytes: &[u8], path: &Path) -> Result<(), Error> {
    Ok(target.write_all(bytes).map_err(|error| io_error("write", path, error))?)
}

fn take<'a>(rest: &mut &'a [u8], length: u32) -> Result<&'a [u8], Error> {
    let split = rest.split_at_checked(length as usize);
    let (taken, left) = split.ok_or(Error::Nonsense("its operations use more than there is"))?;
    *rest = left;
    Ok(taken)
}

/// Adds what a reference stands for.
pub(super) fn add_reference(
    old: &dyn Source,
    unpacker: Option<&mut Unpacker>,
    reference: &Reference,
    before: &mut Vec<u8>,
) -> Result<(), Error> {
    let begin = before.len();
    let Some(raw) = reference.raw else {
        before.resize(begin + reference.stored as usize, 0);
        return Ok(old.read_at(reference.at, &mut before[begin..])?);
    };
    let mut stored = vec![0; reference.stored as usize];
    old.read_at(reference.at, &mut stored)?;
    before.resize(begin + raw as usize, 0);
    let length = unpacker.and_then(|unpacker| unpacker.unpack(&stored, &mut before[begin..]));
    if length == Some(raw as usize) { Ok(()) } else { Err(Error::Other) }
}
