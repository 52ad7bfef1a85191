//! What all sources bring, as one tree.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::base::stack;
use super::error::Error;
use super::gather::{Brought, What};
use super::placing;
use crate::extension::Contents;
use crate::image::squashfs::StoredFile;
use crate::image::tree::{Kind, Metadata, Node};
use crate::image::{self, Tree};
use crate::package::digest::FileDigest;
use crate::sys::{FileKind, Xattrs};

/// All files, by path, with the number of the source that each is from.
pub(super) struct Assembly<'a> {
    base: &'a dyn Contents,
    /// The time of what no source has a time for.
    time: i64,
    sources: Vec<PathBuf>,
    files: BTreeMap<PathBuf, (usize, Brought)>,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(base: &'a dyn Contents, time: i64) -> Assembly<'a> {
        Assembly { base, time, sources: Vec::new(), files: BTreeMap::new() }
    }

    /// Adds what a source brings. Two may have one file if it is the same in both.
    pub(super) fn add(&mut self, source: PathBuf, files: Vec<Brought>) -> Result<(), Error> {
        let number = self.sources.len();
        self.sources.push(source);
        for mut brought in files {
            brought.metadata.mtime = brought.metadata.mtime.min(self.time);
            match self.files.entry(brought.path.clone()) {
                Slot::Vacant(slot) => drop(slot.insert((number, brought))),
                Slot::Occupied(slot) => {
                    let (first, known) = slot.get();
                    if !is_same(known, &brought) {
                        return Err(Error::Twice {
                            path: brought.path,
                            one: self.sources[*first].clone(),
                            other: self.sources[number].clone(),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// Lines for tmpfiles.d(5) that put defaults where they belong; none where there are no defaults. Owners who are made where
    /// the extension is have them by their names.
    pub(super) fn default_lines(&self, made: &BTreeSet<OsString>) -> Vec<u8> {
        let mut lines = Vec::new();
        for (_, brought) in self.files.values() {
            let Some(path) = &brought.default_of else { continue };
            match &brought.what {
                What::Directory if self.is_directory_of_base(path) => {}
                What::Directory => {
                    let owner = brought.owner_words(made);
                    let mode = brought.metadata.mode.into();
                    lines.extend(placing::directory_line(path, mode, owner.each_ref().map(String::as_str)));
                }
                What::Symlink(target) => lines.extend(placing::link_line(path, target)),
                What::File(..) | What::Hardlink(_) => {
                    let is_named = brought.owner.iter().flatten().any(|name| made.contains(name));
                    let owner = is_named.then(|| brought.owner_words(made));
                    let words = owner.as_ref().map(|owner| owner.each_ref().map(String::as_str));
                    lines.extend(placing::copy_line(path, words));
                }
            }
        }
        lines
    }

    /// The defaults, by the paths where they go.
    pub(super) fn defaults(&self) -> Vec<PathBuf> {
        let files = self.files.values().filter(|(_, brought)| brought.what != What::Directory);
        files.filter_map(|(_, brought)| brought.default_of.clone()).collect()
    }

    /// Whether there is anything but directories.
    pub(super) fn is_empty(&self) -> bool {
        self.files.values().all(|(_, brought)| brought.what == What::Directory)
    }

    /// The paths of all files, with what each is.
    pub(super) fn paths(&self) -> impl Iterator<Item = (&Path, &Brought)> {
        self.files.iter().map(|(path, (_, brought))| (path.as_path(), brought))
    }

    /// All names of files with contents, with their digest; further names of one come without where it is stored.
    pub(super) fn contents(&self) -> impl Iterator<Item = (&Path, Option<&StoredFile>, &FileDigest)> {
        self.files.iter().filter_map(|(path, (_, brought))| match &brought.what {
            What::File(stored, digest) => Some((path.as_path(), Some(stored), digest)),
            What::Hardlink(to) => match &self.files.get(to)?.1.what {
                What::File(_, digest) => Some((path.as_path(), None, digest)),
                _ => None,
            },
            _ => None,
        })
    }

    /// Takes directories away of which all was left out, and what is above them where that was all.
    pub(super) fn prune(&mut self, emptied: &BTreeSet<PathBuf>) {
        // What is below first.
        for directory in emptied.iter().rev() {
            for path in directory.ancestors() {
                let is_directory =
                    self.files.get(path).is_some_and(|(_, brought)| brought.what == What::Directory);
                let below = self.files.range(path.to_owned()..).nth(1);
                if !is_directory || below.is_some_and(|(below, _)| below.starts_with(path)) {
                    break;
                }
                self.files.remove(path);
            }
        }
    }

    /// The tree of the image.
    pub(super) fn tree(&self) -> Result<Tree<StoredFile>, Error> {
        let mut tree = Tree::new(self.directory(Path::new("")));
        for (path, (number, brought)) in &self.files {
            self.make_parents(&mut tree, path, *number)?;
            let kind = match &brought.what {
                What::Directory => {
                    self.insert_directory(&mut tree, path, brought)?;
                    continue;
                }
                What::File(stored, _) => Kind::File(*stored),
                What::Symlink(target) => Kind::Symlink(target.as_bytes().to_vec()),
                // When all files that have contents are there.
                What::Hardlink(_) => continue,
            };
            tree.insert(path.as_os_str().as_bytes(), Node::new(brought.metadata.clone(), kind))?;
        }
        for (path, (number, brought)) in &self.files {
            let What::Hardlink(to) = &brought.what else { continue };
            let Some(id) = tree.find(to.as_os_str().as_bytes()) else {
                return Err(Error::Impossible {
                    from: self.sources[*number].clone(),
                    path: path.clone(),
                    why: "is another name of a file that is left out",
                });
            };
            tree.link(path.as_os_str().as_bytes(), id)?;
        }
        Ok(tree)
    }

    fn insert_directory(
        &self,
        tree: &mut Tree<StoredFile>,
        path: &Path,
        brought: &Brought,
    ) -> Result<(), image::Error> {
        // What is merged shows the metadata of the topmost layer, and the base's directories stay as they are.
        let of_base = if brought.is_own { None } else { self.of_base(path) };
        let metadata = of_base.unwrap_or_else(|| brought.metadata.clone());
        tree.insert(path.as_os_str().as_bytes(), Node::directory(metadata)).map(drop)
    }

    /// The directories above a path that no source brings.
    fn make_parents(&self, tree: &mut Tree<StoredFile>, path: &Path, number: usize) -> Result<(), Error> {
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.pop();
        for parent in above.into_iter().rev() {
            match tree.find(parent.as_os_str().as_bytes()).map(|id| &tree.node(id).kind) {
                Some(Kind::Directory(_)) => {}
                Some(_) => {
                    let from = self.sources[number].clone();
                    return Err(Error::Below { path: path.to_owned(), from, above: parent.to_owned() });
                }
                None => {
                    let node = Node::directory(self.directory(parent));
                    tree.insert(parent.as_os_str().as_bytes(), node)?;
                }
            }
        }
        Ok(())
    }

    fn directory(&self, path: &Path) -> Metadata {
        let plain = Metadata { mode: 0o755, mtime: self.time, ..Metadata::default() };
        self.of_base(path).unwrap_or(plain)
    }

    /// The metadata of a directory that the base has, but for its time.
    fn of_base(&self, path: &Path) -> Option<Metadata> {
        let item = self.base.look(path).ok()??;
        (item.kind == FileKind::Directory).then(|| Metadata {
            mode: item.mode as u16,
            uid: item.uid,
            gid: item.gid,
            mtime: self.time,
            xattrs: Xattrs::default(),
        })
    }

    fn is_directory_of_base(&self, path: &Path) -> bool {
        stack(self.base)
            .resolve(path)
            .is_ok_and(|found| found.is_some_and(|found| found.item.kind == FileKind::Directory))
    }
}

impl Brought {
    /// User and group in words: the names of those who are made where the extension is, else numbers.
    fn owner_words(&self, made: &BTreeSet<OsString>) -> [String; 2] {
        let Metadata { uid, gid, .. } = self.metadata;
        let word = |name: &Option<OsString>, number: u32| match name {
            Some(name) if made.contains(name) => name.to_string_lossy().into_owned(),
            _ => number.to_string(),
        };
        [word(&self.owner[0], uid), word(&self.owner[1], gid)]
    }
}

/// Whether two files of one name can be one: directories, links with one target, files with the same content and owner.
fn is_same(one: &Brought, other: &Brought) -> bool {
    let have_same_owner = || {
        let of = |brought: &Brought| {
            let Metadata { mode, uid, gid, .. } = brought.metadata;
            (mode, uid, gid)
        };
        of(one) == of(other)
    };
    match (&one.what, &other.what) {
        (What::Directory, What::Directory) => true,
        (What::Symlink(one), What::Symlink(other)) => one == other,
        (What::File(_, one), What::File(_, other)) => one == other && have_same_owner(),
        _ => false,
    }
}
