//! Going through all of an image.

use std::collections::HashSet;

use super::{Entries, Inode, InodeKind, Reader};
use crate::image::Error;
use crate::image::squashfs::format::Reference;
use crate::image::tree::LONGEST_PATH;

/// More directories than any system has. Where each one is must be remembered to find loops.
const MOST_DIRECTORIES: usize = 4 << 20;

/// All names of an image, directories before what is in them, in the order of their bytes. Ends with the first error.
pub struct Walk<'a> {
    reader: &'a Reader,
    /// What is read of each directory on the way, and how long the path was.
    open: Vec<(Entries<'a>, usize)>,
    path: Vec<u8>,
    seen: HashSet<Reference>,
    has_begun: bool,
}

/// One name of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walked {
    /// The path, without a slash at its beginning; empty for the top directory.
    pub path: Vec<u8>,
    /// What is there.
    pub inode: Inode,
}

impl Reader {
    /// Goes through all names, beginning with the top directory.
    pub fn walk(&self) -> Walk<'_> {
        Walk { reader: self, open: Vec::new(), path: Vec::new(), seen: HashSet::new(), has_begun: false }
    }
}

impl Walk<'_> {
    fn step(&mut self) -> Result<Option<Walked>, Error> {
        if !self.has_begun {
            self.has_begun = true;
            let inode = self.reader.root()?;
            self.enter(&inode)?;
            return Ok(Some(Walked { path: Vec::new(), inode }));
        }
        loop {
            let Some((entries, length)) = self.open.last_mut() else { return Ok(None) };
            self.path.truncate(*length);
            let Some(entry) = entries.next().transpose()? else {
                self.open.pop();
                continue;
            };
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&entry.name);
            if self.path.len() > LONGEST_PATH {
                return Err(self.reader.damaged("a path is longer than 4095 bytes"));
            }
            let inode = self.reader.listed_inode(&entry)?;
            if matches!(inode.kind, InodeKind::Directory { .. }) {
                self.enter(&inode)?;
            }
            return Ok(Some(Walked { path: self.path.clone(), inode }));
        }
    }

    fn enter(&mut self, inode: &Inode) -> Result<(), Error> {
        if !self.seen.insert(inode.reference) {
            return Err(self.reader.damaged("a directory has two names"));
        }
        if self.seen.len() > MOST_DIRECTORIES {
            let what = format!("more than {MOST_DIRECTORIES} directories");
            return Err(Error::Unsupported { path: self.reader.path.clone(), what });
        }
        self.open.push((self.reader.entries(inode)?, self.path.len()));
        Ok(())
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Walked, Error>;

    fn next(&mut self) -> Option<Result<Walked, Error>> {
        let step = self.step();
        if step.is_err() {
            self.open.clear();
        }
        step.transpose()
    }
}
