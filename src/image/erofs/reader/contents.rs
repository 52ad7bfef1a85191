//! The contents of a file.

use std::sync::{Arc, Mutex, PoisonError};

use super::Reader;
use super::inode::Inode;
use super::map::{Coding, From, Map, Run};
use crate::image::Error;
use crate::image::cache::Cache;
use crate::image::file_system;

/// Clusters of the packed file that are kept.
const PACKED_KEPT: usize = 4;
/// So much is read at once to see whether it can be.
const CHECKED: usize = 128 << 10;

/// Reads parts of a file; of its clusters only those that are asked for, of which the last one is kept.
pub(super) struct Contents {
    reader: Arc<Reader>,
    map: Map,
    size: u64,
    decoded: Mutex<Option<Decoded>>,
}

/// What came out of a cluster.
pub(super) struct Decoded {
    start: u64,
    bytes: Vec<u8>,
}

/// The file that has ends of others.
pub(super) struct Packed {
    map: Map,
    size: u64,
    kept: Mutex<Cache<Vec<u8>>>,
}

impl Contents {
    pub(super) fn new(reader: Arc<Reader>, inode: &Inode) -> Result<Contents, Error> {
        Ok(Contents { map: reader.map(inode)?, reader, size: inode.size, decoded: Mutex::default() })
    }
}

impl file_system::Places for Contents {
    fn read_at(&self, offset: u64, target: &mut [u8]) -> Result<usize, Error> {
        let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        self.reader.read_part(&self.map, self.size, offset, target, &mut decoded)
    }
}

impl Reader {
    /// Reads a part of a file, as much as there is and fits.
    pub(super) fn read_part(
        &self,
        map: &Map,
        size: u64,
        offset: u64,
        target: &mut [u8],
        decoded: &mut Option<Decoded>,
    ) -> Result<usize, Error> {
        let mut done = 0;
        while done < target.len() {
            let at = offset.saturating_add(done as u64);
            if at >= size {
                break;
            }
            if let Some(kept) = decoded.as_ref() {
                let copied = copy_from(&kept.bytes, kept.start, at, &mut target[done..]);
                done += copied;
                if copied > 0 {
                    continue;
                }
            }
            let run = self.run(map, size, at)?;
            let within = at - run.start;
            let count = (run.length - within).min((target.len() - done) as u64) as usize;
            let part = &mut target[done..done + count];
            match run.from {
                From::Hole => part.fill(0),
                From::Image(place) => {
                    self.read(self.behind(place, within)?, part)?;
                }
                From::Packed(place) => {
                    self.read_packed(self.packed()?, self.behind(place, within)?, part)?;
                }
                From::Cluster { .. } => {
                    *decoded = Some(Decoded { start: run.start, bytes: self.decode(&run)? });
                    continue;
                }
            }
            done += count;
        }
        Ok(done)
    }

    /// All of a file; who asks has looked that it is not large.
    pub(super) fn whole(&self, inode: &Inode) -> Result<Vec<u8>, Error> {
        let mut all = vec![0; inode.size as usize];
        let length = self.read_part(&self.map(inode)?, inode.size, 0, &mut all, &mut None)?;
        all.truncate(length);
        Ok(all)
    }

    /// Reads all of a file, to see whether that can be done.
    pub(super) fn check(&self, inode: &Inode) -> Result<(), Error> {
        let map = self.map(inode)?;
        let mut buffer = vec![0; inode.size.min(CHECKED as u64) as usize];
        let mut decoded = None;
        let mut at = 0;
        while at < inode.size {
            let run = self.run(&map, inode.size, at)?;
            let end = run.start + run.length;
            match run.from {
                From::Hole => {}
                From::Cluster { .. } => drop(self.decode(&run)?),
                From::Image(_) | From::Packed(_) => {
                    while at < end {
                        let length = (end - at).min(buffer.len() as u64) as usize;
                        at +=
                            self.read_part(&map, inode.size, at, &mut buffer[..length], &mut decoded)? as u64;
                    }
                }
            }
            at = end;
        }
        Ok(())
    }

