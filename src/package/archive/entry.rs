//! What a payload has: one entry for each file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::package::header::FileFlags;

/// An entry of a payload. Nothing of it is done: device nodes and setuid programs are told like all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is, from the root, without `/` before it, `.`, `..` or empty names in it. Empty for the root itself,
    /// which is a directory.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Permissions with setuid, setgid and sticky bit; no type.
    pub mode: u32,
    /// Its owner.
    pub user: Owner,
    /// Its group.
    pub group: Owner,
    /// Its time in seconds since 1970; fractions are dropped.
    pub mtime: i64,
    /// How many bytes its reader gives. Only files have any.
    pub size: u64,
    /// Extended attributes by their full names, `security.capability` in the kernel's bytes.
    pub xattrs: Vec<(OsString, Vec<u8>)>,
    /// What it is for: rpm's flags, or [`FileFlags::CONFIG`] for a conffile of dpkg's.
    pub flags: FileFlags,
}

impl Entry {
    /// Whether it is the root directory, which Debian packages have an entry of.
    pub fn is_root(&self) -> bool {
        self.path == Path::new("")
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file, with content.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, and what it says.
    Symlink(OsString),
    /// Another name of an entry that came before, which this is the path of.
    Hardlink(PathBuf),
    /// A device node.
    CharacterDevice(Device),
    /// A device node.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// The number of a device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Of the driver.
    pub major: u32,
    /// Of the device.
    pub minor: u32,
}

/// An owner or a group, as far as the package says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// Its number. dpkg takes it where nobody has the name; rpm's packages have none, but root is 0.
    pub id: Option<u32>,
    /// Its name; rpm's packages always have one.
    pub name: Option<OsString>,
}
