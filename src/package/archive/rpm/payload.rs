//! The payload of an RPM package: contents of the files that its header lists.
//!
//! Everything but content is the header's word, as it is for rpm. Of files that are hard links to each other, the last
//! one in the payload has the content; here they come after it, so that each link is to something that was there.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::package::archive::capabilities;
use crate::package::archive::cpio::{self, Member};
use crate::package::archive::decoder::Decoded;
use crate::package::archive::delivery::{Delivery, Stop};
use crate::package::archive::entry::{Device, Entry, Kind, Owner};
use crate::package::archive::error::{Fault, os_string};
use crate::package::archive::paths;
use crate::package::header::{File, FileFlags, Header, tag};

/// Walks through a payload.
pub(super) struct Payload<'a, 'f, 'v> {
    files: Vec<File<'a>>,
    capabilities: Vec<&'a [u8]>,
    /// Numbers of files by their paths, which not every payload asks for.
    by_path: Option<HashMap<Vec<u8>, usize>>,
    links: Links,
    seen: Vec<bool>,
    archive: cpio::Reader<BufReader<Decoded<'f>>>,
    delivery: &'a mut Delivery<'v>,
}

/// Files that are hard links to each other.
#[derive(Debug, Default)]
struct Links {
    /// Which set a file belongs to.
    set_of: HashMap<usize, usize>,
    sets: Vec<LinkSet>,
}

#[derive(Debug, Default)]
struct LinkSet {
    /// Numbers of the files, rising.
    files: Vec<usize>,
    /// The one whose content came.
    carrier: Option<PathBuf>,
    /// Those that came before it.
    waiting: Vec<usize>,
}

