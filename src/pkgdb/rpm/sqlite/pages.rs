//! The table of headers, read from the file itself (fileformat2.html, 1.3 to 1.6 and 2.1).
//!
//! What does not fit in a page of a table is in a chain of pages. SQLite asks the kernel for each of them, and copies it
//! twice; of headers, that is most of the time that reading takes. But a chain mostly lies in one piece, and here such
//! a piece is read at once. What comes out is the same, and all of it is checked: a chain is followed by what its pages
//! say, wherever they lie.

use std::fs::File;
use std::path::Path;

use crate::pkgdb::Error;
use crate::pkgdb::rpm::reading::{Buffer, read_at};

/// The beginning of the first page is the file's.
const FILE_HEAD: usize = 100;
/// SQLite goes no deeper.
const DEEPEST: usize = 20;
/// So many pages are read at once at most.
const MOST: u32 = 64;
/// So many are passed over rather than read by another call.
const NEAR: u32 = 8;

/// What is shown each row: its number, and the value beside it.
type VisitRow<'a> = &'a mut dyn FnMut(i64, &[u8]) -> Result<(), Error>;

/// Shows the rows of a table, in their order. It has two columns: the number of a row, and bytes.
pub(super) fn each_row(file: &File, path: &Path, root: u32, visit: VisitRow<'_>) -> Result<(), Error> {
    let mut rows = Rows { pages: Pages::of(file, path)?, payload: Vec::new(), last: None };
    rows.walk(root, 0, visit)
}

struct Rows<'a> {
    pages: Pages<'a>,
    /// The row at hand.
    payload: Vec<u8>,
    last: Option<i64>,
}

impl Rows<'_> {
    /// Shows what is below a page.
    fn walk(&mut self, number: u32, depth: usize, visit: VisitRow<'_>) -> Result<(), Error> {
        if depth > DEEPEST {
            return Err(self.pages.damaged("a table is too deep"));
        }
        let page = self.pages.read(number, 1)?.to_vec();
        let head = if number == 1 { FILE_HEAD } else { 0 };
        match page.get(head) {
            Some(5) => {
                for cell in self.cells(&page, head, 12)? {
                    self.walk(self.word(&page, cell)?, depth + 1, visit)?;
                }
                self.walk(self.word(&page, head + 8)?, depth + 1, visit)
            }
            Some(13) => {
                self.cells(&page, head, 8)?.into_iter().try_for_each(|cell| self.row(&page, cell, visit))
            }
            _ => Err(self.pages.damaged("a page of a table is none")),
        }
    }

    /// Where the cells of a page are, whose head is so long.
    fn cells(&self, page: &[u8], head: usize, length: usize) -> Result<Vec<usize>, Error> {
        let half = |at: usize| -> Option<usize> {
            Some(usize::from(u16::from_be_bytes(page.get(at..at + 2)?.try_into().ok()?)))
        };
        let places = half(head + 3).unwrap_or_default();
        let all = (0..places).map(|place| half(head + length + 2 * place)).collect::<Option<Vec<usize>>>();
        all.ok_or_else(|| self.pages.damaged("a page has more cells than room"))
    }

    fn word(&self, page: &[u8], at: usize) -> Result<u32, Error> {
        word(page, at).ok_or_else(|| self.pages.damaged("a cell is cut off"))
    }

    /// Shows the row in a cell.
    fn row(&mut self, page: &[u8], cell: usize, visit: VisitRow<'_>) -> Result<(), Error> {
        let cut = || self.pages.damaged("a cell is cut off");
        let mut at = cell;
        let length = varint(page, &mut at).ok_or_else(cut)?;
        let number = varint(page, &mut at).ok_or_else(cut)? as i64;
        if self.last.is_some_and(|last| last >= number) {
            return Err(self.pages.damaged("rows are not in order"));
        }
        self.last = Some(number);
        let length = usize::try_from(length).ok().filter(|length| self.pages.have_room_for(*length));
        let length = length.ok_or_else(|| self.pages.damaged("a row is larger than the file"))?;
        let local = local(self.pages.usable, length);
        let own = page.get(at..at + local).ok_or_else(cut)?;
        self.payload.clear();
        self.payload.extend_from_slice(own);
        if local < length {
            self.follow(self.word(page, at + local)?, length)?;
        }
        match value(&self.payload) {
            Some(value) => visit(number, value),
            None => Err(self.pages.damaged("a row is not a header's")),
        }
    }

    /// Adds what is in a chain, until the row has its length.
    fn follow(&mut self, first: u32, length: usize) -> Result<(), Error> {
        let (mut number, each) = (first, self.pages.usable - 4);
        while self.payload.len() < length {
            let left = length - self.payload.len();
            let page = self.pages.read(number, left.div_ceil(each).min(MOST as usize) as u32)?;
            number = word(page, 0).unwrap_or_default();
            self.payload.extend_from_slice(&page[4..4 + left.min(each)]);
        }
        Ok(())
    }
}

