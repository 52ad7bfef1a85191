//! Where the files of an extension come from: packages, directories, and what overlays change.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::changes::Changes;
use super::error::Error;
use crate::extension::elf::Elf;
use crate::package::archive::{Control, Deb, Device, Entry, Kind, Limits, Owner, PackageFile, Rpm};
use crate::package::header::FileFlags;
use crate::sys::{Context, FileKind, Root, Xattrs, io_error};

/// One source.
#[derive(Debug)]
pub enum Source {
    /// A package file.
    Package(PackageFile),
    /// A directory: what is in it is as it is to be in the extension.
    Tree(Root),
    /// What an overlay changes, or the unlocked host.
    Changes(Box<Changes>),
}

impl Source {
    /// What to call it.
    pub fn name(&self) -> PathBuf {
        match self {
            Source::Package(package) => package.path().to_owned(),
            Source::Tree(root) => root.path().to_owned(),
            Source::Changes(changes) => changes.name().into(),
        }
    }

    /// What a package of rpm's says of itself.
    pub(super) fn rpm(&self) -> Option<&Rpm> {
        match self {
            Source::Package(package) => match package.control() {
                Control::Rpm(rpm) => Some(rpm),
                _ => None,
            },
            Source::Tree(_) | Source::Changes(_) => None,
        }
    }

    /// What a package of dpkg's says of itself.
    pub(super) fn deb(&self) -> Option<&Deb> {
        match self {
            Source::Package(package) => match package.control() {
                Control::Deb(deb) => Some(deb),
                _ => None,
            },
            Source::Tree(_) | Source::Changes(_) => None,
        }
    }

    /// About how much work it is: the bytes of a package file.
    pub(super) fn size(&self) -> u64 {
        match self {
            Source::Package(package) => {
                std::fs::metadata(package.path()).map_or(0, |metadata| metadata.len())
            }
            Source::Tree(_) | Source::Changes(_) => u64::MAX,
        }
    }

    /// Whether there are programs for one kind of processor in it (ELF).
    pub(super) fn has_programs(&self) -> Result<bool, Error> {
        let mut has = false;
        self.visit(|entry, content| {
            let mut beginning = [0; 4];
            if !has && entry.size >= 4 && content.read_exact(&mut beginning).is_ok() {
                has = Elf::is_one(&beginning);
            }
            Ok(())
        })?;
        Ok(has)
    }

    /// Whether both are files of one package, in one version.
    pub fn is_same_package(&self, other: &Source) -> bool {
        let key = |package: &PackageFile| {
            (package.name().into_owned(), package.version(), package.architecture().into_owned())
        };
        match (self, other) {
            (Source::Package(one), Source::Package(other)) => key(one) == key(other),
            _ => false,
        }
    }

    /// An error of reading a file in it.
    pub(super) fn unreadable(&self, path: &Path, error: io::Error) -> Error {
        io_error("read", self.name().join(path), error).into()
    }

    /// Gives all entries in an order that is always the same.
    pub(super) fn visit(
        &self,
        mut visit: impl FnMut(&Entry, &mut dyn Read) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Source::Package(package) => package.visit(&Limits::default(), visit).map(drop),
            Source::Tree(root) => {
                let mut walk = Walk { visit: &mut visit, entries: Entries::default() };
                walk.directory(root, Path::new(""))
            }
            Source::Changes(changes) => changes.visit(&mut visit),
        }
    }
}

/// A directory, walked in the order of names. No link is followed.
struct Walk<'a> {
    visit: &'a mut dyn FnMut(&Entry, &mut dyn Read) -> Result<(), Error>,
    entries: Entries,
}

impl Walk<'_> {
    fn directory(&mut self, dir: &Root, path: &Path) -> Result<(), Error> {
        let mut names: Vec<OsString> = dir.entries()?.into_iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        for name in names {
            let path = path.join(&name);
            let Some(entry) = self.entries.read(dir, &name, &path)? else { continue };
            match entry.kind {
                Kind::File => (self.visit)(&entry, &mut dir.open_child_file(&name)?)?,
                Kind::Directory => {
                    (self.visit)(&entry, &mut io::empty())?;
                    self.directory(&dir.open_child(&name)?, &path)?;
                }
                _ => (self.visit)(&entry, &mut io::empty())?,
            }
        }
        Ok(())
    }
}

/// Files that lie in directories, as entries.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// Files with several names, by device and inode: the first name.
    linked: HashMap<(u64, u64), PathBuf>,
}

impl Entries {
    /// The entry of a name in a directory, which is called so in the whole; `None` where it has gone meanwhile.
    pub(super) fn read(&mut self, dir: &Root, name: &OsStr, path: &Path) -> Result<Option<Entry>, Error> {
        let Some(stat) = dir.lstat(name)? else { return Ok(None) };
        let number =
            Device { major: rustix::fs::major(stat.st_rdev), minor: rustix::fs::minor(stat.st_rdev) };
        let kind = match FileKind::of(&stat) {
            FileKind::File => self.file(&stat, path),
            FileKind::Directory => Kind::Directory,
            FileKind::Symlink => Kind::Symlink(dir.read_link(name)?),
            FileKind::CharDevice => Kind::CharacterDevice(number),
            FileKind::BlockDevice => Kind::BlockDevice(number),
            FileKind::Fifo => Kind::Fifo,
            FileKind::Socket => Kind::Socket,
        };
        let owner = |id| Owner { id: Some(id), name: None };
        let xattrs = Xattrs::read(dir, Path::new(name))?.0;
        Ok(Some(Entry {
            path: path.to_owned(),
            size: if kind == Kind::File { stat.st_size.try_into().unwrap_or_default() } else { 0 },
            kind,
            mode: stat.st_mode & 0o7777,
            user: owner(stat.st_uid),
            group: owner(stat.st_gid),
            mtime: stat.st_mtime,
            xattrs: xattrs.into_iter().map(|(name, value)| (os(name), value)).collect(),
            flags: FileFlags::default(),
        }))
    }

    fn file(&mut self, stat: &rustix::fs::Stat, path: &Path) -> Kind {
        if stat.st_nlink < 2 {
            return Kind::File;
        }
        // Numbers of files are of other types on other machines.
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
        let key = (stat.st_dev as u64, stat.st_ino as u64);
        if let Some(first) = self.linked.get(&key) {
            return Kind::Hardlink(first.clone());
        }
        self.linked.insert(key, path.to_owned());
        Kind::File
    }
}

fn os(name: Vec<u8>) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(name)
}

/// Opens a source that a person named: a package file, or a directory.
pub fn open(path: &Path) -> Result<Source, Error> {
    let metadata = std::fs::metadata(path).context("open", path)?;
    if metadata.is_dir() {
        Ok(Source::Tree(Root::open(path)?))
    } else {
        Ok(Source::Package(PackageFile::open(path)?))
    }
}
