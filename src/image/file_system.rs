//! What is read of a file system image, whichever its format.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::tree::{Kind, LONGEST_PATH};
use super::{Error, Format, Source, erofs, squashfs};
use crate::sys::Xattrs;

/// More directories than any system has. Where each one is must be remembered to find loops.
const MOST_DIRECTORIES: usize = 4 << 20;

/// A file system image that can be looked into. Nothing in it is believed: what makes no sense is an error, and what is held
/// in memory does not grow with what an image says of itself.
pub trait FileSystem: Send + Sync {
    /// What the image says of itself.
    fn summary(&self) -> Summary;

    /// The top directory.
    fn root(&self) -> Result<Found, Error>;

    /// The names in a directory, in the order of their bytes; none in anything else.
    fn list(&self, directory: &Found) -> Result<Vec<(Vec<u8>, Found)>, Error>;

    /// The extended attributes of a file, by full name.
    fn xattrs(&self, file: &Found) -> Result<Xattrs, Error>;

    /// A regular file, to read parts of it; anything else is empty.
    fn open(self: Arc<Self>, file: &Found) -> Result<Box<dyn Places>, Error>;

    /// Reads every name, inode, attribute and block.
    fn verify(&self) -> Result<Verified, Error>;
}

/// The contents of one file.
pub trait Places: Send + Sync {
    /// Reads at an offset, as much as there is and fits. Fewer bytes than fit are the end of the file.
    fn read_at(&self, offset: u64, target: &mut [u8]) -> Result<usize, Error>;
}

/// What an image says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Which file system it is.
    pub format: Format,
    /// How it is compressed, in words.
    pub compression: String,
    /// The level or preset, where the image says it.
    pub level: Option<u32>,
    /// Bytes of a block.
    pub block_size: u32,
    /// When it says that it was made, in seconds since 1970.
    pub time: i64,
}

/// One file of any kind, in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is; the same for all names of a file.
    pub place: u64,
    /// Permissions with set-user-id, set-group-id and sticky bits (07777).
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When the contents were last modified, in seconds since 1970.
    pub mtime: i64,
    /// How many names it is said to have.
    pub links: u32,
    /// What it is; of a regular file, with how many bytes. Directories are empty here.
    pub kind: Kind<u64>,
}

/// What was read to verify an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Names but the top directory's.
    pub names: u64,
    /// Regular files; those with several names count once.
    pub files: u64,
    /// Bytes of their contents, holes included.
    pub bytes: u64,
}

impl Found {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }

    /// The kind of a directory here.
    pub(super) fn directory() -> Kind<u64> {
        Kind::Directory(BTreeMap::new())
    }
}

impl fmt::Debug for dyn FileSystem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FileSystem").field("summary", &self.summary()).finish_non_exhaustive()
    }
}

/// Opens the file system image that somewhere is, of any format that is read here. `path` is for messages.
pub fn open(source: Box<dyn Source>, path: &Path) -> Result<Arc<dyn FileSystem>, Error> {
    Ok(match Format::of(&*source)? {
        Some(Format::Erofs) => Arc::new(erofs::Reader::new(source, path)?),
        _ => Arc::new(squashfs::Reader::new(source, path)?),
    })
}

/// What is at a path, which may begin with a slash. Links are not followed.
pub fn find(image: &dyn FileSystem, path: &[u8]) -> Result<Option<Found>, Error> {
    let mut at = image.root()?;
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        let names = image.list(&at)?;
        let Some((_, found)) = names.into_iter().find(|(other, _)| other == name) else { return Ok(None) };
        at = found;
    }
    Ok(Some(at))
}

/// All of a regular file, if it is not longer than `limit`; `None` if it is.
pub fn read_file(image: &Arc<dyn FileSystem>, file: &Found, limit: usize) -> Result<Option<Vec<u8>>, Error> {
    let size = match file.kind {
        Kind::File(size) if size <= limit as u64 => size as usize,
        _ => return Ok(None),
    };
    let mut all = vec![0; size];
    let length = Arc::clone(image).open(file)?.read_at(0, &mut all)?;
    all.truncate(length);
    Ok(Some(all))
}

/// Gives every name with its path, which has no slash at its beginning: the top directory first, with an empty one, and
/// directories before what is in them.
pub fn walk<E: From<Error>>(
    image: &dyn FileSystem,
    path: &Path,
    mut visit: impl FnMut(&[u8], &Found) -> Result<(), E>,
) -> Result<(), E> {
    let damaged = |what: &str| Error::Damaged { path: path.to_owned(), what: what.to_owned() };
    let root = image.root()?;
    visit(b"", &root)?;
    let mut seen = HashSet::from([root.place]);
    let mut open = vec![(image.list(&root)?.into_iter(), 0)];
    let mut at = Vec::new();
    while let Some((names, length)) = open.last_mut() {
        at.truncate(*length);
        let Some((name, found)) = names.next() else {
            open.pop();
            continue;
        };
        if !at.is_empty() {
            at.push(b'/');
        }
        at.extend_from_slice(&name);
        if at.len() > LONGEST_PATH {
            return Err(damaged("a path is longer than 4095 bytes").into());
        }
        visit(&at, &found)?;
        if !found.is_directory() {
            continue;
        }
        if !seen.insert(found.place) {
            return Err(damaged("a directory has two names").into());
        }
        if seen.len() > MOST_DIRECTORIES {
            let what = format!("more than {MOST_DIRECTORIES} directories");
            return Err(Error::Unsupported { path: path.to_owned(), what }.into());
        }
        open.push((image.list(&found)?.into_iter(), at.len()));
    }
    Ok(())
}
