//! Inodes and the directories that name them: a whole tree as metadata.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::directories::Listing;
use super::metadata::Metadata;
use super::tables::Ids;
use super::xattrs::XattrSets;
use crate::image::Error;
use crate::image::blocks::{Place, Placed, StoredFile};
use crate::image::squashfs::compression::Compressor;
use crate::image::squashfs::format::{LISTING_EXTRA, NONE_32, Reference, inode_type};
use crate::image::tree::{Kind, Node, NodeId, Tree};

/// A tree as it is stored.
pub(super) struct Inodes {
    pub(super) table: Metadata,
    pub(super) directories: Metadata,
    pub(super) ids: Ids,
    pub(super) xattrs: XattrSets,
    pub(super) root: Reference,
    /// Where inodes are, by their number less one.
    references: Vec<Reference>,
}

/// What goes into a tree's inodes.
struct Builder<'a> {
    tree: &'a Tree<StoredFile>,
    placed: &'a Placed,
    block_size: u32,
    compressor: &'a mut Compressor,
    /// The number of each node's inode; 0 where it has none yet.
    numbers: Vec<u32>,
    /// Directories, those above before those below.
    order: Vec<Directory<'a>>,
    done: Inodes,
}

struct Directory<'a> {
    id: NodeId,
    /// The place in the order of the one above.
    parent: usize,
    name: &'a [u8],
}

impl Inodes {
    /// Stores a tree, whose files were placed before.
    pub(super) fn of(
        tree: &Tree<StoredFile>,
        placed: &Placed,
        block_size: u32,
        compressor: &mut Compressor,
    ) -> Result<Inodes, Error> {
        let done = Inodes {
            table: Metadata::default(),
            directories: Metadata::default(),
            ids: Ids::default(),
            xattrs: XattrSets::default(),
            root: Reference { block: 0, offset: 0 },
            references: Vec::new(),
        };
        let numbers = vec![0; tree.len()];
        let mut builder = Builder { tree, placed, block_size, compressor, numbers, order: Vec::new(), done };
        builder.number();
        builder.store()?;
        Ok(builder.done)
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.references.len() as u32
    }

    /// The table that finds inodes by number.
    pub(super) fn export_table(&self) -> Vec<u8> {
        self.references.iter().flat_map(|reference| reference.to_raw().to_le_bytes()).collect()
    }
}

