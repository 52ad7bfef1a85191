//! The partition table of an image that somebody made, read from both of its places.

use super::error::{Error, TableProblem};
use super::gpt::{self, Entry, Header};
use super::guid::Guid;
use super::types::Kind;
use crate::image::Source;
use crate::sys::IoError;

/// Sizes of sectors that there are, the usual one first.
const SECTORS: [u64; 4] = [512, 4096, 1024, 2048];

/// What an image says of its partitions. None lies on another, and all lie inside of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The GUID of the whole.
    pub disk: Guid,
    /// Bytes of a sector.
    pub sector_size: u32,
    /// What is in use, in the table's order.
    pub partitions: Vec<Partition>,
    /// What is wrong with it although it can be read.
    pub flaws: Vec<Flaw>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Partition {
    /// Which it is, counted from 1.
    pub number: u32,
    /// The GUID of its type.
    #[serde(rename = "type")]
    pub type_guid: Guid,
    /// Its own.
    pub guid: Guid,
    /// Its name.
    pub label: String,
    /// Bytes before it.
    pub offset: u64,
    /// Bytes of it.
    pub length: u64,
    /// Flags, of which [`gpt::READ_ONLY`] and [`gpt::NO_AUTO`] are known here.
    pub flags: u64,
}

/// Something that is wrong with a table although it can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Whoever knows no GPT takes the image for empty.
    #[error("the protective MBR is missing")]
    NoProtectiveMbr,
    /// The table at the beginning cannot be used, so that at the end was.
    #[error("the primary partition table {0}")]
    Primary(TableProblem),
    /// The table at the end is of no use.
    #[error("the backup partition table {0}")]
    Backup(TableProblem),
}

/// A header with the entries that it names.
type Copy = (Header, Vec<Entry>);

impl Table {
    /// Reads it. What one copy lacks is taken from the other, and noted as a flaw.
    pub fn read(source: &dyn Source) -> Result<Table, Error> {
        let sector = sector_size(source)?.ok_or(Error::NoTable)?;
        let last = (source.size() / sector).saturating_sub(1);
        let primary = copy_at(source, sector, 1)?;
        let backup = copy_at(source, sector, primary.as_ref().map_or(last, |(header, _)| header.other))?;
        let mut flaws = Vec::new();
        if !gpt::is_protective(&sectors(source, 0, sector)?) {
            flaws.push(Flaw::NoProtectiveMbr);
        }
        let (header, entries) = match (primary, backup) {
            (Ok(primary), Ok(backup)) => {
                if !is_mirrored(&primary.0, &backup.0) {
                    flaws.push(Flaw::Backup(TableProblem::Differs));
                }
                primary
            }
            (Ok(primary), Err(problem)) => {
                flaws.push(Flaw::Backup(problem));
                primary
            }
            (Err(problem), Ok(backup)) => {
                flaws.push(Flaw::Primary(problem));
                backup
            }
            (Err(primary), Err(backup)) => return Err(Error::Table { primary, backup }),
        };
        let partitions = entries.into_iter().map(|entry| Partition::of(entry, sector)).collect();
        Ok(Table { disk: header.disk, sector_size: sector as u32, partitions, flaws })
    }
}

impl Partition {
    fn of(entry: Entry, sector: u64) -> Partition {
        // Both ends are inside of the image, which has less than 2^64 bytes.
        Partition {
            number: entry.number,
            type_guid: entry.kind,
            guid: entry.guid,
            label: entry.label,
            offset: entry.first * sector,
            length: (entry.last - entry.first + 1) * sector,
            flags: entry.flags,
        }
    }

    /// What its type says, where that is one by which parts are found.
    pub fn kind(&self) -> Option<Kind> {
        Kind::of(self.type_guid)
    }
}

/// How long a sector is: where a header is, says that.
fn sector_size(source: &dyn Source) -> Result<Option<u64>, IoError> {
    let size = source.size();
    for sector in SECTORS {
        if size >= sector * 3 && is_header_at(source, sector)? {
            return Ok(Some(sector));
        }
    }
    for sector in SECTORS {
        if size >= sector * 3 && is_header_at(source, (size / sector - 1) * sector)? {
            return Ok(Some(sector));
        }
    }
    Ok(None)
}

fn is_header_at(source: &dyn Source, offset: u64) -> Result<bool, IoError> {
    let mut start = [0; 8];
    source.read_at(offset, &mut start)?;
    Ok(Header::is_at(&start))
}

/// One copy of the table: its header in a sector, and the entries that it names.
fn copy_at(source: &dyn Source, sector: u64, number: u64) -> Result<Result<Copy, TableProblem>, IoError> {
    let count = source.size() / sector;
    if number >= count {
        return Ok(Err(TableProblem::Missing));
    }
    let header = match Header::parse(&sectors(source, number, sector)?, number) {
        Ok(header) => header,
        Err(problem) => return Ok(Err(problem)),
    };
    if let Err(problem) = check_places(&header, sector, count) {
        return Ok(Err(problem));
    }
    let mut bytes = vec![0; header.entries_size() as usize];
    source.read_at(header.entries * sector, &mut bytes)?;
    Ok(header.parse_entries(&bytes).map(|entries| (header, entries)))
}

/// Whether all that a header names lies inside of the image, and apart.
fn check_places(header: &Header, sector: u64, count: u64) -> Result<(), TableProblem> {
    if header.last_usable >= count {
        return Err(TableProblem::Beyond { last: header.last_usable, sectors: count });
    }
    let length = header.entries_size().div_ceil(sector);
    let end = header.entries.checked_add(length).filter(|end| *end <= count);
    let end = end.ok_or(TableProblem::EntriesPlace)?;
    let is_apart = |first: u64, end: u64| end <= header.first_usable || first > header.last_usable;
    if header.entries == 0 || !is_apart(header.entries, end) || !is_apart(header.own, header.own + 1) {
        return Err(TableProblem::EntriesPlace);
    }
    Ok(())
}

/// Whether two headers say the same, but for where they are.
fn is_mirrored(primary: &Header, backup: &Header) -> bool {
    let same = Header { own: backup.own, other: backup.other, entries: backup.entries, ..*primary };
    same == *backup && backup.other == primary.own && backup.own != primary.own
}

fn sectors(source: &dyn Source, number: u64, sector: u64) -> Result<Vec<u8>, IoError> {
    let mut bytes = vec![0; sector as usize];
    source.read_at(number * sector, &mut bytes)?;
    Ok(bytes)
}
