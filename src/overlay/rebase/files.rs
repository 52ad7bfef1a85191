//! Planning what becomes of the files of one layer.

mod moves;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::content::Content;
use super::diverted::Diverted;
use super::edit::{self, Edit};
use super::fate::{Facts, Fate, Owners, decide};
use super::seen::{Attributes, Had, SeenFiles};
use super::shown::Shown;
use super::{Finding, caches};
use crate::overlay::attributes::Named;
use crate::overlay::changes::marks::Opaque;
use crate::overlay::changes::place::Place;
use crate::overlay::changes::upper::{Node, Upper};
use crate::pkgdb;
use crate::sys::{FileKind, IoError, Root};

/// Whose the names of a view are, after packages were merged. Paths are from the root of the view,
/// with links in their directories resolved.
pub(super) trait Ownership {
    /// Whose a name is; `own` is the overlay's file of that name.
    fn owners(&self, path: &Path, own: Option<Named<'_>>) -> Result<Owners, pkgdb::Error>;
    /// Names that packages need which are new from the base, or changed there.
    fn needed(&self) -> &BTreeSet<PathBuf>;
    /// Names of packages that the base has and the overlay does not want.
    fn refused(&self) -> &BTreeSet<PathBuf>;
    /// Whether somebody else sees to a name: the files of the package database itself.
    fn is_special(&self, path: &Path) -> bool;
    /// The endings of what is saved, and of what is offered.
    fn endings(&self) -> (&'static str, &'static str);
}

/// One layer of an overlay, over what it covers now.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub(super) point: &'a Path,
    pub(super) upper: &'a Root,
    pub(super) lower: &'a Root,
    /// Mount points of other layers below this one.
    pub(super) others: &'a [PathBuf],
    /// The whole base without the extensions that are merged over it, where any are.
    pub(super) bare: Option<&'a Root>,
}

impl Layer<'_> {
    /// The part of a path of the view below this layer's root; `None` where it belongs to another.
    pub(super) fn inside(&self, path: &Path) -> Option<PathBuf> {
        let inside = path.strip_prefix(self.point).ok()?;
        let is_elsewhere = self.others.iter().any(|other| path.starts_with(other));
        (!is_elsewhere).then(|| inside.to_owned())
    }
}

/// What is to be done in a layer.
#[derive(Debug, Default)]
pub(super) struct LayerPlan {
    /// By path from the layer's root.
    pub(super) edits: Vec<(PathBuf, Edit)>,
    pub(super) findings: Vec<Finding>,
    /// Names that the overlay keeps beside what an extension has there, by their paths in the view, with what was noted of them.
    pub(super) beside: Vec<(PathBuf, Had)>,
}

/// Plans it.
pub(super) fn plan(
    layer: Layer<'_>,
    read: &Upper,
    seen: &SeenFiles,
    owned: &dyn Ownership,
    diverted: &Diverted,
    shown: &BTreeMap<PathBuf, Shown>,
) -> Result<LayerPlan, pkgdb::Error> {
    let mut planning = Planning {
        layer,
        nodes: read.paths().collect(),
        above: Place::top(layer.upper),
        below: Place::top(layer.lower),
        opened: HashSet::new(),
        uncovered: BTreeSet::new(),
        covering: Vec::new(),
        plan: LayerPlan::default(),
    };
    for (path, node) in read.paths() {
        let whole = layer.point.join(&path);
        // What another layer lies on stays.
        if !owned.is_special(&whole) && !diverted.has(&whole) && !layer.others.contains(&whole) {
            planning.plan_name(&path, node, seen, owned)?;
        }
    }
    planning.plan_diverted(diverted, seen)?;
    planning.make_shown(shown)?;
    planning.tell_covering_directories();
    planning.show_needed(owned)?;
    planning.hide_refused(owned)?;
    Ok(planning.plan)
}

