//! The partition table on disk (UEFI specification 2.10, chapter 5): pure functions over bytes.
//!
//! ```text
//! sector 0        protective MBR: one partition of type 0xee from sector 1 on, for who knows no GPT
//! sector 1        header:   0 "EFI PART"     8 revision 1.0      12 bytes of it that are summed (92)
//!                          16 CRC-32 of them, with zeros here    20 zeros
//!                          24 its own sector 32 the other header's sector
//!                          40 first and 48 last sector for partitions
//!                          56 GUID of the disk 72 sector of the entries
//!                          80 their number  84 size of each      88 CRC-32 of all of them
//! sector 2…       entries:  0 type GUID     16 its own GUID      32 first and 40 last sector
//!                          48 flags         56 name, 36 units of UTF-16
//! …               partitions
//! last sectors    the entries again, and then a header that differs in the sectors that it names
//! ```
//!
//! Numbers have their least significant byte first. Sectors are of 512 bytes here; others are only read.

use super::error::TableProblem;
use super::guid::Guid;

/// Sectors of what is written.
pub(super) const SECTOR: u64 = 512;

/// Entries of what is written, which are as many as must be there at least.
pub(super) const ENTRIES: u32 = 128;

/// Bytes of an entry of what is written.
pub(super) const ENTRY: u32 = 128;

/// Sectors of all entries of what is written.
pub(super) const ENTRY_SECTORS: u64 = ENTRIES as u64 * ENTRY as u64 / SECTOR;

/// Bytes of a header that are summed.
const HEADER: usize = 92;

/// Entries of a table that is read may have this many bytes in sum: 64 times the usual.
const MOST_ENTRIES: u64 = 1024 * 1024;

const SIGNATURE: &[u8; 8] = b"EFI PART";
const REVISION: u32 = 0x0001_0000;

/// The partition may not be written to.
pub const READ_ONLY: u64 = 1 << 60;

/// What is on a disk does not take it for one of its own.
pub const NO_AUTO: u64 = 1 << 63;

/// A header whose sum is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) own: u64,
    pub(super) other: u64,
    pub(super) first_usable: u64,
    pub(super) last_usable: u64,
    pub(super) disk: Guid,
    pub(super) entries: u64,
    pub(super) entry_count: u32,
    pub(super) entry_size: u32,
    pub(super) entries_crc: u32,
}

/// An entry that is in use, in sectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Which partition it is, counted from 1.
    pub(super) number: u32,
    pub(super) kind: Guid,
    pub(super) guid: Guid,
    pub(super) first: u64,
    /// Belongs to it.
    pub(super) last: u64,
    pub(super) flags: u64,
    pub(super) label: String,
}

impl Header {
    /// Whether these bytes begin as a header does.
    pub(super) fn is_at(bytes: &[u8]) -> bool {
        bytes.starts_with(SIGNATURE)
    }

    /// Reads the one in a sector, which it must name as its own.
    pub(super) fn parse(sector: &[u8], number: u64) -> Result<Header, TableProblem> {
        if !Header::is_at(sector) {
            return Err(TableProblem::Missing);
        }
        let size = u32_at(sector, 12)?;
        let summed = (HEADER as u32..=sector.len() as u32).contains(&size).then(|| &sector[..size as usize]);
        let mut summed = summed.ok_or(TableProblem::HeaderSize(size))?.to_vec();
        summed[16..20].fill(0);
        if crc32(&summed) != u32_at(sector, 16)? {
            return Err(TableProblem::HeaderSum);
        }
        let header = Header {
            own: u64_at(sector, 24)?,
            other: u64_at(sector, 32)?,
            first_usable: u64_at(sector, 40)?,
            last_usable: u64_at(sector, 48)?,
            disk: Guid::from_disk(bytes_at(sector, 56)?),
            entries: u64_at(sector, 72)?,
            entry_count: u32_at(sector, 80)?,
            entry_size: u32_at(sector, 84)?,
            entries_crc: u32_at(sector, 88)?,
        };
        if header.own != number {
            return Err(TableProblem::Place { says: header.own, is: number });
        }
        if !(ENTRY..=4096).contains(&header.entry_size)
            || !header.entry_size.is_power_of_two()
            || header.entries_size() > MOST_ENTRIES
        {
            return Err(TableProblem::Entries { count: header.entry_count, size: header.entry_size });
        }
        Ok(header)
    }