impl Builder<'_> {
    /// Gives numbers: those of one directory's names follow each other, since a listing stores differences.
    fn number(&mut self) {
        let root = self.tree.root();
        self.numbers[root.index()] = 1;
        let mut last = 1;
        let mut waiting = vec![Directory { id: root, parent: 0, name: b"" }];
        while let Some(directory) = waiting.pop() {
            let parent = self.order.len();
            let first_below = waiting.len();
            for (name, id) in self.tree.children(directory.id) {
                let number = &mut self.numbers[id.index()];
                if *number == 0 {
                    last += 1;
                    *number = last;
                }
                if matches!(self.tree.node(id).kind, Kind::Directory(_)) {
                    waiting.push(Directory { id, parent, name });
                }
            }
            waiting[first_below..].reverse();
            self.order.push(directory);
        }
        self.done.references = vec![UNPLACED; last as usize];
    }

    /// Stores what is below before what is above, since a listing says where inodes are.
    fn store(&mut self) -> Result<(), Error> {
        for place in (0..self.order.len()).rev() {
            let id = self.order[place].id;
            let tree = self.tree;
            for (name, child) in tree.children(id) {
                let node = tree.node(child);
                if self.reference(child) == UNPLACED {
                    let body = self.body(node);
                    self.store_inode(child, body).map_err(|problem| self.refused(place, name, problem))?;
                }
            }
            let body = self.directory(place);
            self.store_inode(id, body).map_err(|problem| self.refused(place, b"", problem))?;
        }
        self.done.table.close(self.compressor);
        self.done.directories.close(self.compressor);
        self.done.root = self.reference(self.tree.root());
        let sizes = [&self.done.table, &self.done.directories].map(|table| table.bytes().len());
        if sizes.into_iter().any(|size| u32::try_from(size).is_err()) {
            return Err(self.refused(0, b"", "there are too many files".into()));
        }
        Ok(())
    }

    fn reference(&self, id: NodeId) -> Reference {
        self.done.references[self.numbers[id.index()] as usize - 1]
    }

    fn store_inode(&mut self, id: NodeId, body: Body) -> Result<(), String> {
        let metadata = &self.tree.node(id).metadata;
        let xattrs = self.done.xattrs.place(&metadata.xattrs, self.compressor)?;
        let mut id_place = |id| self.done.ids.place(id).ok_or("there are more than 65,535 users and groups");
        let (uid, gid) = (id_place(metadata.uid)?, id_place(metadata.gid)?);
        let is_extended = body.must_be_extended || xattrs != NONE_32;
        let kind = body.kind + if is_extended { inode_type::EXTENDED } else { 0 };
        let mut bytes = Vec::with_capacity(64);
        for number in [kind, metadata.mode & 0o7777, uid, gid] {
            bytes.extend(number.to_le_bytes());
        }
        let number = self.numbers[id.index()];
        bytes.extend((metadata.mtime.clamp(0, i64::from(u32::MAX)) as u32).to_le_bytes());
        bytes.extend(number.to_le_bytes());
        let [before, after] = if is_extended { body.extended } else { body.basic };
        bytes.extend(before);
        if is_extended {
            bytes.extend(xattrs.to_le_bytes());
        }
        bytes.extend(after);
        self.done.references[number as usize - 1] = self.done.table.position();
        self.done.table.add(&bytes, self.compressor);
        Ok(())
    }

    /// What anything but a directory has.
    fn body(&self, node: &Node<StoredFile>) -> Body {
        let links = node.names();
        match &node.kind {
            Kind::Directory(_) => unreachable!("directories are stored after what is in them"),
            Kind::File(file) => self.file(*file, links),
            Kind::Symlink(target) => {
                let text = [&numbers(&[links, target.len() as u32])[..], target].concat();
                Body {
                    kind: inode_type::SYMLINK,
                    must_be_extended: false,
                    basic: [text.clone(), Vec::new()],
                    extended: [text, Vec::new()],
                }
            }
            Kind::CharacterDevice(device) => {
                Body::plain(inode_type::CHARACTER_DEVICE, numbers(&[links, device.packed()]))
            }
            Kind::BlockDevice(device) => {
                Body::plain(inode_type::BLOCK_DEVICE, numbers(&[links, device.packed()]))
            }
            Kind::Fifo => Body::plain(inode_type::FIFO, numbers(&[links])),
            Kind::Socket => Body::plain(inode_type::SOCKET, numbers(&[links])),
        }
    }

    fn file(&self, file: StoredFile, links: u32) -> Body {
        let (mut start, mut words, mut sparse) = (0, &[][..], 0);
        let (mut fragment, mut offset) = (NONE_32, 0);
        match file.place {
            Place::Nowhere => {}
            Place::Fragment { fragment: number, offset: within } => {
                (fragment, offset) = (self.placed.first_fragments[file.segment] + number, within);
            }
            Place::Blocks(number) => {
                let blocks = &self.placed.files[file.segment][number as usize];
                (start, words, sparse) = (blocks.start, &blocks.words[..], blocks.sparse);
                debug_assert_eq!(words.len() as u64, file.size.div_ceil(u64::from(self.block_size)));
            }
        }
        let words = numbers(words);
        let is_large = u32::try_from(start).is_err() || u32::try_from(file.size).is_err();
        let basic = numbers(&[start as u32, fragment, offset, file.size as u32]);
        let mut extended: Vec<u8> =
            [start, file.size, sparse].iter().flat_map(|number| number.to_le_bytes()).collect();
        extended.extend(numbers(&[links, fragment, offset]));
        Body {
            kind: inode_type::FILE,
            must_be_extended: is_large || sparse > 0 || links > 1,
            basic: [basic, words.clone()],
            extended: [extended, words],
        }
    }

    /// Stores a directory's listing, and gives what its inode has.
    fn directory(&mut self, place: usize) -> Body {
        let Directory { id, parent, .. } = self.order[place];
        let tree = self.tree;
        let mut listing = Listing::new(&mut self.done.directories, self.compressor);
        let mut links = 2;
        for (name, child) in tree.children(id) {
            let kind = listed_type(&tree.node(child).kind);
            links += u32::from(kind == inode_type::DIRECTORY);
            let number = self.numbers[child.index()];
            listing.add(name, number, kind, self.done.references[number as usize - 1]);
        }
        let listing = listing.close();
        let parent = if place == 0 {
            // There is none; a number that no inode has.
            self.done.references.len() as u32 + 1
        } else {
            self.numbers[self.order[parent].id.index()]
        };
        let size = listing.size + LISTING_EXTRA;
        let (block, offset) = (listing.start.block as u32, listing.start.offset.to_le_bytes());
        let basic =
            [&numbers(&[block, links])[..], &(size as u16).to_le_bytes(), &offset, &numbers(&[parent])]
                .concat();
        let count = listing.indexes.to_le_bytes();
        let extended = [&numbers(&[links, size, block, parent])[..], &count, &offset].concat();
        Body {
            kind: inode_type::DIRECTORY,
            must_be_extended: u16::try_from(size).is_err() || listing.indexes > 0,
            basic: [basic, Vec::new()],
            extended: [extended, listing.index],
        }
    }

    fn refused(&self, mut place: usize, name: &[u8], problem: String) -> Error {
        let mut parts = vec![name];
        while place > 0 {
            parts.push(self.order[place].name);
            place = self.order[place].parent;
        }
        parts.reverse();
        let path = PathBuf::from(OsStr::from_bytes(&[b"/", &parts.join(&b'/')[..]].concat()));
        Error::Unrepresentable { path, format: "squashfs", problem }
    }
}

/// What follows the head of an inode: before the attributes, which only extended ones have, and after them.
struct Body {
    kind: u16,
    must_be_extended: bool,
    basic: [Vec<u8>; 2],
    extended: [Vec<u8>; 2],
}

impl Body {
    fn plain(kind: u16, bytes: Vec<u8>) -> Body {
        Body {
            kind,
            must_be_extended: false,
            basic: [bytes.clone(), Vec::new()],
            extended: [bytes, Vec::new()],
        }
    }
}

/// Of an inode that is not stored yet: no inode is there.
const UNPLACED: Reference = Reference { block: u64::MAX >> 16, offset: u16::MAX };

fn listed_type<F>(kind: &Kind<F>) -> u16 {
    match kind {
        Kind::Directory(_) => inode_type::DIRECTORY,
        Kind::File(_) => inode_type::FILE,
        Kind::Symlink(_) => inode_type::SYMLINK,
        Kind::CharacterDevice(_) => inode_type::CHARACTER_DEVICE,
        Kind::BlockDevice(_) => inode_type::BLOCK_DEVICE,
        Kind::Fifo => inode_type::FIFO,
        Kind::Socket => inode_type::SOCKET,
    }
}

fn numbers(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|number| number.to_le_bytes()).collect()
}
