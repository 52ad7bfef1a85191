//! What `overlay::changes` reads from an upper, against what the kernel shows.

mod deep;
mod directed;
pub(crate) mod mounted;
pub(crate) mod random;
pub(crate) mod tree;

use std::path::Path;

use onlay::overlay::changes::{Change, ChangeKind, Layer, read_changes};
use onlay::sys::Root;

use mounted::Overlay;

/// Reads the changes of an overlay that is mounted on "/".
fn changes_of(overlay: &Overlay) -> Vec<Change> {
    read(overlay, "/", false)
}

fn read(overlay: &Overlay, mount_point: &str, userxattr: bool) -> Vec<Change> {
    let upper = Root::open(&overlay.upper).expect("the upper opens");
    let lower = Root::open(&overlay.lower).expect("the lower opens");
    let mount_point = Path::new(mount_point);
    let layer = Layer { userxattr, ..Layer::new(&upper, &lower, mount_point) };
    read_changes(&layer).expect("the upper can be read")
}

/// Changes as short lines: "added a/b 3", "renamed c from d".
fn lines(changes: &[Change]) -> Vec<String> {
    changes.iter().map(line).collect()
}

fn line(change: &Change) -> String {
    let path = change.path.strip_prefix("/").unwrap_or(&change.path).display();
    let kind = match change.kind {
        ChangeKind::Added => "added",
        ChangeKind::Changed => "changed",
        ChangeKind::Metadata => "metadata",
        ChangeKind::Removed => "removed",
        ChangeKind::Renamed => "renamed",
    };
    let from = change.from.as_ref().map(|from| from.strip_prefix("/").unwrap_or(from).display());
    let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
    let size = if change.size > 0 { format!(" {}", change.size) } else { String::new() };
    format!("{kind} {path}{from}{size}")
}
