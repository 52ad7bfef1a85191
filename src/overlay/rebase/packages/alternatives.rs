//! What comes of update-alternatives(1) when its tables are merged.

use std::ffi::OsStr;
use std::path::Path;

use super::{Line, Sides};
use crate::pkgdb::dpkg::merge::Plan;
use crate::pkgdb::dpkg::{Alternative, Database};

/// Where the links are that point to what was chosen.
const LINKS: &str = "/etc/alternatives";

/// Makes those automatic whose choice is gone, as update-alternatives does when the package of a choice goes. Says which.
pub(super) fn settle(plan: &mut Plan, sides: &Sides<'_>, theirs: &Database) -> Vec<Line> {
    let mut lines = Vec::new();
    let Ok(links) = sides.view.open_dir(LINKS) else { return lines };
    for (name, alternative) in plan.tables.alternatives.iter_mut().filter(|(_, one)| one.is_manual) {
        let link = Path::new(LINKS).join(name);
        let table = theirs.directory().join("alternatives").join(name);
        if !sides.names.contains(&link) && !sides.names.contains(&table) {
            continue;
        }
        // No link at all is what a person made of it.
        let Ok(chosen) = links.read_link(OsStr::new(name)) else { continue };
        if !is_there(Path::new(&chosen), alternative, sides, theirs) {
            alternative.is_manual = false;
            lines.push(
                format!(
                    "alternative '{name}' was set to {}, which is gone; it is automatic again, and \
                     'update-alternatives --config {name}' inside sets another",
                    Path::new(&chosen).display()
                )
                .into(),
            );
        }
    }
    lines
}

/// Whether a file is still offered, and still there.
fn is_there(chosen: &Path, alternative: &Alternative, sides: &Sides<'_>, theirs: &Database) -> bool {
    let place = theirs.aliases.resolve(chosen);
    let is_own = sides.names.contains(&place) && !sides.whiteouts.contains(&place);
    alternative.choices.contains_key(chosen) && (is_own || sides.host.exists(chosen))
}

/// What makes the links of alternatives that were merged: update-alternatives(1) alone knows which they are.
pub(super) fn commands(plan: &Plan, ours: &Database) -> Vec<Vec<String>> {
    let merged = plan.tables.alternatives.iter();
    let changed = merged.filter(|(name, one)| ours.tables.alternatives.get(*name) != Some(one));
    let command = |name: &str| ["update-alternatives", "--auto", name].map(str::to_owned).to_vec();
    changed.filter(|(_, alternative)| !alternative.is_manual).map(|(name, _)| command(name)).collect()
}
