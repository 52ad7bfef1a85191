//! What is seen when layers lie on each other, as overlayfs shows them: the files of extensions over those of the base.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::{Content, Contents, Error, Item};
use crate::sys::FileKind;

/// As many links in a row as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// One layer.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// The files in it.
    pub contents: &'a dyn Contents,
    /// The directories at its top that are laid, by their names; all of a base is there.
    pub hierarchies: Option<&'a [&'a str]>,
}

/// Layers, the topmost first. What was looked up is remembered.
#[derive(Debug)]
pub struct Stack<'a> {
    layers: Vec<Layer<'a>>,
    seen: RefCell<HashMap<PathBuf, Option<Rc<Node>>>>,
}

/// What is seen at one path.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    /// Its path, without links on the way.
    pub path: PathBuf,
    /// What it is, in its topmost layer.
    pub item: Item,
    /// The numbers of the layers that it comes from, the topmost first; of a directory, of all that are merged.
    pub layers: Vec<usize>,
}

impl Node {
    /// The topmost layer that it comes from.
    pub fn layer(&self) -> usize {
        self.layers.first().copied().unwrap_or_default()
    }
}

impl<'a> Stack<'a> {
    /// Layers on each other, the topmost first.
    pub fn new(layers: Vec<Layer<'a>>) -> Stack<'a> {
        Stack { layers, seen: RefCell::default() }
    }

    /// What has exactly this path, no link followed.
    pub fn at(&self, path: &Path) -> Result<Option<Rc<Node>>, Error> {
        if let Some(seen) = self.seen.borrow().get(path) {
            return Ok(seen.clone());
        }
        let found = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => match self.at(parent)? {
                Some(parent) if parent.item.kind == FileKind::Directory => self.child(&parent, name)?,
                _ => None,
            },
            _ => Some(self.top()),
        };
        let found = found.map(Rc::new);
        self.seen.borrow_mut().insert(path.to_owned(), found.clone());
        Ok(found)
    }

    /// What a path leads to after all links, from the top of the stack; `None` where that is nowhere, or a circle.
    pub fn resolve(&self, path: &Path) -> Result<Option<Rc<Node>>, Error> {
        let mut ahead: VecDeque<OsString> = parts(path);
        let mut here = PathBuf::new();
        let mut links = 0;
        while let Some(part) = ahead.pop_front() {
            if part == ".." {
                here.pop();
                continue;
            }
            here.push(part);
            let Some(node) = self.at(&here)? else { return Ok(None) };
            if node.item.kind == FileKind::Symlink {
                links += 1;
                if links > MOST_LINKS {
                    return Ok(None);
                }
                let target = self.layers[node.layer()].contents.link(&here)?;
                here = if target.is_absolute() { PathBuf::new() } else { above(&here) };
                for part in parts(&target).into_iter().rev() {
                    ahead.push_front(part);
                }
            } else if node.item.kind != FileKind::Directory && !ahead.is_empty() {
                return Ok(None);
            }
        }
        self.at(&here)
    }

    /// Opens the regular file of a node.
    pub fn open(&self, node: &Node) -> Result<Box<dyn Content>, Error> {
        self.layers[node.layer()].contents.open(&node.path)
    }

    /// What the link of a node says.
    pub fn link(&self, node: &Node) -> Result<PathBuf, Error> {
        self.layers[node.layer()].contents.link(&node.path)
    }

