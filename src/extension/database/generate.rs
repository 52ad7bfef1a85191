//! Making the generated extension, and keeping it.
//!
//! `STATE/database/KEY/` has it in `extension/`, and `record.json` with what there is to say of it. It takes this name when it is
//! complete and on disk. What was made from something else goes when another one is made, unless it is merged at the moment.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::key::key;
use super::records::Records;
use super::site::{Kind, Site};
use super::tree::Tree;
use super::{Error, NAME, Remark, dpkg, owner, rpm};
use crate::extension::Class;
use crate::extension::fit::Extension;
use crate::host::Host;
use crate::overlay::clear_tree;
use crate::sys::{Context, Lock, Root, sync_dir, sync_file_system, with_causes, write_new_unsynced};

/// A base's database with the packages of extensions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergedDatabase {
    /// The extension that has it, to be merged under the name [`NAME`]; none where there is nothing to be added.
    pub extension: Option<PathBuf>,
    /// How many packages were added to the base's.
    pub packages: usize,
    /// What there is to say.
    pub remarks: Vec<Remark>,
}

/// What a merge did.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Added {
    pub(super) packages: usize,
    pub(super) remarks: Vec<Remark>,
}

const DATABASES: &str = "database";
const LOCK: &str = ".lock";
const EXTENSION: &str = "extension";
const SCRATCH: &str = "scratch";
const RECORD: &str = "record.json";
/// The largest record that is read.
const LARGEST_RECORD: u64 = 1 << 20;

