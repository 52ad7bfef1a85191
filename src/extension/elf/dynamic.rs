//! The dynamic section: a table of tags and values, many of which are places in a table of strings.

use super::header::Header;
use super::pages::Pages;
use super::versions;
use super::{Defect, Elf};

const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DT_VERDEF: u64 = 0x6fff_fffc;
const DT_VERDEFNUM: u64 = 0x6fff_fffd;
const DT_VERNEED: u64 = 0x6fff_fffe;
const DT_VERNEEDNUM: u64 = 0x6fff_ffff;

const DF_1_NODEFLIB: u64 = 0x800;

/// Real files have some dozens of entries; a library that names all others of a desktop has hundreds.
const MOST_ENTRIES: usize = 16 * 1024;

/// The table of strings.
pub(super) struct Strings {
    offset: u64,
    end: u64,
}

/// The entries of the section up to its end.
struct Table(Vec<(u64, u64)>);

impl Table {
    fn one(&self, tag: u64) -> Option<u64> {
        self.0.iter().find(|entry| entry.0 == tag).map(|entry| entry.1)
    }

    fn all(&self, tag: u64) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().filter(move |entry| entry.0 == tag).map(|entry| entry.1)
    }
}

impl Strings {
    pub(super) fn at(&self, pages: &mut Pages<'_>, index: u64, what: &'static str) -> Result<String, Defect> {
        let offset = self.offset.checked_add(index).filter(|at| *at < self.end).ok_or(Defect::Wrong(what))?;
        pages.text(offset, self.end, what)
    }
}

pub(super) fn read(pages: &mut Pages<'_>, header: &Header, elf: &mut Elf) -> Result<(), Defect> {
    let Some((offset, size)) = header.dynamic() else { return Ok(()) };
    let table = table(pages, header, offset, size)?;
    let Some(strings) = strings(header, &table)? else { return Ok(()) };
    for index in table.all(DT_NEEDED) {
        elf.needed.push(strings.at(pages, index, "name of a library")?);
    }
    let mut text = |tag, what| table.one(tag).map(|index| strings.at(pages, index, what)).transpose();
    elf.soname = text(DT_SONAME, "own name")?;
    elf.rpath = text(DT_RPATH, "search path")?;
    elf.runpath = text(DT_RUNPATH, "search path")?;
    elf.without_default_directories = table.one(DT_FLAGS_1).unwrap_or_default() & DF_1_NODEFLIB != 0;
    let place = |tag, count| {
        let address = table.one(tag)?;
        Some((header.place(address), table.one(count).unwrap_or_default()))
    };
    if let Some((place, count)) = place(DT_VERNEED, DT_VERNEEDNUM) {
        let (offset, _) = place.ok_or(Defect::Wrong("place of the versions that it needs"))?;
        elf.needed_versions = versions::needed(pages, header.layout, &strings, offset, count)?;
    }
    if let Some((place, count)) = place(DT_VERDEF, DT_VERDEFNUM) {
        let (offset, _) = place.ok_or(Defect::Wrong("place of the versions that it has"))?;
        elf.versions = versions::defined(pages, header.layout, &strings, offset, count)?;
    }
    Ok(())
}

fn table(pages: &mut Pages<'_>, header: &Header, offset: u64, size: u64) -> Result<Table, Defect> {
    const WHAT: &str = "dynamic section";
    let entry = 2 * header.layout.width();
    let most = (entry * MOST_ENTRIES) as u64;
    if size > most {
        return Err(Defect::TooMuch(WHAT));
    }
    let bytes = pages.bytes(offset, size as usize, WHAT)?;
    let pair = |chunk: &[u8]| (header.layout.word(chunk, 0), header.layout.word(chunk, entry / 2));
    Ok(Table(bytes.chunks_exact(entry).map(pair).take_while(|pair| pair.0 != 0).collect()))
}

fn strings(header: &Header, table: &Table) -> Result<Option<Strings>, Defect> {
    const WHAT: &str = "place of its strings";
    let (Some(address), Some(size)) = (table.one(DT_STRTAB), table.one(DT_STRSZ)) else { return Ok(None) };
    let (offset, end) = header.place(address).ok_or(Defect::Wrong(WHAT))?;
    let end = offset.checked_add(size).ok_or(Defect::Wrong(WHAT))?.min(end);
    Ok(Some(Strings { offset, end }))
}
