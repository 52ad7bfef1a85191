//! Parts of a file, read by pages as they are asked for, and not more than any real file needs.

use std::collections::HashMap;

use super::{Content, Defect};

const PAGE: u64 = 4096;

/// What the largest libraries need of this is a tenth: 400 kB. It bounds what a hostile file can make us do.
const MOST_PAGES: usize = 1024;

/// No name of a library or version is as long.
const LONGEST_NAME: usize = 4096;

/// The pages of a file that were read.
pub(super) struct Pages<'a> {
    file: &'a dyn Content,
    read: HashMap<u64, Vec<u8>>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(file: &'a dyn Content) -> Pages<'a> {
        Pages { file, read: HashMap::new() }
    }

    /// So many bytes at an offset; `what` they are, for who is told that the file ends before.
    pub(super) fn bytes(
        &mut self,
        offset: u64,
        length: usize,
        what: &'static str,
    ) -> Result<Vec<u8>, Defect> {
        let end = offset.checked_add(length as u64).ok_or(Defect::Wrong(what))?;
        if length as u64 > PAGE * MOST_PAGES as u64 {
            return Err(Defect::TooMuch(what));
        }
        let mut found = Vec::with_capacity(length);
        let mut here = offset;
        while here < end {
            let page = self.page(here / PAGE, what)?;
            let from = (here % PAGE) as usize;
            let rest = page.get(from..).filter(|rest| !rest.is_empty()).ok_or(Defect::Truncated(what))?;
            let taken = rest.len().min((end - here) as usize);
            found.extend_from_slice(&rest[..taken]);
            here += taken as u64;
        }
        Ok(found)
    }

    /// The text at an offset, up to the NUL that ends it, and before `end`. What is no UTF-8 in it is replaced: it
    /// is to be compared and shown.
    pub(super) fn text(&mut self, offset: u64, end: u64, what: &'static str) -> Result<String, Defect> {
        let mut found = Vec::new();
        let mut here = offset;
        while here < end && found.len() <= LONGEST_NAME {
            let page = self.page(here / PAGE, what)?;
            let rest = page.get((here % PAGE) as usize..).unwrap_or_default();
            let rest = &rest[..rest.len().min((end - here) as usize)];
            if rest.is_empty() {
                break;
            }
            if let Some(length) = rest.iter().position(|byte| *byte == 0) {
                found.extend_from_slice(&rest[..length]);
                return Ok(String::from_utf8_lossy(&found).into_owned());
            }
            found.extend_from_slice(rest);
            here += rest.len() as u64;
        }
        Err(if found.len() > LONGEST_NAME { Defect::TooMuch(what) } else { Defect::Truncated(what) })
    }

    fn page(&mut self, number: u64, what: &'static str) -> Result<&[u8], Defect> {
        if !self.read.contains_key(&number) {
            if self.read.len() >= MOST_PAGES {
                return Err(Defect::TooMuch(what));
            }
            let mut page = vec![0; PAGE as usize];
            let length = self.file.read_at(number * PAGE, &mut page)?;
            page.truncate(length);
            self.read.insert(number, page);
        }
        Ok(&self.read[&number])
    }
}
