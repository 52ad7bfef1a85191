//! What is under a name, as far as it decides whether two sides have the same.

use std::ffi::{OsStr, OsString};
use std::io::Read;

use sha2::{Digest, Sha256};

use crate::sys::{Context, FileKind, IoError, Root};

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::overlay) enum Content {
    /// Nothing.
    Absent,
    /// A directory, whatever is in it.
    Directory,
    /// A regular file with the SHA-256 of its bytes.
    File([u8; 32]),
    /// A symbolic link to this.
    Link(OsString),
    /// A device, a pipe or a socket.
    Other,
}

impl Content {
    /// A regular file that is not read, because there is none that it could be equal to.
    pub(in crate::overlay) const UNREAD: Content = Content::File([0; 32]);

    /// Looks, and reads a regular file to its end.
    pub(in crate::overlay) fn of(dir: &Root, name: &OsStr) -> Result<Content, IoError> {
        let Some(stat) = dir.lstat(name)? else { return Ok(Content::Absent) };
        Ok(match FileKind::of(&stat) {
            FileKind::Directory => Content::Directory,
            FileKind::File => Content::File(digest(dir, name)?),
            FileKind::Symlink => Content::Link(dir.read_link(name)?),
            FileKind::CharDevice | FileKind::BlockDevice | FileKind::Fifo | FileKind::Socket => {
                Content::Other
            }
        })
    }

    /// A file with these bytes.
    pub(in crate::overlay) fn of_bytes(bytes: &[u8]) -> Content {
        Content::File(Sha256::digest(bytes).into())
    }
}

fn digest(dir: &Root, name: &OsStr) -> Result<[u8; 32], IoError> {
    let mut file = dir.open_child_file(name)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer).context("read", dir.join(name))? {
            0 => return Ok(hasher.finalize().into()),
            length => hasher.update(&buffer[..length]),
        }
    }
}
