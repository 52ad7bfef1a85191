//! Going through an upper and the directory it covers, side by side.

use std::ffi::OsStr;
use std::ops::Range;
use std::path::Path;

use super::Layer;
use super::place::Place;
use super::upper::Upper;

/// What lies below the directory that a walk is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// Nothing.
    Bare,
    /// A directory that was there before, of which nothing shows through.
    Covered,
    /// A directory that shows through.
    Merged,
}

/// How the position in the lower follows into a directory of the upper.
#[derive(Debug)]
pub(super) enum Step<'s> {
    /// It does not.
    Stay,
    /// Down to this name.
    Down(&'s OsStr),
    /// To this directory.
    Jump(&'s Path),
}

/// A walk, directory by directory, each before what it contains. It uses no recursion, so a deep
/// tree does not exhaust the stack.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    upper: &'a Upper,
    /// Where it is in the upper, and so in the merged view.
    pub(super) here: Place<'a>,
    /// What lies below there; meaningless on bare ground.
    pub(super) base: Place<'a>,
    frames: Vec<Frame<'a>>,
}

#[derive(Debug)]
struct Frame<'a> {
    owner: usize,
    rest: Range<usize>,
    ground: Ground,
    back: Back<'a>,
}

#[derive(Debug)]
enum Back<'a> {
    Stay,
    Up,
    To(Place<'a>),
}

impl<'a> Walk<'a> {
    /// Begins in the root, which always merges.
    pub(super) fn begin(layer: &Layer<'a>, upper: &'a Upper) -> Walk<'a> {
        let rest = upper.nodes.first().map_or(0..0, |root| root.children.clone());
        let frame = Frame { owner: 0, rest, ground: Ground::Merged, back: Back::Stay };
        Walk { upper, here: Place::top(layer.upper), base: Place::top(layer.lower), frames: vec![frame] }
    }

    /// The next entry of the directory it is in, or of the one above when that one is done.
    pub(super) fn next(&mut self) -> Option<usize> {
        loop {
            if let Some(index) = self.frames.last_mut()?.rest.next() {
                return Some(index);
            }
            match self.frames.pop()?.back {
                Back::Stay => {}
                Back::Up => self.base.pop(),
                Back::To(place) => self.base = place,
            }
            self.here.pop();
        }
    }

    /// What lies below the directory it is in.
    pub(super) fn ground(&self) -> Ground {
        self.frames.last().map_or(Ground::Bare, |frame| frame.ground)
    }

    /// The directory it is in, as a node.
    pub(super) fn owner(&self) -> usize {
        self.frames.last().map_or(0, |frame| frame.owner)
    }

    /// Goes into the directory that [`next`](Walk::next) gave.
    pub(super) fn enter(&mut self, index: usize, ground: Ground, step: &Step<'_>) {
        let node = &self.upper.nodes[index];
        let back = match step {
            Step::Stay => Back::Stay,
            Step::Down(name) => self.go_down(name),
            // Near enough to go there without opening every directory on the way.
            Step::Jump(target) => match target.file_name() {
                Some(name) if target.parent() == Some(self.base.path()) => self.go_down(name),
                _ => {
                    let place = self.base.elsewhere(target);
                    Back::To(std::mem::replace(&mut self.base, place))
                }
            },
        };
        self.here.push(&node.name);
        self.frames.push(Frame { owner: index, rest: node.children.clone(), ground, back });
    }

    fn go_down(&mut self, name: &OsStr) -> Back<'a> {
        self.base.push(name);
        Back::Up
    }
}
