//! Who uses an image besides a root: other deployments and snapshots, which may be booted again, and roots that were named.
//!
//! Those are kept in `STATE/images/roots.json`: where a root is not there at the moment, its images cannot be known to be used.

use std::path::{Path, PathBuf};

use super::links::remove_file;
use super::{Error, Images, enabled};
use crate::host::Host;
use crate::sys::{Root, replace_file};

/// Where the roots of a machine are: a directory, and what follows each of its entries. Of OSTree's, there is one more level.
const SNAPSHOTS: &str = "/.snapshots";
const DEPLOYMENTS: [&str; 2] = ["/sysroot/ostree/deploy", "/ostree/deploy"];
/// Where snapshots of SUSE's older systems have what was changed in their /etc, each below its number.
const UPPERS: &str = "/var/lib/overlay";

const NOTED: &str = "roots.json";
const LARGEST: u64 = 1 << 20;

/// The other roots of this machine that have an image enabled.
pub(super) fn others_with(image: &Path, host: &Host, state: &Path) -> Result<Vec<PathBuf>, Error> {
    let own = &host.root;
    let upper = upper_of_etc(host).unwrap_or_default();
    let mut found: Vec<(Root, PathBuf)> = Vec::new();
    for path in roots().into_iter().chain(noted(state)) {
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

/// The roots that extensions were enabled for by their paths; a damaged list has none.
fn noted(state: &Path) -> Vec<PathBuf> {
    let text = Root::open(Images::place(state)).and_then(|images| images.read(NOTED, LARGEST));
    text.ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// Whether a root is found anyway, by whatever path it was named: who makes a snapshot has it mounted elsewhere meanwhile.
pub(super) fn is_found(host: &Host) -> bool {
    let is_it =
        |path: PathBuf| Root::open(path).and_then(|root| root.is_same(&host.root)).unwrap_or_default();
    roots().into_iter().any(is_it)
}

/// Keeps that a root has extensions enabled, or none any more.
pub(super) fn note(root: &Path, has_any: bool, state: &Path) -> Result<(), Error> {
    let mut roots = noted(state);
    let is_known = roots.iter().any(|known| known == root);
    // What is no text cannot be kept.
    if is_known == has_any || root.to_str().is_none() {
        return Ok(());
    }
    if has_any {
        roots.push(root.to_owned());
    } else {
        roots.retain(|known| known != root);
    }
    let images = Images::make(state)?;
    if roots.is_empty() {
        return Ok(remove_file(&images.dir, NOTED)?);
    }
    let text = serde_json::to_vec_pretty(&roots).expect("they are text");
    Ok(replace_file(&images.dir, NOTED, &text)?)
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
