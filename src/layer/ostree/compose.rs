//! A tree made of a base's and what an overlay's upper says, reading and writing only the directories that the upper mentions.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::attributes;
use super::checksum::{Checksum, ObjectKind};
use super::difference::DEEPEST;
use super::error::{Error, Unfit, Why};
use super::labels::Labels;
use super::object::{DirTree, Directory, Item, Metadata};
use super::transaction::{Transaction, remove};
use crate::overlay::changes::marks::{Opaque, Prefix};
use crate::overlay::changes::upper::{Node, Upper};
use crate::sys::{Context, FileKind, Root, Xattrs, fill};

/// What a tree is to be made of.
#[derive(Debug)]
pub struct Composition<'a> {
    /// The tree that the overlay lay over, however it was shown: as a checkout, or by [`lay`](super::lay).
    pub base: Directory,
    /// What was written, which is mounted nowhere now. Its notes of overlayfs are read and not taken over; it must have been mounted
    /// without `redirect_dir` and `metacopy`. Its top has owner, mode and attributes of the root.
    pub upper: &'a Root,
    /// Paths from its top that are left out with all that is in them: what is the machine's own (`var`, `etc`), and places
    /// for mounts.
    pub without: &'a [PathBuf],
}

/// How much of a file is read at a time.
const BLOCK: usize = 256 * 1024;
/// The name of a file whose checksum is not known yet.
const ASIDE: &str = "new";

impl Transaction<'_> {
    /// Writes the objects of such a tree that are not there yet, and says what it is. It equals the base where nothing has changed.
    /// All that no commit can have is found before anything is written ([`Error::Unfit`]), but for links that say what is not UTF-8.
    pub fn compose(&mut self, composition: &Composition<'_>) -> Result<Directory, Error> {
        self.compose_labelled(composition, None)
    }

    /// The same, with labels on all that the upper has.
    pub(super) fn compose_labelled(
        &mut self,
        composition: &Composition<'_>,
        labels: Option<Labels<'_>>,
    ) -> Result<Directory, Error> {
        let mut upper = Upper::read_but(composition.upper, Prefix::Trusted, composition.without)?;
        let unfit = unfit(&upper, composition.without);
        if !unfit.is_empty() {
            return Err(Error::Unfit(unfit));
        }
        if let Some(labels) = labels {
            labels.put_on(&mut upper)?;
        }
        let without = composition.without;
        let mut composer = Composer {
            transaction: self,
            upper: &upper,
            without,
            path: PathBuf::new(),
            links: HashMap::new(),
            buffer: vec![0; BLOCK],
        };
        let Some(top) = upper.nodes.first() else { return Ok(composition.base) };
        composer.directory(top, composition.upper, Some(composition.base))
    }
}

struct Composer<'c, 'r> {
    transaction: &'c mut Transaction<'r>,
    upper: &'c Upper,
    without: &'c [PathBuf],
    /// Where it is.
    path: PathBuf,
    /// Files with several names that are done, by device and inode. Their labels go by the names.
    links: HashMap<(u64, u64), (Xattrs, Checksum)>,
    buffer: Vec<u8>,
}

impl Composer<'_, '_> {
    /// A directory of the upper, over one of the base. It is no deeper than [`DEEPEST`].
    fn directory(&mut self, node: &Node, dir: &Root, base: Option<Directory>) -> Result<Directory, Error> {
        let mut tree = match base {
            Some(base) => self.transaction.tree(base.tree)?,
            None => DirTree::default(),
        };
        let mut is_same = base.is_some();
        let upper = self.upper;
        for child in upper.nodes.get(node.children.clone()).unwrap_or_default() {
            let Some(name) = child.name.to_str() else { continue };
            self.path.push(name);
            if !is_in(&self.path, self.without) {
                let old = tree.0.get(name).copied();
                let new = self.item(child, dir, old)?;
                is_same &= old == new;
                match new {
                    Some(item) => tree.0.insert(name.to_owned(), item),
                    None => tree.0.remove(name),
                };
            }
            self.path.pop();
        }
        let tree = match base.filter(|_| is_same) {
            Some(base) => base.tree,
            None => self.transaction.write_tree(&tree)?,
        };
        Ok(Directory { tree, meta: self.transaction.write_metadata(&metadata(node))? })
    }

    /// What a name of the upper is in the tree; `None` where it hides one.
    fn item(&mut self, node: &Node, dir: &Root, old: Option<Item>) -> Result<Option<Item>, Error> {
        if node.whiteout {
            return Ok(None);
        }
        let item = match node.status.kind {
            FileKind::Directory => {
                let below = match old {
                    Some(Item::Directory(below)) if node.marks.opaque != Some(Opaque::Wholly) => Some(below),
                    _ => None,
                };
                Item::Directory(self.directory(node, &dir.open_child(&node.name)?, below)?)
            }
            FileKind::Symlink => Item::File(self.link(node, dir)?),
            _ => Item::File(self.file(node, dir)?),
        };
        Ok(Some(item))
    }

