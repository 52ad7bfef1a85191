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
mod packages;
mod room;
mod seen;
mod shown;

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::draft::Draft;
use self::edit::Edit;
use self::seen::SeenFiles;
use super::changes::marks::Prefix;
use super::changes::place::Place;
use super::changes::upper::Upper;
use super::copy::copy_tree;
use super::diff::{uppers, without_submounts};
use super::name::OverlayName;
use super::{Error, Overlay, layers};
use crate::event::counted;
use crate::host::{Base, Host};
use crate::sys::{FileKind, IoError, Root};

pub use self::caches::{forget_pending, pending};
pub use self::draft::clear_draft;
pub(super) use self::edit::make_parents;
pub use self::packages::Wishes;
pub use self::room::Room;

/// Something that a person should know of a rebase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Both sides changed it; the overlay's stays, and the base's is not seen.
    KeptOver {
        /// Where.
        path: PathBuf,
    },
    /// The overlay changed it, and the base has it no more; the overlay's stays.
    KeptAlone {
        /// Where.
        path: PathBuf,
    },
    /// The overlay removed it, and the base has changed it since; it stays removed.
    KeptAway {
        /// Where.
        path: PathBuf,
    },
    /// Both sides changed it; the overlay's stays, with the base's beside it.
    Offered {
        /// Where.
        path: PathBuf,
        /// The ending of the base's.
        ending: String,
    },
    /// Both sides changed it; the base's is seen, with the overlay's beside it.
    Saved {
        /// Where.
        path: PathBuf,
        /// The ending of the overlay's.
        ending: String,
    },
    /// The overlay keeps a package, of which this file lay in the old base alone and is gone with it.
    Missing {
        /// Where it was.
        path: PathBuf,
        /// Whose it is.
        package: String,
    },
    /// Something is diverted on one side, and something else is in the way where the file belongs now.
    Misplaced {
        /// The path that is diverted, or is no more.
        path: PathBuf,
        /// Where its file belongs.
        place: PathBuf,
    },
    /// Users or groups of both sides do not go together.
    Accounts {
        /// What is wrong, in words.
        words: String,
    },
}

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
    /// What tells that base's packages another time, if that is known already.
    manifest: Option<String>,
    /// What it takes on disk.
    room: Room,
}

