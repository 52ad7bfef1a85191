//! Another tree seen over one that is checked out: what differs, laid into a directory that is to be a lower layer of overlayfs above the
//! checkout. It costs what differs, not what there is.

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

use super::attributes;
use super::checksum::Checksum;
use super::difference::{DEEPEST, too_deep};
use super::error::Error;
use super::object::{DirTree, Directory, Item};
use super::repo::Repository;
use crate::sys::{Context, Root, Xattrs};

/// How overlayfs's notes begin.
const NOTES: &[u8] = b"trusted.overlay.";

/// What was laid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Laid {
    /// Files and links, most of them hard links of objects.
    pub files: u64,
    /// Directories, without the top.
    pub directories: u64,
    /// Names that are hidden, one by one.
    pub whiteouts: u64,
    /// Directories that hide all that is below them.
    pub opaque: u64,
}

/// Lays what is to be above a checkout of `before`, so that `after` is seen, into an empty directory on the file system of the
/// repository. Whoever shares the repository's lock ([`Repository::share`]) from before until it is seen no more has no prune come in between.
///
/// Files there are objects, under one more name: nothing may write to them, as nothing does below an overlay. What a deployment
/// has that is not of its commit (`/etc`) is seen as it is.
pub fn lay(repository: &Repository, before: Directory, after: Directory, into: &Root) -> Result<Laid, Error> {
    let mut layer = Layer { repository, laid: Laid::default() };
    layer.fill(Some(before), after, into, 0)?;
    Ok(layer.laid)
}

struct Layer<'r> {
    repository: &'r Repository,
    laid: Laid,
}

impl Layer<'_> {
    /// Fills a directory that is to be `after`, over what `before` has there.
    fn fill(
        &mut self,
        before: Option<Directory>,
        after: Directory,
        into: &Root,
        depth: usize,
    ) -> Result<(), Error> {
        if depth > DEEPEST {
            return Err(too_deep(after.tree));
        }
        let below = match before {
            Some(before) => self.repository.tree(before.tree)?,
            None => DirTree::default(),
        };
        let wanted = self.repository.tree(after.tree)?;
        let hides = below.0.keys().any(|name| !wanted.0.contains_key(name));
        let is_opaque = hides && !shows_through(&below, &wanted);
        for (name, item) in &wanted.0 {
            let old = below.0.get(name).copied().filter(|_| !is_opaque);
            if old != Some(*item) {
                self.put(old, *item, into, OsStr::new(name), depth)?;
            }
        }
        if is_opaque {
            self.laid.opaque += 1;
        } else {
            for name in below.0.keys().filter(|name| !wanted.0.contains_key(*name)) {
                self.hide(into, OsStr::new(name))?;
            }
        }
        // Last, since all that is written into it changes its time.
        let mut metadata = self.repository.metadata(after.meta)?;
        // In a lower layer these are no attributes, but notes.
        metadata.xattrs.0.retain(|name, _| !name.starts_with(NOTES));
        attributes::give(into, OsStr::new("."), &metadata)?;
        if is_opaque {
            Xattrs::set(into, Path::new(""), &[NOTES, b"opaque"].concat(), b"y")?;
        }
        Ok(())
    }

    fn put(
        &mut self,
        old: Option<Item>,
        new: Item,
        into: &Root,
        name: &OsStr,
        depth: usize,
    ) -> Result<(), Error> {
        match new {
            Item::File(file) => self.link(file, into, name),
            Item::Directory(directory) => {
                let before = match old {
                    Some(Item::Directory(before)) => Some(before),
                    _ => None,
                };
                into.make_dir(name, 0o700)?;
                self.laid.directories += 1;
                self.fill(before, directory, &into.open_child(name)?, depth + 1)
            }
        }
    }

    fn link(&mut self, file: Checksum, into: &Root, name: &OsStr) -> Result<(), Error> {
        let root = self.repository.root();
        let path = Repository::file(file);
        match rustix::fs::linkat(root, &path, into, name, AtFlags::empty()) {
            Ok(()) => {}
            // No more names, or another file system.
            Err(Errno::MLINK | Errno::XDEV) => {
                let (parent, last) = path.rsplit_once('/').unwrap_or(("", &path));
                attributes::copy(&root.open_dir(parent)?, OsStr::new(last), into, name)?;
            }
            Err(Errno::NOENT) => {
                return Err(Error::Missing { object: file.as_object(super::ObjectKind::File) });
            }
            Err(error) => Err(error).context("link", into.join(name))?,
        }
        self.laid.files += 1;
        Ok(())
    }

    fn hide(&mut self, into: &Root, name: &OsStr) -> Result<(), Error> {
        let device = rustix::fs::makedev(0, 0);
        rustix::fs::mknodat(into, name, FileType::CharacterDevice, Mode::empty(), device)
            .context("create whiteout", into.join(name))?;
        self.laid.whiteouts += 1;
        Ok(())
    }
}

/// Whether something of a directory is still wanted: it itself, or parts of a directory in it.
fn shows_through(below: &DirTree, wanted: &DirTree) -> bool {
    below.0.iter().any(|(name, old)| match (old, wanted.0.get(name)) {
        (Item::Directory(_), Some(Item::Directory(_))) => true,
        (old, Some(new)) => old == new,
        _ => false,
    })
}
