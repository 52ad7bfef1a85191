//! Overlays that follow their base.
//!
//! When a base has changed, the files of an overlay hide what the base has now, its package database
//! is the old one, and what it had removed is back. Here it is decided what becomes of each name
//! (`fate`, `files`) and of each package, and all of it is done at once: in a second set of layers that
//! takes the place of the first (`draft`, `edit`). `plan` only reads. Nobody may be in the overlay
//! meanwhile; the caller sees to that.

mod accounts;
mod caches;
mod claims;
mod content;
mod diverted;
mod draft;
mod edit;
mod fate;
mod files;
mod finding;
mod noting;
mod packages;
mod room;
mod seen;
mod shown;
mod side;
mod stamps;

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use self::draft::Draft;
use self::edit::Edit;
use self::noting::Noted;
use self::seen::Moment;
use self::side::Side;
use super::changes::place::Place;
use super::changes::upper::Upper;
use super::diff::uppers;
use super::parts::laid_of;
use super::{Error, Overlay, layers};
use crate::event::counted;
use crate::host::{Base, Host};
use crate::sys::{IoError, Root};

pub use self::caches::{forget_pending, pending};
pub(super) use self::content::Content;
pub use self::draft::clear_draft;
pub(super) use self::edit::make_parents;
pub use self::finding::Finding;
pub use self::noting::{
    adopt_seen, mark_unnoted, note_base, note_base_of, note_meanwhile, note_packages_of, note_unnoted,
};
pub use self::packages::Wishes;
pub(super) use self::packages::{NotedPackage, noted as noted_packages};
pub use self::room::Room;
pub(super) use self::seen::{Attributes, Had, SeenFiles};
pub use self::stamps::note_touched;

/// What is to be done so that an overlay follows its base.
pub struct Rebase {
    layers: Vec<(PathBuf, Vec<(PathBuf, Edit)>)>,
    /// What is written when all edits are made.
    later: Option<packages::WrittenLater>,
    /// What is to be run inside before anything else.
    pending: Vec<Vec<String>>,
    /// What becomes of packages.
    packages: Vec<packages::Line>,
    /// What is wrong with packages then that was not before, in words, and what mends that.
    broken: (Vec<String>, &'static str),
    /// What a person should know.
    pub findings: Vec<Finding>,
    /// The base that it was planned for.
    base: Base,
    /// Whether that is the one that the overlay knew, of which files were edited.
    is_same_base: bool,
    /// When it was planned.
    planned: Moment,
    /// What tells that base's packages another time, if that is known already.
    manifest: Option<String>,
    /// Names that stay beside what extensions have there, with what was noted of them.
    beside: Vec<(PathBuf, Had)>,
    /// What it takes on disk.
    room: Room,
}

impl Rebase {
    /// Plans what is to be done over this host; `view` is the overlay as it is seen over it. Only reads.
    pub fn plan(overlay: &Overlay, host: &Host, view: &Root, wishes: &Wishes) -> Result<Rebase, Error> {
        overlay.check_root(host.root.path())?;
        let layers = overlay.dir.open_child(OsStr::new(layers::DIRECTORY))?;
        let planned = now();
        // Before anything is read: should it change from here on, that will be noticed.
        packages::refuse_in_use(&host.root, packages::PATIENCE)?;
        let base = host.base();
        let seen = SeenFiles::read(&layers, &overlay.record.base)?;
        let sides = Side::all(laid_of(&layers, host)?, host)?;
        let read: Vec<Upper> = sides.iter().map(Side::read).collect::<Result<_, _>>()?;
        let (names, whiteouts) = names(&sides, &read);
        let bare = host.without_extensions()?;
        let bare = bare.as_ref().map(|bare| &bare.root);
        let (names, whiteouts) = (&names, &whiteouts);
        let given = packages::Sides { view, host: &host.root, bare, layers: &layers, names, whiteouts };
        let packages = packages::plan(&given, &overlay.record, layers.path(), wishes)?;
        let mut rebase = Rebase {
            layers: Vec::new(),
            pending: packages.pending,
            later: packages.later,
            packages: packages.lines,
            broken: (packages.broken, packages.remedy),
            findings: Vec::new(),
            is_same_base: base == overlay.record.base,
            planned,
            base,
            manifest: packages.manifest,
            beside: Vec::new(),
            room: Room::default(),
        };
        for (path, package) in packages.kept {
            if !names.contains(&path) && host.root.lstat(&path)?.is_none() {
                rebase.findings.push(Finding::Missing { path, package });
            }
        }
        rebase.findings.extend(left_behind(names, whiteouts));
        let noted = if seen.is_known() { shown::read(&layers)? } else { BTreeMap::new() };
        let shown = noted.into_iter().filter(|(path, _)| packages.named.contains(path)).collect();
        for (side, upper) in sides.into_iter().zip(read) {
            let layer = files::Layer { bare, ..side.layer() };
            rebase.pending.extend(caches::commands(|path| {
                layer.inside(path).is_some_and(|inside| upper.has_file(&inside))
            }));
            let owned = packages.owned.as_ref();
            let mut planned = files::plan(layer, &upper, &seen, owned, &packages.diverted, &shown)?;
            accounts::plan(&layer, &layers, &seen, &mut planned)?;
            planned.edits.extend(packages::edits(&layer, &packages.database, names)?);
            edit::order(&mut planned.edits);
            rebase.findings.extend(planned.findings);
            rebase.beside.extend(planned.beside);
            rebase.room.add(&upper, &planned.edits, &side.lower)?;
            rebase.layers.push((side.point, planned.edits));
        }
        if let Some(later) = &rebase.later {
            rebase.room.bytes += later.size(&host.root)?;
        }
        Ok(rebase)
    }

