//! Making a patch of two images.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::apply::{add_reference, apply_to_digest};
use super::contents::{Contents, settings};
use super::similar::Similar;
use super::{Group, Head, LIMIT, Operation, Patch, Reference};
use crate::image::{Recompressor, Source, Unpacker};
use crate::package::Identity;
use crate::store::delta::bytes::compress;
use crate::store::delta::{Cut, Error, Piece};

/// How hard a patch is compressed; and where it is for more than so many bytes, which would take minutes.
const LEVEL: i32 = 19;
const LARGE: u64 = 128 << 20;
const LARGE_LEVEL: i32 = 12;

/// One of two images.
pub struct Side<'a> {
    /// To read it.
    pub source: &'a Arc<dyn Source>,
    /// Its SHA-256.
    pub sha256: Identity,
    /// Its pieces.
    pub cut: &'a Cut,
}

/// Makes the patch that makes the new image of the old one, and tries whether it does.
pub fn make(old: &Side<'_>, new: &Side<'_>) -> Result<Vec<u8>, Error> {
    make_in_groups(old, new, LIMIT)
}

/// Makes a patch whose groups have, and refer to, at most so many bytes.
pub(in crate::store::delta) fn make_in_groups(
    old: &Side<'_>,
    new: &Side<'_>,
    limit: usize,
) -> Result<Vec<u8>, Error> {
    let known: HashMap<(u64, u32), u64> =
        old.cut.pieces.iter().map(|piece| ((piece.digest, piece.length), piece.at)).collect();
    let wanted: BTreeSet<(u64, u32)> =
        new.cut.pieces.iter().map(|piece| (piece.digest, piece.length)).collect();
    let gone: Vec<Piece> = old
        .cut
        .pieces
        .iter()
        .filter(|piece| !wanted.contains(&(piece.digest, piece.length)))
        .copied()
        .collect();
    let is_new = |piece: &&Piece| !known.contains_key(&(piece.digest, piece.length));
    let changed: Vec<Piece> = new.cut.pieces.iter().filter(is_new).copied().collect();
    let recompressor = settings(new, &changed)?;
    let mut maker = Maker::new([old, new], gone, &changed, recompressor, limit)?;
    for piece in &new.cut.pieces {
        match known.get(&(piece.digest, piece.length)) {
            Some(at) => maker.copy(*at, piece.length.into()),
            None => maker.change(piece)?,
        }
    }
    let patch = maker.finish()?;
    if apply_to_digest(&patch, old.source)? != new.sha256 {
        return Err(Error::Wrong);
    }
    patch.to_bytes()
}

struct Maker<'a> {
    old: &'a Side<'a>,
    old_contents: Contents<'a>,
    new_contents: Contents<'a>,
    recompressor: Option<Recompressor>,
    /// Pieces of the old image that the new one has no more.
    gone: Vec<Piece>,
    /// How to find those that are like a new one; `None` where all are taken.
    similar: Option<Similar>,
    level: i32,
    groups: Vec<Group>,
    /// The group that is being filled, its bytes, and what of `gone` it refers to.
    group: Group,
    bytes: Vec<u8>,
    references: BTreeSet<u32>,
    /// Bytes of those, at most.
    before: u64,
    /// What follows what was found last.
    next: u32,
    /// The most bytes that a group has, and refers to.
    limit: usize,
}

