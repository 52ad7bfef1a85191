//! Files that are diverted on one side alone: each side's content is looked for at that side's place, and what becomes
//! of it is carried out at the place that the file has when all is merged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Cover, Planning};
use crate::overlay::changes::upper::Node;
use crate::overlay::rebase::Finding;
use crate::overlay::rebase::content::Content;
use crate::overlay::rebase::diverted::{Diverted, DivertedFile};
use crate::overlay::rebase::edit::{self, Edit};
use crate::overlay::rebase::fate::{Facts, Fate, Owners, decide};
use crate::overlay::rebase::seen::{Attributes, Had, SeenFiles};
use crate::pkgdb;
use crate::sys::IoError;

/// What the overlay has of a file.
enum Mine {
    /// What the base had.
    Untouched,
    /// The same, though the overlay's table says that it is elsewhere: diverted without a renaming, or before there was
    /// anything.
    Unmoved,
    /// Nothing any more.
    Removed,
    /// This.
    There(Content, Attributes),
}

/// What is to be at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Then {
    /// What is seen there now.
    AsItIs,
    Nothing,
    /// The overlay's file from a place.
    Own(PathBuf),
    /// The base's file from a place.
    Theirs(PathBuf),
    /// The base's content from the first place, with the attributes of the overlay's file from the second.
    Refreshed(PathBuf, PathBuf),
}

/// What was decided for files that have to do with each other. Paths are of the view.
#[derive(Default)]
struct Decided {
    then: BTreeMap<PathBuf, Then>,
    /// Files of the overlay that are put beside their place, with their endings.
    saved: BTreeMap<PathBuf, String>,
    /// Files of the base that are put beside what is at a place: their own places, and the endings.
    offered: BTreeMap<PathBuf, (PathBuf, String)>,
    findings: Vec<Finding>,
    /// Two of them would be at one place.
    is_clash: bool,
}

/// What comes of that in a layer. Paths are from its root.
#[derive(Default)]
struct Planned {
    edits: Vec<(PathBuf, Edit)>,
    findings: Vec<Finding>,
    /// Where the base's file is to be seen.
    uncovered: Vec<PathBuf>,
}

impl Planned {
    /// Whether a file is moved to where another is moved from: no order of theirs would be safe.
    fn has_chain(&self) -> bool {
        let renamed: BTreeSet<&PathBuf> =
            self.edits.iter().filter_map(|(_, edit)| edit.renamed_from()).collect();
        self.edits.iter().any(|(path, edit)| edit.renamed_from().is_some() && renamed.contains(path))
    }
}

impl Decided {
    fn put(&mut self, place: &Path, then: Then) {
        self.is_clash |= self.then.insert(place.to_owned(), then).is_some();
    }

    /// Whether the overlay's file at a place stays somewhere.
    fn uses(&self, place: &Path) -> bool {
        let is_used = |then: &Then| matches!(then, Then::Own(own) | Then::Refreshed(_, own) if own == place);
        self.saved.contains_key(place) || self.then.values().any(is_used)
    }
}