struct Planning<'a> {
    layer: Layer<'a>,
    nodes: HashMap<PathBuf, &'a Node>,
    above: Place<'a>,
    below: Place<'a>,
    /// Directories that hide nothing of the base any more.
    opened: HashSet<PathBuf>,
    /// Names whose own file goes, so that the base's is seen.
    uncovered: BTreeSet<PathBuf>,
    /// Directories where the base has something else now.
    covering: Vec<PathBuf>,
    plan: LayerPlan,
}

/// Whether what lies below a name is an extension's: `below` is in the directory of that name.
fn is_passing(
    bare: Option<&Root>,
    whole: &Path,
    below: &mut Place<'_>,
    name: &OsStr,
) -> Result<bool, IoError> {
    let Some(bare) = bare.filter(|_| below.exists().is_ok_and(|there| there)) else { return Ok(false) };
    let told = |stat: rustix::fs::Stat| {
        (FileKind::of(&stat), stat.st_mode, stat.st_size, stat.st_mtime, stat.st_mtime_nsec)
    };
    Ok(below.dir()?.lstat(name)?.map(told) != bare.lstat(whole)?.map(told))
}

/// What is known of a directory of the upper.
struct DirectoryFacts<'a> {
    node: &'a Node,
    had: Option<&'a Had>,
    has: &'a Content,
    /// Of what the base has.
    attributes: Option<Attributes>,
    /// Whether a package, of whichever side, has it.
    is_claimed: bool,
}

/// What keeps a name of the lower from being seen, if the upper has nothing of that name itself.
enum Cover {
    Nothing,
    /// A name above is a whiteout.
    Whiteout(PathBuf),
    /// A directory above hides all that lies below it.
    Opaque(PathBuf),
    /// Something else above is in the way.
    File(PathBuf),
}