    fn link(&mut self, node: &Node, dir: &Root) -> Result<Checksum, Error> {
        let target = dir.read_link(&node.name)?;
        let Some(target) = target.to_str() else {
            return Err(Error::Unfit(vec![Unfit { path: self.path.clone(), why: Why::Target }]));
        };
        let metadata = metadata(node);
        let checksum = Checksum::of(&metadata.file_header(target));
        let object = checksum.as_object(ObjectKind::File);
        if !self.transaction.has(object)? {
            let (staging, name) = (&self.transaction.staging, object.to_string());
            rustix::fs::symlinkat(target, staging, &name).context("create link", staging.join(&name))?;
            attributes::give(staging, OsStr::new(&name), &metadata)?;
            self.transaction.add(object, target.len() as u64);
        }
        Ok(checksum)
    }

    fn file(&mut self, node: &Node, dir: &Root) -> Result<Checksum, Error> {
        let file = dir.open_child_file(&node.name)?;
        let status = file.metadata().context("examine", dir.join(&node.name))?;
        let inode = (status.dev(), status.ino());
        if let Some((xattrs, done)) = self.links.get(&inode).filter(|_| status.nlink() > 1)
            && *xattrs == node.xattrs
        {
            return Ok(*done);
        }
        let checksum = self.content(node, dir, &file)?;
        if status.nlink() > 1 {
            self.links.insert(inode, (node.xattrs.clone(), checksum));
        }
        Ok(checksum)
    }

    fn content(&mut self, node: &Node, dir: &Root, file: &File) -> Result<Checksum, Error> {
        let path = || dir.join(&node.name);
        // Mostly it is there: of this package in another base, or of the base, where it was only opened for writing.
        let (checksum, is_in_buffer) = self.read(node, file, None).context("read", path())?;
        if self.transaction.has(checksum.as_object(ObjectKind::File))? {
            self.transaction.seal_object(checksum)?;
            return Ok(checksum);
        }
        if !self.transaction.take_room(node.status.size) {
            // The rest is counted, and nothing more written of it, before it is refused.
            return Ok(checksum);
        }
        remove(&self.transaction.staging, OsStr::new(ASIDE))?;
        let copy = File::from(self.transaction.staging.make_file(ASIDE, 0o600)?);
        let checksum = if is_in_buffer {
            let length = usize::try_from(node.status.size).unwrap_or(BLOCK).min(BLOCK);
            (&copy).write_all(&self.buffer[..length]).context("copy", path())?;
            checksum
        } else {
            (&mut &*file).seek(SeekFrom::Start(0)).context("read", path())?;
            self.read(node, file, Some(&copy)).context("copy", path())?.0
        };
        drop(copy);
        let object = checksum.as_object(ObjectKind::File);
        if !self.transaction.has(object)? {
            self.transaction.seal_new(ASIDE)?;
            let staging = &self.transaction.staging;
            attributes::give(staging, OsStr::new(ASIDE), &metadata(node))?;
            rustix::fs::renameat(staging, ASIDE, staging, object.to_string())
                .context("rename", staging.join(ASIDE))?;
            self.transaction.add(object, node.status.size);
        }
        Ok(checksum)
    }

    /// Reads all of a file for its checksum, and writes it to another one, holes as holes. Whether all of it is in the buffer now, is told, too.
    fn read(
        &mut self,
        node: &Node,
        mut file: &File,
        copy: Option<&File>,
    ) -> std::io::Result<(Checksum, bool)> {
        let mut digest = Sha256::new_with_prefix(metadata(node).file_header(""));
        let status = file.metadata()?;
        let is_sparse = status.blocks() * 512 < status.len();
        let mut length = 0;
        loop {
            let count = fill(&mut file, &mut self.buffer)?;
            if count == 0 {
                break;
            }
            let block = &self.buffer[..count];
            digest.update(block);
            length += count as u64;
            if let Some(mut copy) = copy {
                if is_sparse && block.iter().all(|&byte| byte == 0) {
                    copy.seek(SeekFrom::Start(length))?;
                } else {
                    copy.write_all(block)?;
                }
            }
        }
        if let Some(copy) = copy.filter(|_| is_sparse) {
            copy.set_len(length)?;
        }
        Ok((Checksum(digest.finalize().into()), length <= BLOCK as u64 && length == node.status.size))
    }
}

fn metadata(node: &Node) -> Metadata {
    let status = &node.status;
    let kind = match status.kind {
        FileKind::Directory => 0o040_000,
        FileKind::Symlink => 0o120_000,
        _ => 0o100_000,
    };
    let (uid, gid) = status.owner;
    Metadata { uid, gid, mode: kind | status.mode, xattrs: node.xattrs.clone() }
}

fn is_in(path: &Path, paths: &[PathBuf]) -> bool {
    paths.iter().any(|other| path.starts_with(other))
}

/// All of an upper that no commit can have.
fn unfit(upper: &Upper, without: &[PathBuf]) -> Vec<Unfit> {
    let wanted = upper.paths().filter(|(path, _)| !is_in(path, without));
    wanted.filter_map(|(path, node)| Some(Unfit { why: why_unfit(&path, node)?, path })).collect()
}

fn why_unfit(path: &Path, node: &Node) -> Option<Why> {
    let is_elsewhere = node.is_metacopy() || (node.marks.redirect.is_some() && node.status.is_dir());
    match node.status.kind {
        _ if node.whiteout => None,
        _ if node.name.to_str().is_none() => Some(Why::Name),
        _ if is_elsewhere => Some(Why::Elsewhere),
        _ if path.components().count() > DEEPEST => Some(Why::Depth),
        kind if kind != FileKind::Directory && !attributes::is_object(kind) => Some(Why::Kind(kind)),
        _ => None,
    }
}
