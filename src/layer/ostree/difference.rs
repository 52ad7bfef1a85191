//! How two trees differ, by their checksums: directories that are alike are not even opened, so it costs what differs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::checksum::{Checksum, ObjectKind};
use super::error::Error;
use super::object::{DirTree, Directory, Item};
use super::repo::Repository;

/// A path under which two trees have something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where, from the root; the root itself is the empty path.
    pub path: PathBuf,
    /// What the first tree has there.
    pub before: Option<Item>,
    /// What the second has.
    pub after: Option<Item>,
}

/// Directories are no deeper in each other than this (OSTREE_MAX_RECURSION).
pub(super) const DEEPEST: usize = 256;

/// All differences, sorted by path. A directory that only one has is followed by everything in it; one that both have is there only where its
/// owner, mode or attributes differ.
pub fn differences(
    repository: &Repository,
    before: Directory,
    after: Directory,
) -> Result<Vec<Difference>, Error> {
    let mut found = Vec::new();
    let items = [Some(Item::Directory(before)), Some(Item::Directory(after))];
    let mut unread = vec![(PathBuf::new(), items, 0)];
    while let Some((path, items, depth)) = unread.pop() {
        let trees = items.map(tree_of);
        if trees[0] != trees[1] {
            check_depth(depth, trees)?;
            let [one, other] = [read(repository, trees[0])?, read(repository, trees[1])?];
            for (name, items) in differing(&one, &other) {
                unread.push((path.join(name), items, depth + 1));
            }
        }
        let [before, after] = items;
        if !(trees[0].is_some() && trees[1].is_some() && meta_of(before) == meta_of(after)) {
            found.push(Difference { path, before, after });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Names under which two directories have something else.
fn differing<'t>(
    before: &'t DirTree,
    after: &'t DirTree,
) -> impl Iterator<Item = (&'t str, [Option<Item>; 2])> {
    let names: BTreeSet<&String> = before.0.keys().chain(after.0.keys()).collect();
    names.into_iter().filter_map(|name| {
        let items = [before.0.get(name).copied(), after.0.get(name).copied()];
        (items[0] != items[1]).then_some((name.as_str(), items))
    })
}

fn read(repository: &Repository, tree: Option<Checksum>) -> Result<DirTree, Error> {
    tree.map_or_else(|| Ok(DirTree::default()), |tree| repository.tree(tree))
}

fn tree_of(item: Option<Item>) -> Option<Checksum> {
    match item {
        Some(Item::Directory(directory)) => Some(directory.tree),
        _ => None,
    }
}

fn meta_of(item: Option<Item>) -> Option<Checksum> {
    match item {
        Some(Item::Directory(directory)) => Some(directory.meta),
        _ => None,
    }
}

fn check_depth(depth: usize, trees: [Option<Checksum>; 2]) -> Result<(), Error> {
    match trees.into_iter().flatten().next() {
        Some(tree) if depth >= DEEPEST => Err(too_deep(tree)),
        _ => Ok(()),
    }
}

pub(super) fn too_deep(tree: Checksum) -> Error {
    let what = format!("it is in more than {DEEPEST} directories");
    Error::Damaged { object: tree.as_object(ObjectKind::DirTree), what }
}