impl Rebase {
    /// Plans what is to be done over this host; `view` is the overlay as it is seen over it. Only reads.
    pub fn plan(overlay: &Overlay, host: &Host, view: &Root, wishes: &Wishes) -> Result<Rebase, Error> {
        overlay.check_root(host.root.path())?;
        let layers = overlay.dir.open_child(OsStr::new(layers::DIRECTORY))?;
        // Before anything is read: should it change from here on, that will be noticed.
        packages::refuse_in_use(&host.root, packages::PATIENCE)?;
        let base = host.base();
        let seen = SeenFiles::read(&layers, &overlay.record.base)?;
        let sides = Side::all(uppers(&overlay.dir)?, host)?;
        let read = |side: &Side| Upper::read(&side.upper, Prefix::Trusted);
        let read: Vec<Upper> = sides.iter().map(read).collect::<Result<_, _>>()?;
        let (names, whiteouts) = names(&sides, &read);
        let given =
            packages::Sides { view, host: &host.root, layers: &layers, names: &names, whiteouts: &whiteouts };
        let packages = packages::plan(&given, &overlay.record, layers.path(), wishes)?;
        let mut rebase = Rebase {
            layers: Vec::new(),
            pending: packages.pending,
            later: packages.later,
            packages: packages.lines,
            broken: (packages.broken, packages.remedy),
            findings: Vec::new(),
            base,
            manifest: packages.manifest,
            room: Room::default(),
        };
        for (path, package) in packages.kept {
            if !names.contains(&path) && host.root.lstat(&path)?.is_none() {
                rebase.findings.push(Finding::Missing { path, package });
            }
        }
        let noted = if seen.is_known() { shown::read(&layers)? } else { BTreeMap::new() };
        let shown = noted.into_iter().filter(|(path, _)| packages.named.contains(path)).collect();
        for (side, upper) in sides.into_iter().zip(read) {
            let layer = side.layer();
            rebase.pending.extend(caches::commands(|path| {
                layer.inside(path).is_some_and(|inside| upper.has_file(&inside))
            }));
            let mut planned =
                files::plan(layer, &upper, &seen, packages.owned.as_ref(), &packages.diverted, &shown)?;
            accounts::plan(&layer, &layers, &seen, &mut planned)?;
            planned.edits.extend(packages::edits(&layer, &packages.database, &names)?);
            edit::order(&mut planned.edits);
            rebase.findings.extend(planned.findings);
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
            Ok(draft) => Ok(draft.publish()?),
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
        let upper = |(point, _): &(PathBuf, _)| Ok((point.clone(), draft.upper(point)?));
        let uppers = self.layers.iter().map(upper).collect::<Result<_, IoError>>()?;
        let sides = Side::all(uppers, host)?;
        for (side, (_, edits)) in sides.iter().zip(&self.layers) {
            edit::apply(edits, &side.upper, &side.lower)?;
        }
        self.write_later(&sides, host, draft.layers())?;
        let of_base = (&self.base, self.manifest.as_deref());
        note(&sides, draft.layers(), SeenFiles::default(), of_base, host)?;
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
        let packages = self.packages.iter().map(|line| match (&line.choice, when, of) {
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

impl Finding {
    fn in_words(&self, of: Of) -> String {
        let (here, own, host) = match of {
            Of::Overlay => ("in the overlay", "the overlay's", "the host"),
            Of::Host => ("while the host was unlocked", "the unlocked one", "the base"),
        };
        match self {
            Finding::KeptOver { path } => {
                format!("{}: changed on both sides; {own} is kept", path.display())
            }
            Finding::KeptAlone { path } => {
                format!("{}: changed {here}, gone from {host}; {own} is kept", path.display())
            }
            Finding::KeptAway { path } => {
                format!("{}: removed {here}, changed on {host}; it stays removed", path.display())
            }
            Finding::Offered { path, ending } => {
                let path = path.display();
                format!("{path}: changed on both sides; {own} is kept, {host}'s is {path}{ending}")
            }
            Finding::Saved { path, ending } => {
                let path = path.display();
                format!("{path}: changed on both sides; {host}'s is taken, {own} is {path}{ending}")
            }
            Finding::Missing { path, package } => {
                format!("{}: of {package}, which stays, but went with the base", path.display())
            }
            Finding::Misplaced { path, place } => {
                let (path, place) = (path.display(), place.display());
                format!("{path}: belongs at {place} now, by what is diverted, but something is in the way")
            }
            Finding::Accounts { words } => words.clone(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_words(Of::Overlay))
    }
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

/// Notes what an overlay has seen of its base, after the last one has left it.
pub fn note_base(name: &OverlayName, dir: &Root) -> Result<(), Error> {
    if holds_nothing(&uppers(dir)?)? {
        return Ok(());
    }
    let overlay = Overlay::read(name, dir.try_clone()?)?;
    let host = Host::open(Path::new(&overlay.record.root))?;
    note_base_of(&overlay, &host)
}

/// Notes what layers have seen of their base, which is the host as it is seen here.
pub fn note_base_of(overlay: &Overlay, host: &Host) -> Result<(), Error> {
    let all = uppers(&overlay.dir)?;
    let base = &overlay.record.base;
    // Where the base was changed under the overlay, what it had is gone; and while its package manager is at work, what it
    // has is neither what it had nor what it will have.
    if holds_nothing(&all)? || !is_settled(base, host) {
        return Ok(());
    }
    let layers = overlay.dir.open_child(OsStr::new(layers::DIRECTORY))?;
    note(&Side::all(all, host)?, &layers, SeenFiles::read(&layers, base)?, (base, None), host)
}

fn holds_nothing(uppers: &[(PathBuf, Root)]) -> Result<bool, IoError> {
    for (_, upper) in uppers {
        if !upper.is_empty()? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the host has the base that is known, and nobody is changing it.
fn is_settled(base: &Base, host: &Host) -> bool {
    *base == host.base() && packages::refuse_in_use(&host.root, Duration::ZERO).is_ok()
}

/// Notes what packages an overlay's base has, while somebody is in it: who leaves might not come to that, and the base
/// might be another one then.
pub fn note_packages(name: &OverlayName, dir: &Root) -> Result<(), Error> {
    let overlay = Overlay::read(name, dir.try_clone()?)?;
    let host = Host::open(Path::new(&overlay.record.root))?;
    note_packages_of(&overlay, &host)
}

/// Notes what packages the base of layers has, which is the host as it is seen here.
pub fn note_packages_of(overlay: &Overlay, host: &Host) -> Result<(), Error> {
    let base = &overlay.record.base;
    if !is_settled(base, host) {
        return Ok(());
    }
    packages::note(&host.root, &overlay.dir.open_child(OsStr::new(layers::DIRECTORY))?, (base, None))
}

/// Copies what was noted of the base that layers lie over into an overlay that is being made over the same.
pub fn adopt_seen(overlay: &Root, from: &Root) -> Result<(), Error> {
    let layers = from.open_child(OsStr::new(layers::DIRECTORY))?;
    let seen = match layers.open_child(OsStr::new(seen::DIRECTORY)) {
        Err(error) if error.is_not_found() => return Ok(()),
        other => other?,
    };
    let layers = overlay.open_child(OsStr::new(layers::DIRECTORY))?;
    layers.make_dir(seen::DIRECTORY, 0o700)?;
    Ok(copy_tree(&seen, &layers.open_child(OsStr::new(seen::DIRECTORY))?)?)
}

/// Notes what is seen of a base, and its packages, which may be known.
fn note(
    sides: &[Side],
    layers: &Root,
    mut seen: SeenFiles,
    (base, manifest): (&Base, Option<&str>),
    host: &Host,
) -> Result<(), Error> {
    let mut is_new = false;
    for side in sides {
        is_new |= seen.note(&side.upper, &side.lower, &side.point)?;
    }
    let diversions = packages::Diversions::of(&host.root, |path| read_own(sides, path))?;
    for side in sides {
        let layer = side.layer();
        let inside = diversions.places.iter().filter_map(|path| Some((path.clone(), layer.inside(path)?)));
        is_new |= seen.note_also(&side.lower, inside)?;
    }
    note_shown(sides, layers, host)?;
    if is_new {
        seen::note_diversions(layers, &diversions.of_base)?;
        for side in sides {
            accounts::note(&side.layer(), layers)?;
        }
        seen.write(layers, base)?;
    }
    if packages::is_own(host, |path| sides.iter().any(|side| side.has(path))) {
        packages::note(&host.root, layers, (base, manifest))?;
    }
    Ok(())
}

/// Notes what packages of the overlay have as directories and links in the base alone.
fn note_shown(sides: &[Side], layers: &Root, host: &Host) -> Result<(), Error> {
    let listed = packages::listed(&host.root, |directory| {
        let side = sides.iter().find(|side| side.has(directory))?;
        let mut place = Place::at(&side.upper, &side.layer().inside(directory)?);
        place.dir().ok()?.try_clone().ok()
    })?;
    let mut found = BTreeMap::new();
    for side in sides {
        let layer = side.layer();
        let inside = listed.iter().filter_map(|path| Some((path.clone(), layer.inside(path)?)));
        shown::find(&side.upper, &side.lower, inside, &mut found)?;
    }
    Ok(shown::note(layers, &found)?)
}

/// What the uppers have under a path of the view.
fn read_own(sides: &[Side], path: &Path) -> Result<Option<Vec<u8>>, IoError> {
    let Some(side) = sides.iter().find(|side| side.has(path)) else { return Ok(None) };
    let inside = side.layer().inside(path).unwrap_or_default();
    let mut place = Place::at(&side.upper, inside.parent().unwrap_or(Path::new("")));
    let (dir, name) = (place.dir()?, inside.file_name().unwrap_or_default());
    let is_file = dir.lstat(name)?.is_some_and(|stat| FileKind::of(&stat) == FileKind::File);
    if is_file { dir.read(name, LARGEST_TABLE).map(Some) } else { Ok(None) }
}

/// A larger table is none of dpkg's.
const LARGEST_TABLE: u64 = 16 << 20;

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

/// An upper and what it covers.
struct Side {
    point: PathBuf,
    upper: Root,
    lower: Root,
    others: Vec<PathBuf>,
}

impl Side {
    fn all(uppers: Vec<(PathBuf, Root)>, host: &Host) -> Result<Vec<Side>, Error> {
        let points: Vec<PathBuf> = uppers.iter().map(|(point, _)| point.clone()).collect();
        let side = |(point, upper): (PathBuf, Root)| {
            let is_below = |other: &&PathBuf| other.starts_with(&point) && **other != point;
            let others = points.iter().filter(is_below).cloned().collect();
            Ok(Side { lower: without_submounts(host, &point)?, point, upper, others })
        };
        uppers.into_iter().map(side).collect()
    }

    /// Whether the upper has a file under a path of the view.
    fn has(&self, path: &Path) -> bool {
        let Some(inside) = self.layer().inside(path) else { return false };
        let mut place = Place::at(&self.upper, inside.parent().unwrap_or(Path::new("")));
        let name = inside.file_name().unwrap_or_default();
        place.exists().is_ok_and(|there| there)
            && place.dir().is_ok_and(|dir| dir.lstat(name).is_ok_and(|stat| stat.is_some()))
    }

    fn layer(&self) -> files::Layer<'_> {
        files::Layer { point: &self.point, upper: &self.upper, lower: &self.lower, others: &self.others }
    }
}
