//! A squashfs image as any file system image.

use std::sync::Arc;

use super::{Inode, InodeKind, Places, Reader};
use crate::image::file_system::{self, FileSystem, Found, Summary, Verified};
use crate::image::squashfs::format::Reference;
use crate::image::tree::Kind;
use crate::image::{Error, Format};
use crate::sys::Xattrs;

impl FileSystem for Reader {
    fn summary(&self) -> Summary {
        Summary {
            format: Format::Squashfs,
            compression: self.superblock().algorithm.to_string(),
            level: self.level(),
            block_size: self.superblock().block_size,
            time: self.superblock().time.into(),
        }
    }

    fn root(&self) -> Result<Found, Error> {
        Ok(found(Reader::root(self)?))
    }

    fn list(&self, directory: &Found) -> Result<Vec<(Vec<u8>, Found)>, Error> {
        let mut names = Vec::new();
        for entry in self.entries(&self.inode_of(directory)?)? {
            let entry = entry?;
            let inode = self.listed_inode(&entry)?;
            names.push((entry.name, found(inode)));
        }
        Ok(names)
    }

    fn xattrs(&self, file: &Found) -> Result<Xattrs, Error> {
        Reader::xattrs(self, &self.inode_of(file)?)
    }

    fn open(self: Arc<Self>, file: &Found) -> Result<Box<dyn file_system::Places>, Error> {
        let InodeKind::File(contents) = self.inode_of(file)?.kind else {
            return Err(self.damaged("something that is no file was to be read"));
        };
        Ok(Box::new(Places::new(self, contents)))
    }

    fn verify(&self) -> Result<Verified, Error> {
        Reader::verify(self)
    }
}

impl Reader {
    fn inode_of(&self, found: &Found) -> Result<Inode, Error> {
        self.inode(Reference::from_raw(found.place))
    }
}

impl file_system::Places for Places {
    fn read_at(&self, offset: u64, target: &mut [u8]) -> Result<usize, Error> {
        Places::read_at(self, offset, target)
    }
}

fn found(inode: Inode) -> Found {
    let kind = match inode.kind {
        InodeKind::Directory { .. } => Found::directory(),
        InodeKind::File(contents) => Kind::File(contents.size),
        InodeKind::Symlink(target) => Kind::Symlink(target),
        InodeKind::CharacterDevice(device) => Kind::CharacterDevice(device),
        InodeKind::BlockDevice(device) => Kind::BlockDevice(device),
        InodeKind::Fifo => Kind::Fifo,
        InodeKind::Socket => Kind::Socket,
    };
    let Inode { reference, mode, uid, gid, mtime, links, .. } = inode;
    Found { place: reference.to_raw(), mode, uid, gid, mtime: mtime.into(), links, kind }
}
