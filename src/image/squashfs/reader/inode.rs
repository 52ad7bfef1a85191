//! Inodes as they are stored.

use super::Reader;
use super::metadata::Cursor;
use crate::image::Error;
use crate::image::squashfs::format::{NONE_32, Reference, inode_type};
use crate::image::tree::{Device, LONGEST_PATH};

/// One file of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// Where it is; the same for all names of a file.
    pub reference: Reference,
    /// Its number in the image.
    pub number: u32,
    /// Permissions with set-user-id, set-group-id and sticky bits (07777).
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When the contents were last modified, in seconds since 1970.
    pub mtime: u32,
    /// How many names it is said to have; of a directory, 2 and those below it.
    pub links: u32,
    /// What it is.
    pub kind: InodeKind,
    /// Which set of extended attributes.
    pub(super) xattrs: u32,
}

/// What an inode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InodeKind {
    /// A directory.
    Directory {
        /// Where its listing is.
        listing: Reference,
        /// Bytes of it, and three.
        size: u32,
    },
    /// A regular file.
    File(FileContents),
    /// A symbolic link, with its target.
    Symlink(Vec<u8>),
    /// A character device.
    CharacterDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
}

/// Where a file's contents are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileContents {
    /// Bytes of the file.
    pub size: u64,
    /// Where its first block is in the image.
    pub start: u64,
    /// The fragment block that has its end, and where in that it begins.
    pub fragment: Option<(u32, u32)>,
    /// Where the words of its blocks are in the inode table.
    pub(super) words: Reference,
}

impl FileContents {
    /// How many blocks the file has of its own.
    pub(super) fn blocks(&self, block_size: u32) -> usize {
        let whole = self.size / u64::from(block_size);
        let has_more = self.fragment.is_none() && !self.size.is_multiple_of(u64::from(block_size));
        whole as usize + usize::from(has_more)
    }
}

impl Inode {
    /// The type of inode of its kind, as in directories.
    pub(super) fn listed_type(&self) -> u16 {
        match self.kind {
            InodeKind::Directory { .. } => inode_type::DIRECTORY,
            InodeKind::File(_) => inode_type::FILE,
            InodeKind::Symlink(_) => inode_type::SYMLINK,
            InodeKind::CharacterDevice(_) => inode_type::CHARACTER_DEVICE,
            InodeKind::BlockDevice(_) => inode_type::BLOCK_DEVICE,
            InodeKind::Fifo => inode_type::FIFO,
            InodeKind::Socket => inode_type::SOCKET,
        }
    }
}

impl Reader {
    /// The inode at a place.
    pub fn inode(&self, reference: Reference) -> Result<Inode, Error> {
        let mut cursor = Cursor::new(self, self.superblock.inode_table, reference)?;
        let stored_type = cursor.u16()?;
        let mode = cursor.u16()? & 0o7777;
        let (uid, gid) = (self.id(cursor.u16()?)?, self.id(cursor.u16()?)?);
        let (mtime, number) = (cursor.u32()?, cursor.u32()?);
        let mut inode = Inode {
            reference,
            number,
            mode,
            uid,
            gid,
            mtime,
            links: 1,
            kind: InodeKind::Fifo,
            xattrs: NONE_32,
        };
        let is_extended = stored_type > inode_type::EXTENDED;
        let plain_type = if is_extended { stored_type - inode_type::EXTENDED } else { stored_type };
        match plain_type {
            inode_type::DIRECTORY => read_directory(&mut cursor, &mut inode, is_extended)?,
            inode_type::FILE => read_file(&mut cursor, &mut inode, is_extended)?,
            inode_type::SYMLINK => self.read_symlink(&mut cursor, &mut inode)?,
            inode_type::BLOCK_DEVICE => {
                inode.links = cursor.u32()?;
                inode.kind = InodeKind::BlockDevice(Device::unpacked(cursor.u32()?));
            }
            inode_type::CHARACTER_DEVICE => {
                inode.links = cursor.u32()?;
                inode.kind = InodeKind::CharacterDevice(Device::unpacked(cursor.u32()?));
            }
            inode_type::FIFO => inode.links = cursor.u32()?,
            inode_type::SOCKET => (inode.links, inode.kind) = (cursor.u32()?, InodeKind::Socket),
            other => return Err(self.damaged(&format!("an inode of type {other}"))),
        }
        if is_extended && !matches!(plain_type, inode_type::DIRECTORY | inode_type::FILE) {
            inode.xattrs = cursor.u32()?;
        }
        Ok(inode)
    }

    fn id(&self, place: u16) -> Result<u32, Error> {
        let id = self.ids.get(usize::from(place)).copied();
        id.ok_or_else(|| self.damaged("an owner is not in its table of ids"))
    }

    fn read_symlink(&self, cursor: &mut Cursor<'_>, inode: &mut Inode) -> Result<(), Error> {
        inode.links = cursor.u32()?;
        let length = cursor.u32()? as usize;
        if length > LONGEST_PATH + 1 {
            return Err(self.damaged(&format!("a link with a target of {length} bytes")));
        }
        inode.kind = InodeKind::Symlink(cursor.bytes(length)?);
        Ok(())
    }
}

fn read_directory(cursor: &mut Cursor<'_>, inode: &mut Inode, is_extended: bool) -> Result<(), Error> {
    let (block, size, offset);
    if is_extended {
        inode.links = cursor.u32()?;
        size = cursor.u32()?;
        block = cursor.u32()?;
        let _parent = cursor.u32()?;
        let _indexes = cursor.u16()?;
        offset = cursor.u16()?;
        inode.xattrs = cursor.u32()?;
    } else {
        block = cursor.u32()?;
        inode.links = cursor.u32()?;
        size = u32::from(cursor.u16()?);
        offset = cursor.u16()?;
    }
    inode.kind = InodeKind::Directory { listing: Reference { block: u64::from(block), offset }, size };
    Ok(())
}

fn read_file(cursor: &mut Cursor<'_>, inode: &mut Inode, is_extended: bool) -> Result<(), Error> {
    let (start, fragment, offset, size);
    if is_extended {
        start = cursor.u64()?;
        size = cursor.u64()?;
        let _sparse = cursor.u64()?;
        inode.links = cursor.u32()?;
        fragment = cursor.u32()?;
        offset = cursor.u32()?;
        inode.xattrs = cursor.u32()?;
    } else {
        start = u64::from(cursor.u32()?);
        fragment = cursor.u32()?;
        offset = cursor.u32()?;
        size = u64::from(cursor.u32()?);
    }
    let fragment = (fragment != NONE_32).then_some((fragment, offset));
    inode.kind = InodeKind::File(FileContents { size, start, fragment, words: cursor.position() });
    Ok(())
}