impl Planning<'_> {
    fn plan_name(
        &mut self,
        path: &Path,
        node: &Node,
        seen: &SeenFiles,
        owned: &dyn Ownership,
    ) -> Result<(), pkgdb::Error> {
        let Some(name) = path.file_name() else { return Ok(()) };
        let whole = self.layer.point.join(path);
        let had = seen.get(&whole);
        let (has, attributes) = self.lower_has(path)?;
        if node.status.is_dir() {
            let is_claimed = is_claimed(owned.owners(&whole, None)?);
            self.plan_directory(path, &DirectoryFacts { node, had, has: &has, attributes, is_claimed });
            return Ok(());
        }
        if caches::is_memory(&whole) && !node.whiteout {
            self.plan.edits.push((path.to_owned(), Edit::Drop));
            return Ok(());
        }
        self.above.move_to(path.parent().unwrap_or(Path::new("")));
        let dir = self.above.dir()?;
        // Large files are an overlay's own, as a rule.
        let is_compared = [Some(&has), had.and_then(Had::content)]
            .iter()
            .any(|other| matches!(other, Some(Content::File(_))));
        let own = match node.status.kind {
            _ if node.whiteout => None,
            FileKind::File if !is_compared => Some(Content::UNREAD),
            _ => Some(Content::of(dir, name)?),
        };
        let own_attributes = Attributes::of_node(node);
        let same_attributes = match had.map(Had::without_extension) {
            Some(Had::Content(_, attributes)) => *attributes == own_attributes,
            _ => attributes == Some(own_attributes),
        };
        let owners = owned.owners(&whole, own.as_ref().map(|_| (dir, name)))?;
        let is_passing =
            has != Content::Absent && is_passing(self.layer.bare, &whole, &mut self.below, name)?;
        let facts = Facts { own: own.as_ref(), same_attributes, had, has: &has, is_passing, owners };
        let (save, offer) = owned.endings();
        let mut beside = |ending: &str| {
            // What the base has beside it is as much in the way as what the overlay has.
            let covered = if self.below.exists()? { Some(self.below.dir()?) } else { None };
            edit::free_ending(dir, covered, name, ending)
        };
        let edit = match decide(&facts) {
            Fate::Keep | Fate::KeepBeside => {
                if is_passing && own.is_some() {
                    self.plan.beside.extend(had.map(|had| (whole, had.clone())));
                }
                return Ok(());
            }
            Fate::KeepOver | Fate::KeepAlone | Fate::KeepAway if changes_by_itself(&whole) => return Ok(()),
            Fate::KeepOver => {
                self.plan.findings.push(Finding::KeptOver { path: whole });
                return Ok(());
            }
            Fate::KeepAway => {
                self.plan.findings.push(Finding::KeptAway { path: whole });
                return Ok(());
            }
            Fate::KeepAlone => {
                self.plan.findings.push(Finding::KeptAlone { path: whole });
                return Ok(());
            }
            Fate::KeepAndOffer => Edit::Offer(beside(offer)?),
            Fate::Drop => Edit::Drop,
            Fate::DropAndSave => Edit::Save(beside(save)?),
            Fate::Refresh => Edit::Refresh,
        };
        if matches!(edit, Edit::Drop | Edit::Save(_)) && has != Content::Absent {
            self.uncovered.insert(path.to_owned());
        }
        match &edit {
            Edit::Offer(ending) => {
                self.plan.findings.push(Finding::Offered { path: whole, ending: ending.clone() });
            }
            Edit::Save(ending) => {
                self.plan.findings.push(Finding::Saved { path: whole, ending: ending.clone() });
            }
            _ => {}
        }
        self.plan.edits.push((path.to_owned(), edit));
        Ok(())
    }

    /// Many names may lie below one that is told.
    fn tell_once(&mut self, finding: Finding) {
        if !self.plan.findings.contains(&finding) {
            self.plan.findings.push(finding);
        }
    }

    fn plan_directory(&mut self, path: &Path, facts: &DirectoryFacts<'_>) {
        let DirectoryFacts { node, had, has, attributes, is_claimed } = *facts;
        let own = Attributes::of_node(node);
        let is_untouched = matches!(had, Some(Had::Content(Content::Directory, known)) if *known == own);
        // Where the base had nothing, nothing was meant to be hidden. Where that is not known, a package made it.
        let is_new = had == Some(&Had::Nothing) || (had.is_none() && is_claimed);
        if *has == Content::Directory && is_opaque(node) && is_new {
            self.opened.insert(path.to_owned());
            self.plan.edits.push((path.to_owned(), Edit::Unveil(Vec::new())));
        }
        let is_hiding = is_opaque(node) && !self.opened.contains(path);
        match has {
            Content::Directory if is_hiding => {}
            Content::Directory => {
                if is_untouched && attributes != Some(own) {
                    self.plan.edits.push((path.to_owned(), Edit::RefreshDirectory));
                }
                if is_untouched || attributes == Some(own) {
                    self.plan.edits.push((path.to_owned(), Edit::Prune));
                }
            }
            // The base had it and has it no more, or has something else there.
            _ if *has != Content::Absent => {
                self.covering.push(path.to_owned());
                self.plan.edits.push((path.to_owned(), Edit::Prune));
            }
            _ if is_untouched => {
                self.plan.edits.push((path.to_owned(), Edit::Prune));
            }
            _ => {}
        }
    }

    /// Whether what the upper has under a name will not be there any more.
    fn goes(&self, path: &Path) -> bool {
        let is_it =
            |(edited, edit): &(PathBuf, Edit)| edited == path && matches!(edit, Edit::Drop | Edit::Save(_));
        self.plan.edits.iter().any(is_it)
    }

    /// A directory that keeps something of the overlay's hides what the base has in its place, if that is none.
    fn tell_covering_directories(&mut self) {
        if self.covering.is_empty() {
            return;
        }
        let dropped = self.plan.edits.iter().filter(|(_, edit)| matches!(edit, Edit::Drop));
        let gone: HashSet<PathBuf> = dropped.map(|(path, _)| path.clone()).collect();
        for path in std::mem::take(&mut self.covering) {
            let stays = |(below, node): (&PathBuf, &&Node)| {
                below.starts_with(&path) && !node.status.is_dir() && !node.whiteout && !gone.contains(below)
            };
            if self.nodes.iter().any(stays) {
                self.plan.findings.push(Finding::KeptOver { path: self.layer.point.join(path) });
            }
        }
    }

    fn lower_has(&mut self, path: &Path) -> Result<(Content, Option<Attributes>), IoError> {
        let Some(name) = path.file_name() else { return Ok((Content::Absent, None)) };
        self.below.move_to(path.parent().unwrap_or(Path::new("")));
        if !self.below.exists()? {
            return Ok((Content::Absent, None));
        }
        let dir = self.below.dir()?;
        let content = Content::of(dir, name)?;
        let attributes = if content == Content::Absent { None } else { Some(Attributes::of(dir, name)?) };
        Ok((content, attributes))
    }

    fn cover(&self, path: &Path) -> Cover {
        let above: Vec<&Path> =
            path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()).collect();
        for above in above.into_iter().rev() {
            match self.nodes.get(above) {
                None => return Cover::Nothing,
                Some(node) if node.whiteout => return Cover::Whiteout(above.to_owned()),
                Some(node) if !node.status.is_dir() => return Cover::File(above.to_owned()),
                Some(node) if is_opaque(node) && !self.opened.contains(above) => {
                    return Cover::Opaque(above.to_owned());
                }
                Some(_) => {}
            }
        }
        Cover::Nothing
    }

    /// Makes what the overlay has shown through, and the base has no more.
    fn make_shown(&mut self, shown: &BTreeMap<PathBuf, Shown>) -> Result<(), IoError> {
        for (whole, shown) in shown {
            let Some(path) = self.layer.inside(whole).filter(|path| !self.nodes.contains_key(path)) else {
                continue;
            };
            let is_shown = matches!(self.cover(&path), Cover::Nothing) && self.is_reachable(&path)?;
            if is_shown && self.lower_has(&path)?.0 == Content::Absent {
                self.plan.edits.push((path, Edit::Make(shown.clone())));
            }
        }
        Ok(())
    }

    /// Opens what hides files that are to be seen.
    fn show_needed(&mut self, owned: &dyn Ownership) -> Result<(), pkgdb::Error> {
        let mut needed: BTreeSet<PathBuf> =
            owned.needed().iter().filter_map(|path| self.layer.inside(path)).collect();
        needed.retain(|path| !self.nodes.contains_key(path));
        needed.extend(self.uncovered.iter().cloned());
        let mut seen = BTreeSet::new();
        for path in &needed {
            let whole = self.layer.point.join(path);
            match self.cover(path) {
                Cover::Nothing => {}
                // What a person removed with its directory stays removed.
                Cover::Whiteout(_) if owned.owners(&whole, None)?.replaced.is_some() => {}
                Cover::Whiteout(directory) => {
                    if seen.insert(directory.clone()) {
                        self.plan.edits.retain(|(edited, _)| *edited != directory);
                        self.plan.edits.push((directory.clone(), Edit::Drop));
                        self.hide_all_but(&directory, &needed)?;
                    }
                }
                Cover::Opaque(directory) => {
                    if seen.insert(directory.clone()) {
                        self.unveil(&directory, &needed)?;
                    }
                }
                Cover::File(above) if self.goes(&above) => {}
                Cover::File(above) => {
                    self.tell_once(Finding::KeptOver { path: self.layer.point.join(above) });
                }
            }
        }
        Ok(())
    }

    /// Makes a directory that hid everything hide everything but what is needed.
    fn unveil(&mut self, directory: &Path, needed: &BTreeSet<PathBuf>) -> Result<(), IoError> {
        let mut hidden = Vec::new();
        for (name, is_directory) in self.lower_names(directory)? {
            let path = directory.join(&name);
            let is_needed = leads_to(needed, &path);
            match self.nodes.get(&path) {
                Some(node) if node.status.is_dir() && is_directory => {
                    if is_needed {
                        self.unveil(&path, needed)?;
                    } else {
                        self.plan.edits.push((path, Edit::Veil));
                    }
                }
                None if !is_needed => hidden.push(name),
                None if is_directory => self.hide_all_but(&path, needed)?,
                _ => {}
            }
        }
        self.plan.edits.push((directory.to_owned(), Edit::Unveil(hidden)));
        Ok(())
    }

    /// Hides what is in a directory of the lower, of which the upper has nothing, but what is needed.
    fn hide_all_but(&mut self, directory: &Path, needed: &BTreeSet<PathBuf>) -> Result<(), IoError> {
        for (name, is_directory) in self.lower_names(directory)? {
            let path = directory.join(name);
            if !leads_to(needed, &path) {
                self.plan.edits.push((path, Edit::Hide));
            } else if is_directory {
                self.hide_all_but(&path, needed)?;
            }
        }
        Ok(())
    }

    fn lower_names(&mut self, directory: &Path) -> Result<Vec<(OsString, bool)>, IoError> {
        self.below.move_to(directory);
        if !self.below.exists()? {
            return Ok(Vec::new());
        }
        let dir = self.below.dir()?;
        let mut found = Vec::new();
        for entry in dir.entries()? {
            let is_directory = dir.is_dir(&entry.name)?;
            found.push((entry.name, is_directory));
        }
        Ok(found)
    }

    /// Hides files of packages that are not wanted, where they would be seen now.
    fn hide_refused(&mut self, owned: &dyn Ownership) -> Result<(), pkgdb::Error> {
        let refused: Vec<PathBuf> =
            owned.refused().iter().filter_map(|path| self.layer.inside(path)).collect();
        for path in refused {
            let owners = owned.owners(&self.layer.point.join(&path), None)?;
            let is_seen = matches!(self.cover(&path), Cover::Nothing) && !self.nodes.contains_key(&path);
            if owners.kept || owners.taken.is_some() || !is_seen {
                continue;
            }
            let Some(name) = path.file_name() else { continue };
            self.below.move_to(path.parent().unwrap_or(Path::new("")));
            if !self.below.exists()? {
                continue;
            }
            let dir = self.below.dir()?;
            // Others may have files in a directory of the package.
            if dir.lstat(name)?.is_some() && !dir.is_dir(name)? {
                self.plan.edits.push((path, Edit::Hide));
            }
        }
        Ok(())
    }
}

/// Whether one of the paths is this one, or below it.
fn leads_to(needed: &BTreeSet<PathBuf>, path: &Path) -> bool {
    needed.range(path.to_owned()..).next().is_some_and(|first| first.starts_with(path))
}

/// What shadow-utils keeps of the lists of users as they were before.
const BACKUPS: &[&str] = &["passwd-", "group-", "shadow-", "gshadow-", "subuid-", "subgid-"];

/// Whether a path is where programs note what they do, on either side: no person has to be told that both did.
pub(super) fn changes_by_itself(path: &Path) -> bool {
    // The links of alternatives are made anew by who knows them.
    let places = ["/etc/alternatives", "/var/cache", "/var/log", "/var/tmp"];
    let is_backup = path.parent() == Some(Path::new("/etc"))
        && path.file_name().is_some_and(|name| BACKUPS.iter().any(|backup| name == *backup));
    is_backup || places.iter().any(|place| path.starts_with(place))
}

fn is_opaque(node: &Node) -> bool {
    node.marks.opaque == Some(Opaque::Wholly)
}

/// Whether a package, of whichever side, has a name.
fn is_claimed(owners: Owners) -> bool {
    owners.kept || owners.refused || owners.taken.is_some() || owners.replaced.is_some()
}
