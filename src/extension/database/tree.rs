//! The files of the generated extension, each as the base has its like: owner, permissions and SELinux label. What is merged
//! shows those of the topmost layer, of directories too.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, Uid};
use rustix::io::Errno;

use super::Error;
use crate::sys::{Context, IoError, Root, Xattrs, write_new_unsynced};

const LABEL: &str = "security.selinux";

/// A directory in the making, and the base that it will be laid over.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    pub(super) base: &'a Root,
    pub(super) top: &'a Root,
}

impl Tree<'_> {
    /// Makes a directory, and those above it, as the base has them. One that the base has not is like the one above it.
    pub(super) fn directory(&self, path: &Path) -> Result<Root, Error> {
        let mut made = PathBuf::new();
        let mut model = PathBuf::new();
        for part in path.components() {
            made.push(part);
            if self.base.is_dir(&made)? {
                model.clone_from(&made);
            }
            if self.top.make_dir(&made, 0o755)? {
                self.make_like(&made, &model)?;
            }
        }
        Ok(self.top.open_dir(path)?)
    }

    /// Makes a file in a directory that is there, as the base has another one.
    pub(super) fn file(&self, path: &Path, model: &Path, content: &[u8]) -> Result<(), Error> {
        let (parent, name) = halves(path);
        let name = name.to_str().ok_or(Errno::ILSEQ).context("create", self.top.join(path))?;
        write_new_unsynced(&self.top.open_dir(parent)?, name, 0o644, content)?;
        self.make_like(path, model)
    }

    /// Gives what is at a path the owner, permissions and label of what the base has at another.
    pub(super) fn make_like(&self, path: &Path, model: &Path) -> Result<(), Error> {
        let Some(stat) = self.base.lstat(model)? else { return Ok(()) };
        let shown = self.top.join(path);
        let (user, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::chownat(self.top, path, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)
            .context("set owner of", &shown)?;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        rustix::fs::chmodat(self.top, path, mode, AtFlags::empty()).context("set mode of", &shown)?;
        let (parent, name) = halves(model);
        let attributes = Xattrs::read(&self.base.open_dir(parent)?, Path::new(name))?;
        match attributes.get(LABEL).map(|label| Xattrs::set(self.top, path, LABEL.as_bytes(), label)) {
            Some(Err(error)) if !has_no_labels(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// A state directory on a file system without them.
fn has_no_labels(error: &IoError) -> bool {
    error.errno() == Some(Errno::OPNOTSUPP.raw_os_error())
}

fn halves(path: &Path) -> (&Path, &OsStr) {
    (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default())
}