impl<'a> Maker<'a> {
    fn new(
        [old, new]: [&'a Side<'a>; 2],
        gone: Vec<Piece>,
        changed: &[Piece],
        recompressor: Option<Recompressor>,
        limit: usize,
    ) -> Result<Maker<'a>, Error> {
        let sum = |pieces: &[Piece]| pieces.iter().map(most).sum::<u64>();
        let (before, bytes) = (sum(&gone), sum(changed));
        let mut maker = Maker {
            old,
            old_contents: Contents::new(old),
            new_contents: Contents::new(new),
            recompressor,
            similar: None,
            level: if bytes > LARGE { LARGE_LEVEL } else { LEVEL },
            groups: Vec::new(),
            group: Group::default(),
            bytes: Vec::new(),
            references: BTreeSet::new(),
            before: 0,
            next: 0,
            gone,
            limit,
        };
        if before <= limit as u64 && bytes <= limit as u64 {
            maker.references = (0..maker.gone.len() as u32).collect();
        } else {
            let mut similar = Similar::default();
            for (number, piece) in (0..).zip(&maker.gone) {
                similar.add(number, &maker.old_contents.of(piece)?.bytes);
            }
            maker.similar = Some(similar);
        }
        Ok(maker)
    }

    fn copy(&mut self, at: u64, length: u64) {
        if let Some(Operation::Copy { at: last, length: so_far }) = self.group.operations.last_mut()
            && *last + *so_far == at
        {
            *so_far += length;
            return;
        }
        self.group.operations.push(Operation::Copy { at, length });
    }

    /// Adds a piece that the old image has not.
    fn change(&mut self, piece: &Piece) -> Result<(), Error> {
        let content = self.new_contents.of(piece)?;
        self.refer(&content.bytes)?;
        let packed = match &mut self.recompressor {
            Some(recompressor) if content.is_unpacked => recompressor.pack(&content.bytes),
            _ => None,
        };
        if packed.is_some_and(|packed| *packed == content.stored[content.skipped..]) {
            self.data(&content.stored[..content.skipped]);
            let stored = (content.stored.len() - content.skipped) as u32;
            self.group.operations.push(Operation::Pack { raw: content.bytes.len() as u32, stored });
            self.bytes.extend_from_slice(&content.bytes);
        } else {
            self.data(&content.stored);
        }
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        let length = bytes.len() as u32;
        match self.group.operations.last_mut() {
            Some(Operation::Data(so_far)) => *so_far += length,
            _ => self.group.operations.push(Operation::Data(length)),
        }
    }

    /// Has the group refer to what is like these bytes, or begins another one where they do not fit.
    fn refer(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(similar) = &self.similar else { return Ok(()) };
        let mut found = similar.find(bytes);
        if found.is_empty() && (self.next as usize) < self.gone.len() {
            found.push(self.next);
        }
        let room = |references: &BTreeSet<u32>| {
            let more = found.iter().filter(|number| !references.contains(number));
            more.map(|number| most(&self.gone[*number as usize])).sum::<u64>()
        };
        let mut more = room(&self.references);
        if self.bytes.len() + bytes.len() * 2 > self.limit || self.before + more > self.limit as u64 {
            more = room(&BTreeSet::new());
            self.close()?;
        }
        self.next = found.last().map_or(self.next, |last| last + 1);
        self.before += more;
        self.references.extend(found);
        Ok(())
    }

    /// Ends a group.
    fn close(&mut self) -> Result<(), Error> {
        let mut group = std::mem::take(&mut self.group);
        let bytes = std::mem::take(&mut self.bytes);
        let references = std::mem::take(&mut self.references);
        self.before = 0;
        if !bytes.is_empty() {
            for number in references {
                let piece = self.gone[number as usize];
                group.references.push(self.old_contents.reference(&piece)?);
            }
            let before = self.before(&group.references)?;
            group.raw = bytes.len() as u32;
            group.frame = compress(&bytes, &before, self.level)?;
        }
        self.groups.push(group);
        Ok(())
    }

    fn before(&self, references: &[Reference]) -> Result<Vec<u8>, Error> {
        let mut unpacker = self.old_contents.algorithm().map(Unpacker::new);
        let mut before = Vec::new();
        for reference in references {
            add_reference(&**self.old.source, unpacker.as_mut(), reference, &mut before)?;
        }
        Ok(before)
    }

    fn finish(mut self) -> Result<Patch, Error> {
        self.close()?;
        let packed = self
            .recompressor
            .as_mut()
            .map(|made| (made.compression(), made.block_size(), made.fingerprint()));
        let head = Head {
            old_size: self.old.source.size(),
            old: self.old.sha256,
            new_size: self.new_contents.side.source.size(),
            new: self.new_contents.side.sha256,
            unpacked: self.old_contents.algorithm(),
            packed,
        };
        Ok(Patch { head, groups: self.groups })
    }
}

/// The most bytes that a piece can stand for.
fn most(piece: &Piece) -> u64 {
    u64::from(piece.packing.map_or(0, |(packing, _)| packing.limit).max(piece.length))
}
