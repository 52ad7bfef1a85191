//! Publishing: a store's files to where others fetch them.
//!
//! Who reads there meanwhile finds what the lists say that he finds. So files that are new come first, then the lists, `index.json`
//! among them, then pages that show what there is, and last goes what the lists have no more. What was begun and not finished is found again: what is there of the new
//! files is not sent once more, and what was to go is noted there until it has gone.

mod contents;
mod directory;
mod error;
mod oci;
mod pages;
mod s3;
mod target;
mod webdav;

pub use contents::Item;
pub use error::Error;
pub use target::{Settings, Target, open};

use std::collections::BTreeSet;
use std::path::Path;

use contents::Contents;

use super::directory::LARGEST_INDEX;
use super::export::is_page;
use super::index::{INDEX, Signed};
use super::sums::{SUMS, Sums};

/// What is to go from there, a line for each file. Lists name no such file, so nobody looks for it.
const GOING: &str = "REMOVING";

/// What publishing does, or would do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files that are sent, and their sizes in bytes, in that order.
    pub sent: Vec<(String, u64)>,
    /// Files that are removed there.
    pub removed: Vec<String>,
}

/// How to publish.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Also where what is there is newer, or another store.
    pub force: bool,
    /// Look for each file there, also for those that the lists there have.
    pub recheck: bool,
}

/// Publishes a store. `told` hears of each file before it is sent.
pub fn publish(
    store: &Path,
    target: &mut dyn Target,
    how: How,
    told: &mut dyn FnMut(&Item),
) -> Result<Changes, Error> {
    let ours = Contents::read(store)?;
    let index = target.read(INDEX, LARGEST_INDEX)?;
    if !how.force {
        refuse_what_is_newer(&ours, index.as_deref())?;
    }
    let theirs = sums_of(target)?;
    let mut going = going(target, &ours, &theirs)?;
    let mut changes = Changes::default();
    // What lists there name was there whole before they named it.
    let is_known = |item: &Item| !how.recheck && theirs.0.get(&item.file) == Some(&item.sha256);
    let unknown = || ours.files.iter().filter(|item| !is_known(item));
    for item in unknown() {
        if let Err(refusal) = target.expect_to_take(item)
            && !target.has(item)?
        {
            return Err(refusal);
        }
    }
    for item in unknown() {
        if !target.has(item)? {
            send(&ours, target, item, how, told, &mut changes)?;
        }
    }
    let lists = outdated_lists(&ours, target)?;
    if !lists.is_empty() {
        going.extend(stale_lists(&ours, target)?);
    }
    let pages = pages::changed(&ours, target, how)?;
    going.extend(pages.gone);
    if changes.sent.is_empty() && lists.is_empty() && pages.sent.is_empty() && going.is_empty() {
        return Ok(changes);
    }
    if !how.dry_run {
        if target.read(INDEX, LARGEST_INDEX)? != index {
            return Err(Error::ChangedMeanwhile);
        }
        if !going.is_empty() {
            target.put_bytes(GOING, lines(&going).as_bytes())?;
        }
    }
    for item in lists.into_iter().chain(pages.sent) {
        send(&ours, target, item, how, told, &mut changes)?;
    }
    changes.removed = going.into_iter().collect();
    if !how.dry_run {
        for file in &changes.removed {
            target.remove(file)?;
        }
        if !changes.removed.is_empty() {
            target.remove(GOING)?;
        }
    }
    Ok(changes)
}

fn send(
    ours: &Contents,
    target: &mut dyn Target,
    item: &Item,
    how: How,
    told: &mut dyn FnMut(&Item),
    changes: &mut Changes,
) -> Result<(), Error> {
    if !how.dry_run {
        told(item);
        target.put(item, &ours.open(item)?)?;
    }
    changes.sent.push((item.file.clone(), item.size));
    Ok(())
}

/// Somebody else may have published since this store was written.
fn refuse_what_is_newer(ours: &Contents, index: Option<&[u8]>) -> Result<(), Error> {
    let Some(text) = index else { return Ok(()) };
    let theirs = Signed::parse(text).map_err(Error::NotOurs)?;
    if theirs.index.serial > ours.index.serial {
        return Err(Error::Newer { theirs: theirs.index.serial, ours: ours.index.serial });
    }
    if theirs.index.serial == ours.index.serial && theirs.bytes != ours.index_bytes {
        return Err(Error::Another(ours.index.serial));
    }
    Ok(())
}

/// What the list of digests there has; nothing where there is none, or none that can be read.
fn sums_of(target: &mut dyn Target) -> Result<Sums, Error> {
    let text = target.read(SUMS, LARGEST_INDEX)?;
    Ok(text.and_then(|text| Sums::parse(&text).ok()).unwrap_or_default())
}

/// What is to go: what the lists there have and ours have not, and what was to go when somebody was interrupted.
fn going(target: &mut dyn Target, ours: &Contents, theirs: &Sums) -> Result<BTreeSet<String>, Error> {
    let noted = target.read(GOING, LARGEST_INDEX)?.unwrap_or_default();
    let noted = String::from_utf8_lossy(&noted).into_owned();
    let mut going: BTreeSet<String> = noted.lines().map(str::to_owned).collect();
    going.extend(theirs.0.keys().cloned());
    // A name that leads elsewhere is nobody's of ours.
    let is_name = |file: &str| is_page(file) || !file.is_empty() && !file.contains('/') && file != GOING;
    going.retain(|file| !ours.has(file) && is_name(file));
    Ok(going)
}

/// Lists that are not there as they are here.
fn outdated_lists<'a>(ours: &'a Contents, target: &mut dyn Target) -> Result<Vec<&'a Item>, Error> {
    let mut outdated = Vec::new();
    for item in &ours.lists {
        if target.read(&item.file, LARGEST_INDEX)?.as_deref() != Some(ours.list(item)?) {
            outdated.push(item);
        }
    }
    Ok(outdated)
}

/// Lists that are there and that we have no more: signatures of who signs no more.
fn stale_lists(ours: &Contents, target: &mut dyn Target) -> Result<Vec<String>, Error> {
    let mut stale = Vec::new();
    for name in contents::lists().filter(|name| !ours.has(name)) {
        if target.read(name, LARGEST_INDEX)?.is_some() {
            stale.push(name.to_owned());
        }
    }
    Ok(stale)
}

fn lines(files: &BTreeSet<String>) -> String {
    files.iter().flat_map(|file| [file, "\n"]).collect()
}
