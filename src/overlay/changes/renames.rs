//! Plain files that were renamed.
//!
//! Such a file was copied up whole and leaves a whiteout behind. Overlayfs notes from which file it
//! was copied, as a handle; of a file whose metadata alone was copied, as a path.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::judge::{self, Below, Judge, Verdict};
use super::place::Place;
use super::upper::{Node, Status, Upper};
use super::{Change, ChangeKind, Layer};
use crate::sys::{FileHandle, FileKind, IoError};

/// An added file that may be a renamed one.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Which change says that it was added.
    pub(super) change: usize,
    /// What the upper holds of it.
    pub(super) node: usize,
    /// The file of the lower that has its data, where the upper does not.
    pub(super) target: Option<PathBuf>,
}

/// Makes renames of those added and removed files that belong together. Costs nothing where there
/// are none of either.
pub(super) fn detect(
    layer: &Layer<'_>,
    upper: &Upper,
    found: &mut Vec<Change>,
    mut arrivals: Vec<Arrival>,
) -> Result<(), IoError> {
    if arrivals.is_empty() {
        return Ok(());
    }
    arrivals.sort_by(|a, b| found[a.change].path.cmp(&found[b.change].path));
    let mut departures = Departures::read(layer, upper, found, &arrivals)?;
    let mut here = Place::top(layer.upper);
    let mut judge = Judge::new();
    for arrival in arrivals {
        let node = &upper.nodes[arrival.node];
        let Some(departure) = departures.of(node, &arrival) else { continue };
        here.move_to(below(layer, &found[arrival.change].path).parent().unwrap_or(Path::new("")));
        let verdict = departures.compare(departure, found, &mut here, node, &mut judge)?;
        if verdict == Verdict::Content {
            continue;
        }
        departures.gone.insert(departure);
        let from = found[departure].path.clone();
        let change = &mut found[arrival.change];
        (change.kind, change.size, change.from) = (ChangeKind::Renamed, 0, Some(from));
        if let Some(kind) = verdict.kind() {
            let change = Change { kind, from: None, ..change.clone() };
            found.push(change);
        }
    }
    let mut index = 0..;
    found.retain(|_| index.next().is_none_or(|index| !departures.gone.contains(&index)));
    Ok(())
}

/// The removed files from which an added one may have come, as places in the list of changes.
struct Departures<'a> {
    layer: &'a Layer<'a>,
    base: Place<'a>,
    by_path: HashMap<PathBuf, usize>,
    by_handle: HashMap<FileHandle, Vec<usize>>,
    /// Those that are known to have been renamed.
    gone: HashSet<usize>,
}

impl<'a> Departures<'a> {
    fn read(
        layer: &'a Layer<'a>,
        upper: &Upper,
        found: &[Change],
        arrivals: &[Arrival],
    ) -> Result<Self, IoError> {
        let kind_of = |arrival: &Arrival| {
            let status = &upper.nodes[arrival.node].status;
            (status.kind, status.size)
        };
        let wanted: HashSet<_> = arrivals.iter().map(kind_of).collect();
        let mut departures = Departures {
            layer,
            base: Place::top(layer.lower),
            by_path: HashMap::new(),
            by_handle: HashMap::new(),
            gone: HashSet::new(),
        };
        for (index, change) in found.iter().enumerate() {
            if change.kind == ChangeKind::Removed && wanted.contains(&(change.file, change.size)) {
                departures.add(index, below(layer, &change.path))?;
            }
        }
        Ok(departures)
    }

    fn add(&mut self, index: usize, path: &Path) -> Result<(), IoError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        self.by_path.insert(path.to_owned(), index);
        self.base.move_to(parent);
        if let Some(handle) = FileHandle::of(self.base.dir()?, name)? {
            self.by_handle.entry(handle).or_default().push(index);
        }
        Ok(())
    }

    /// The removed file that an added one names as its origin.
    fn of(&self, node: &Node, arrival: &Arrival) -> Option<usize> {
        let is_left = |index: &&usize| !self.gone.contains(*index);
        if let Some(target) = &arrival.target {
            return self.by_path.get(target).filter(is_left).copied();
        }
        self.by_handle.get(node.marks.origin.as_ref()?)?.iter().find(is_left).copied()
    }

    /// How the added file differs from the removed one.
    fn compare(
        &mut self,
        departure: usize,
        found: &[Change],
        here: &mut Place<'_>,
        node: &Node,
        judge: &mut Judge,
    ) -> Result<Verdict, IoError> {
        let path = below(self.layer, &found[departure].path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(Verdict::Content);
        };
        self.base.move_to(parent);
        let Some(status) = Status::at(self.base.dir()?, name)? else { return Ok(Verdict::Content) };
        let mut below = Below { dir: &mut self.base, name, status };
        if node.is_metacopy() {
            let is_same = (status.kind, status.size) == (FileKind::File, node.status.size);
            return if is_same { judge::metadata(node, &mut below) } else { Ok(Verdict::Content) };
        }
        judge.file(here, node, &mut below)
    }
}

/// A path of the merged view as one below the layer's directories.
fn below<'p>(layer: &Layer<'_>, path: &'p Path) -> &'p Path {
    path.strip_prefix(layer.mount_point).unwrap_or(path)
}