    /// What it leaves behind that somebody must mend, in words: packages whose needs are not met, files that went with the
    /// base.
    pub fn breaks(&self) -> Vec<String> {
        let missing = self.findings.iter().filter(|finding| matches!(finding, Finding::Missing { .. }));
        self.broken.0.iter().cloned().chain(missing.map(Finding::to_string)).collect()
    }

    /// The base that the overlay follows.
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// Does it: wholly, or not at all. Nobody is in the overlay.
    pub fn apply(&self, overlay: &Overlay, host: &Host) -> Result<(), Error> {
        match self.draft(overlay, host) {
            Ok(draft) => {
                draft.publish()?;
                // Where it stays, what was noted is looked at once more.
                let _ = noting::unmark(&overlay.dir);
                Ok(())
            }
            Err(error) => {
                // It takes room that may be what is missing.
                let _ = clear_draft(&overlay.dir);
                Err(self.room.explain(error, overlay))
            }
        }
    }

    /// Makes all of it, on disk, where nobody sees it yet.
    fn draft<'a>(&self, overlay: &'a Overlay, host: &Host) -> Result<Draft<'a>, Error> {
        let draft = Draft::begin(&overlay.dir, &uppers(&overlay.dir)?)?;
        let sides = Side::all(laid_of(draft.layers(), host)?, host)?;
        if !self.layers.iter().map(|(point, _)| point).eq(sides.iter().map(|side| &side.point)) {
            // Extensions were merged or taken off since it was planned.
            return Err(Error::BaseChanged { name: overlay.name.clone() });
        }
        for (side, (_, edits)) in sides.iter().zip(&self.layers) {
            edit::apply(edits, &side.upper, &side.lower)?;
        }
        self.write_later(&sides, host, draft.layers())?;
        let manifest = self.manifest.as_deref();
        let of = Noted { base: &self.base, manifest, since: Some(self.planned), beside: &self.beside };
        noting::note(&sides, draft.layers(), SeenFiles::default(), &of, host)?;
        caches::note(draft.layers(), &self.pending)?;
        draft.sync()?;
        packages::refuse_in_use(&host.root, Duration::ZERO)?;
        if host.base() != self.base {
            return Err(Error::BaseChanged { name: overlay.name.clone() });
        }
        Ok(draft)
    }

    /// Writes what comes when all edits are made: into the layer that its directory is in.
    fn write_later(&self, sides: &[Side], host: &Host, scratch: &Root) -> Result<(), Error> {
        let Some(later) = &self.later else { return Ok(()) };
        let directory = host.root.resolve(later.directory())?;
        let Some(side) = sides.iter().rfind(|side| directory.starts_with(&side.point)) else {
            return Ok(());
        };
        let inside = directory.strip_prefix(&side.point).unwrap_or(&directory);
        make_parents(&side.upper, &side.lower, inside)?;
        later.write(&host.root, Place::at(&side.upper, inside).dir()?, scratch.path())
    }

    /// What a person should know, in words; the sum first, and what to mend last.
    pub fn lines(&self, when: When, of: Of) -> Vec<String> {
        // What stays as it was over the same packages is no news.
        let is_news = |line: &&packages::Line| !self.is_same_base || line.choice.is_some();
        let packages = self.packages.iter().filter(is_news).map(|line| match (&line.choice, when, of) {
            (Some(choice), When::Planned, Of::Overlay) => format!("{}; {choice}", line.text),
            _ => line.text.clone(),
        });
        let findings = self.findings.iter().map(|finding| finding.in_words(of));
        let mut lines = vec![self.sum(when, of)];
        lines.extend(packages.chain(findings));
        let (broken, remedy) = &self.broken;
        if !broken.is_empty() {
            let (what, mends) = if broken.len() == 1 { ("this is", "it") } else { ("these are", "them") };
            let inside = if of == Of::Overlay { " inside" } else { "" };
            lines.push(format!(
                "{what} wrong then, and was not before; '{remedy}'{inside} tells more, or mends {mends}:"
            ));
            lines.extend(broken.iter().map(|line| format!("  {line}")));
        }
        lines
    }

    /// How many names of the overlay's are others then.
    pub fn names(&self) -> usize {
        let is_change = |edit: &Edit| !matches!(edit, Edit::Prune | Edit::RefreshDirectory);
        let edits = self.layers.iter().flat_map(|(_, edits)| edits);
        edits.filter(|(_, edit)| is_change(edit)).count()
    }

    /// What becomes of packages, in words, and what could be asked for instead, as an option.
    pub fn packages(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.packages.iter().map(|line| (line.text.as_str(), line.choice.as_deref()))
    }

    /// What is wrong with packages then that was not before, in words, and what mends that, inside.
    pub fn broken(&self) -> (&[String], &str) {
        (&self.broken.0, self.broken.1)
    }

    fn sum(&self, when: When, of: Of) -> String {
        let it = of.it();
        let count = self.names();
        let names = counted(count, "name");
        match when {
            _ if count == 0 && self.packages.is_empty() => format!("{it} goes with it as it is"),
            When::Planned => format!("{it} would follow it: {names} would change"),
            When::Done => format!("{it} follows it: {names} changed"),
        }
    }
}

