//! Where renamed directories came from.
//!
//! A directory that was renamed has its old path as `redirect`, and what lies below it is the
//! directory of that path. That alone does not make it a rename: a redirect that no rename left may
//! name a directory that is still at its place, or that another redirect names too. Of those that
//! claim the same directory the kernel shows the one that it is asked for first, and refuses the
//! others (ESTALE). So here only a directory that is gone from its place, and not given away yet, is
//! taken for renamed, and any other redirect leads nowhere: no file of the base is in two places.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Layer;
use super::marks::{Opaque, Redirect};
use super::place::Place;
use super::upper::{Node, Upper};
use super::walk::{Ground, Step, Walk};
use crate::sys::IoError;

/// What a directory's redirect amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Landing {
    /// The directory was away, and is back at its place.
    Home(PathBuf),
    /// It was moved here.
    Renamed(PathBuf),
    /// There is no such directory, or it is not to be had, or the kernel refuses the redirect.
    Nowhere,
}

/// The redirects of all directories of an upper.
#[derive(Debug, Default)]
pub(super) struct Redirects {
    landings: HashMap<usize, Landing>,
    /// Directories of the base that were moved away.
    taken: HashSet<PathBuf>,
}

impl Redirects {
    /// Follows all of them. Costs nothing where there are none.
    pub(super) fn resolve(layer: &Layer<'_>, upper: &Upper) -> Result<Redirects, IoError> {
        if !upper.redirects {
            return Ok(Redirects::default());
        }
        Survey::take(layer, upper).map(Survey::settle)
    }

    /// What a directory's redirect amounts to, where it has one that counts.
    pub(super) fn landing(&self, index: usize) -> Option<&Landing> {
        self.landings.get(&index)
    }

    /// Whether a directory of the base was moved away.
    pub(super) fn has_moved(&self, parent: &Path, name: &OsStr) -> bool {
        !self.taken.is_empty() && self.taken.contains(&parent.join(name))
    }
}

/// Which parts of the base show where. The base's root shows at the root, and each redirect makes
/// another directory show; the node that does so stands for it.
#[derive(Debug, Default)]
struct Survey {
    candidates: Vec<Candidate>,
    landings: HashMap<usize, Landing>,
    /// For each directory within a redirected one, the latter.
    shown_by: HashMap<usize, usize>,
    /// Paths of the base that something in the upper hides, and where it does.
    masks: HashSet<(usize, PathBuf)>,
}

#[derive(Debug)]
struct Candidate {
    node: usize,
    target: PathBuf,
    /// Its target lies where it would lie without redirect. Then: the part of the base that it is in.
    home_in: Option<usize>,
}

impl Survey {
    fn take(layer: &Layer<'_>, upper: &Upper) -> Result<Survey, IoError> {
        let mut survey = Survey::default();
        let mut walk = Walk::begin(layer, upper);
        while let Some(index) = walk.next() {
            let node = &upper.nodes[index];
            if node.status.is_dir() {
                survey.visit(layer, &mut walk, index, node)?;
            } else {
                survey.mask(&walk, node);
            }
        }
        Ok(survey)
    }

    fn visit(
        &mut self,
        layer: &Layer<'_>,
        walk: &mut Walk<'_>,
        index: usize,
        node: &Node,
    ) -> Result<(), IoError> {
        let shown_by = self.shown_by(walk.owner());
        self.shown_by.insert(index, shown_by);
        if node.marks.opaque == Some(Opaque::Wholly) {
            self.mask(walk, node);
            return enter_covered(walk, index, node, Ground::Covered);
        }
        let Some(redirect) = &node.marks.redirect else {
            let ground = walk.ground();
            return enter_covered(walk, index, node, ground);
        };
        let Some(target) = follow(layer, walk, redirect)? else {
            self.mask(walk, node);
            self.landings.insert(index, Landing::Nowhere);
            return enter_covered(walk, index, node, Ground::Covered);
        };
        let is_home = walk.ground() != Ground::Bare && walk.base.path().join(&node.name) == target;
        if is_home && walk.ground() == Ground::Merged {
            self.landings.insert(index, Landing::Home(target));
        } else {
            self.mask(walk, node);
            self.shown_by.insert(index, index);
            let candidate =
                Candidate { node: index, target: target.clone(), home_in: is_home.then_some(shown_by) };
            self.candidates.push(candidate);
            walk.enter(index, Ground::Merged, &Step::Jump(&target));
            return Ok(());
        }
        walk.enter(index, Ground::Merged, &Step::Down(&node.name));
        Ok(())
    }

