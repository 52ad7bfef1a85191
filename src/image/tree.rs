//! What an image holds, in memory: a tree of names with their metadata. The contents of files are somewhere else: a
//! file here has a handle to them, of whatever kind the writer of the image has.
//!
//! Names are bytes. Several names can lead to one node, as hard links do.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::error::{Error, Misplacement};
use crate::sys::Xattrs;

/// The longest name that Linux takes, in bytes (NAME_MAX).
pub const LONGEST_NAME: usize = 255;
/// The longest path that Linux takes, in bytes (PATH_MAX without its NUL).
pub const LONGEST_PATH: usize = 4095;

/// A tree of files; `F` is the handle to a file's contents.
#[derive(Debug, Clone)]
pub struct Tree<F> {
    nodes: Vec<Node<F>>,
}

/// Which node of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

/// One file of any kind, whatever its names.
#[derive(Debug, Clone)]
pub struct Node<F> {
    /// Whose it is and who may do what.
    pub metadata: Metadata,
    /// What it is.
    pub kind: Kind<F>,
    names: u32,
}

/// What all kinds of files have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Permissions with set-user-id, set-group-id and sticky bits (07777).
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When the contents were last modified, in seconds since 1970.
    pub mtime: i64,
    /// Extended attributes by full name.
    pub xattrs: Xattrs,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind<F> {
    /// A directory: names in the order of their bytes.
    Directory(BTreeMap<Vec<u8>, NodeId>),
    /// A regular file.
    File(F),
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

/// The number of a device (makedev(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device {
    /// Which driver.
    pub major: u32,
    /// Which device of it.
    pub minor: u32,
}

impl Device {
    /// From one word, as Linux packs it in file systems (new_decode_dev).
    pub(super) fn unpacked(number: u32) -> Device {
        Device { major: (number & 0xf_ff00) >> 8, minor: (number & 0xff) | ((number >> 12) & 0xf_ff00) }
    }

    /// As one word (new_encode_dev).
    pub(super) fn packed(self) -> u32 {
        let Device { major, minor } = self;
        (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
    }
}

impl NodeId {
    /// The place of the node among all of its tree, from 0.
    pub(super) fn index(self) -> usize {
        self.0
    }
}

impl<F> Node<F> {
    /// A node that has no name yet.
    pub fn new(metadata: Metadata, kind: Kind<F>) -> Node<F> {
        Node { metadata, kind, names: 0 }
    }

    /// An empty directory.
    pub fn directory(metadata: Metadata) -> Node<F> {
        Node::new(metadata, Kind::Directory(BTreeMap::new()))
    }

    /// How many names lead here.
    pub fn names(&self) -> u32 {
        self.names
    }
}

impl<F> Tree<F> {
    /// A tree of nothing but its top directory.
    pub fn new(top: Metadata) -> Tree<F> {
        Tree { nodes: vec![Node { names: 1, ..Node::directory(top) }] }
    }

    /// The top directory.
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// How many nodes there are.
    #[allow(clippy::len_without_is_empty, reason = "there always is the top directory")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node<F> {
        &self.nodes[id.0]
    }

    /// A node's metadata, to be changed.
    pub fn metadata_mut(&mut self, id: NodeId) -> &mut Metadata {
        &mut self.nodes[id.0].metadata
    }

    /// The names in a directory; none in anything else.
    pub fn children(&self, id: NodeId) -> impl Iterator<Item = (&[u8], NodeId)> {
        let names = match &self.nodes[id.0].kind {
            Kind::Directory(names) => Some(names),
            _ => None,
        };
        names.into_iter().flatten().map(|(name, id)| (&name[..], *id))
    }

    /// What is at a path, which may begin with a slash. Links are not followed.
    pub fn find(&self, path: &[u8]) -> Option<NodeId> {
        components(path).try_fold(self.root(), |at, name| match &self.nodes[at.0].kind {
            Kind::Directory(names) => names.get(name).copied(),
            _ => None,
        })
    }

    /// Puts a node at a path. The directory above must be there.
    pub fn insert(&mut self, path: &[u8], node: Node<F>) -> Result<NodeId, Error> {
        let id = NodeId(self.nodes.len());
        self.name(path, id).map_err(|problem| misplaced(path, problem))?;
        self.nodes.push(Node { names: 1, ..node });
        Ok(id)
    }

