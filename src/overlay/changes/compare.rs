//! Comparing every name of an upper with what lies below it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::judge::{self, Below, Judge, Verdict};
use super::marks::{Opaque, Redirect};
use super::place::Place;
use super::redirects::{Landing, Redirects};
use super::renames::Arrival;
use super::upper::{Node, Status, Upper};
use super::walk::{Ground, Step, Walk};
use super::{Change, ChangeKind, Layer};
use crate::sys::{FileKind, IoError};

/// A comparison on its way.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    layer: &'a Layer<'a>,
    upper: &'a Upper,
    redirects: &'a Redirects,
    walk: Walk<'a>,
    judge: Judge,
    found: Vec<Change>,
    arrivals: Vec<Arrival>,
}

/// Where a file's data is.
#[derive(Debug)]
enum Data {
    /// In the upper.
    Own,
    /// In what lies below.
    Below,
    /// In another file of the lower.
    At(PathBuf),
    /// Nowhere that the kernel would find.
    Lost,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(layer: &'a Layer<'a>, upper: &'a Upper, redirects: &'a Redirects) -> Comparison<'a> {
        Comparison {
            layer,
            upper,
            redirects,
            walk: Walk::begin(layer, upper),
            judge: Judge::new(),
            found: Vec::new(),
            arrivals: Vec::new(),
        }
    }

    /// Compares everything. Returns what differs, and which of the added files may be renamed ones.
    pub(super) fn run(mut self) -> Result<(Vec<Change>, Vec<Arrival>), IoError> {
        let upper = self.upper;
        if let Some(root) = upper.nodes.first() {
            self.compare_entered(root)?;
        }
        while let Some(index) = self.walk.next() {
            let node = &upper.nodes[index];
            let below = self.below(node)?;
            if node.whiteout {
                self.remove(&node.name, below)?;
            } else if node.status.is_dir() {
                self.directory(index, node, below)?;
            } else {
                self.file(index, node, below)?;
            }
        }
        Ok((self.found, self.arrivals))
    }

    /// What was at the same place, unless it was moved away.
    fn below(&mut self, node: &Node) -> Result<Option<Status>, IoError> {
        let ground = self.walk.ground();
        let base = &mut self.walk.base;
        match ground {
            Ground::Bare => Ok(None),
            _ if self.redirects.has_moved(base.path(), &node.name) => Ok(None),
            _ => Status::at(base.dir()?, &node.name),
        }
    }

    fn directory(&mut self, index: usize, node: &'a Node, below: Option<Status>) -> Result<(), IoError> {
        let ground = match self.redirects.landing(index) {
            Some(Landing::Renamed(target)) => return self.renamed(index, node, target, below),
            Some(Landing::Home(target)) if *target == self.walk.base.path().join(&node.name) => {
                Ground::Merged
            }
            Some(_) => Ground::Covered,
            None if node.marks.opaque == Some(Opaque::Wholly) => Ground::Covered,
            None => self.walk.ground(),
        };
        match below {
            Some(old) if old.is_dir() => {
                self.compare_metadata(node, old)?;
                self.walk.enter(index, ground, &Step::Down(&node.name));
                return if ground == Ground::Covered { self.remove_the_rest(index) } else { Ok(()) };
            }
            Some(_) => self.record(ChangeKind::Changed, node),
            None => self.record(ChangeKind::Added, node),
        }
        self.walk.enter(index, Ground::Bare, &Step::Stay);
        Ok(())
    }

    /// A directory that was elsewhere.
    fn renamed(
        &mut self,
        index: usize,
        node: &'a Node,
        target: &Path,
        below: Option<Status>,
    ) -> Result<(), IoError> {
        self.remove(&node.name, below)?;
        self.record(ChangeKind::Renamed, node);
        if let Some(change) = self.found.last_mut() {
            change.from = Some(self.layer.mount_point.join(target));
        }
        self.walk.enter(index, Ground::Merged, &Step::Jump(target));
        self.compare_entered(node)
    }

    /// Compares the metadata of the directory that the walk has just gone into.
    fn compare_entered(&mut self, node: &'a Node) -> Result<(), IoError> {
        let name = OsStr::new("");
        let Some(status) = Status::at(self.walk.base.dir()?, name)? else { return Ok(()) };
        let mut below = Below { dir: &mut self.walk.base, name, status };
        if let Some(kind) = judge::metadata(node, &mut below)?.kind() {
            let path = self.walk.here.path().to_owned();
            self.record_at(kind, &path, &node.status);
        }
        Ok(())
    }

    fn compare_metadata(&mut self, node: &'a Node, status: Status) -> Result<(), IoError> {
        let mut below = Below { dir: &mut self.walk.base, name: &node.name, status };
        if let Some(kind) = judge::metadata(node, &mut below)?.kind() {
            self.record(kind, node);
        }
        Ok(())
    }

    /// Anything but a directory.
    fn file(&mut self, index: usize, node: &'a Node, below: Option<Status>) -> Result<(), IoError> {
        let data = self.data(node);
        let Some(status) = below else {
            let change = self.found.len();
            match data {
                Data::At(target) => self.arrivals.push(Arrival { change, node: index, target: Some(target) }),
                Data::Own if node.marks.origin.is_some() => {
                    self.arrivals.push(Arrival { change, node: index, target: None });
                }
                _ => {}
            }
            self.record(ChangeKind::Added, node);
            return Ok(());
        };
        if status.is_dir() {
            self.record(ChangeKind::Changed, node);
            return self.remove_below(&node.name);
        }
        let same_data = match &data {
            Data::Own => None,
            Data::Below => Some(true),
            Data::At(target) => Some(self.same_in_lower(target, &node.name, &status)?),
            Data::Lost => Some(false),
        };
        let mut below = Below { dir: &mut self.walk.base, name: &node.name, status };
        let verdict = match same_data {
            None => self.judge.file(&mut self.walk.here, node, &mut below)?,
            Some(true) if status.kind == FileKind::File => judge::metadata(node, &mut below)?,
            Some(_) => Verdict::Content,
        };
        if let Some(kind) = verdict.kind() {
            self.record(kind, node);
        }
        Ok(())
    }

    fn data(&self, node: &Node) -> Data {
        let ground = self.walk.ground();
        let shows = ground == Ground::Merged;
        let own_place = || self.walk.base.path().join(&node.name);
        match &node.marks.redirect {
            _ if !node.is_metacopy() => Data::Own,
            Some(Redirect::Path(target)) if ground != Ground::Bare && *target == own_place() => Data::Below,
            Some(Redirect::Path(target)) => Data::At(target.clone()),
            Some(Redirect::Sibling(name)) if shows && *name != node.name => {
                Data::At(self.walk.base.path().join(name))
            }
            Some(Redirect::Sibling(_)) | None if shows => Data::Below,
            _ => Data::Lost,
        }
    }

    /// Whether another file of the lower has the content of the one at this place.
    fn same_in_lower(&mut self, target: &Path, name: &OsStr, status: &Status) -> Result<bool, IoError> {
        let (Some(parent), Some(target_name)) = (target.parent(), target.file_name()) else {
            return Ok(false);
        };
        let mut place = Place::at(self.layer.lower, parent);
        if !place.exists()? {
            return Ok(false);
        }
        let dir = place.dir()?;
        match Status::at(dir, target_name)? {
            Some(other) if (other.kind, other.size) == (status.kind, status.size) => {
                self.judge.same_content(dir, target_name, self.walk.base.dir()?, name, status.size)
            }
            _ => Ok(false),
        }
    }

    /// Lists something of the lower as removed, with all below it.
    fn remove(&mut self, name: &OsStr, below: Option<Status>) -> Result<(), IoError> {
        let Some(status) = below else { return Ok(()) };
        let path = self.walk.base.path().join(name);
        self.record_at(ChangeKind::Removed, &path, &status);
        if status.is_dir() { self.remove_below(name) } else { Ok(()) }
    }

    /// Lists as removed what the lower directory that the walk has just gone into has, and the upper
    /// one does not mention.
    fn remove_the_rest(&mut self, index: usize) -> Result<(), IoError> {
        let mentioned = self.upper.children(index);
        for name in sorted_names(&mut self.walk.base)? {
            let is_mentioned = mentioned.binary_search_by(|node| node.name.cmp(&name)).is_ok();
            if !is_mentioned && !self.redirects.has_moved(self.walk.base.path(), &name) {
                let status = Status::at(self.walk.base.dir()?, &name)?;
                self.remove(&name, status)?;
            }
        }
        Ok(())
    }

    /// Lists all below a directory of the lower as removed, but what was moved away.
    fn remove_below(&mut self, name: &OsStr) -> Result<(), IoError> {
        self.walk.base.push(name);
        let mut unlisted = vec![sorted_names(&mut self.walk.base)?.into_iter()];
        while let Some(names) = unlisted.last_mut() {
            let base = &mut self.walk.base;
            let Some(name) = names.next() else {
                unlisted.pop();
                base.pop();
                continue;
            };
            if self.redirects.has_moved(base.path(), &name) {
                continue;
            }
            let Some(status) = Status::at(base.dir()?, &name)? else { continue };
            let path = base.path().join(&name);
            if status.is_dir() {
                base.push(&name);
                unlisted.push(sorted_names(base)?.into_iter());
            }
            self.record_at(ChangeKind::Removed, &path, &status);
        }
        Ok(())
    }

    fn record(&mut self, kind: ChangeKind, node: &Node) {
        let path = self.walk.here.path().join(&node.name);
        self.record_at(kind, &path, &node.status);
    }

    fn record_at(&mut self, kind: ChangeKind, path: &Path, status: &Status) {
        let mount_point = self.layer.mount_point;
        // Joining nothing would add a slash.
        let path = if path.as_os_str().is_empty() { mount_point.to_owned() } else { mount_point.join(path) };
        let has_content = matches!(kind, ChangeKind::Added | ChangeKind::Changed | ChangeKind::Removed);
        let size = if has_content { status.size } else { 0 };
        self.found.push(Change { path, kind, file: status.kind, size, from: None });
    }
}

fn sorted_names(place: &mut Place<'_>) -> Result<Vec<OsString>, IoError> {
    let mut names: Vec<OsString> = place.dir()?.entries()?.into_iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    Ok(names)
}