/// Makes the database of a host as it is while these extensions are merged, unless it is there already, below the state
/// directory. `host` shows the base without what is merged ([`crate::extension::with_base`]); extensions are in the order in
/// which systemd lays them, the topmost last.
///
/// Nothing that goes wrong here is a reason not to merge extensions: it is a remark.
pub fn generate(host: &Host, laid: &[Extension<'_>], state: &Root) -> MergedDatabase {
    let mut remarks = Vec::new();
    match attempt(host, laid, state, &mut remarks) {
        Ok((extension, added)) => {
            remarks.extend(added.remarks);
            MergedDatabase { extension, packages: added.packages, remarks }
        }
        Err(error) => {
            remarks.push(Remark::Failed { why: with_causes(&error) });
            MergedDatabase { remarks, ..MergedDatabase::default() }
        }
    }
}

/// Removes what was made, where nothing of it is merged any more.
pub fn forget(state: &Path) -> Result<(), Error> {
    let databases = match Root::open(state.join(DATABASES)) {
        Err(error) if error.is_not_found() => return Ok(()),
        other => other?,
    };
    let _lock = Lock::exclusive(&databases, LOCK)?;
    clear_all_but(&databases, None)
}

fn attempt(
    host: &Host,
    laid: &[Extension<'_>],
    state: &Root,
    remarks: &mut Vec<Remark>,
) -> Result<(Option<PathBuf>, Added), Error> {
    let laid: Vec<&Extension<'_>> =
        laid.iter().filter(|one| one.class == Class::Sysext && one.name != NAME).collect();
    if laid.is_empty() {
        return Ok((None, Added::default()));
    }
    if host.root.exists(release_place()) {
        return Err(Error::Merged);
    }
    let site = match Site::of(&host.root)? {
        None => return Ok((None, Added::default())),
        Some(Err(remark)) => {
            remarks.push(remark);
            return Ok((None, Added::default()));
        }
        Some(Ok(site)) => site,
    };
    let images: Vec<(&str, Records)> =
        laid.into_iter().map(|one| (one.name, records_of(one, &site, remarks))).collect();
    let has_any = images.iter().any(|(_, records)| match site.kind {
        Kind::Rpm(_) => !records.headers.is_empty(),
        Kind::Dpkg => !records.debs.is_empty(),
    });
    if !has_any {
        return Ok((None, Added::default()));
    }
    kept(host, &site, &images, state)
}

/// What an image says of its packages, and what there is to say of that.
fn records_of(extension: &Extension<'_>, site: &Site, remarks: &mut Vec<Remark>) -> Records {
    let name = extension.name.to_owned();
    let found = Records::read(extension.contents)
        .and_then(|records| Ok((owner::lists_packages(extension.contents)?, records)));
    let (lists_packages, records) = match found {
        Ok(found) => found,
        Err(error) => {
            remarks.push(Remark::Unreadable { extension: name, why: with_causes(&error) });
            return Records::default();
        }
    };
    let faults = records.faults.iter().cloned();
    remarks.extend(faults.map(|why| Remark::Unreadable { extension: name.clone(), why }));
    let (has_own, has_other, other) = match site.kind {
        Kind::Rpm(_) => (!records.headers.is_empty(), !records.debs.is_empty(), "dpkg"),
        Kind::Dpkg => (!records.debs.is_empty(), !records.headers.is_empty(), "rpm"),
    };
    if has_other {
        remarks.push(Remark::OtherSystem { extension: name, system: other.to_owned() });
    } else if !has_own && records.faults.is_empty() && lists_packages != Some(false) {
        remarks.push(Remark::NoRecords { extension: name });
    }
    records
}

/// The database that was made from the same before, or a new one.
fn kept(
    host: &Host,
    site: &Site,
    images: &[(&str, Records)],
    state: &Root,
) -> Result<(Option<PathBuf>, Added), Error> {
    state.make_dirs(DATABASES, 0o700)?;
    let databases = state.open_dir(DATABASES)?;
    let _lock = Lock::exclusive(&databases, LOCK)?;
    let key = key(host, site, images);
    let added = match record(&databases, &key) {
        Some(added) => added,
        None => make(host, site, images, &databases, &key)?,
    };
    let extension = (added.packages > 0).then(|| databases.join(&key).join(EXTENSION));
    Ok((extension, added))
}

fn record(databases: &Root, key: &str) -> Option<Added> {
    let text = databases.read(Path::new(key).join(RECORD), LARGEST_RECORD).ok()?;
    serde_json::from_slice(&text).ok()
}

fn make(
    host: &Host,
    site: &Site,
    images: &[(&str, Records)],
    databases: &Root,
    key: &str,
) -> Result<Added, Error> {
    remove_others(host, databases)?;
    let aside = format!(".{key}.new");
    databases.make_dir(&aside, 0o700)?;
    let draft = databases.open_dir(&aside)?;
    let result = fill(&host.root, site, images, &draft);
    let added = match result {
        Ok(added) => added,
        Err(error) => {
            // The error that matters is the first one.
            let _ = clear_tree(databases, OsStr::new(&aside));
            return Err(error);
        }
    };
    sync_file_system(&draft)?;
    rustix::fs::renameat(databases, &aside, databases, key).context("rename", databases.join(&aside))?;
    sync_dir(databases)?;
    Ok(added)
}

fn fill(base: &Root, site: &Site, images: &[(&str, Records)], draft: &Root) -> Result<Added, Error> {
    draft.make_dir(EXTENSION, 0o755)?;
    draft.make_dir(SCRATCH, 0o700)?;
    let (top, scratch) = (draft.open_dir(EXTENSION)?, draft.open_dir(SCRATCH)?);
    let tree = Tree { base, top: &top };
    let added = match site.kind {
        Kind::Rpm(backend) => rpm::merge(&site.directory, backend, images, &tree, &scratch)?,
        Kind::Dpkg => dpkg::merge(&site.directory, images, &tree)?,
    };
    clear_tree(draft, OsStr::new(SCRATCH))?;
    let release = release_place();
    let directory = release.parent().unwrap_or(Path::new(""));
    tree.directory(directory)?;
    // It is made on the host that it is for.
    tree.file(&release, Path::new("usr/lib/os-release"), b"ID=_any\n")?;
    let text = serde_json::to_vec_pretty(&added).expect("it has nothing that JSON cannot say");
    write_new_unsynced(draft, RECORD, 0o600, &text)?;
    Ok(added)
}

/// Where systemd looks for the release file of the generated extension.
fn release_place() -> PathBuf {
    Class::Sysext.release_directory().join(format!("extension-release.{NAME}"))
}

/// Removes what was made from something else, and what was broken off; not what a link in /run has merged.
fn remove_others(host: &Host, databases: &Root) -> Result<(), Error> {
    let link = std::fs::read_link(host.root.join("run/extensions").join(NAME)).unwrap_or_default();
    clear_all_but(databases, link.parent().and_then(Path::file_name))
}

fn clear_all_but(databases: &Root, kept: Option<&OsStr>) -> Result<(), Error> {
    for entry in databases.entries()? {
        if entry.name != LOCK && Some(&*entry.name) != kept {
            clear_tree(databases, &entry.name)?;
        }
    }
    Ok(())
}
