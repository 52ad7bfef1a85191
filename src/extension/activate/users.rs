//! Who uses an image besides a root: other deployments and snapshots, which may be booted again.

use std::path::{Path, PathBuf};

use super::{Error, enabled};
use crate::host::Host;
use crate::sys::Root;

/// Where the roots of a machine are: a directory, and what follows each of its entries. Of OSTree's, there is one more level.
const SNAPSHOTS: &str = "/.snapshots";
const DEPLOYMENTS: [&str; 2] = ["/sysroot/ostree/deploy", "/ostree/deploy"];
/// Where snapshots of SUSE's older systems have what was changed in their /etc, each below its number.
const UPPERS: &str = "/var/lib/overlay";

/// The other roots of this machine that have an image enabled.
pub(super) fn others_with(image: &Path, host: &Host) -> Result<Vec<PathBuf>, Error> {
    let own = &host.root;
    let upper = upper_of_etc(host).unwrap_or_default();
    let mut found: Vec<(Root, PathBuf)> = Vec::new();
    for path in roots() {
        // In the initial RAM disk, where it was mounted, its path began otherwise.
        if upper.ends_with(path.strip_prefix("/").unwrap_or(&path).join("etc")) {
            continue;
        }
        let Ok(root) = Root::open(&path) else { continue };
        let Ok(etc) = root.open_dir("etc") else { continue };
        let is_own = own.open_dir("etc").is_ok_and(|own| own.is_same(&etc).unwrap_or_default());
        // One may be reached by two paths.
        let is_known = found.iter().any(|(known, _)| known.is_same(&etc).unwrap_or_default());
        if !is_own && !is_known && enabled(&root)?.iter().any(|link| link.image == image) {
            found.push((etc, path));
        }
    }
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// What was changed in a root's /etc is there, where that is an overlay.
fn upper_of_etc(host: &Host) -> Option<PathBuf> {
    host.mounts.at(&host.root.join("etc"))?.super_option("upperdir").map(PathBuf::from)
}

fn roots() -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = vec!["/".into()];
    roots.extend(below(Path::new(SNAPSHOTS)).map(|path| path.join("snapshot")));
    for deployments in DEPLOYMENTS {
        for system in below(Path::new(deployments)) {
            roots.extend(below(&system.join("deploy")));
        }
    }
    roots.extend(below(Path::new(UPPERS)));
    roots.sort();
    roots
}

fn below(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir())
}
