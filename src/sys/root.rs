//! A directory as a value: a descriptor and the path that messages show.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::{Context, IoError};

/// An open directory. Names below it are looked up from the descriptor, so a fake root is as good
/// as a real one, and the path is only for people.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    path: PathBuf,
}

/// What a directory entry is (inode(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Character device.
    CharDevice,
    /// Block device.
    BlockDevice,
    /// Named pipe.
    Fifo,
    /// Unix socket.
    Socket,
}

/// One name in a directory.
#[derive(Debug)]
pub struct Entry {
    /// The name, which may be any bytes but `/` and NUL.
    pub name: OsString,
}

/// A path without `.` and `..`, by the letters: as if no directory of it were a link.
pub fn without_dots(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}

impl Root {
    /// Opens a directory by path, following links.
    pub fn open(path: impl Into<PathBuf>) -> Result<Root, IoError> {
        let path = path.into();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&path, flags, Mode::empty()).context("open directory", &path)?;
        Ok(Root { fd, path })
    }

    /// Wraps a descriptor that is already open.
    pub fn from_fd(fd: OwnedFd, path: impl Into<PathBuf>) -> Root {
        Root { fd, path: path.into() }
    }

    /// The same directory by another path for messages.
    #[must_use]
    pub fn called(self, path: impl Into<PathBuf>) -> Root {
        Root { path: path.into(), ..self }
    }

    /// A second handle on the same directory.
    pub fn try_clone(&self) -> Result<Root, IoError> {
        let fd = self.fd.try_clone().context("duplicate", &self.path)?;
        Ok(Root { fd, path: self.path.clone() })
    }

    /// Whether both are the same directory, whatever their paths.
    pub fn is_same(&self, other: &Root) -> Result<bool, IoError> {
        let own = rustix::fs::fstat(&self.fd).context("examine", &self.path)?;
        let others = rustix::fs::fstat(&other.fd).context("examine", &other.path)?;
        Ok((own.st_dev, own.st_ino) == (others.st_dev, others.st_ino))
    }

    /// The path that messages show.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something below, for messages. An absolute `name` is taken as below this root.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(below(name.as_ref()))
    }

    /// Opens a directory below. Links are followed as if this were `/` (openat2(2) RESOLVE_IN_ROOT).
    pub fn open_dir(&self, name: impl AsRef<Path>) -> Result<Root, IoError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = self.open_inside(name.as_ref(), flags, ResolveFlags::IN_ROOT)?;
        Ok(Root { fd, path: self.join(name) })
    }

    /// Opens anything below but a link as an O_PATH descriptor, without following any on the way.
    pub fn open_exact(&self, name: impl AsRef<Path>) -> Result<OwnedFd, IoError> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        self.open_inside(name.as_ref(), flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS)
    }

    /// Opens a regular file below for reading, without following a link on the way or at its end.
    pub fn open_exact_file(&self, name: impl AsRef<Path>) -> Result<File, IoError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        self.open_inside(name.as_ref(), flags, resolve).map(File::from)
    }

    /// Status of a name below, of the link itself where it is one; `None` where there is nothing, or a link or another
    /// file on the way.
    pub fn lstat_exact(&self, name: impl AsRef<Path>) -> Result<Option<Stat>, IoError> {
        let name = name.as_ref();
        match self.open_link(name) {
            Ok(fd) => rustix::fs::fstat(fd).context("examine", self.join(name)).map(Some),
            Err(error) => match error.errno() {
                Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// What a symbolic link below says, without following one on the way.
    pub fn read_link_exact(&self, name: impl AsRef<Path>) -> Result<OsString, IoError> {
        let name = name.as_ref();
        let link = self.open_link(name)?;
        rustix::fs::readlinkat(link, "", Vec::new())
            .map(|target| OsString::from_vec(target.into_bytes()))
            .context("read link", self.join(name))
    }

    fn open_link(&self, name: &Path) -> Result<OwnedFd, IoError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.open_inside(name, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS)
    }

    /// Opens one child directory by its plain name, without following a link.
    pub fn open_child(&self, name: &OsStr) -> Result<Root, IoError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty())
            .context("open directory", self.join(name))?;
        Ok(Root { fd, path: self.join(name) })
    }

    /// Like [`Root::open_child`], but of the same mount: what is mounted there is another's, and EXDEV.
    pub fn open_own_child(&self, name: &OsStr) -> Result<Root, IoError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = self.open_inside(Path::new(name), flags, ResolveFlags::BENEATH | ResolveFlags::NO_XDEV)?;
        Ok(Root { fd, path: self.join(name) })
    }

    /// Opens a file below for reading.
    pub fn open_file(&self, name: impl AsRef<Path>) -> Result<File, IoError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        self.open_inside(name.as_ref(), flags, ResolveFlags::IN_ROOT).map(File::from)
    }

    /// Opens a regular file by its plain name for reading, without following a link.
    pub fn open_child_file(&self, name: &OsStr) -> Result<File, IoError> {
        // A pipe put there meanwhile must not make us wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::openat(self, name, flags, Mode::empty()).map(File::from).context("open", self.join(name))
    }

    /// What a symbolic link with this plain name says.
    pub fn read_link(&self, name: &OsStr) -> Result<OsString, IoError> {
        rustix::fs::readlinkat(self, name, Vec::new())
            .map(|target| OsString::from_vec(target.into_bytes()))
            .context("read link", self.join(name))
    }

    /// Reads a whole file below, up to `limit` bytes; a longer one is an error (EFBIG).
    pub fn read(&self, name: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>, IoError> {
        let name = name.as_ref();
        // Most files that are read whole fit; growing from nothing would take many small reads.
        let mut content = Vec::with_capacity(limit.min(8192) as usize);
        let mut file = self.open_file(name)?.take(limit + 1);
        file.read_to_end(&mut content).context("read", self.join(name))?;
        if content.len() as u64 > limit {
            return Err(Errno::FBIG).context("read", self.join(name));
        }
        Ok(content)
    }

    /// Status of a name below, following links inside this root.
    pub fn stat(&self, name: impl AsRef<Path>) -> Result<Stat, IoError> {
        let fd = self.open_inside(name.as_ref(), OFlags::PATH | OFlags::CLOEXEC, ResolveFlags::IN_ROOT)?;
        rustix::fs::fstat(fd).context("examine", self.join(name))
    }

    /// Status of a name below, of the link itself where it is one; `None` where there is nothing.
    pub fn lstat(&self, name: impl AsRef<Path>) -> Result<Option<Stat>, IoError> {
        let name = below(name.as_ref());
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
        match rustix::fs::statat(&self.fd, name, flags) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error).context("examine", self.join(name)),
        }
    }

    /// Whether a name below is a directory itself; a link to one is none.
    pub fn is_dir(&self, name: impl AsRef<Path>) -> Result<bool, IoError> {
        Ok(self.lstat(name)?.is_some_and(|stat| FileKind::of(&stat) == FileKind::Directory))
    }

    /// Whether something exists below, following links inside this root.
    pub fn exists(&self, name: impl AsRef<Path>) -> bool {
        self.open_inside(name.as_ref(), OFlags::PATH | OFlags::CLOEXEC, ResolveFlags::IN_ROOT).is_ok()
    }

    /// The path below this root, beginning with `/`, that a name leads to after all links.
    pub fn resolve(&self, name: impl AsRef<Path>) -> Result<PathBuf, IoError> {
        let name = name.as_ref();
        let fd = self.open_inside(name, OFlags::PATH | OFlags::CLOEXEC, ResolveFlags::IN_ROOT)?;
        let target = descriptor_path(fd.as_fd()).context("resolve", self.join(name))?;
        let root = descriptor_path(self.fd.as_fd()).context("resolve", &self.path)?;
        Ok(Path::new("/").join(target.strip_prefix(&root).unwrap_or(&target)))
    }

    /// Makes one directory, unless it is there. Says whether it was made.
    pub fn make_dir(&self, name: impl AsRef<Path>, mode: u32) -> Result<bool, IoError> {
        let name = below(name.as_ref());
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error).context("create directory", self.join(name)),
        }
    }

    /// Makes a directory and those above it (below this root).
    pub fn make_dirs(&self, name: impl AsRef<Path>, mode: u32) -> Result<(), IoError> {
        let name = below(name.as_ref());
        let mut prefix = PathBuf::new();
        for part in name.components() {
            prefix.push(part);
            self.make_dir(&prefix, mode)?;
        }
        Ok(())
    }

    /// Makes an empty regular file, or leaves the one that is there.
    pub fn make_file(&self, name: impl AsRef<Path>, mode: u32) -> Result<OwnedFd, IoError> {
        let name = below(name.as_ref());
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(mode))
            .context("create", self.join(name))
    }

    /// The names in this directory, but `.` and `..`, in the file system's order.
    pub fn entries(&self) -> Result<Vec<Entry>, IoError> {
        self.each_entry()?.collect()
    }

    /// Whether there are no names in this directory; not all of it is read to know.
    pub fn is_empty(&self) -> Result<bool, IoError> {
        Ok(self.each_entry()?.next().transpose()?.is_none())
    }

    fn each_entry(&self) -> Result<impl Iterator<Item = Result<Entry, IoError>> + '_, IoError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd =
            rustix::fs::openat(&self.fd, ".", flags, Mode::empty()).context("open directory", &self.path)?;
        let found = Dir::new(fd).context("read directory", &self.path)?;
        Ok(found.filter_map(|entry| match entry.context("read directory", &self.path) {
            Ok(entry) => match entry.file_name().to_bytes() {
                b"." | b".." => None,
                name => Some(Ok(Entry { name: OsString::from_vec(name.to_vec()) })),
            },
            Err(error) => Some(Err(error)),
        }))
    }

    fn open_inside(&self, name: &Path, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, IoError> {
        let inside = below(name);
        let inside = if inside.as_os_str().is_empty() { Path::new(".") } else { inside };
        loop {
            match rustix::fs::openat2(&self.fd, inside, flags, Mode::empty(), resolve) {
                // A rename anywhere on the machine can make a scoped lookup start over.
                Err(Errno::AGAIN) => {}
                other => return other.context("open", self.join(name)),
            }
        }
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl FileKind {
    /// The kind in a status.
    pub fn of(stat: &Stat) -> FileKind {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Symlink,
            FileType::CharacterDevice => FileKind::CharDevice,
            FileType::BlockDevice => FileKind::BlockDevice,
            FileType::Fifo => FileKind::Fifo,
            FileType::Socket => FileKind::Socket,
            FileType::RegularFile | FileType::Unknown => FileKind::File,
        }
    }
}

/// A path without its leading slashes, so that joining keeps it below.
fn below(name: &Path) -> &Path {
    name.strip_prefix("/").unwrap_or(name)
}

fn descriptor_path(fd: BorrowedFd<'_>) -> Result<PathBuf, Errno> {
    use std::os::fd::AsRawFd;
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let target = rustix::fs::readlink(link, Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
}
