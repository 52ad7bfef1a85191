//! The files of a file system image.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{AsBuilt, Content, Contents, Error, Item, of_disk};
use crate::image::ddi::{Ddi, Designator};
use crate::image::file_system::{self, FileSystem, Found, Places};
use crate::image::tree::Kind;
use crate::image::{FileSource, Format};
use crate::sys::{Context, FileKind, IoError};

/// An image that is looked into.
pub struct ImageFiles {
    image: Arc<dyn FileSystem>,
    path: PathBuf,
    /// What is in directories that were looked into.
    known: Mutex<HashMap<PathBuf, Arc<Names>>>,
}

type Names = BTreeMap<OsString, Found>;

impl ImageFiles {
    /// The files of an image; `path` is its name in errors.
    pub fn new(image: Arc<dyn FileSystem>, path: PathBuf) -> ImageFiles {
        ImageFiles { image, path, known: Mutex::default() }
    }

    /// Opens the image that a file is: squashfs or erofs, or a disk image with one in its partition for `/` (a DDI). What
    /// protects a disk image is not looked at here.
    pub fn open(path: &Path) -> Result<ImageFiles, Error> {
        ImageFiles::of(&File::open(path).context("open", path)?, path)
    }

    /// The same, and all of a disk image is compared with its hash tree, where it has one.
    pub fn open_checked(path: &Path) -> Result<ImageFiles, Error> {
        let file = File::open(path).context("open", path)?;
        let source = FileSource::new(&file, path)?;
        if Format::of(&source)? == Some(Format::Gpt) {
            let ddi = Ddi::read(&source).map_err(of_disk(path))?;
            for part in ddi.parts.iter().filter(|part| part.designator == Designator::Root) {
                let verification = part.verify(&source, &[], None).map_err(of_disk(path))?;
                if let Some(tree) = verification.tree.filter(|tree| !tree.is_sound()) {
                    let blocks = tree.bad_data.count + tree.bad_tree.count + tree.unknown_data.count;
                    return Err(Error::Changed { path: path.to_owned(), blocks });
                }
            }
        }
        ImageFiles::of(&file, path)
    }

    /// The same of a file that is open; `path` is its name in errors.
    pub fn of(file: &File, path: &Path) -> Result<ImageFiles, Error> {
        let mut source = FileSource::new(file, path)?;
        if Format::of(&source)? == Some(Format::Gpt) {
            let ddi = Ddi::read(&source).map_err(of_disk(path))?;
            let root = ddi.parts.iter().find(|part| part.designator == Designator::Root);
            let root = root.ok_or_else(|| Error::NoRoot(path.to_owned()))?;
            source = source.part(root.data.offset, root.data.length);
        }
        Ok(ImageFiles::new(file_system::open(Box::new(source), path)?, path.to_owned()))
    }

    /// Reads all of it, and compares it with what its manifest says, where it has one of ours; gives whether it is that.
    /// `file` is the one that it was opened of.
    pub fn is_as_built(&self, file: &File) -> Result<bool, Error> {
        self.image.verify()?;
        Ok(AsBuilt::compare(&self.image, file, &self.path)?.is_none_or(|built| built.is_sound()))
    }

    fn names(&self, directory: &Path) -> Result<Option<Arc<Names>>, Error> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(directory) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(found) = self.find(directory)? else { return Ok(None) };
        if !found.is_directory() {
            return Ok(None);
        }
        let names = self.image.list(&found)?.into_iter();
        let names: Names = names.map(|(name, found)| (OsString::from_vec(name), found)).collect();
        let names = Arc::new(names);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(directory.to_owned(), Arc::clone(&names));
        Ok(Some(names))
    }

    fn find(&self, path: &Path) -> Result<Option<Found>, Error> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(Some(self.image.root()?));
        };
        Ok(self.names(parent)?.and_then(|names| names.get(name).cloned()))
    }

    fn there(&self, path: &Path) -> Result<Found, Error> {
        self.find(path)?.ok_or_else(|| self.error("find", path, libc::ENOENT))
    }

    fn error(&self, operation: &'static str, path: &Path, errno: i32) -> Error {
        let source = std::io::Error::from_raw_os_error(errno);
        IoError { operation, path: self.path.join(path), source }.into()
    }
}

impl Contents for ImageFiles {
    fn list(&self, directory: &Path) -> Result<Vec<OsString>, Error> {
        match self.names(directory)? {
            Some(names) => Ok(names.keys().cloned().collect()),
            None => Err(self.error("list", directory, libc::ENOTDIR)),
        }
    }

    fn look(&self, path: &Path) -> Result<Option<Item>, Error> {
        let Some(found) = self.find(path)? else { return Ok(None) };
        let number = |device: crate::image::tree::Device| rustix::fs::makedev(device.major, device.minor);
        let (kind, size, device) = match &found.kind {
            Kind::Directory(_) => (FileKind::Directory, 0, 0),
            Kind::File(size) => (FileKind::File, *size, 0),
            Kind::Symlink(target) => (FileKind::Symlink, target.len() as u64, 0),
            Kind::CharacterDevice(device) => (FileKind::CharDevice, 0, number(*device)),
            Kind::BlockDevice(device) => (FileKind::BlockDevice, 0, number(*device)),
            Kind::Fifo => (FileKind::Fifo, 0, 0),
            Kind::Socket => (FileKind::Socket, 0, 0),
        };
        let Found { mode, uid, gid, .. } = found;
        Ok(Some(Item { kind, mode: mode.into(), size, device, uid, gid }))
    }

    fn link(&self, path: &Path) -> Result<PathBuf, Error> {
        match self.there(path)?.kind {
            Kind::Symlink(target) => Ok(OsStr::from_bytes(&target).into()),
            _ => Err(self.error("read the link", path, libc::EINVAL)),
        }
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Content>, Error> {
        let found = self.there(path)?;
        match found.kind {
            Kind::File(_) => Ok(Box::new(Arc::clone(&self.image).open(&found)?)),
            _ => Err(self.error("open", path, libc::EINVAL)),
        }
    }

    fn attribute(&self, path: &Path, name: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.image.xattrs(&self.there(path)?)?.get(name).map(<[u8]>::to_vec))
    }
}

impl Content for Box<dyn Places> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        Ok(Places::read_at(&**self, offset, buffer)?)
    }
}

impl fmt::Debug for ImageFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageFiles").field("path", &self.path).finish_non_exhaustive()
    }
}