    fn shown_by(&self, directory: usize) -> usize {
        self.shown_by.get(&directory).copied().unwrap_or(0)
    }

    fn mask(&mut self, walk: &Walk<'_>, node: &Node) {
        if walk.ground() == Ground::Merged {
            let shown_by = self.shown_by(walk.owner());
            self.masks.insert((shown_by, walk.base.path().join(&node.name)));
        }
    }

    /// Decides for all, those nearer to the base's root first: whether a directory is gone depends
    /// on what became of those above it.
    fn settle(mut self) -> Redirects {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.sort_by_cached_key(|candidate| {
            (candidate.target.components().count(), candidate.home_in.is_none(), candidate.node)
        });
        let mut parts = Parts { shown: HashMap::from([(PathBuf::new(), 0)]), taken: HashSet::new() };
        for Candidate { node, target, home_in } in candidates {
            let is_gone = || !parts.shown.contains_key(&target) && self.is_hidden(&parts, &target);
            let landing = if home_in.is_some_and(|within| parts.is_whole(within, &target)) {
                parts.shown.insert(target.clone(), node);
                Landing::Home(target)
            } else if is_gone() {
                parts.shown.insert(target.clone(), node);
                parts.taken.insert(target.clone());
                Landing::Renamed(target)
            } else {
                Landing::Nowhere
            };
            self.landings.insert(node, landing);
        }
        Redirects { landings: self.landings, taken: parts.taken }
    }

    /// Whether a directory no longer shows where the directories above it show.
    fn is_hidden(&self, parts: &Parts, target: &Path) -> bool {
        let (top, shown_by) = parts.around(target);
        target
            .ancestors()
            .take_while(|ancestor| *ancestor != top)
            .any(|ancestor| self.masks.contains(&(shown_by, ancestor.to_owned())))
    }
}

/// The parts of the base that show, as far as decided.
struct Parts {
    /// The top of each, and which node shows it.
    shown: HashMap<PathBuf, usize>,
    taken: HashSet<PathBuf>,
}

impl Parts {
    /// The part that a directory lies in.
    fn around<'t>(&self, target: &'t Path) -> (&'t Path, usize) {
        let above = target.ancestors().skip(1);
        let mut found = above.filter_map(|ancestor| Some((ancestor, *self.shown.get(ancestor)?)));
        found.next().unwrap_or((Path::new(""), 0))
    }

    /// Whether nothing between a directory and the top of the part shown by `within` was moved away.
    fn is_whole(&self, within: usize, target: &Path) -> bool {
        target
            .ancestors()
            .skip(1)
            .take_while(|ancestor| self.shown.get(*ancestor) != Some(&within))
            .all(|ancestor| !self.taken.contains(ancestor))
    }
}

/// The directory that a redirect names, if there is one. A name beside is looked for where the
/// directory that contains it shows; links are not followed.
fn follow(layer: &Layer<'_>, walk: &mut Walk<'_>, redirect: &Redirect) -> Result<Option<PathBuf>, IoError> {
    match redirect {
        Redirect::Path(target) => {
            let exists = Place::at(layer.lower, target).exists()?;
            Ok(exists.then(|| target.clone()))
        }
        Redirect::Sibling(name) if walk.ground() == Ground::Merged => {
            walk.base.push(name);
            let exists = walk.base.exists();
            let target = walk.base.path().to_owned();
            walk.base.pop();
            Ok(exists?.then_some(target))
        }
        Redirect::Sibling(_) | Redirect::Invalid => Ok(None),
    }
}

/// Goes into a directory whose lower, if any, is where it would be without redirect.
fn enter_covered(walk: &mut Walk<'_>, index: usize, node: &Node, ground: Ground) -> Result<(), IoError> {
    let mut exists = false;
    if walk.ground() != Ground::Bare {
        walk.base.push(&node.name);
        exists = walk.base.exists()?;
        walk.base.pop();
    }
    if exists {
        walk.enter(index, ground, &Step::Down(&node.name));
    } else {
        walk.enter(index, Ground::Bare, &Step::Stay);
    }
    Ok(())
}