    /// Bytes of all entries.
    pub(super) fn entries_size(&self) -> u64 {
        u64::from(self.entry_count) * u64::from(self.entry_size)
    }

    /// The header as a sector.
    pub(super) fn encode(&self) -> [u8; SECTOR as usize] {
        let mut sector = [0; SECTOR as usize];
        let mut put =
            |offset: usize, bytes: &[u8]| sector[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(0, SIGNATURE);
        put(8, &REVISION.to_le_bytes());
        put(12, &(HEADER as u32).to_le_bytes());
        put(24, &self.own.to_le_bytes());
        put(32, &self.other.to_le_bytes());
        put(40, &self.first_usable.to_le_bytes());
        put(48, &self.last_usable.to_le_bytes());
        put(56, &self.disk.to_disk());
        put(72, &self.entries.to_le_bytes());
        put(80, &self.entry_count.to_le_bytes());
        put(84, &self.entry_size.to_le_bytes());
        put(88, &self.entries_crc.to_le_bytes());
        let sum = crc32(&sector[..HEADER]);
        sector[16..20].copy_from_slice(&sum.to_le_bytes());
        sector
    }

    /// Reads the entries that are in use. Each lies where partitions may, and none on another.
    pub(super) fn parse_entries(&self, bytes: &[u8]) -> Result<Vec<Entry>, TableProblem> {
        if crc32(bytes) != self.entries_crc {
            return Err(TableProblem::EntriesSum);
        }
        let mut entries = Vec::new();
        for (number, bytes) in (1..).zip(bytes.chunks_exact(self.entry_size as usize)) {
            if let Some(entry) = Entry::parse(number, bytes)? {
                if entry.first < self.first_usable
                    || entry.last > self.last_usable
                    || entry.first > entry.last
                {
                    return Err(TableProblem::Outside { partition: number });
                }
                entries.push(entry);
            }
        }
        overlap(&entries).map_or(Ok(entries), Err)
    }
}

/// Two partitions that share a sector.
fn overlap(entries: &[Entry]) -> Option<TableProblem> {
    let mut ordered: Vec<&Entry> = entries.iter().collect();
    ordered.sort_by_key(|entry| entry.first);
    ordered
        .windows(2)
        .find(|pair| pair[1].first <= pair[0].last)
        .map(|pair| TableProblem::Overlap { one: pair[0].number, other: pair[1].number })
}

impl Entry {
    /// Reads one; `None` where it is not in use.
    fn parse(number: u32, bytes: &[u8]) -> Result<Option<Entry>, TableProblem> {
        let kind = Guid::from_disk(bytes_at(bytes, 0)?);
        if kind == Guid::NIL {
            return Ok(None);
        }
        let name = bytes.get(56..ENTRY as usize).ok_or(TableProblem::Short)?;
        let units = name.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
        let label = char::decode_utf16(units.take_while(|unit| *unit != 0))
            .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        Ok(Some(Entry {
            number,
            kind,
            guid: Guid::from_disk(bytes_at(bytes, 16)?),
            first: u64_at(bytes, 32)?,
            last: u64_at(bytes, 40)?,
            flags: u64_at(bytes, 48)?,
            label,
        }))
    }

