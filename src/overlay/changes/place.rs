//! A position in a tree of any depth, with a bounded number of open directories.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::sys::{IoError, Root};

/// How many directories a position keeps open. Few trees are deeper; in those that are, the way
/// back up opens directories again from the top, this many at a time.
const KEPT_OPEN: usize = 48;

/// A directory below a top. Each step is one name, so no link is followed, nothing above the top is
/// reached, and the whole path may be longer than the kernel takes (PATH_MAX). Directories are
/// opened when they are asked for.
#[derive(Debug)]
pub(in crate::overlay) struct Place<'a> {
    top: &'a Root,
    path: PathBuf,
    depth: usize,
    /// The deepest directories that are open, with their depth, in its order.
    open: VecDeque<(usize, Root)>,
}

impl<'a> Place<'a> {
    /// The top itself.
    pub(in crate::overlay) fn top(top: &'a Root) -> Place<'a> {
        Place { top, path: PathBuf::new(), depth: 0, open: VecDeque::new() }
    }

    /// A directory below the top, by a path of plain names.
    pub(in crate::overlay) fn at(top: &'a Root, path: &Path) -> Place<'a> {
        let mut place = Place::top(top);
        place.move_to(path);
        place
    }

    /// The path from the top.
    pub(in crate::overlay) fn path(&self) -> &Path {
        &self.path
    }

    /// Goes down.
    pub(in crate::overlay) fn push(&mut self, name: &OsStr) {
        self.path.push(name);
        self.depth += 1;
    }

    /// Goes up; from the top, nowhere.
    pub(in crate::overlay) fn pop(&mut self) {
        self.path.pop();
        self.depth = self.depth.saturating_sub(1);
        while self.open.back().is_some_and(|(depth, _)| *depth > self.depth) {
            self.open.pop_back();
        }
    }

    /// Another position below the same top. This one closes its directories until it is used again.
    pub(in crate::overlay) fn elsewhere(&mut self, path: &Path) -> Place<'a> {
        self.open.clear();
        Place::at(self.top, path)
    }

    /// Goes elsewhere below the top.
    pub(in crate::overlay) fn move_to(&mut self, path: &Path) {
        if self.path != path {
            self.open.clear();
            path.clone_into(&mut self.path);
            self.depth = path.components().count();
        }
    }

    /// The directory itself.
    pub(in crate::overlay) fn dir(&mut self) -> Result<&Root, IoError> {
        let reached = self.open.back().map_or(0, |(depth, _)| *depth);
        let mut missing: Vec<_> = self.path.components().rev().take(self.depth - reached).collect();
        for depth in reached + 1..=self.depth {
            let Some(name) = missing.pop() else { break };
            let parent = self.open.back().map_or(self.top, |(_, parent)| parent);
            let child = parent.open_child(name.as_os_str())?;
            self.open.push_back((depth, child));
            if self.open.len() > KEPT_OPEN {
                self.open.pop_front();
            }
        }
        Ok(self.open.back().map_or(self.top, |(_, dir)| dir))
    }

    /// Whether there is such a directory.
    pub(in crate::overlay) fn exists(&mut self) -> Result<bool, IoError> {
        match self.dir() {
            Ok(_) => Ok(true),
            Err(error) => match error.source.kind() {
                // The last of them is a name that is too long.
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => Ok(false),
                _ => Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_from_deeper_than_it_keeps_open() {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let top = Root::open(temporary.path()).expect("it opens");
        let mut place = Place::top(&top);
        for depth in 0..3 * KEPT_OPEN {
            let name = depth.to_string();
            place.dir().expect("it opens").make_dir(&name, 0o700).expect("a directory is made");
            place.push(OsStr::new(&name));
        }
        for depth in (0..3 * KEPT_OPEN).rev() {
            place.pop();
            let dir = place.dir().expect("it opens again");
            assert!(dir.lstat(depth.to_string()).expect("it can be examined").is_some(), "{depth}");
            assert!(place.open.len() <= KEPT_OPEN);
        }
        place.pop();
        assert_eq!(place.path(), Path::new(""));
        assert!(Place::at(&top, Path::new("0/1/2")).exists().expect("it can be examined"));
        assert!(!Place::at(&top, Path::new("0/2")).exists().expect("it can be examined"));
    }

    #[test]
    fn no_link_is_a_way_out() {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        std::os::unix::fs::symlink("/", temporary.path().join("link")).expect("a link is made");
        std::fs::write(temporary.path().join("file"), "").expect("a file is made");
        let top = Root::open(temporary.path()).expect("it opens");
        for path in ["link", "link/etc", "file", "file/x"] {
            assert!(!Place::at(&top, Path::new(path)).exists().expect("it can be examined"), "{path}");
        }
    }
}
