//! A base's rpm database with the packages of images.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use rustix::fs::AtFlags;

use super::generate::Added;
use super::records::Records;
use super::tree::Tree;
use super::{Error, Remark};
use crate::package::Identity;
use crate::package::header::{Glance, Tags, tag};
use crate::pkgdb::dpkg::Aliases;
use crate::pkgdb::merge::{Decision, Side};
use crate::pkgdb::rpm::merge::{Catalog, Decided, Plan, unite};
use crate::pkgdb::rpm::{Access, Backend, Database, Opening, create, may_be_there_twice, prepare};
use crate::sys::Root;

/// How long to wait for who changes the base's database.
const PATIENCE: Duration = Duration::from_secs(10);

/// A package of an image that the base has not.
struct Chosen<'a> {
    image: &'a str,
    version: String,
    identity: Identity,
    header: &'a [u8],
}

/// What there can be one of: name, architecture, and the version where several can be there at once.
type Key = (String, String, Option<String>);

/// Makes the database in a directory of the tree. `images` are in the order in which they are laid, the topmost last;
/// `scratch` is an empty directory.
pub(super) fn merge(
    directory: &Path,
    backend: Backend,
    images: &[(&str, Records)],
    tree: &Tree<'_>,
    scratch: &Root,
) -> Result<Added, Error> {
    let opening = Opening { scratch: scratch.path(), patience: PATIENCE, access: Access::Read };
    let base = Database::open_in(tree.base.open_dir(directory)?, backend, &opening)?;
    let their = Catalog::of(&base)?;
    let known: HashSet<Identity> = their.entries().iter().map(|entry| entry.known.identity).collect();
    let mut remarks = Vec::new();
    let chosen = choose(images, &known, &mut remarks);
    if chosen.is_empty() {
        return Ok(Added { packages: 0, remarks });
    }
    let mut headers = chosen.values().map(|one| Ok(Cow::Borrowed(one.header)));
    create(backend, &mut headers, scratch, PATIENCE)?.commit()?;
    let ours = Database::open_in(scratch.try_clone()?, backend, &opening)?;
    let our = Catalog::of(&ours)?;
    let plan = unite((&ours, &our), (&base, &their), &Aliases::of(tree.base)?)?;
    remarks.extend(replaced(&plan, &chosen));

    let target = tree.directory(directory)?;
    let from = if plan.from == Side::Ours { &ours } else { &base };
    prepare(from, &plan.delta, &target, &opening)?.with_index()?.over_another().commit()?;
    // What a merge locks is the base's, which shows through.
    let _ = rustix::fs::unlinkat(&target, ".rpm.lock", AtFlags::empty());
    let model = directory.join(backend.file_name());
    for entry in target.entries()? {
        tree.make_like(&directory.join(entry.name), &model)?;
    }
    Ok(Added { packages: chosen.len(), remarks })
}

/// The packages that are added, one for each name: that of the topmost image.
fn choose<'a>(
    images: &'a [(&str, Records)],
    known: &HashSet<Identity>,
    remarks: &mut Vec<Remark>,
) -> BTreeMap<Key, Chosen<'a>> {
    let mut chosen: BTreeMap<Key, Chosen<'a>> = BTreeMap::new();
    for (image, records) in images.iter().rev() {
        for header in &records.headers {
            // All of them were read before.
            let Ok(glance) = Glance::of(header) else { continue };
            let identity = glance.package_identity();
            if known.contains(&identity) {
                continue;
            }
            let text = |tag| glance.text(tag).unwrap_or_default().into_owned();
            let version = glance.evr().to_string();
            let is_multiple = may_be_there_twice(&glance);
            let key = (text(tag::NAME), text(tag::ARCH), is_multiple.then(|| version.clone()));
            match chosen.get(&key) {
                Some(above) if above.identity == identity => {}
                Some(above) => remarks.push(Remark::Covered {
                    extension: (*image).to_owned(),
                    package: key.0,
                    version,
                    by: above.image.to_owned(),
                }),
                None => drop(chosen.insert(key, Chosen { image, version, identity, header })),
            }
        }
    }
    chosen
}

/// Packages of the base that are there in another version.
fn replaced(plan: &Plan, chosen: &BTreeMap<Key, Chosen<'_>>) -> Vec<Remark> {
    let kept = plan.packages.iter().filter(|decided| decided.outcome.decision == Decision::KeepOurs);
    let remark = |decided: &Decided| {
        let key = (decided.key.name.to_string(), decided.key.arch.to_string(), decided.key.version.clone());
        let base = decided.theirs.as_ref()?.known.evr.to_string();
        let chosen = chosen.get(&key)?;
        Some(Remark::Replaces {
            extension: chosen.image.to_owned(),
            package: key.0,
            version: chosen.version.clone(),
            base,
        })
    };
    kept.filter_map(remark).collect()
}