    /// What a cluster holds of its extent.
    fn decode(&self, run: &Run) -> Result<Vec<u8>, Error> {
        let From::Cluster { at, stored, coding } = run.from else { return Ok(Vec::new()) };
        let mut bytes = vec![0; stored as usize];
        self.read(at, &mut bytes)?;
        let damaged = || self.damaged(&format!("its cluster at {at} makes no sense"));
        let length = run.length as usize;
        let algorithm = match coding {
            Coding::Compressed(algorithm) => algorithm,
            Coding::Shifted => {
                bytes.truncate(length);
                return if bytes.len() == length { Ok(bytes) } else { Err(damaged()) };
            }
            Coding::Interlaced => {
                if length > bytes.len() {
                    return Err(damaged());
                }
                // What is behind the end of its block begins the next one.
                let block = self.block_size();
                let first = (block - run.start % block) as usize;
                bytes.rotate_right(first);
                bytes.truncate(length);
                return Ok(bytes);
            }
        };
        let begin = bytes.iter().position(|byte| *byte != 0).ok_or_else(damaged)?;
        let mut all = vec![0; length];
        let result = self.state().decompressor.decompress(algorithm, &bytes[begin..], &mut all);
        result.map(|()| all).ok_or_else(damaged)
    }

    /// The file that has ends of others.
    pub(super) fn packed(&self) -> Result<&Packed, Error> {
        if self.packed.get().is_none() {
            let inode = self.packed_inode()?;
            let kept = Mutex::new(Cache::new(PACKED_KEPT));
            let _ = self.packed.set(Packed { map: self.map(&inode)?, size: inode.size, kept });
        }
        self.packed.get().ok_or_else(|| self.damaged("there is no file of ends of others"))
    }

    /// So far behind a place.
    fn behind(&self, place: u64, within: u64) -> Result<u64, Error> {
        place.checked_add(within).ok_or_else(|| self.damaged("a place is too far"))
    }

    /// Fills a buffer from the file that has ends of others.
    pub(super) fn read_packed(&self, packed: &Packed, offset: u64, target: &mut [u8]) -> Result<(), Error> {
        let mut done = 0;
        while done < target.len() {
            let at = offset.saturating_add(done as u64);
            if at >= packed.size {
                return Err(self.damaged("the end of a file is said to be behind that of all ends"));
            }
            let run = self.run(&packed.map, packed.size, at)?;
            let within = at - run.start;
            let count = (run.length - within).min((target.len() - done) as u64) as usize;
            let part = &mut target[done..done + count];
            match run.from {
                From::Hole => part.fill(0),
                From::Image(place) => {
                    self.read(self.behind(place, within)?, part)?;
                }
                From::Packed(_) => return Err(self.damaged("the ends of files are said to be in themselves")),
                From::Cluster { .. } => {
                    copy_from(&self.kept(packed, &run)?, run.start, at, part);
                }
            }
            done += count;
        }
        Ok(())
    }

    fn kept(&self, packed: &Packed, run: &Run) -> Result<Arc<Vec<u8>>, Error> {
        let lock = || packed.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = lock().get(run.start) {
            return Ok(kept);
        }
        let bytes = self.decode(run)?;
        Ok(lock().keep(run.start, bytes))
    }
}

/// Copies what of some bytes, which begin at `start`, is from `at` on; says how much that is.
fn copy_from(bytes: &[u8], start: u64, at: u64, target: &mut [u8]) -> usize {
    let skipped = at.checked_sub(start).and_then(|skipped| usize::try_from(skipped).ok());
    let rest = skipped.and_then(|skipped| bytes.get(skipped..)).unwrap_or_default();
    let count = rest.len().min(target.len());
    target[..count].copy_from_slice(&rest[..count]);
    count
}
