//! All inodes: what each has, and where it is.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::contents::{Contents, Stored};
use super::directory::{self, Name};
use super::xattrs::{Shared, pieces};
use super::{End, number_at};
use crate::image::Error;
use crate::image::blocks::{Options, StoredFile};
use crate::image::erofs::BLOCK;
use crate::image::erofs::format::{SLOT, layout, listed_type};
use crate::image::tree::{Kind, Metadata, NodeId, Tree};

/// The most that is behind an inode: wherever that must begin, it fits into one block.
const MOST_INLINE: usize = BLOCK - SLOT as usize;
/// Bytes of an inode in its short form, and its long one.
const LENGTHS: [usize; 2] = [32, 64];

/// All inodes of an image, in the order of a walk; the packed file, which has no name, is the last one.
pub(super) struct Nodes<'a> {
    tree: &'a Tree<StoredFile>,
    all: Vec<Node<'a>>,
    time: i64,
    /// Which one is the packed file.
    pub(super) packed: Option<usize>,
    /// Attributes that several files have.
    pub(super) shared: Vec<u8>,
}

struct Node<'a> {
    /// Where it is in the tree; the packed file is not.
    id: Option<NodeId>,
    metadata: Metadata,
    mode: u16,
    links: u32,
    stored: Stored,
    xattrs: Vec<u8>,
    /// Of a directory, its names, `.` and `..` among them.
    names: Vec<Name<'a>>,
    /// Where it is in the metadata.
    place: usize,
}

impl<'a> Nodes<'a> {
    /// Goes through the tree.
    pub(super) fn of(
        tree: &'a Tree<StoredFile>,
        contents: &Contents<'_>,
        options: &Options,
    ) -> Result<Nodes<'a>, Error> {
        let mut nodes =
            Nodes { tree, all: Vec::new(), time: options.time.into(), packed: None, shared: Vec::new() };
        let mut walk = Walk { known: HashMap::new(), path: Vec::new(), shared: Shared::default() };
        nodes.add(tree.root(), 0, contents, &mut walk)?;
        for number in 0..nodes.all.len() {
            let Some(id) = nodes.all[number].id else { continue };
            let xattrs = walk.shared.of(&tree.node(id).metadata.xattrs);
            nodes.all[number].xattrs = xattrs.map_err(|problem| unrepresentable(b"", problem))?;
        }
        nodes.shared = walk.shared.into_bytes();
        if let Some(stored) = contents.packed() {
            nodes.packed = Some(nodes.all.len());
            let metadata = Metadata { mtime: nodes.time, ..Metadata::default() };
            nodes.all.push(Node { mode: 0o100_000, stored, ..Node::new(metadata) });
        }
        Ok(nodes)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// The number of an inode, where it has its place.
    pub(super) fn number(&self, node: usize) -> u64 {
        number_at(self.all[node].place)
    }

    /// Adds a node that no name has led to, and all below it; says which it is.
    fn add(
        &mut self,
        id: NodeId,
        parent: usize,
        contents: &Contents<'_>,
        walk: &mut Walk,
    ) -> Result<usize, Error> {
        if let Some(known) = walk.known.get(&id) {
            return Ok(*known);
        }
        let number = self.all.len();
        walk.known.insert(id, number);
        let node = self.tree.node(id);
        let problem = |problem: String| unrepresentable(&walk.path, problem);
        walk.shared.count(&node.metadata.xattrs).map_err(problem)?;
        let stored = match &node.kind {
            Kind::File(file) => contents.file(*file),
            Kind::Symlink(target) => inline(target.clone()),
            Kind::CharacterDevice(device) | Kind::BlockDevice(device) => {
                Stored { word: device.packed(), alignment: 1, ..Stored::default() }
            }
            Kind::Directory(_) | Kind::Fifo | Kind::Socket => Stored { alignment: 1, ..Stored::default() },
        };
        let made = Node {
            id: Some(id),
            mode: mode_of(node),
            links: node.names(),
            stored,
            ..Node::new(node.metadata.clone())
        };
        self.all.push(made);
        if matches!(node.kind, Kind::Directory(_)) {
            self.add_names(id, number, parent, contents, walk)?;
        }
        Ok(number)
    }

    fn add_names(
        &mut self,
        id: NodeId,
        number: usize,
        parent: usize,
        contents: &Contents<'_>,
        walk: &mut Walk,
    ) -> Result<(), Error> {
        let tree = self.tree;
        let kind = listed_type(&tree.node(id).kind);
        let mut names =
            vec![Name { text: b".", node: number, kind }, Name { text: b"..", node: parent, kind }];
        let mut directories = 0;
        for (name, child) in tree.children(id) {
            let length = walk.path.len();
            walk.path.push(b'/');
            walk.path.extend_from_slice(name);
            let node = self.add(child, number, contents, walk)?;
            walk.path.truncate(length);
            let below = &tree.node(child).kind;
            directories += u32::from(matches!(below, Kind::Directory(_)));
            names.push(Name { text: name, node, kind: listed_type(below) });
        }
        names.sort_by_key(|name| name.text);
        let blocks = directory::in_blocks(&names);
        let last = blocks.last().map_or(0, |block| directory::size_of(block));
        let node = &mut self.all[number];
        node.links = 2 + directories;
        node.stored.size = ((blocks.len() - 1) * BLOCK + last) as u64;
        if last <= MOST_INLINE {
            node.stored.layout = layout::INLINE;
            // What it says is known when all have their places.
            node.stored.behind = vec![0; last];
        }
        node.names = names;
        Ok(())
    }