    /// The whole file that a path leads to, of at most so many bytes.
    pub fn read(&self, path: &Path, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        match self.resolve(path)? {
            Some(node) if node.item.kind == FileKind::File => {
                let contents = self.layers[node.layer()].contents;
                super::contents::read_whole(contents, &node.path, limit).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The names in the directory that a path leads to, sorted; none where it leads to none.
    pub fn list(&self, path: &Path) -> Result<Vec<OsString>, Error> {
        let Some(node) = self.resolve(path)? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        if node.item.kind == FileKind::Directory {
            for &layer in &node.layers {
                names.extend(self.layers[layer].contents.list(&node.path)?);
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn top(&self) -> Node {
        let item = Item { kind: FileKind::Directory, mode: 0o755, size: 0, device: 0, uid: 0, gid: 0 };
        Node { path: PathBuf::new(), item, layers: (0..self.layers.len()).collect() }
    }

    fn child(&self, parent: &Node, name: &OsStr) -> Result<Option<Node>, Error> {
        let path = parent.path.join(name);
        let mut found: Option<Node> = None;
        for &number in &parent.layers {
            let layer = &self.layers[number];
            let is_laid = |laid: &[&str]| laid.iter().any(|laid| *laid == name);
            if parent.path.as_os_str().is_empty() && !layer.hierarchies.is_none_or(is_laid) {
                continue;
            }
            let Some(item) = layer.contents.look(&path)? else { continue };
            if item.is_whiteout() {
                break;
            }
            let is_directory = item.kind == FileKind::Directory;
            match &mut found {
                // A directory is merged with those below, down to the first file.
                Some(node) if is_directory => node.layers.push(number),
                Some(_) => break,
                none => *none = Some(Node { path: path.clone(), item, layers: vec![number] }),
            }
            if !is_directory {
                break;
            }
        }
        Ok(found)
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

fn above(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::Directory;
    use crate::sys::Root;
    use std::os::unix::fs::symlink;

    fn tree(files: &[&str], links: &[(&str, &str)]) -> (tempfile::TempDir, Directory) {
        let place = tempfile::tempdir().expect("a directory");
        for name in files {
            let path = place.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it is below")).expect("a directory");
            std::fs::write(path, *name).expect("a file");
        }
        for (name, target) in links {
            let path = place.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it is below")).expect("a directory");
            symlink(target, path).expect("a link");
        }
        let contents = Directory::new(Root::open(place.path()).expect("it opens"));
        (place, contents)
    }

    #[test]
    fn the_topmost_is_seen_and_directories_are_merged() {
        let (_one, upper) = tree(
            &["usr/bin/both", "usr/bin/upper", "usr/lib64/x", "etc/upper"],
            &[
                ("usr/bin/link", "../lib/lower"),
                ("usr/bin/circle", "circle"),
                ("usr/file", "bin"),
                ("usr/bin/out", "/../../../etc/lower"),
            ],
        );
        let (_other, lower) = tree(
            &["usr/bin/both", "usr/bin/lower", "usr/lib/lower", "etc/lower", "usr/file/x"],
            &[("lib64", "usr/lib64"), ("usr/lib64", "lib")],
        );
        let stack = Stack::new(vec![
            Layer { contents: &upper, hierarchies: Some(&["usr", "opt"]) },
            Layer { contents: &lower, hierarchies: None },
        ]);
        let resolve = |path: &str| {
            let found = stack.resolve(Path::new(path)).expect("it can be read");
            found.map(|node| format!("{} {}", node.path.display(), node.layer()))
        };
        for (path, expected) in [
            ("/usr/bin/both", Some("usr/bin/both 0")),
            ("/usr/bin/lower", Some("usr/bin/lower 1")),
            ("usr/bin/link", Some("usr/lib/lower 1")),
            // The directory above hides the link below.
            ("/lib64/x", Some("usr/lib64/x 0")),
            ("/lib64/lower", None),
            ("/usr/file/x", None),
            ("/usr/file/both", Some("usr/bin/both 0")),
            ("/usr/bin/out", Some("etc/lower 1")),
            ("/etc/upper", None),
            ("/usr/bin/circle", None),
            ("/usr/bin/both/x", None),
            ("/", Some(" 0")),
        ] {
            assert_eq!(resolve(path).as_deref(), expected, "{path}");
        }
        let names = stack.list(Path::new("/usr/bin")).expect("it can be read");
        assert_eq!(names, ["both", "circle", "link", "lower", "out", "upper"]);
        assert_eq!(
            stack.read(Path::new("/usr/file/both"), 99).expect("it can be read"),
            Some(b"usr/bin/both".to_vec())
        );
    }
}
