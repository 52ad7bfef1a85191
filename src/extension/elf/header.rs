//! The header of an ELF file and its program headers: what lies where.

use super::pages::Pages;
use super::{Defect, Kind};

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;

/// Real files have about a dozen.
const MOST_SEGMENTS: u16 = 1024;

/// The processor that a file is for, with the width of its words and their byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Machine {
    /// e_machine.
    pub number: u16,
    /// ELFCLASS64, not ELFCLASS32.
    pub is_64: bool,
    /// ELFDATA2MSB, not ELFDATA2LSB.
    pub is_big_endian: bool,
}

/// The architectures in systemd's words (os-release(5), `ARCHITECTURE=`), by e_machine, width and byte order.
const ARCHITECTURES: &[(u16, bool, bool, &str)] = &[
    (62, true, false, "x86-64"),
    (3, false, false, "x86"),
    (183, true, false, "arm64"),
    (40, false, false, "arm"),
    (243, true, false, "riscv64"),
    (243, false, false, "riscv32"),
    (21, true, false, "ppc64-le"),
    (21, true, true, "ppc64"),
    (20, false, true, "ppc"),
    (22, true, true, "s390x"),
    (258, true, false, "loongarch64"),
    (8, true, false, "mips64-le"),
    (8, false, false, "mips-le"),
];

impl Machine {
    /// The architecture in systemd's words, where it has any.
    pub fn architecture(self) -> Option<&'static str> {
        let own = (self.number, self.is_64, self.is_big_endian);
        ARCHITECTURES.iter().find(|known| (known.0, known.1, known.2) == own).map(|known| known.3)
    }

    /// Which one it is, for people.
    pub fn name(self) -> String {
        self.architecture().map_or_else(|| format!("machine {}", self.number), str::to_owned)
    }
}

/// What processors of an architecture also run.
const ALSO_RUN: &[(&str, &str)] = &[("x86-64", "x86"), ("arm64", "arm"), ("ppc64", "ppc")];

/// Whether a host of one architecture runs programs of another one, both in systemd's words.
pub fn runs(host: &str, program: &str) -> bool {
    host == program || ALSO_RUN.contains(&(host, program))
}

/// How words are stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) machine: Machine,
}

/// One entry of the program headers.
#[derive(Debug, Clone, Copy)]
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) layout: Layout,
    segments: Vec<Segment>,
}

impl Layout {
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        self.number(bytes, at, 2) as u16
    }

    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        self.number(bytes, at, 4) as u32
    }

    /// An address, offset or size: as wide as the file's words.
    pub(super) fn word(self, bytes: &[u8], at: usize) -> u64 {
        self.number(bytes, at, self.width())
    }

    /// The bytes of a word.
    pub(super) fn width(self) -> usize {
        if self.machine.is_64 { 8 } else { 4 }
    }

    /// A number of so many bytes; those that are not there are zero. Callers have read all of a structure before.
    fn number(self, bytes: &[u8], at: usize, width: usize) -> u64 {
        let byte = |index: usize| u64::from(bytes.get(at + index).copied().unwrap_or_default());
        let shift = |index: usize| 8 * if self.machine.is_big_endian { width - 1 - index } else { index };
        (0..width).map(|index| byte(index) << shift(index)).sum()
    }
}

impl Header {
    /// Where the bytes are that are loaded at an address, and where those of the same segment end.
    pub(super) fn place(&self, address: u64) -> Option<(u64, u64)> {
        let is_inside = |segment: &&Segment| {
            segment.kind == PT_LOAD
                && address.checked_sub(segment.address).is_some_and(|at| at < segment.size)
        };
        let segment = self.segments.iter().find(is_inside)?;
        let offset = segment.offset.checked_add(address - segment.address)?;
        Some((offset, segment.offset.checked_add(segment.size)?))
    }

    /// Where the dynamic section is, and its size.
    pub(super) fn dynamic(&self) -> Option<(u64, u64)> {
        self.segment(PT_DYNAMIC).map(|segment| (segment.offset, segment.size))
    }

    pub(super) fn interpreter(&self, pages: &mut Pages<'_>) -> Result<Option<String>, Defect> {
        let Some(segment) = self.segment(PT_INTERP) else { return Ok(None) };
        let end = segment.offset.checked_add(segment.size).ok_or(Defect::Wrong("interpreter"))?;
        pages.text(segment.offset, end, "interpreter").map(Some)
    }

    fn segment(&self, kind: u32) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.kind == kind)
    }
}

pub(super) fn read(pages: &mut Pages<'_>) -> Result<Header, Defect> {
    const WHAT: &str = "header";
    let ident = pages.bytes(0, 16, WHAT)?;
    let is_64 = match ident[4] {
        1 => false,
        2 => true,
        _ => return Err(Defect::Wrong("class")),
    };
    let is_big_endian = match ident[5] {
        1 => false,
        2 => true,
        _ => return Err(Defect::Wrong("byte order")),
    };
    let bytes = pages.bytes(0, if is_64 { 64 } else { 52 }, WHAT)?;
    let mut layout = Layout { machine: Machine { number: 0, is_64, is_big_endian } };
    layout.machine.number = layout.u16(&bytes, 18);
    let kind = match layout.u16(&bytes, 16) {
        2 => Kind::Executable,
        3 => Kind::Shared,
        _ => Kind::Other,
    };
    let (table, size, count) = if is_64 {
        (layout.word(&bytes, 32), layout.u16(&bytes, 54), layout.u16(&bytes, 56))
    } else {
        (layout.word(&bytes, 28), layout.u16(&bytes, 42), layout.u16(&bytes, 44))
    };
    let segments =
        if kind == Kind::Other { Vec::new() } else { segments(pages, layout, table, size, count)? };
    Ok(Header { kind, layout, segments })
}

fn segments(
    pages: &mut Pages<'_>,
    layout: Layout,
    table: u64,
    size: u16,
    count: u16,
) -> Result<Vec<Segment>, Defect> {
    const WHAT: &str = "program headers";
    let least = if layout.machine.is_64 { 56 } else { 32 };
    if count == 0 {
        return Ok(Vec::new());
    }
    if usize::from(size) != least {
        return Err(Defect::Wrong("size of its program headers"));
    }
    if count > MOST_SEGMENTS {
        return Err(Defect::TooMuch(WHAT));
    }
    let bytes = pages.bytes(table, usize::from(size) * usize::from(count), WHAT)?;
    Ok(bytes.chunks_exact(least).map(|entry| segment(layout, entry)).collect())
}

fn segment(layout: Layout, entry: &[u8]) -> Segment {
    let kind = layout.u32(entry, 0);
    let [offset, address, size] = if layout.machine.is_64 { [8, 16, 32] } else { [4, 8, 16] };
    Segment {
        kind,
        offset: layout.word(entry, offset),
        address: layout.word(entry, address),
        size: layout.word(entry, size),
    }
}