    /// Gives each its place, and appends what is not behind inodes.
    pub(super) fn place(&mut self, end: &mut End<'_>) -> Result<(), Error> {
        // A place of 0 would be the number 0, which names in directories must not have.
        let mut at = SLOT as usize;
        for number in 0..self.all.len() {
            let head = self.head_length(number);
            let node = &mut self.all[number];
            node.place = at;
            if node.stored.layout == layout::INLINE {
                while (node.place + head) % BLOCK + node.stored.behind.len() > BLOCK {
                    node.place += SLOT as usize;
                }
            }
            at = (node.place + head).next_multiple_of(node.stored.alignment) + node.stored.behind.len();
            at = at.next_multiple_of(SLOT as usize);
        }
        for number in 0..self.all.len() {
            self.place_names(number, end)?;
        }
        Ok(())
    }

    /// Writes the blocks of a directory, and those of what is too long to be behind its inode.
    fn place_names(&mut self, number: usize, end: &mut End<'_>) -> Result<(), Error> {
        let node = &self.all[number];
        let is_inline = node.stored.layout == layout::INLINE;
        if node.names.is_empty() {
            if node.mode & 0o170_000 == 0o120_000 && !is_inline {
                let block = end.append(&node.stored.behind)?;
                let stored = &mut self.all[number].stored;
                (stored.word, stored.behind) = (block, Vec::new());
            }
            return Ok(());
        }
        let mut blocks: Vec<Vec<u8>> = directory::in_blocks(&node.names)
            .into_iter()
            .map(|block| directory::to_bytes(block, &|node| self.number(node)))
            .collect();
        let behind = if is_inline { blocks.pop().unwrap_or_default() } else { Vec::new() };
        for block in &mut blocks {
            block.resize(BLOCK, 0);
        }
        let word = if blocks.is_empty() { 0 } else { end.append(&blocks.concat())? };
        let stored = &mut self.all[number].stored;
        (stored.word, stored.behind) = (word, behind);
        Ok(())
    }

    /// Whether an inode has to have its long form.
    fn is_long(&self, number: usize) -> bool {
        let node = &self.all[number];
        let Metadata { uid, gid, mtime, .. } = node.metadata;
        let limit = u32::from(u16::MAX);
        mtime != self.time
            || uid > limit
            || gid > limit
            || node.links > limit
            || node.stored.size > u32::MAX.into()
    }

    /// Bytes of an inode with its attributes.
    fn head_length(&self, number: usize) -> usize {
        LENGTHS[usize::from(self.is_long(number))] + self.all[number].xattrs.len()
    }

    /// All inodes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, node) in self.all.iter().enumerate() {
            bytes.resize(node.place, 0);
            bytes.extend(self.inode(number));
            bytes.extend_from_slice(&node.xattrs);
            bytes.resize(bytes.len().next_multiple_of(node.stored.alignment), 0);
            bytes.extend_from_slice(&node.stored.behind);
        }
        bytes
    }

    fn inode(&self, number: usize) -> Vec<u8> {
        let node = &self.all[number];
        let is_long = self.is_long(number);
        let Metadata { uid, gid, mtime, .. } = node.metadata;
        let Stored { layout, size, word, .. } = node.stored;
        let mut bytes = vec![0; LENGTHS[usize::from(is_long)]];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &(layout << 1 | u16::from(is_long)).to_le_bytes());
        put(2, &(pieces(&node.xattrs) as u16).to_le_bytes());
        put(4, &node.mode.to_le_bytes());
        put(16, &word.to_le_bytes());
        // For programs that know numbers of 32 bits alone.
        put(20, &(number as u32 + 1).to_le_bytes());
        if is_long {
            put(8, &size.to_le_bytes());
            put(24, &uid.to_le_bytes());
            put(28, &gid.to_le_bytes());
            put(32, &mtime.to_le_bytes());
            put(44, &node.links.to_le_bytes());
        } else {
            put(6, &(node.links as u16).to_le_bytes());
            put(8, &(size as u32).to_le_bytes());
            put(24, &(uid as u16).to_le_bytes());
            put(26, &(gid as u16).to_le_bytes());
        }
        bytes
    }
}

impl Node<'_> {
    fn new(metadata: Metadata) -> Node<'static> {
        Node {
            id: None,
            metadata,
            mode: 0,
            links: 1,
            stored: Stored::default(),
            xattrs: Vec::new(),
            names: Vec::new(),
            place: 0,
        }
    }
}

/// What is known on the way through a tree.
struct Walk {
    known: HashMap<NodeId, usize>,
    path: Vec<u8>,
    shared: Shared,
}

/// Contents that are behind the inode where they fit.
fn inline(behind: Vec<u8>) -> Stored {
    let size = behind.len() as u64;
    let layout = if behind.len() <= MOST_INLINE { layout::INLINE } else { layout::PLAIN };
    Stored { layout, size, word: 0, behind, alignment: 1 }
}

/// Type and permissions (`i_mode`).
fn mode_of(node: &crate::image::tree::Node<StoredFile>) -> u16 {
    let kind = match node.kind {
        Kind::Fifo => 0o010_000,
        Kind::CharacterDevice(_) => 0o020_000,
        Kind::Directory(_) => 0o040_000,
        Kind::BlockDevice(_) => 0o060_000,
        Kind::File(_) => 0o100_000,
        Kind::Symlink(_) => 0o120_000,
        Kind::Socket => 0o140_000,
    };
    kind | node.metadata.mode & 0o7777
}

fn unrepresentable(path: &[u8], problem: String) -> Error {
    Error::Unrepresentable { path: PathBuf::from(OsStr::from_bytes(path)), format: "erofs", problem }
}