/// How much of a row is in its cell, where a page has so many bytes to use.
fn local(usable: usize, length: usize) -> usize {
    let most = usable - 35;
    if length <= most {
        return length;
    }
    let least = (usable - 12) * 32 / 255 - 23;
    let local = least + (length - least) % (usable - 4);
    if local <= most { local } else { least }
}

/// The bytes in the second column of a row.
fn value(payload: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    let head = usize::try_from(varint(payload, &mut at)?).ok()?;
    // The number of a row is not stored again.
    let (number, kind) = (varint(payload, &mut at)?, varint(payload, &mut at)?);
    if number != 0 || at != head || kind < 12 || kind % 2 != 0 {
        return None;
    }
    payload.get(head..)?.get(..usize::try_from((kind - 12) / 2).ok()?)
}

/// A number of one to nine bytes.
fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0_u64;
    for place in 0..9 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if place == 8 {
            return Some(number << 8 | u64::from(byte));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(number)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_be_bytes)
}

/// The pages of a file, of which some are in memory.
struct Pages<'a> {
    file: &'a File,
    path: &'a Path,
    size: usize,
    /// What a page has for tables.
    usable: usize,
    count: u32,
    /// How many may still be asked for: in a table, each is once.
    left: u32,
    /// Some pages, from the first on.
    window: Buffer,
    first: u32,
    held: u32,
    ahead: u32,
}

impl<'a> Pages<'a> {
    fn of(file: &'a File, path: &'a Path) -> Result<Pages<'a>, Error> {
        let mut head = [0; FILE_HEAD];
        let is_whole = read_at(file, &mut head, 0, path)? == FILE_HEAD;
        let size = match u16::from_be_bytes([head[16], head[17]]) {
            1 => 65536,
            size => usize::from(size),
        };
        let usable = size.saturating_sub(usize::from(head[20]));
        let length = file.metadata().map_err(|error| crate::sys::io_error("examine", path, error))?.len();
        let count = u32::try_from(length.checked_div(size as u64).unwrap_or_default()).unwrap_or(u32::MAX);
        let window = Buffer::default();
        let pages =
            Pages { file, path, size, usable, count, left: count, window, first: 1, held: 0, ahead: 1 };
        if is_whole && head.starts_with(b"SQLite format 3\0") && size.is_power_of_two() && usable >= 480 {
            Ok(pages)
        } else {
            Err(pages.damaged("its beginning is not SQLite's"))
        }
    }

    fn have_room_for(&self, length: usize) -> bool {
        length as u64 <= u64::from(self.count) * self.size as u64
    }

    /// A page; the first is 1. So many from there on seem to be wanted.
    fn read(&mut self, number: u32, wanted: u32) -> Result<&[u8], Error> {
        if number == 0 || number > self.count {
            return Err(self.damaged("a page is not there"));
        }
        self.left = self.left.checked_sub(1).ok_or_else(|| self.damaged("a page is there twice"))?;
        if number < self.first || number - self.first >= self.held {
            self.fill(number, wanted)?;
        }
        let start = (number - self.first) as usize * self.size;
        Ok(self.window.part(start..start + self.size))
    }

    /// More than what is wanted is read while pages come one after the other.
    fn fill(&mut self, number: u32, wanted: u32) -> Result<(), Error> {
        let is_next = number.checked_sub(self.first + self.held).is_some_and(|skipped| skipped < NEAR);
        self.ahead = if is_next { (self.ahead * 2).min(MOST) } else { (self.ahead / 2).max(1) };
        let count = self.ahead.max(wanted).min(self.count - number + 1);
        let window = self.window.room(count as usize * self.size);
        let found = read_at(self.file, window, u64::from(number - 1) * self.size as u64, self.path)?;
        if found < window.len() {
            return Err(self.damaged("it is cut off"));
        }
        (self.first, self.held) = (number, count);
        Ok(())
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Damaged { path: self.path.to_owned(), what: what.to_owned() }
    }
}
