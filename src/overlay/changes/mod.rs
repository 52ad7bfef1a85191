//! What an upper directory says differs from the directory it covers.
//!
//! An upper holds more than what changed: files that were only opened for writing, whiteouts of
//! nothing, notes of overlayfs. So what it holds is compared with what lies below, name by name.
//! That costs as much as the upper is large, and nothing for what it does not mention.
//!
//! # What the list says
//! Applied to a copy of the lower directory, the list gives exactly the merged view, but for times
//! of directories, access times, and inode flags (chattr(1)):
//!
//! 1. Set every `from` of the renamed ones aside, with all below it but what is removed or renamed
//!    itself.
//! 2. Delete the removed ones.
//! 3. Put what was set aside at its new path.
//! 4. Take content (added, changed) or metadata of the other paths from the merged view.
//!
//! So the path of a [`Removed`](ChangeKind::Removed) entry is the one in the lower directory; the
//! paths of all others, but not `from`, are those of the merged view. The two differ only below a
//! renamed directory. A path comes twice only where it was removed and something was renamed to it,
//! or added in place of a directory that was renamed; or where it was renamed and its metadata changed as well.
//!
//! - A removed or added directory is followed by everything below it, so the list may be as long as
//!   the change is large. A renamed directory is one entry, and then what differs in it.
//! - A directory in place of a file is `Changed`, and what is in it `Added`. The reverse is
//!   `Changed`, and what was below it `Removed`.
//! - A renamed plain file is one only while its content is that of the file that is gone.
//!   Otherwise it is an added one and a removed one.
//!
//! # What an upper can say
//! The lower is taken as its user sees it: nothing in it is a whiteout, no attribute a note of
//! overlayfs. An upper may have been made by anyone. Names are followed one by one from an open
//! directory, never through links, so nothing outside the two directories is reached; a redirect
//! that leads nowhere, or to what is not to be had, makes a directory that hides what lies below it,
//! or a file whose data is lost and so changed.
//!
//! # What it cannot say
//! An overlay with `index=on` keeps hard links whole: a file that had several names in the lower and
//! was changed under one shows the change under all of them, but its upper mentions only that one.
//! Finding the others would take a look at the whole base, so they are not in the list.

mod compare;
mod judge;
pub(crate) mod marks;
pub(in crate::overlay) mod place;
mod redirects;
mod renames;
pub(crate) mod upper;
mod walk;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::compare::Comparison;
use self::marks::Prefix;
use self::place::Place;
use self::redirects::Redirects;
use self::upper::Upper;
use crate::sys::{FileKind, IoError, Root};

/// One file system of an overlay: its upper, and the directory it covers, both opened without what
/// is mounted below them.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// What was written.
    pub upper: &'a Root,
    /// What it was written over.
    pub lower: &'a Root,
    /// Where it is mounted: "/", "/var".
    pub mount_point: &'a Path,
    /// Whether it is mounted with the option of this name, so that overlayfs keeps its notes in
    /// `user.overlay.*`. Without it such attributes are anybody's, and mean nothing.
    pub userxattr: bool,
    /// Directories of the upper, by their paths in it, that are other layers: what they contain is not compared here.
    pub elsewhere: &'a [PathBuf],
}

/// What became of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It was there, and is not.
    Removed,
    /// It was elsewhere, with the same content.
    Renamed,
    /// It was not there.
    Added,
    /// Its content, its type, a link's target or a device number differs; metadata may, too.
    Changed,
    /// Only mode, owner, time of modification or extended attributes differ.
    Metadata,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where, from the root of the merged view; of something removed, from that of the lower.
    pub path: PathBuf,
    /// What.
    pub kind: ChangeKind,
    /// What it is now; of something removed, what it was.
    pub file: FileKind,
    /// Bytes of content that were added, changed, or removed. Nothing but a regular file has any,
    /// and neither does a rename or a change of metadata.
    pub size: u64,
    /// Where something renamed was in the lower.
    pub from: Option<PathBuf>,
}

/// What an upper takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// Names in it, directories and whiteouts among them.
    pub entries: u64,
    /// Bytes on disk, not as long as they say they are: an upper may hold sparse files.
    pub bytes: u64,
}

impl<'a> Layer<'a> {
    /// A layer of an overlay as Onlay mounts them.
    pub fn new(upper: &'a Root, lower: &'a Root, mount_point: &'a Path) -> Layer<'a> {
        Layer { upper, lower, mount_point, userxattr: false, elsewhere: &[] }
    }
}

/// Reads what differs, sorted by path; twice the same path in the order of [`ChangeKind`].
pub fn read_changes(layer: &Layer<'_>) -> Result<Vec<Change>, IoError> {
    let prefix = if layer.userxattr { Prefix::User } else { Prefix::Trusted };
    let upper = Upper::read_but(layer.upper, prefix, layer.elsewhere)?;
    let redirects = Redirects::resolve(layer, &upper)?;
    let (mut found, arrivals) = Comparison::new(layer, &upper, &redirects).run()?;
    renames::detect(layer, &upper, &mut found, arrivals)?;
    found.sort_by(|a, b| (&a.path, a.kind).cmp(&(&b.path, b.kind)));
    Ok(found)
}

/// Counts what an upper holds, without comparing.
pub fn measure(upper: &Root) -> Result<Measure, IoError> {
    let mut measure = Measure::default();
    let mut linked = HashSet::new();
    let mut place = Place::top(upper);
    let mut unread = vec![place.dir()?.entries()?.into_iter()];
    while let Some(entries) = unread.last_mut() {
        let Some(entry) = entries.next() else {
            unread.pop();
            place.pop();
            continue;
        };
        let Some(stat) = place.dir()?.lstat(&entry.name)? else { continue };
        measure.entries += 1;
        // A file with several names takes its space once; all whiteouts are one such file.
        if stat.st_nlink == 1 || linked.insert((stat.st_dev, stat.st_ino)) {
            measure.bytes += 512 * stat.st_blocks as u64;
        }
        if FileKind::of(&stat) == FileKind::Directory {
            place.push(&entry.name);
            unread.push(place.dir()?.entries()?.into_iter());
        }
    }
    Ok(measure)
}
