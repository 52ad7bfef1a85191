//! What an image says of its packages.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::places::{DIRECTORY, DPKG, HEADERS};
use crate::extension::contents::read_whole;
use crate::extension::{Contents, Error};
use crate::package::{Header, Identity};
use crate::pkgdb::dpkg::{self, Entry, InfoFiles};
use crate::pkgdb::rpm::read_headers;
use crate::sys::FileKind;

/// The largest file of these that is read: all headers of a large image are less.
const LARGEST: usize = 256 << 20;

/// What databases have of the packages of an image.
#[derive(Debug, Default)]
pub struct Records {
    /// Headers of rpm's.
    pub headers: Vec<Vec<u8>>,
    /// Packages of dpkg's.
    pub debs: Vec<Deb>,
    /// What makes no sense in there.
    pub faults: Vec<String>,
    /// What tells these records from any other.
    pub(super) identity: Option<Identity>,
}

/// A package as dpkg's database has it.
#[derive(Debug, Clone)]
pub struct Deb {
    /// Its stanza.
    pub entry: Entry,
    /// Files in `info/` by their types.
    pub info: BTreeMap<String, Vec<u8>>,
}

impl Records {
    /// Reads those of an image. What cannot be read of an image itself is an error; what makes no sense in it is not.
    pub fn read(contents: &dyn Contents) -> Result<Records, Error> {
        let mut reading = Reading { contents, records: Records::default(), digests: Vec::new() };
        if is_directory(contents, Path::new(DIRECTORY))? {
            for name in contents.list(Path::new(DIRECTORY))? {
                reading.take(&name)?;
            }
        }
        let Reading { mut records, digests, .. } = reading;
        if !digests.is_empty() {
            records.identity =
                Some(Identity::of_parts(&digests.iter().map(|one| one.digest()).collect::<Vec<_>>()));
        }
        Ok(records)
    }

    /// Whether there are any packages.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.debs.is_empty()
    }
}

impl Deb {
    /// Its paths, as it names them.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let list = self.info.get("list").map(Vec::as_slice).unwrap_or_default();
        let lines = list.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"/") && *line != b"/.");
        lines.map(|line| OsStr::from_bytes(line).into())
    }
}

struct Reading<'a> {
    contents: &'a dyn Contents,
    records: Records,
    digests: Vec<Identity>,
}

impl Reading<'_> {
    fn take(&mut self, name: &OsStr) -> Result<(), Error> {
        let path = Path::new(DIRECTORY).join(name);
        let name = name.to_string_lossy();
        if name.ends_with(HEADERS) {
            self.take_headers(&path)
        } else if name.ends_with(DPKG) && is_directory(self.contents, &path)? {
            self.take_dpkg(&path)
        } else {
            Ok(())
        }
    }

    fn take_headers(&mut self, path: &Path) -> Result<(), Error> {
        let Some(bytes) = self.file(path)? else { return Ok(()) };
        match read_headers(&bytes) {
            Ok(headers) => {
                for header in headers {
                    match Header::parse(header) {
                        Ok(_) => self.records.headers.push(header.to_vec()),
                        Err(why) => self.fault(path, &why.to_string()),
                    }
                }
            }
            Err(why) => self.fault(path, why),
        }
        Ok(())
    }

    fn take_dpkg(&mut self, directory: &Path) -> Result<(), Error> {
        let status = directory.join("status");
        let Some(text) = self.file(&status)? else { return Ok(()) };
        let entries = match dpkg::parse_status(&text) {
            Ok(entries) => entries,
            Err(why) => {
                self.fault(&status, &why.to_string());
                return Ok(());
            }
        };
        let info = directory.join("info");
        let names = if is_directory(self.contents, &info)? { self.contents.list(&info)? } else { Vec::new() };
        let names = InfoFiles::of(names);
        for entry in entries.into_values().filter(Entry::is_present) {
            let stem = dpkg::stem(&entry);
            let mut files = BTreeMap::new();
            for kind in names.kinds(&stem) {
                if let Some(text) = self.file(&info.join(format!("{stem}.{kind}")))? {
                    files.insert(kind.to_owned(), text);
                }
            }
            self.records.debs.push(Deb { entry, info: files });
        }
        Ok(())
    }

    /// A regular file; what is none is passed over.
    fn file(&mut self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        if self.contents.look(path)?.is_none_or(|item| item.kind != FileKind::File) {
            return Ok(None);
        }
        let bytes = read_whole(self.contents, path, LARGEST)?;
        self.digests.push(Identity::of(&bytes));
        Ok(Some(bytes))
    }

    fn fault(&mut self, path: &Path, why: &str) {
        self.records.faults.push(format!("{}: {why}", path.display()));
    }
}

fn is_directory(contents: &dyn Contents, path: &Path) -> Result<bool, Error> {
    Ok(contents.look(path)?.is_some_and(|item| item.kind == FileKind::Directory))
}
