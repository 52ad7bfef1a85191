//! A set of files to look into, wherever they are: a directory, an image. Paths in it have no slash at their beginning,
//! and no link is ever followed: whoever follows one ([`super::Stack`]) knows what is laid over what.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Error;
use crate::sys::{Context, FileKind, IoError, Root, Xattrs};

/// A set of files that can be looked into without unpacking it.
pub trait Contents: fmt::Debug {
    /// The names in a directory, sorted.
    fn list(&self, directory: &Path) -> Result<Vec<OsString>, Error>;
    /// What has this path; `None` where there is nothing, or something on the way to it is no directory.
    fn look(&self, path: &Path) -> Result<Option<Item>, Error>;
    /// What a symbolic link says.
    fn link(&self, path: &Path) -> Result<PathBuf, Error>;
    /// A regular file, to read parts of it.
    fn open(&self, path: &Path) -> Result<Box<dyn Content>, Error>;
    /// An extended attribute of a file, by its full name.
    fn attribute(&self, path: &Path, name: &str) -> Result<Option<Vec<u8>>, Error>;
}

/// The content of one regular file.
pub trait Content {
    /// Reads at an offset, as much as there is and fits. Fewer bytes than fit are the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error>;
}

/// What is known of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: FileKind,
    /// Its permissions, setuid and the like among them (the lower 12 bits of st_mode).
    pub mode: u32,
    /// The bytes in it.
    pub size: u64,
    /// Of a device, its number.
    pub device: u64,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Item {
    /// Whether somebody may execute it.
    pub fn is_executable(&self) -> bool {
        self.kind == FileKind::File && self.mode & 0o111 != 0
    }

    /// Whether it is what hides a lower file from an overlay (overlayfs in the kernel's documentation).
    pub fn is_whiteout(&self) -> bool {
        self.kind == FileKind::CharDevice && self.device == 0
    }
}

/// The contents of a directory.
#[derive(Debug)]
pub struct Directory {
    root: Root,
}

impl Directory {
    /// The files below a directory.
    pub fn new(root: Root) -> Directory {
        Directory { root }
    }
}

impl Contents for Directory {
    fn list(&self, directory: &Path) -> Result<Vec<OsString>, Error> {
        let opened = Root::from_fd(self.root.open_exact(directory)?, self.root.join(directory));
        let mut names: Vec<OsString> = opened.entries()?.into_iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn look(&self, path: &Path) -> Result<Option<Item>, Error> {
        Ok(self.root.lstat_exact(path)?.map(|stat| Item {
            kind: FileKind::of(&stat),
            mode: stat.st_mode & 0o7777,
            size: stat.st_size.try_into().unwrap_or_default(),
            device: stat.st_rdev,
            uid: stat.st_uid,
            gid: stat.st_gid,
        }))
    }

    fn link(&self, path: &Path) -> Result<PathBuf, Error> {
        Ok(self.root.read_link_exact(path)?.into())
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Content>, Error> {
        let file = self.root.open_exact_file(path)?;
        Ok(Box::new(Opened { file, path: self.root.join(path) }))
    }

    fn attribute(&self, path: &Path, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let directory = Root::from_fd(self.root.open_exact(parent)?, self.root.join(parent));
        let file = path.file_name().map_or(Path::new(""), Path::new);
        Ok(Xattrs::read(&directory, file)?.get(name).map(<[u8]>::to_vec))
    }
}

struct Opened {
    file: File,
    path: PathBuf,
}

impl Content for Opened {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        Ok(read_fully(offset, buffer, |offset, buffer| self.file.read_at(buffer, offset))
            .context("read", &self.path)?)
    }
}

/// What lies in memory.
impl Content for &[u8] {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

/// Reads until the buffer is full or the file ends.
fn read_fully(
    offset: u64,
    buffer: &mut [u8],
    read: impl Fn(u64, &mut [u8]) -> std::io::Result<usize>,
) -> std::io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match read(offset.saturating_add(done as u64), &mut buffer[done..]) {
            Ok(0) => break,
            Ok(length) => done += length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// A whole file of at most so many bytes; a longer one is an error (EFBIG).
pub(super) fn read_whole(contents: &dyn Contents, path: &Path, limit: usize) -> Result<Vec<u8>, Error> {
    let file = contents.open(path)?;
    let mut content = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let length = file.read_at(content.len() as u64, &mut chunk)?;
        content.extend_from_slice(&chunk[..length]);
        if content.len() > limit {
            let cause = std::io::Error::from_raw_os_error(libc::EFBIG);
            return Err(IoError { operation: "read", path: path.to_owned(), source: cause }.into());
        }
        if length < chunk.len() {
            return Ok(content);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn no_link_is_followed() {
        let place = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(place.path().join("usr")).expect("a directory");
        std::fs::write(place.path().join("usr/file"), "content").expect("a file");
        symlink("/etc", place.path().join("out")).expect("a link");
        symlink("file", place.path().join("usr/link")).expect("a link");
        let contents = Directory::new(Root::open(place.path()).expect("it opens"));
        let look = |path: &str| contents.look(Path::new(path)).expect("it can be read").map(|item| item.kind);
        assert_eq!(look("usr/file"), Some(FileKind::File));
        assert_eq!(look("usr/link"), Some(FileKind::Symlink));
        assert_eq!(look("out"), Some(FileKind::Symlink));
        for nothing in ["out/passwd", "usr/file/x", "usr/link/x", "nothing"] {
            assert_eq!(look(nothing), None, "{nothing}");
        }
        assert!(contents.open(Path::new("out/passwd")).is_err());
        assert!(contents.open(Path::new("usr/link")).is_err());
        assert!(contents.list(Path::new("out")).is_err());
        assert_eq!(contents.link(Path::new("usr/link")).expect("a link"), Path::new("file"));
        assert_eq!(contents.list(Path::new("usr")).expect("a directory"), ["file", "link"]);
        let whole = |limit| read_whole(&contents, Path::new("usr/file"), limit);
        assert_eq!(whole(7).expect("it fits"), b"content");
        assert!(whole(6).is_err());
    }
}
