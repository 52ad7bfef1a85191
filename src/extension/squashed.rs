//! The files of a squashfs image.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Content, Contents, Error, Item, of_disk};
use crate::image::Format;
use crate::image::ddi::{Ddi, Designator, FileSource};
use crate::image::squashfs::{Inode, InodeKind, Part, Places, Reader};
use crate::sys::{Context, FileKind, IoError};

/// An image that is looked into.
pub struct Squashed {
    reader: Arc<Reader>,
    path: PathBuf,
    /// What is in directories that were looked into.
    known: Mutex<HashMap<PathBuf, Arc<Names>>>,
}

type Names = BTreeMap<OsString, Inode>;

impl Squashed {
    /// The files of an image; `path` is its name in errors.
    pub fn new(reader: Reader, path: PathBuf) -> Squashed {
        Squashed { reader: Arc::new(reader), path, known: Mutex::default() }
    }

    /// Opens the image that a file is: squashfs, or a disk image with one in its partition for `/` (a DDI). What protects
    /// a disk image is not looked at here.
    pub fn open(path: &Path) -> Result<Squashed, Error> {
        Squashed::of(&File::open(path).context("open", path)?, path)
    }

    /// The same of a file that is open; `path` is its name in errors.
    pub fn of(file: &File, path: &Path) -> Result<Squashed, Error> {
        let length = file.metadata().context("examine", path)?.len();
        let part = |offset, length| -> Result<Part, Error> {
            Ok(Part { file: file.try_clone().context("duplicate", path)?, offset, length })
        };
        let whole = part(0, length)?;
        let part = match Format::of(&whole).context("read", path)? {
            Some(Format::Gpt) => {
                let ddi = Ddi::read(&FileSource::new(file, path)?).map_err(of_disk(path))?;
                let root = ddi.parts.iter().find(|part| part.designator == Designator::Root);
                let root = root.ok_or_else(|| Error::NoRoot(path.to_owned()))?;
                part(root.data.offset, root.data.length)?
            }
            Some(format @ Format::Erofs) => return Err(Error::Unread { path: path.to_owned(), format }),
            _ => whole,
        };
        Ok(Squashed::new(Reader::new(Box::new(part), path)?, path.to_owned()))
    }

    fn names(&self, directory: &Path) -> Result<Option<Arc<Names>>, Error> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(directory) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(inode) = self.inode(directory)? else { return Ok(None) };
        if !matches!(inode.kind, InodeKind::Directory { .. }) {
            return Ok(None);
        }
        let mut names = Names::new();
        for entry in self.reader.entries(&inode)? {
            let entry = entry?;
            names.insert(OsString::from_vec(entry.name.clone()), self.reader.inode(entry.inode)?);
        }
        let names = Arc::new(names);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(directory.to_owned(), Arc::clone(&names));
        Ok(Some(names))
    }

    fn inode(&self, path: &Path) -> Result<Option<Inode>, Error> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(Some(self.reader.root()?));
        };
        Ok(self.names(parent)?.and_then(|names| names.get(name).cloned()))
    }

    fn there(&self, path: &Path) -> Result<Inode, Error> {
        self.inode(path)?.ok_or_else(|| self.error("find", path, libc::ENOENT))
    }

    fn error(&self, operation: &'static str, path: &Path, errno: i32) -> Error {
        let source = std::io::Error::from_raw_os_error(errno);
        IoError { operation, path: self.path.join(path), source }.into()
    }
}

impl Contents for Squashed {
    fn list(&self, directory: &Path) -> Result<Vec<OsString>, Error> {
        match self.names(directory)? {
            Some(names) => Ok(names.keys().cloned().collect()),
            None => Err(self.error("list", directory, libc::ENOTDIR)),
        }
    }

    fn look(&self, path: &Path) -> Result<Option<Item>, Error> {
        let Some(inode) = self.inode(path)? else { return Ok(None) };
        let (kind, size, device) = match &inode.kind {
            InodeKind::Directory { .. } => (FileKind::Directory, 0, 0),
            InodeKind::File(contents) => (FileKind::File, contents.size, 0),
            InodeKind::Symlink(target) => (FileKind::Symlink, target.len() as u64, 0),
            InodeKind::CharacterDevice(device) => {
                (FileKind::CharDevice, 0, rustix::fs::makedev(device.major, device.minor))
            }
            InodeKind::BlockDevice(device) => {
                (FileKind::BlockDevice, 0, rustix::fs::makedev(device.major, device.minor))
            }
            InodeKind::Fifo => (FileKind::Fifo, 0, 0),
            InodeKind::Socket => (FileKind::Socket, 0, 0),
        };
        Ok(Some(Item { kind, mode: inode.mode.into(), size, device }))
    }

    fn link(&self, path: &Path) -> Result<PathBuf, Error> {
        match self.there(path)?.kind {
            InodeKind::Symlink(target) => Ok(OsStr::from_bytes(&target).into()),
            _ => Err(self.error("read the link", path, libc::EINVAL)),
        }
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Content>, Error> {
        match self.there(path)?.kind {
            InodeKind::File(contents) => Ok(Box::new(Places::new(Arc::clone(&self.reader), contents))),
            _ => Err(self.error("open", path, libc::EINVAL)),
        }
    }

    fn attribute(&self, path: &Path, name: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.reader.xattrs(&self.there(path)?)?.get(name).map(<[u8]>::to_vec))
    }
}

impl Content for Places {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        Ok(Places::read_at(self, offset, buffer)?)
    }
}

impl fmt::Debug for Squashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Squashed").field("path", &self.path).finish_non_exhaustive()
    }
}
