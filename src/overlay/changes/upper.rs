//! An upper as it lies on disk, read into memory: every name with its status, its attributes and
//! overlayfs's notes. File contents are not read here.

use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rustix::fs::Stat;

use super::marks::{Marks, Opaque, Prefix};
use super::place::Place;
use crate::sys::{FileKind, IoError, Root, Xattrs};

/// The part of a file's status that can change in a way that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) kind: FileKind,
    /// Permissions and the three bits above them.
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    /// Seconds and nanoseconds.
    pub(crate) modified: (i64, u64),
    /// Bytes of content; 0 for anything but a regular file.
    pub(crate) size: u64,
    /// Device number of a device node; 0 for anything else.
    pub(crate) device: u64,
}

/// What an upper holds under one name.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: OsString,
    pub(crate) status: Status,
    /// Hides what lies below, and is nothing itself.
    pub(crate) whiteout: bool,
    pub(crate) marks: Marks,
    pub(crate) xattrs: Xattrs,
    /// A directory's entries, as places in [`Upper::nodes`], sorted by name.
    pub(crate) children: Range<usize>,
}

/// A whole upper. The first node is its root.
#[derive(Debug)]
pub(crate) struct Upper {
    pub(crate) nodes: Vec<Node>,
    /// Whether any directory has a redirect.
    pub(crate) redirects: bool,
}

impl Status {
    pub(crate) fn of(stat: &Stat) -> Status {
        let kind = FileKind::of(stat);
        let is_device = matches!(kind, FileKind::CharDevice | FileKind::BlockDevice);
        Status {
            kind,
            mode: stat.st_mode & 0o7777,
            owner: (stat.st_uid, stat.st_gid),
            modified: (stat.st_mtime as _, stat.st_mtime_nsec as _),
            size: if kind == FileKind::File { stat.st_size as u64 } else { 0 },
            device: if is_device { stat.st_rdev as _ } else { 0 },
        }
    }

    /// The status of a name; `None` where there is nothing.
    pub(crate) fn at(dir: &Root, name: impl AsRef<Path>) -> Result<Option<Status>, IoError> {
        Ok(dir.lstat(name)?.as_ref().map(Status::of))
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.kind == FileKind::Directory
    }
}

impl Node {
    /// Whether only a file's metadata lies here, and its data elsewhere.
    pub(crate) fn is_metacopy(&self) -> bool {
        self.marks.metacopy && self.status.kind == FileKind::File
    }

    fn read(
        dir: &Root,
        name: OsString,
        prefix: Prefix,
        parent: Option<Opaque>,
    ) -> Result<Option<Node>, IoError> {
        let Some(status) = Status::at(dir, &name)? else { return Ok(None) };
        if status.kind == FileKind::CharDevice && status.device == 0 {
            let (marks, xattrs) = (Marks::default(), Xattrs::default());
            return Ok(Some(Node { name, status, whiteout: true, marks, xattrs, children: 0..0 }));
        }
        let (marks, xattrs) = prefix.split(Xattrs::read(dir, Path::new(&name))?);
        let whiteout = marks.whiteout
            && parent == Some(Opaque::ByAttribute)
            && status.kind == FileKind::File
            && status.size == 0;
        Ok(Some(Node { name, status, whiteout, marks, xattrs, children: 0..0 }))
    }
}

impl Upper {
    /// Reads all of it.
    pub(crate) fn read(root: &Root, prefix: Prefix) -> Result<Upper, IoError> {
        Upper::read_but(root, prefix, &[])
    }

    /// Reads all but what some directories contain, which are named by their paths.
    pub(crate) fn read_but(root: &Root, prefix: Prefix, closed: &[PathBuf]) -> Result<Upper, IoError> {
        let mut upper = Upper { nodes: Vec::new(), redirects: false };
        upper.nodes.extend(Node::read(root, OsString::new(), prefix, None)?);
        let mut place = Place::top(root);
        let mut unread = vec![upper.read_children(&mut place, 0, prefix)?];
        while let Some(children) = unread.last_mut() {
            let Some(index) = children.next() else {
                unread.pop();
                place.pop();
                continue;
            };
            let Some(node) = upper.nodes.get(index).filter(|node| node.status.is_dir()) else { continue };
            upper.redirects |= node.marks.redirect.is_some();
            place.push(&node.name);
            if closed.iter().any(|path| path == place.path()) {
                place.pop();
                continue;
            }
            unread.push(upper.read_children(&mut place, index, prefix)?);
        }
        Ok(upper)
    }

    /// The entries of a directory, as nodes.
    pub(crate) fn children(&self, index: usize) -> &[Node] {
        &self.nodes[self.nodes[index].children.clone()]
    }

    /// Whether there is something other than a whiteout or a directory under a path.
    pub(crate) fn has_file(&self, path: &Path) -> bool {
        let mut place = 0;
        for part in path.components() {
            let name = part.as_os_str();
            let Some(node) = self.nodes.get(place) else { return false };
            match node.children.clone().find(|&child| self.nodes[child].name == name) {
                Some(child) => place = child,
                None => return false,
            }
        }
        self.nodes.get(place).is_some_and(|node| !node.whiteout && !node.status.is_dir())
    }

    /// Every name but the root, with its path from there; directories come before what is in them.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (PathBuf, &Node)> {
        let mut path = PathBuf::new();
        let mut unread = vec![self.nodes.first().map_or(0..0, |root| root.children.clone())];
        std::iter::from_fn(move || {
            loop {
                let Some(index) = unread.last_mut()?.next() else {
                    unread.pop();
                    path.pop();
                    continue;
                };
                let Some(node) = self.nodes.get(index) else { continue };
                let found = path.join(&node.name);
                if node.status.is_dir() {
                    path.push(&node.name);
                    unread.push(node.children.clone());
                }
                return Some((found, node));
            }
        })
    }

    fn read_children(
        &mut self,
        place: &mut Place<'_>,
        index: usize,
        prefix: Prefix,
    ) -> Result<Range<usize>, IoError> {
        let dir = place.dir()?;
        let opaque = self.nodes.get(index).and_then(|node| node.marks.opaque);
        let mut names: Vec<OsString> = dir.entries()?.into_iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        let first = self.nodes.len();
        for name in names {
            self.nodes.extend(Node::read(dir, name, prefix, opaque)?);
        }
        let children = first..self.nodes.len();
        if let Some(node) = self.nodes.get_mut(index) {
            node.children = children.clone();
        }
        Ok(children)
    }
}