    /// Gives a node another name.
    pub fn link(&mut self, path: &[u8], to: NodeId) -> Result<(), Error> {
        if matches!(self.nodes[to.0].kind, Kind::Directory(_)) {
            return Err(misplaced(path, Misplacement::LinkToDirectory));
        }
        self.name(path, to).map_err(|problem| misplaced(path, problem))?;
        self.nodes[to.0].names += 1;
        Ok(())
    }

    /// Makes sure that there is a directory at a path; what is missing on the way gets the metadata given.
    pub fn make_directories(&mut self, path: &[u8], metadata: &Metadata) -> Result<NodeId, Error> {
        let mut at = self.root();
        let mut done = Vec::with_capacity(path.len());
        for name in components(path) {
            done.push(b'/');
            done.extend_from_slice(name);
            at = match self.find(&done) {
                Some(found) => found,
                None => self.insert(&done, Node::directory(metadata.clone()))?,
            };
        }
        match self.nodes[at.0].kind {
            Kind::Directory(_) => Ok(at),
            _ => Err(misplaced(path, Misplacement::NotADirectory)),
        }
    }

    fn name(&mut self, path: &[u8], id: NodeId) -> Result<(), Misplacement> {
        if path.len() > LONGEST_PATH {
            return Err(Misplacement::TooLong);
        }
        let trimmed = path.strip_prefix(b"/").unwrap_or(path);
        let (above, name) = match trimmed.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&trimmed[..slash], &trimmed[slash + 1..]),
            None => (&b""[..], trimmed),
        };
        if !is_name(name) {
            return Err(Misplacement::BadName);
        }
        let parent = self.find(above).ok_or(Misplacement::NoParent)?;
        let Kind::Directory(names) = &mut self.nodes[parent.0].kind else {
            return Err(Misplacement::NotADirectory);
        };
        if names.contains_key(name) {
            return Err(Misplacement::Exists);
        }
        names.insert(name.to_vec(), id);
        Ok(())
    }
}

/// Whether a directory can hold this name.
pub fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
        && name.len() <= LONGEST_NAME
        && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
}

fn misplaced(path: &[u8], problem: Misplacement) -> Error {
    Error::Misplaced { path: PathBuf::from(OsStr::from_bytes(path)), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Node<()> {
        Node::new(Metadata::default(), Kind::File(()))
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut tree = Tree::new(Metadata::default());
        let directory = tree.insert(b"/usr", Node::directory(Metadata::default())).expect("it fits");
        tree.insert(b"usr/file", file()).expect("it fits");
        let long = [b"usr/".to_vec(), vec![b'x'; LONGEST_NAME + 1]].concat();
        for (path, expected) in [
            (&b"usr"[..], Misplacement::Exists),
            (b"usr/file", Misplacement::Exists),
            (b"usr/file/below", Misplacement::NotADirectory),
            (b"usr/missing/below", Misplacement::NoParent),
            (b"", Misplacement::BadName),
            (b"/", Misplacement::BadName),
            (b"usr/..", Misplacement::BadName),
            (b"usr/../x", Misplacement::NoParent),
            (b"usr/.", Misplacement::BadName),
            (b"usr/a\0b", Misplacement::BadName),
            (&long, Misplacement::BadName),
            (&[b'/'; LONGEST_PATH + 1], Misplacement::TooLong),
        ] {
            match tree.insert(path, file()) {
                Err(Error::Misplaced { problem, .. }) => assert_eq!(problem, expected),
                other => panic!("{other:?}"),
            }
        }
        let refused = tree.link(b"/usr2", directory);
        assert!(matches!(refused, Err(Error::Misplaced { problem: Misplacement::LinkToDirectory, .. })));
        let refused = tree.make_directories(b"/usr/file", &Metadata::default());
        assert!(matches!(refused, Err(Error::Misplaced { problem: Misplacement::NotADirectory, .. })));
        assert_eq!(tree.children(directory).count(), 1);
    }

    #[test]
    fn names_are_sorted_and_links_counted() {
        let mut tree = Tree::new(Metadata::default());
        tree.make_directories(b"a/b/c", &Metadata { mode: 0o755, ..Metadata::default() }).expect("it fits");
        let id = tree.insert(b"a/b/\xff", file()).expect("it fits");
        tree.link(b"a/b/0", id).expect("it fits");
        assert_eq!(tree.node(id).names(), 2);
        let parent = tree.find(b"/a//b/").expect("it is there");
        let names: Vec<&[u8]> = tree.children(parent).map(|(name, _)| name).collect();
        assert_eq!(names, [&b"0"[..], b"c", b"\xff"]);
        assert_eq!(tree.node(parent).metadata.mode, 0o755);
    }
}