    fn encode(&self) -> [u8; ENTRY as usize] {
        let mut bytes = [0; ENTRY as usize];
        bytes[..16].copy_from_slice(&self.kind.to_disk());
        bytes[16..32].copy_from_slice(&self.guid.to_disk());
        bytes[32..40].copy_from_slice(&self.first.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.last.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.flags.to_le_bytes());
        for (place, unit) in bytes[56..].chunks_exact_mut(2).zip(self.label.encode_utf16()) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
        bytes
    }
}

/// All entries of a table as they are written; each has the place of its number.
pub(super) fn encode_entries(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = vec![0; (ENTRY_SECTORS * SECTOR) as usize];
    for entry in entries {
        let start = (entry.number as usize - 1) * ENTRY as usize;
        bytes[start..start + ENTRY as usize].copy_from_slice(&entry.encode());
    }
    bytes
}

/// The protective MBR of a disk with this many sectors.
pub(super) fn protective_mbr(sectors: u64) -> [u8; SECTOR as usize] {
    let mut sector = [0; SECTOR as usize];
    // Cylinder, head and sector of where it begins; and of where it ends, which is beyond what can be said so.
    sector[446..454].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
    sector[454..458].copy_from_slice(&1_u32.to_le_bytes());
    sector[458..462].copy_from_slice(&u32::try_from(sectors - 1).unwrap_or(u32::MAX).to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// Whether a first sector says that there is a GPT.
pub(super) fn is_protective(sector: &[u8]) -> bool {
    sector.get(510..512) == Some(&[0x55, 0xaa])
        && sector[446..510].chunks_exact(16).any(|partition| partition[4] == 0xee)
}

/// The sum of ISO 3309, as in Ethernet and gzip.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

fn bytes_at<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N], TableProblem> {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).copied().ok_or(TableProblem::Short)
}

fn u32_at(bytes: &[u8], offset: usize) -> Result<u32, TableProblem> {
    bytes_at(bytes, offset).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> Result<u64, TableProblem> {
    bytes_at(bytes, offset).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            own: 1,
            other: 99,
            first_usable: 34,
            last_usable: 66,
            disk: Guid::new(7),
            entries: 2,
            entry_count: ENTRIES,
            entry_size: ENTRY,
            entries_crc: 0,
        }
    }

    fn entry(number: u32, first: u64, last: u64) -> Entry {
        let (kind, guid) = (Guid::new(1), Guid::new(2));
        Entry { number, kind, guid, first, last, flags: READ_ONLY, label: "ä𝄞".to_owned() }
    }

    fn read(header: Header, entries: &[Entry]) -> Result<Vec<Entry>, TableProblem> {
        let bytes = encode_entries(entries);
        Header { entries_crc: crc32(&bytes), ..header }.parse_entries(&bytes)
    }

    #[test]
    fn the_sum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(Header::parse(&header().encode(), 1), Ok(header()));
        let entries = [entry(1, 34, 40), entry(128, 41, 66)];
        assert_eq!(read(header(), &entries), Ok(entries.to_vec()));
        assert!(is_protective(&protective_mbr(100)));
        assert!(!is_protective(&[0; 512]));
        assert!(!is_protective(&[]));
    }

    #[test]
    fn a_header_that_is_not_right_is_refused() {
        let right = header().encode();
        for bit in 0..HEADER * 8 {
            let mut wrong = right;
            wrong[bit / 8] ^= 1 << (bit % 8);
            // The bytes that are zeros in the sum's own place are free.
            assert!(Header::parse(&wrong, 1).is_err(), "bit {bit}");
        }
        let problem = |header: Header| Header::parse(&header.encode(), 1);
        assert_eq!(problem(Header { own: 2, ..header() }), Err(TableProblem::Place { says: 2, is: 1 }));
        for (count, size) in
            [(128, 64), (128, 129), (128, 8192), (u32::MAX, 128), (8193, 128), (u32::MAX, 4096)]
        {
            let header = Header { entry_count: count, entry_size: size, ..header() };
            assert_eq!(problem(header), Err(TableProblem::Entries { count, size }));
        }
        assert_eq!(Header::parse(&right[..20], 1), Err(TableProblem::HeaderSize(92)));
        assert_eq!(Header::parse(b"EFI PART", 1), Err(TableProblem::Short));
        assert_eq!(Header::parse(b"", 1), Err(TableProblem::Missing));
    }

    #[test]
    fn partitions_lie_apart_and_inside() {
        for (entries, problem) in [
            (vec![entry(1, 33, 40)], TableProblem::Outside { partition: 1 }),
            (vec![entry(1, 34, 67)], TableProblem::Outside { partition: 1 }),
            (vec![entry(3, 41, 40)], TableProblem::Outside { partition: 3 }),
            (vec![entry(1, 60, 66), entry(2, 34, 60)], TableProblem::Overlap { one: 2, other: 1 }),
            (vec![entry(1, 34, 66), entry(2, 40, 41)], TableProblem::Overlap { one: 1, other: 2 }),
        ] {
            assert_eq!(read(header(), &entries), Err(problem));
        }
        assert_eq!(header().parse_entries(&[0; 128]), Err(TableProblem::EntriesSum));
    }
}