/// Whether something is told before it is done, when one can still choose, or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before.
    Planned,
    /// After.
    Done,
}

/// What it is that follows a base, for the words in which that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// An overlay, which a person enters.
    Overlay,
    /// What is unlocked of the host itself, where a person is.
    Host,
}

impl Of {
    fn it(self) -> &'static str {
        match self {
            Of::Overlay => "the overlay",
            Of::Host => "what was unlocked",
        }
    }
}

/// How an overlay stands to the base that its host has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It lies over what it knows.
    Level,
    /// The same, but files that it covers were written again with the same content.
    Touched,
    /// The base is the same, but these files of it were edited, which the overlay covers.
    Edited(Vec<PathBuf>),
    /// The base is another one.
    Behind,
}

/// Finds out how an overlay stands to a base, which is the host's. Only reads; what it takes follows the number of names in
/// the overlay that a person could edit on the host.
pub fn standing(overlay: &Overlay, host: &Host, base: &Base) -> Result<Standing, Error> {
    let is_known = overlay.record.base == *base;
    if !is_known && !is_followed(&overlay.dir, base)? {
        return Ok(Standing::Behind);
    }
    stamps::covered(&overlay.dir, host, base)
}

/// Whether an overlay follows this base already, though its record does not say so: since a crash came before that.
pub fn is_followed(overlay: &Root, base: &Base) -> Result<bool, IoError> {
    match overlay.open_child(OsStr::new(layers::DIRECTORY)) {
        Ok(layers) => SeenFiles::are_of(&layers, base),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The base that layers were last seen over, by what they say themselves; `overlay` is the directory that has them.
pub fn last_seen(overlay: &Root) -> Option<Base> {
    seen::base(&overlay.open_child(OsStr::new(layers::DIRECTORY)).ok()?)
}

/// What a dpkg that was broken off inside has left.
fn left_behind(names: &HashSet<PathBuf>, whiteouts: &HashSet<PathBuf>) -> Option<Finding> {
    let is_left = |path: &&PathBuf| {
        let name = path.as_os_str().as_encoded_bytes();
        (name.ends_with(b".dpkg-new") || name.ends_with(b".dpkg-tmp")) && !whiteouts.contains(*path)
    };
    let left: Vec<&PathBuf> = names.iter().filter(is_left).collect();
    let first = left.iter().min()?;
    Some(Finding::LeftBehind { path: (*first).clone(), others: left.len() - 1 })
}

/// A larger table is none of dpkg's.
const LARGEST_TABLE: u64 = 16 << 20;

/// The time, by the clock that files are marked with.
fn now() -> Moment {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    (time.tv_sec as _, time.tv_nsec as _)
}

/// All names of an overlay, and those that are whiteouts, by their paths in the view.
fn names(sides: &[Side], read: &[Upper]) -> (HashSet<PathBuf>, HashSet<PathBuf>) {
    let (mut names, mut whiteouts) = (HashSet::new(), HashSet::new());
    for (side, upper) in sides.iter().zip(read) {
        for (path, node) in upper.paths() {
            let path = side.point.join(path);
            if node.whiteout {
                whiteouts.insert(path.clone());
            }
            names.insert(path);
        }
    }
    (names, whiteouts)
}
