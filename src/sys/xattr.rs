//! Extended attributes (xattr(7)) of files named relative to a directory.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{Context, IoError, Root};

/// All extended attributes of one file, by full name (`security.capability`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Xattrs(pub BTreeMap<Vec<u8>, Vec<u8>>);

impl Xattrs {
    /// Reads the attributes of `name` in `dir`, without following a symbolic link. A file system
    /// without extended attributes has none.
    pub fn read(dir: &Root, name: &Path) -> Result<Xattrs, IoError> {
        let path = proc_path(dir, name);
        let names = match list(&path) {
            Ok(names) => names,
            Err(Errno::NOTSUP | Errno::NODATA) => return Ok(Xattrs::default()),
            Err(error) => return Err(error).context("list attributes of", dir.join(name)),
        };
        let mut found = BTreeMap::new();
        for attribute in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            match value(&path, attribute) {
                Ok(value) => drop(found.insert(attribute.to_vec(), value)),
                // Removed between listing and reading, or listed but not served (NFS).
                Err(Errno::NODATA | Errno::NOTSUP) => {}
                Err(error) => return Err(error).context("read attributes of", dir.join(name)),
            }
        }
        Ok(Xattrs(found))
    }

    /// Sets one attribute of `name` in `dir` (of `dir` itself, where the name is empty).
    pub fn set(dir: &Root, name: &Path, attribute: &[u8], value: &[u8]) -> Result<(), IoError> {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::lsetxattr(proc_path(dir, name), attribute, value, flags)
            .context("set an attribute of", dir.join(name))
    }

    /// Removes one attribute of `name` in `dir` (of `dir` itself, where the name is empty), if it is there.
    pub fn remove(dir: &Root, name: &Path, attribute: &[u8]) -> Result<(), IoError> {
        match rustix::fs::lremovexattr(proc_path(dir, name), attribute) {
            Ok(()) | Err(Errno::NODATA) => Ok(()),
            Err(error) => Err(error).context("remove an attribute of", dir.join(name)),
        }
    }

    /// One attribute's value.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name.as_bytes()).map(Vec::as_slice)
    }
}

/// There is no `lgetxattrat` before Linux 6.13, and an O_PATH descriptor has no `fgetxattr`;
/// a path through /proc reaches any name in any directory, however deep.
fn proc_path(dir: &Root, name: &Path) -> PathBuf {
    let mut path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd()));
    path.push(if name.as_os_str().is_empty() { Path::new(".") } else { name });
    path
}

fn list(path: &Path) -> Result<Vec<u8>, Errno> {
    read_growing(|buffer| rustix::fs::llistxattr(path, buffer))
}

fn value(path: &Path, name: &[u8]) -> Result<Vec<u8>, Errno> {
    read_growing(|buffer| rustix::fs::lgetxattr(path, name, buffer))
}

/// Calls with a small buffer first; most files have no or few short attributes.
fn read_growing(mut call: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut small = [0u8; 256];
    match call(&mut small) {
        Ok(length) => return Ok(small[..length].to_vec()),
        Err(Errno::RANGE) => {}
        Err(error) => return Err(error),
    }
    // XATTR_LIST_MAX and XATTR_SIZE_MAX are both 64 KiB.
    let mut large = vec![0u8; 64 * 1024];
    let length = call(&mut large)?;
    large.truncate(length);
    Ok(large)
}