impl Planning<'_> {
    /// Plans what becomes of them in this layer.
    pub(super) fn plan_diverted(
        &mut self,
        diverted: &Diverted,
        seen: &SeenFiles,
    ) -> Result<(), pkgdb::Error> {
        for group in &diverted.groups {
            let places: BTreeSet<&PathBuf> = group.iter().flat_map(DivertedFile::places).collect();
            let inside = places.iter().filter(|place| self.layer.inside(place).is_some()).count();
            if inside == 0 {
                continue;
            }
            let planned = if inside == places.len() { self.plan_group(group, diverted, seen)? } else { None };
            match planned {
                Some(planned) => {
                    self.plan.edits.extend(planned.edits);
                    self.plan.findings.extend(planned.findings);
                    self.uncovered.extend(planned.uncovered);
                }
                None => self.tell_misplaced(group),
            }
        }
        Ok(())
    }

    /// What cannot be moved stays where it is.
    fn tell_misplaced(&mut self, group: &[DivertedFile]) {
        for file in group {
            let Some(then) = file.then.as_ref().filter(|then| self.layer.inside(then).is_some()) else {
                continue;
            };
            let is_elsewhere = |place: &PathBuf| place != then;
            let is_there = |place: &PathBuf| self.layer.inside(place).is_none() || self.node(place).is_some();
            let is_own_elsewhere = file.own.as_ref().is_some_and(|own| is_elsewhere(own) && is_there(own));
            if is_own_elsewhere || file.has.as_ref().is_some_and(is_elsewhere) {
                self.plan.findings.push(Finding::Misplaced { path: file.path.clone(), place: then.clone() });
            }
        }
    }

    /// `None` where something is in the way.
    fn plan_group(
        &mut self,
        group: &[DivertedFile],
        diverted: &Diverted,
        seen: &SeenFiles,
    ) -> Result<Option<Planned>, pkgdb::Error> {
        let places: BTreeSet<&PathBuf> = group.iter().flat_map(DivertedFile::places).collect();
        for place in &places {
            let is_directory = self.node(place).is_some_and(|node| node.status.is_dir());
            if is_directory || self.base_has(Some(place))?.0 == Content::Directory {
                return Ok(None);
            }
        }
        let mut decided = Decided::default();
        for file in group {
            self.decide_on(file, group, diverted, seen, &mut decided)?;
        }
        let mut planned = Planned::default();
        for (place, ending) in &decided.saved {
            planned.edits.push((self.inside(place), Edit::Save(ending.clone())));
        }
        for place in places {
            self.carry_out(place, &decided, &mut planned)?;
        }
        if decided.is_clash || planned.has_chain() {
            return Ok(None);
        }
        for (path, edit) in &planned.edits {
            if matches!(edit, Edit::Rename(_) | Edit::Bring { .. } | Edit::Hide)
                && !self.is_reachable(path)?
            {
                return Ok(None);
            }
        }
        planned.findings = decided.findings;
        Ok(Some(planned))
    }

    fn decide_on(
        &mut self,
        file: &DivertedFile,
        group: &[DivertedFile],
        diverted: &Diverted,
        seen: &SeenFiles,
        decided: &mut Decided,
    ) -> Result<(), pkgdb::Error> {
        let mine = self.mine(file, seen)?;
        let (has, attributes) = self.base_has(file.has.as_ref())?;
        let had = match &file.had {
            Some(place) => seen.get(place).cloned(),
            None => Some(Had::Nothing),
        };
        let theirs = match &file.has {
            Some(place) if has != Content::Absent => Then::Theirs(place.clone()),
            _ => Then::Nothing,
        };
        let claims = diverted.claims(file);
        let then = match (mine, &file.own) {
            (Mine::There(content, own_attributes), Some(own)) => {
                self.above.move_to(parent(&self.inside(own)));
                let dir = self.above.dir()?;
                let owners = claims.owners(&file.path, Some((dir, own.file_name().unwrap_or_default())))?;
                let same_attributes = match had.as_ref().map(Had::without_extension) {
                    Some(Had::Content(_, known)) => *known == own_attributes,
                    _ => attributes == Some(own_attributes),
                };
                let (own_content, had) = (Some(&content), had.as_ref());
                let facts =
                    Facts { own: own_content, same_attributes, had, has: &has, is_passing: false, owners };
                match decide(&facts) {
                    // It need not be brought.
                    Fate::Drop
                        if file.then.is_some()
                            && file.then != file.has
                            && content == has
                            && attributes == Some(own_attributes) =>
                    {
                        Then::Own(own.clone())
                    }
                    Fate::Drop => theirs,
                    fate => self.carry_fate(fate, (file, own), theirs, claims.endings(), decided)?,
                }
            }
            (Mine::Removed, _) => {
                let owners = claims.owners(&file.path, None)?;
                let had = had.as_ref();
                let facts =
                    Facts { own: None, same_attributes: true, had, has: &has, is_passing: false, owners };
                match decide(&facts) {
                    Fate::Drop => theirs,
                    Fate::KeepAway => {
                        decided.findings.extend(file.then.clone().map(|path| Finding::KeptAway { path }));
                        Then::Nothing
                    }
                    _ => Then::Nothing,
                }
            }
            (Mine::Unmoved, _) if stays_unmoved(file, group, &has, seen) => Then::AsItIs,
            _ => {
                let Owners { kept, taken, refused, .. } = claims.owners(&file.path, None)?;
                if refused && !kept && taken.is_none() { Then::Nothing } else { theirs }
            }
        };
        match (&file.then, then) {
            (Some(place), then) => decided.put(place, then),
            // There is no place for it any more.
            (None, Then::Own(own) | Then::Refreshed(_, own)) => {
                self.save(&own, claims.endings().0, decided)?;
            }
            (None, Then::Theirs(place)) if had.as_ref().and_then(Had::content) != Some(&has) => {
                decided.findings.push(Finding::KeptOver { path: place });
            }
            (None, _) => {}
        }
        Ok(())
    }

    /// What the overlay's file comes to, where it does not simply go.
    fn carry_fate(
        &mut self,
        fate: Fate,
        (file, own): (&DivertedFile, &PathBuf),
        theirs: Then,
        (save, offer): (&str, &str),
        decided: &mut Decided,
    ) -> Result<Then, IoError> {
        let own = own.clone();
        Ok(match (fate, theirs) {
            (Fate::DropAndSave, theirs) => {
                self.save(&own, save, decided)?;
                theirs
            }
            (Fate::Refresh, Then::Theirs(place)) => Then::Refreshed(place, own),
            (Fate::KeepAndOffer, Then::Theirs(place)) => {
                if let Some(then) = &file.then {
                    let ending = self.free_ending(then, offer)?;
                    decided.findings.push(Finding::Offered { path: then.clone(), ending: ending.clone() });
                    decided.offered.insert(then.clone(), (place, ending));
                }
                Then::Own(own)
            }
            (Fate::KeepOver, _) => {
                decided.findings.extend(file.then.clone().map(|path| Finding::KeptOver { path }));
                Then::Own(own)
            }
            (Fate::KeepAlone, _) => {
                decided.findings.extend(file.then.clone().map(|path| Finding::KeptAlone { path }));
                Then::Own(own)
            }
            _ => Then::Own(own),
        })
    }

    fn save(&mut self, own: &Path, ending: &str, decided: &mut Decided) -> Result<(), IoError> {
        let ending = self.free_ending(own, ending)?;
        decided.findings.push(Finding::Saved { path: own.to_owned(), ending: ending.clone() });
        decided.saved.insert(own.to_owned(), ending);
        Ok(())
    }

    /// The edits that make a place what it is to be.
    fn carry_out(
        &mut self,
        place: &PathBuf,
        decided: &Decided,
        planned: &mut Planned,
    ) -> Result<(), IoError> {
        let path = self.inside(place);
        let is_covered = matches!(self.cover(&path), Cover::Whiteout(_) | Cover::File(_));
        let is_below = !is_covered && self.base_has(Some(place))?.0 != Content::Absent;
        let edits = &mut planned.edits;
        let is_left = self.node(place).is_some() && !decided.uses(place);
        let bring = |from: PathBuf, keeps_attributes| Edit::Bring { from, keeps_attributes };
        match decided.then.get(place).unwrap_or(&Then::Nothing) {
            Then::Own(own) if own == place => {}
            Then::Own(own) => edits.push((path.clone(), Edit::Rename(self.inside(own)))),
            Then::Theirs(from) if from == place => {
                if is_left {
                    edits.push((path.clone(), Edit::Drop));
                }
                planned.uncovered.push(path.clone());
            }
            Then::Theirs(from) => edits.push((path.clone(), bring(self.inside(from), false))),
            Then::Refreshed(from, own) => {
                if own != place {
                    edits.push((path.clone(), Edit::Rename(self.inside(own))));
                }
                edits.push((path.clone(), bring(self.inside(from), true)));
            }
            Then::Nothing if is_below => {
                let is_hidden = is_left && self.node(place).is_some_and(|node| node.whiteout);
                if !is_hidden {
                    edits.push((path.clone(), Edit::Hide));
                }
            }
            Then::Nothing if is_left => edits.push((path.clone(), Edit::Drop)),
            Then::AsItIs | Then::Nothing => {}
        }
        if let Some((from, ending)) = decided.offered.get(place) {
            let mut beside = path.into_os_string();
            beside.push(ending);
            edits.push((beside.into(), bring(self.inside(from), false)));
        }
        Ok(())
    }

    fn mine(&mut self, file: &DivertedFile, seen: &SeenFiles) -> Result<Mine, IoError> {
        let Some(own) = &file.own else {
            let was = file.had.as_ref().is_some_and(|had| seen.get(had) != Some(&Had::Nothing));
            return Ok(if was { Mine::Removed } else { Mine::Untouched });
        };
        let Some(node) = self.node(own) else {
            let was_moved = file.had.as_ref().is_some_and(|had| self.node(had).is_some());
            let is_seen = matches!(self.cover(&self.inside(own)), Cover::Nothing);
            return Ok(match &file.had {
                // Its directory was removed.
                _ if !is_seen => Mine::Removed,
                Some(had) if had == own => Mine::Untouched,
                _ if was_moved => Mine::Removed,
                _ => Mine::Unmoved,
            });
        };
        if node.whiteout {
            return Ok(Mine::Removed);
        }
        let attributes = Attributes::of_node(node);
        let inside = self.inside(own);
        self.above.move_to(parent(&inside));
        let content = Content::of(self.above.dir()?, inside.file_name().unwrap_or_default())?;
        Ok(Mine::There(content, attributes))
    }

    fn inside(&self, place: &Path) -> PathBuf {
        self.layer.inside(place).expect("a group is planned where all of it is inside")
    }

    fn node(&self, place: &Path) -> Option<&Node> {
        self.nodes.get(&self.layer.inside(place)?).copied()
    }

    fn base_has(&mut self, place: Option<&PathBuf>) -> Result<(Content, Option<Attributes>), IoError> {
        match place {
            Some(place) => self.lower_has(&self.inside(place)),
            None => Ok((Content::Absent, None)),
        }
    }

    fn free_ending(&mut self, place: &Path, ending: &str) -> Result<String, IoError> {
        let path = self.inside(place);
        let name = path.file_name().unwrap_or_default();
        self.above.move_to(parent(&path));
        self.below.move_to(parent(&path));
        let below = if self.below.exists()? { Some(self.below.dir()?) } else { None };
        let above = if self.above.exists()? { Some(self.above.dir()?) } else { below };
        above.map_or(Ok(ending.to_owned()), |above| edit::free_ending(above, below, name, ending))
    }

    /// Whether the directories of a path are there, or can be made without anything else going.
    pub(super) fn is_reachable(&mut self, path: &Path) -> Result<bool, IoError> {
        match self.cover(path) {
            Cover::Whiteout(_) | Cover::File(_) => return Ok(false),
            Cover::Opaque(_) => return Ok(true),
            Cover::Nothing => {}
        }
        let mut above = parent(path);
        while above != Path::new("") && !self.nodes.contains_key(above) {
            if !matches!(self.lower_has(above)?.0, Content::Absent | Content::Directory) {
                return Ok(false);
            }
            above = parent(above);
        }
        Ok(true)
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Whether a file that the overlay's table has elsewhere, and its layer nowhere, is seen where it was. It moves when
/// it is another one, as it does when its package is unpacked; what came since was never meant to be seen there.
fn stays_unmoved(file: &DivertedFile, group: &[DivertedFile], has: &Content, seen: &SeenFiles) -> bool {
    let shared = group.iter().find(|other| other.path == file.path && !other.is_instead);
    let had = shared.and_then(|shared| seen.get(shared.had.as_ref()?)).and_then(Had::content);
    had.is_some_and(|had| file.is_instead || had == has)
}