impl<'a, 'f, 'v> Payload<'a, 'f, 'v> {
    pub(super) fn new(
        header: &Header<'a>,
        decoded: Decoded<'f>,
        delivery: &'a mut Delivery<'v>,
    ) -> Result<Payload<'a, 'f, 'v>, Fault> {
        let limit = delivery.limits().entries;
        if header.strings(tag::BASENAMES).count() as u64 > limit {
            return Err(Fault::Limit { what: "entries", limit });
        }
        let files: Vec<File<'a>> = header.files().collect();
        Ok(Payload {
            links: Links::of(&files, header),
            seen: vec![false; files.len()],
            files,
            capabilities: header.strings(tag::FILE_CAPS).collect(),
            by_path: None,
            archive: cpio::Reader::new(BufReader::with_capacity(64 * 1024, decoded)),
            delivery,
        })
    }

    /// Gives all entries, and what is left to decode.
    pub(super) fn walk(mut self) -> Result<Decoded<'f>, Stop> {
        while let Some(member) = self.archive.next()? {
            let (index, size) = match member {
                Member::Named { path, size } => (self.find(&path)?, Some(size)),
                Member::Numbered(number) => (number as usize, None),
            };
            match self.seen.get_mut(index) {
                None => return Err(Fault::malformed("payload", "a file is not in the header").into()),
                Some(true) => return Err(self.wrong(index, "comes twice").into()),
                Some(seen) => *seen = true,
            }
            self.take(index, size)?;
        }
        self.check_whole()?;
        Ok(self.archive.into_inner().into_inner())
    }

    fn find(&mut self, path: &[u8]) -> Result<usize, Fault> {
        if self.by_path.is_none() {
            let clean = |(index, file): (usize, &File<'_>)| Ok((clean_path(file)?, index));
            self.by_path = Some(self.files.iter().enumerate().map(clean).collect::<Result<_, Fault>>()?);
        }
        let clean = paths::clean(path)?;
        let found = self.by_path.as_ref().and_then(|by_path| by_path.get(&clean));
        found.copied().ok_or_else(|| Fault::of_entry(path, "is not in the header"))
    }

    /// Takes a member; `size` is what it says itself.
    fn take(&mut self, index: usize, size: Option<u64>) -> Result<(), Stop> {
        let file = &self.files[index];
        let set = self.links.set_of.get(&index).copied();
        let whole = if file.is_regular() {
            file.size
        } else {
            // What a link says is its content.
            file.link_target.filter(|_| is_symlink(file)).map_or(0, |target| target.len() as u64)
        };
        let is_last = set.is_none_or(|set| self.links.sets[set].files.last() == Some(&index));
        let size = match size {
            Some(size) if size == whole || (size == 0 && set.is_some()) => size,
            Some(_) => return Err(self.wrong(index, "has another size than the header says").into()),
            None if is_last => whole,
            None => 0,
        };
        self.archive.expect(size);
        match set {
            Some(set) => self.take_link(index, set, size),
            None => self.give(index),
        }
    }

    fn take_link(&mut self, index: usize, set: usize, size: u64) -> Result<(), Stop> {
        let has_content = size == self.files[index].size;
        match &self.links.sets[set].carrier {
            Some(_) if size > 0 => Err(self.wrong(index, "is a hard link with a second content").into()),
            Some(carrier) => {
                let carrier = carrier.clone();
                self.give_link(index, &carrier)
            }
            None if has_content => {
                self.give(index)?;
                let carrier = self.entry(index)?.path;
                for waiting in std::mem::take(&mut self.links.sets[set].waiting) {
                    self.give_link(waiting, &carrier)?;
                }
                self.links.sets[set].carrier = Some(carrier);
                Ok(())
            }
            None => {
                self.links.sets[set].waiting.push(index);
                Ok(())
            }
        }
    }

    fn give(&mut self, index: usize) -> Result<(), Stop> {
        let entry = self.entry(index)?;
        if let Kind::Symlink(target) = &entry.kind {
            let mut content = Vec::new();
            let read = self.archive.read_to_end(&mut content);
            read.map_err(|error| Fault::reading("payload", error))?;
            if content != target.as_bytes() {
                return Err(self.wrong(index, "has another target than the header says").into());
            }
        }
        self.delivery.give(&entry, &mut self.archive, self.files[index].digest)
    }

    fn give_link(&mut self, index: usize, carrier: &std::path::Path) -> Result<(), Stop> {
        let kind = Kind::Hardlink(carrier.to_owned());
        let entry = Entry { kind, size: 0, ..self.entry(index)? };
        self.delivery.give(&entry, &mut io::empty(), None)
    }

    fn entry(&self, index: usize) -> Result<Entry, Fault> {
        let file = &self.files[index];
        let device = || Device { major: file.rdev >> 8 & 0xff, minor: file.rdev & 0xff };
        let kind = match file.mode & 0o170_000 {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Directory,
            0o120_000 => match file.link_target {
                Some(target) => Kind::Symlink(target.to_owned()),
                None => return Err(self.wrong(index, "is a link to nothing")),
            },
            0o020_000 => Kind::CharacterDevice(device()),
            0o060_000 => Kind::BlockDevice(device()),
            0o010_000 => Kind::Fifo,
            0o140_000 => Kind::Socket,
            _ => return Err(self.wrong(index, "is of a type that is not known")),
        };
        Ok(Entry {
            path: os_string(&clean_path(file)?).into(),
            size: if kind == Kind::File { file.size } else { 0 },
            kind,
            mode: file.mode & 0o7777,
            user: owner(file.user),
            group: owner(file.group),
            mtime: i64::try_from(file.mtime).unwrap_or(i64::MAX),
            xattrs: self.xattrs(index)?,
            flags: file.flags,
        })
    }

    fn xattrs(&self, index: usize) -> Result<Vec<(std::ffi::OsString, Vec<u8>)>, Fault> {
        let text = self.capabilities.get(index).copied().unwrap_or_default();
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = std::str::from_utf8(text).ok().and_then(capabilities::attribute);
        let bytes = bytes.ok_or_else(|| self.wrong(index, "has capabilities that make no sense"))?;
        Ok(vec![("security.capability".into(), bytes)])
    }

    /// No file is missing, but those that are not meant to be there.
    fn check_whole(&self) -> Result<(), Fault> {
        if let Some(waiting) = self.links.sets.iter().find_map(|set| set.waiting.first()) {
            return Err(self.wrong(*waiting, "is a hard link without a content"));
        }
        let mut missing = self.files.iter().filter(|file| !self.seen[file.index]);
        match missing.find(|file| !file.flags.contains(FileFlags::GHOST)) {
            Some(file) => Err(self.wrong(file.index, "is not in the payload")),
            None => Ok(()),
        }
    }

    fn wrong(&self, index: usize, problem: &'static str) -> Fault {
        Fault::of_entry(self.files[index].path().as_os_str().as_bytes(), problem)
    }
}

impl Links {
    /// Regular files with the same device and inode (rpm's `rpmfilesBuildNLink`).
    fn of(files: &[File<'_>], header: &Header<'_>) -> Links {
        let devices = header.numbers(tag::FILE_DEVICES);
        let mut by_inode: HashMap<(u64, u32), Vec<usize>> = HashMap::new();
        for file in files {
            if file.is_regular() && file.inode > 0 && !file.flags.contains(FileFlags::GHOST) {
                let device = devices.get(file.index).unwrap_or_default();
                by_inode.entry((device, file.inode)).or_default().push(file.index);
            }
        }
        let mut links = Links::default();
        for files in by_inode.into_values().filter(|files| files.len() > 1) {
            links.set_of.extend(files.iter().map(|file| (*file, links.sets.len())));
            links.sets.push(LinkSet { files, ..LinkSet::default() });
        }
        links
    }
}

fn is_symlink(file: &File<'_>) -> bool {
    file.mode & 0o170_000 == 0o120_000
}

fn clean_path(file: &File<'_>) -> Result<Vec<u8>, Fault> {
    let path = file.path();
    let path = path.as_os_str().as_bytes();
    if !path.starts_with(b"/") {
        return Err(Fault::of_entry(path, "has no directory"));
    }
    paths::clean(path)
}

/// Nobody but root has the same number everywhere.
fn owner(name: &OsStr) -> Owner {
    Owner { id: (name == "root").then_some(0), name: (!name.is_empty()).then(|| name.to_owned()) }
}
