//! A directory of this machine as the contents of an image.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::Stat;

use super::error::Error;
use super::tree::{Device, Kind, Metadata, Node, NodeId, Tree};
use crate::sys::{Context, FileKind, Root, Xattrs};

/// Reads a directory and all below it. `store` is given each regular file and its path, in the order of the tree, and tells
/// the handle to what it made of it. Files with several names are given once. Nothing is followed out of the directory.
pub fn read_directory<F>(
    root: &Root,
    store: &mut dyn FnMut(File, &Path) -> Result<F, Error>,
) -> Result<Tree<F>, Error> {
    let stat = rustix::fs::fstat(root).context("examine", root.path())?;
    let top = metadata(root, Path::new(""), &stat)?;
    let mut reading = Reading { tree: Tree::new(top), store, linked: HashMap::new() };
    reading.read(root, &mut Vec::new())?;
    Ok(reading.tree)
}

struct Reading<'a, F> {
    tree: Tree<F>,
    store: &'a mut dyn FnMut(File, &Path) -> Result<F, Error>,
    /// Files with several names, by device and inode.
    linked: HashMap<(u64, u64), NodeId>,
}

impl<F> Reading<'_, F> {
    fn read(&mut self, dir: &Root, path: &mut Vec<u8>) -> Result<(), Error> {
        let mut names: Vec<OsString> = dir.entries()?.into_iter().map(|entry| entry.name).collect();
        names.sort();
        for name in names {
            let length = path.len();
            path.push(b'/');
            path.extend_from_slice(name.as_bytes());
            self.read_entry(dir, &name, path)?;
            path.truncate(length);
        }
        Ok(())
    }

    fn read_entry(&mut self, dir: &Root, name: &OsStr, path: &mut Vec<u8>) -> Result<(), Error> {
        // One that has gone meanwhile is not there.
        let Some(stat) = dir.lstat(name)? else { return Ok(()) };
        let file_kind = FileKind::of(&stat);
        let is_linked = stat.st_nlink > 1 && file_kind != FileKind::Directory;
        // Numbers of files are of other types on other machines.
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
        let key = (stat.st_dev as u64, stat.st_ino as u64);
        if let Some(known) = self.linked.get(&key).filter(|_| is_linked) {
            return self.tree.link(path, *known);
        }
        let kind = match file_kind {
            FileKind::Directory => Kind::Directory(std::collections::BTreeMap::new()),
            FileKind::File => Kind::File((self.store)(dir.open_child_file(name)?, &dir.join(name))?),
            FileKind::Symlink => Kind::Symlink(dir.read_link(name)?.into_vec()),
            FileKind::CharDevice => Kind::CharacterDevice(device(&stat)),
            FileKind::BlockDevice => Kind::BlockDevice(device(&stat)),
            FileKind::Fifo => Kind::Fifo,
            FileKind::Socket => Kind::Socket,
        };
        let metadata = metadata(dir, Path::new(name), &stat)?;
        let id = self.tree.insert(path, Node::new(metadata, kind))?;
        if is_linked {
            self.linked.insert(key, id);
        }
        if file_kind == FileKind::Directory {
            self.read(&dir.open_child(name)?, path)?;
        }
        Ok(())
    }
}

fn metadata(dir: &Root, name: &Path, stat: &Stat) -> Result<Metadata, Error> {
    let xattrs = Xattrs::read(dir, name)?;
    let mode = (stat.st_mode & 0o7777) as u16;
    // The time is 32 bits wide on small machines.
    #[allow(clippy::useless_conversion)]
    let mtime = i64::from(stat.st_mtime);
    Ok(Metadata { mode, uid: stat.st_uid, gid: stat.st_gid, mtime, xattrs })
}

fn device(stat: &Stat) -> Device {
    #[allow(clippy::useless_conversion)]
    let number = u64::from(stat.st_rdev);
    Device { major: rustix::fs::major(number), minor: rustix::fs::minor(number) }
}
