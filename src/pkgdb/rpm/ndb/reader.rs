//! Reading a `Packages.db`.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use super::{BLOCK, Slot, SlotTable, has_right_sum, unframed};
use crate::pkgdb::Error;
use crate::pkgdb::rpm::reading::{Buffer, read_at};
use crate::pkgdb::rpm::{Backend, Hnum, Visit, lock};
use crate::sys::{Context, Root};

/// An open database.
#[derive(Debug)]
pub(in crate::pkgdb::rpm) struct Reader {
    pub(in crate::pkgdb::rpm) file: File,
    pub(in crate::pkgdb::rpm) table: SlotTable,
    by_number: HashMap<u32, usize>,
    path: PathBuf,
}

impl Reader {
    pub(in crate::pkgdb::rpm) fn open(dir: &Root, file: File, patience: Duration) -> Result<Reader, Error> {
        lock::share_ndb(&file, dir, patience)?;
        Reader::read(file, dir.join(Backend::Ndb.file_name()))
    }

    /// Reads the slots of an open file.
    pub(in crate::pkgdb::rpm) fn read(file: File, path: PathBuf) -> Result<Reader, Error> {
        let size = file.metadata().context("examine", &path)?.len();
        let damaged =
            |malformed: super::Malformed| Error::Damaged { path: path.clone(), what: malformed.to_string() };
        let mut beginning = [0; 32];
        let count = read_at(&file, &mut beginning, 0, &path)?;
        let length = SlotTable::length(&beginning[..count], size).map_err(damaged)?;
        let mut pages = vec![0; length];
        let count = read_at(&file, &mut pages, 0, &path)?;
        let table = SlotTable::parse(&pages[..count], size).map_err(damaged)?;
        let by_number = table.used.iter().enumerate().map(|(index, slot)| (slot.number, index)).collect();
        Ok(Reader { file, table, by_number, path })
    }

    /// The same, for another thread.
    pub(in crate::pkgdb::rpm) fn again(&self) -> Option<Reader> {
        let (table, by_number) = (self.table.clone(), self.by_number.clone());
        Some(Reader { file: self.file.try_clone().ok()?, table, by_number, path: self.path.clone() })
    }

    /// All headers, in the order of the file.
    pub(in crate::pkgdb::rpm) fn each(&self, visit: Visit<'_>) -> Result<(), Error> {
        let mut frame = Buffer::default();
        for slot in &self.table.used {
            visit(Hnum(slot.number), self.header(slot, &mut frame)?)?;
        }
        Ok(())
    }

    /// One header.
    pub(in crate::pkgdb::rpm) fn blob(&self, number: Hnum) -> Result<Option<Vec<u8>>, Error> {
        let mut frame = Buffer::default();
        match self.slot(number) {
            Some(slot) => self.header(slot, &mut frame).map(|header| Some(header.to_vec())),
            None => Ok(None),
        }
    }

    pub(in crate::pkgdb::rpm) fn slot(&self, number: Hnum) -> Option<&Slot> {
        self.by_number.get(&number.0).and_then(|index| self.table.used.get(*index))
    }

    /// What is in a slot's blocks.
    fn frame<'a>(&self, slot: &Slot, frame: &'a mut Buffer) -> Result<&'a [u8], Error> {
        // The slot lies in the file, so this is not more than the file has.
        let room = frame.room(slot.blocks as usize * BLOCK);
        let count = read_at(&self.file, room, u64::from(slot.start) * BLOCK as u64, &self.path)?;
        if count < room.len() { Err(self.damaged(slot, "it is cut off")) } else { Ok(room) }
    }

    fn header<'a>(&self, slot: &Slot, frame: &'a mut Buffer) -> Result<&'a [u8], Error> {
        let frame = self.frame(slot, frame)?;
        unframed(slot.number, frame).map_err(|what| self.damaged(slot, what))
    }

    fn damaged(&self, slot: &Slot, what: &str) -> Error {
        Error::Damaged { path: self.path.clone(), what: format!("header {}: {what}", slot.number) }
    }
}

/// What is wrong with the blocks of a header, checksum included.
pub(in crate::pkgdb::rpm) fn check_blob(reader: &Reader, slot: &Slot) -> Result<Option<&'static str>, Error> {
    let mut frame = Buffer::default();
    let frame = reader.frame(slot, &mut frame)?;
    Ok(match unframed(slot.number, frame) {
        Err(what) => Some(what),
        Ok(_) if !has_right_sum(frame) => Some("its checksum is wrong"),
        Ok(_) => None,
    })
}
