//! A tree as brute force sees it, and whether a list of changes leads from one tree to another.
//! Nothing here uses the code under test but its types.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use onlay::overlay::changes::{Change, ChangeKind};
use onlay::sys::FileKind;

/// All of a file that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    kind: FileKind,
    content: Vec<u8>,
    device: u64,
    mode: u32,
    owner: (u32, u32),
    modified: Option<(i64, i64)>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Everything below a directory, and the directory itself as the empty path.
pub(crate) type Tree = BTreeMap<PathBuf, Seen>;

pub(crate) fn read_tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut unread = vec![PathBuf::new()];
    while let Some(path) = unread.pop() {
        let full = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(&path) };
        // In a directory of the upper alone, the kernel lists whiteouts that it does not find.
        let Some(seen) = look(&full) else { continue };
        if seen.kind == FileKind::Directory {
            for entry in fs::read_dir(&full).expect("a directory can be read") {
                unread.push(path.join(entry.expect("an entry can be read").file_name()));
            }
        }
        tree.insert(path, seen);
    }
    tree
}

fn look(path: &Path) -> Option<Seen> {
    let status = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        other => other.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    };
    let file_type = status.file_type();
    let (kind, content) = if file_type.is_dir() {
        (FileKind::Directory, Vec::new())
    } else if file_type.is_symlink() {
        let target = fs::read_link(path).expect("a link can be read");
        (FileKind::Symlink, target.as_os_str().as_bytes().to_vec())
    } else if file_type.is_file() {
        let content = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (FileKind::File, content)
    } else if file_type.is_fifo() {
        (FileKind::Fifo, Vec::new())
    } else if file_type.is_socket() {
        (FileKind::Socket, Vec::new())
    } else if file_type.is_char_device() {
        (FileKind::CharDevice, Vec::new())
    } else {
        (FileKind::BlockDevice, Vec::new())
    };
    Some(Seen {
        kind,
        content,
        device: status.rdev(),
        mode: status.mode(),
        owner: (status.uid(), status.gid()),
        modified: (!file_type.is_dir()).then(|| (status.mtime(), status.mtime_nsec())),
        xattrs: read_xattrs(path),
    })
}

fn read_xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut buffer = vec![0; 65536];
    let length = rustix::fs::llistxattr(path, &mut buffer[..]).expect("attributes can be listed");
    let names: Vec<Vec<u8>> = buffer[..length]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    names
        .into_iter()
        .map(|name| {
            let length =
                rustix::fs::lgetxattr(path, &name[..], &mut buffer[..]).expect("an attribute can be read");
            (name, buffer[..length].to_vec())
        })
        .collect()
}

impl Seen {
    fn same_content(&self, other: &Seen) -> bool {
        (self.kind, &self.content, self.device) == (other.kind, &other.content, other.device)
    }

    fn size(&self) -> u64 {
        if self.kind == FileKind::File { self.content.len() as u64 } else { 0 }
    }
}

/// Applies the changes to `base` as their documentation says, and finds out whether this gives
/// `merged`, with no change too many.
pub(crate) fn verify(base: &Tree, merged: &Tree, changes: &[Change]) -> Result<(), String> {
    let of = |kind: ChangeKind| changes.iter().filter(move |change| change.kind == kind);
    check_order(changes)?;
    let mut tree = base.clone();
    for change in of(ChangeKind::Removed) {
        let old =
            tree.remove(below(&change.path)).ok_or_else(|| complain("removed but not there", change))?;
        check(old.size() == change.size && old.kind == change.file, "a wrong size or kind", change)?;
    }
    for (path, seen) in moved(&mut tree, changes)? {
        check_free(&tree, &path)?;
        tree.insert(path, seen);
    }
    for change in changes {
        let path = below(&change.path);
        let now = merged.get(path);
        match change.kind {
            ChangeKind::Removed => continue,
            ChangeKind::Renamed => {
                let size = now.is_some_and(|now| now.kind == change.file) && change.size == 0;
                check(size, "renamed, with a wrong size or kind", change)?;
                continue;
            }
            ChangeKind::Added => check(!tree.contains_key(path), "added but there", change)?,
            ChangeKind::Changed => {
                let old = tree.get(path).ok_or_else(|| complain("changed but not there", change))?;
                check(now.is_some_and(|now| !now.same_content(old)), "changed but the same", change)?;
            }
            ChangeKind::Metadata => {
                let old = tree.get(path).ok_or_else(|| complain("metadata of nothing", change))?;
                let differs = now.is_some_and(|now| now.same_content(old) && now != old);
                check(differs, "not only metadata differs, or it does not", change)?;
            }
        }
        let now = now.ok_or_else(|| complain("not in the merged view", change))?;
        let size = if change.kind == ChangeKind::Metadata { 0 } else { now.size() };
        check(size == change.size && now.kind == change.file, "a wrong size or kind", change)?;
        tree.insert(path.to_owned(), now.clone());
    }
    compare(&tree, merged)
}

/// Takes what was renamed out of a tree, the innermost first, and gives it with its new paths.
fn moved(tree: &mut Tree, changes: &[Change]) -> Result<Vec<(PathBuf, Seen)>, String> {
    let mut renames: Vec<(&Path, &Change)> =
        changes.iter().filter_map(|change| Some((below(change.from.as_ref()?), change))).collect();
    renames.sort_by_key(|(from, _)| std::cmp::Reverse(from.components().count()));
    let mut moved = Vec::new();
    for (from, change) in renames {
        check(change.kind == ChangeKind::Renamed, "only a rename has a former path", change)?;
        let taken: Vec<PathBuf> = tree.keys().filter(|path| path.starts_with(from)).cloned().collect();
        check(taken.iter().any(|path| path == from), "renamed from nothing", change)?;
        for path in taken {
            let rest = path.strip_prefix(from).expect("it starts with it");
            let to = below(&change.path);
            let new = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            moved.push((new, tree.remove(&path).expect("it was just found")));
        }
    }
    Ok(moved)
}

fn compare(tree: &Tree, merged: &Tree) -> Result<(), String> {
    for (path, seen) in tree {
        match merged.get(path) {
            None => return Err(format!("{} is gone, and nothing says so", path.display())),
            Some(now) if now != seen => {
                return Err(format!("{} differs, and nothing says so: {seen:?} {now:?}", path.display()));
            }
            Some(_) => {}
        }
    }
    match merged.keys().find(|path| !tree.contains_key(*path)) {
        Some(path) => Err(format!("{} is new, and nothing says so", path.display())),
        None => Ok(()),
    }
}

fn check_order(changes: &[Change]) -> Result<(), String> {
    let keys: Vec<(PathBuf, ChangeKind)> =
        changes.iter().map(|change| (change.path.clone(), change.kind)).collect();
    match keys.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) => Err(format!("not sorted, or twice the same: {pair:?}")),
        None => Ok(()),
    }
}

fn check_free(tree: &Tree, path: &Path) -> Result<(), String> {
    if tree.contains_key(path) {
        Err(format!("{} was renamed to, but is there", path.display()))
    } else {
        Ok(())
    }
}

fn check(holds: bool, complaint: &str, change: &Change) -> Result<(), String> {
    if holds { Ok(()) } else { Err(complain(complaint, change)) }
}

fn complain(complaint: &str, change: &Change) -> String {
    format!("{complaint}: {change:?}")
}

fn below(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// A name that is no UTF-8.
pub(crate) fn odd_name() -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(b"odd\xff:\\ \n".to_vec())
}
