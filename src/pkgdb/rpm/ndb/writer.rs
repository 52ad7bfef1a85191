//! Changing a copy of a `Packages.db`. Nobody else sees the copy, so nothing in here cares for the order in
//! which things are written.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{BLOCK, PAGE, RESERVED_SLOTS, Reader, Slot, framed, unframed};
use crate::package::{Header, Identity};
use crate::pkgdb::Error;
use crate::pkgdb::rpm::Stored;
use crate::pkgdb::rpm::writer::Changes;
use crate::sys::Context;

struct Writer<'a> {
    file: &'a File,
    path: &'a Path,
    generation: u32,
    pages: u32,
    next_number: u32,
    /// By the place of their headers.
    used: Vec<Slot>,
}

/// Makes changes to `file`, which is a copy of `base`, or empty without one.
pub(in crate::pkgdb::rpm) fn write(
    file: &File,
    path: &Path,
    base: Option<&Reader>,
    changes: Changes<'_>,
) -> Result<(), Error> {
    let mut writer = match base {
        Some(base) => Writer {
            file,
            path,
            generation: base.table.generation,
            pages: base.table.pages,
            next_number: base.table.next_number,
            used: base.table.used.clone(),
        },
        None => Writer::on_empty(file, path),
    };
    let highest = writer.used.iter().map(|slot| slot.number).max().unwrap_or_default();
    writer.next_number = writer.next_number.max(highest.max(changes.above.0).saturating_add(1));
    for stored in changes.remove {
        writer.remove(stored)?;
    }
    for (stored, blob) in changes.replace {
        writer.remove(stored)?;
        writer.put(stored.number.0, blob)?;
    }
    for blob in changes.add {
        let number = writer.next_number;
        let next = number.checked_add(1).ok_or_else(|| writer.full())?;
        writer.put(number, &blob?)?;
        writer.next_number = next;
    }
    writer.write_slots()
}

impl<'a> Writer<'a> {
    fn on_empty(file: &'a File, path: &'a Path) -> Writer<'a> {
        Writer { file, path, generation: 0, pages: 1, next_number: 1, used: Vec::new() }
    }

    fn remove(&mut self, stored: &Stored) -> Result<(), Error> {
        let changed = || Error::Changed { path: self.path.to_owned() };
        let found = self.used.iter().position(|slot| slot.number == stored.number.0);
        let position = found.ok_or_else(changed)?;
        let slot = self.used[position];
        let frame = self.read(&slot)?;
        if unframed(slot.number, &frame).map(Identity::of) != Ok(stored.identity) {
            return Err(changed());
        }
        // What no slot names is zero: rpm looks before it uses it.
        self.zero(slot.start, u64::from(slot.blocks))?;
        self.used.remove(position);
        Ok(())
    }

    fn put(&mut self, number: u32, blob: &[u8]) -> Result<(), Error> {
        Header::parse(blob)?;
        let capacity = self.pages as usize * (PAGE / BLOCK) - RESERVED_SLOTS;
        if self.used.len() >= capacity {
            self.add_page()?;
        }
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let frame = framed(number, time.map_or(0, |time| time.as_secs() as u32), blob);
        self.place(number, &frame)
    }

    /// Writes blocks where they fit best, or at the end.
    fn place(&mut self, number: u32, frame: &[u8]) -> Result<(), Error> {
        let blocks = (frame.len() / BLOCK) as u64;
        let mut best: Option<(u64, u64)> = None;
        let mut end = u64::from(self.pages) * (PAGE / BLOCK) as u64;
        for slot in &self.used {
            let gap = u64::from(slot.start).saturating_sub(end);
            if gap >= blocks && best.is_none_or(|(size, _)| gap < size) {
                best = Some((gap, end));
            }
            end = slot.end();
        }
        let start = u32::try_from(best.map_or(end, |(_, start)| start)).map_err(|_| self.full())?;
        let position = self.used.partition_point(|slot| slot.start < start);
        // The table says again which place each has.
        self.used.insert(position, Slot { place: 0, number, start, blocks: blocks as u32 });
        self.write_at(frame, u64::from(start) * BLOCK as u64)
    }

    /// Makes room for another page of slots, by moving what lies there.
    fn add_page(&mut self) -> Result<(), Error> {
        let pages = self.pages.checked_add(1).ok_or_else(|| self.full())?;
        let first = u64::from(pages) * (PAGE / BLOCK) as u64;
        let count = self.used.partition_point(|slot| u64::from(slot.start) < first);
        let moved: Vec<Slot> = self.used.drain(..count).collect();
        let frames = moved.iter().map(|slot| self.read(slot)).collect::<Result<Vec<_>, _>>()?;
        for slot in &moved {
            self.zero(slot.start, u64::from(slot.blocks))?;
        }
        self.pages = pages;
        for (slot, frame) in moved.iter().zip(frames) {
            self.place(slot.number, &frame)?;
        }
        Ok(())
    }

    /// Writes all slots, each where it is free, and what stands before them.
    fn write_slots(&self) -> Result<(), Error> {
        let mut pages = vec![0; self.pages as usize * PAGE];
        for slot in pages.chunks_exact_mut(BLOCK).skip(RESERVED_SLOTS) {
            slot[..4].copy_from_slice(b"Slot");
        }
        for (slot, bytes) in self.used.iter().zip(pages.chunks_exact_mut(BLOCK).skip(RESERVED_SLOTS)) {
            for (field, number) in [slot.number, slot.start, slot.blocks].into_iter().enumerate() {
                bytes[4 + field * 4..8 + field * 4].copy_from_slice(&number.to_le_bytes());
            }
        }
        pages[..4].copy_from_slice(b"RpmP");
        let words = [self.generation.wrapping_add(1), self.pages, self.next_number];
        for (field, number) in words.into_iter().enumerate() {
            pages[8 + field * 4..12 + field * 4].copy_from_slice(&number.to_le_bytes());
        }
        self.write_at(&pages, 0)?;
        // An end that is zero is no use.
        let first = u64::from(self.pages) * (PAGE / BLOCK) as u64;
        let blocks = self.used.last().map_or(first, Slot::end);
        self.file.set_len(blocks * BLOCK as u64).context("truncate", self.path).map_err(Error::from)
    }

    fn read(&self, slot: &Slot) -> Result<Vec<u8>, Error> {
        let mut frame = vec![0; slot.blocks as usize * BLOCK];
        let offset = u64::from(slot.start) * BLOCK as u64;
        self.file.read_exact_at(&mut frame, offset).context("read", self.path)?;
        Ok(frame)
    }

    fn zero(&self, start: u32, blocks: u64) -> Result<(), Error> {
        // A header has a limit, a slot has none but the file.
        let zeros = [0; 16 * 1024];
        let (mut offset, mut left) = (u64::from(start) * BLOCK as u64, blocks * BLOCK as u64);
        while left > 0 {
            let count = left.min(zeros.len() as u64);
            self.write_at(&zeros[..count as usize], offset)?;
            offset += count;
            left -= count;
        }
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        self.file.write_all_at(bytes, offset).context("write", self.path).map_err(Error::from)
    }

    fn full(&self) -> Error {
        Error::Damaged { path: self.path.to_owned(), what: "no number is left".to_owned() }
    }
}
