//! What becomes of the packages of an overlay whose base has changed, and of the files of their database.

mod alternatives;
mod auto_installed;
mod diversions;
mod dpkg;
mod rpm;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::claims::Claims;
use super::diverted::Diverted;
use super::edit::Edit;
use super::files::{Layer, Ownership};
use super::{LARGEST_TABLE, seen};
use crate::host::{Base, Host, PackageSystem};
use crate::overlay::Error;
use crate::overlay::Record;
use crate::overlay::changes::place::Place;
use crate::pkgdb;
use crate::pkgdb::merge::{Decision, Outcome, Reason, Side};
use crate::sys::{FileKind, IoError, Root};

/// Which side a person wants to win, where both changed a package.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// For all packages.
    pub all: Option<Side>,
    /// For single ones, by name, or by name and architecture as `NAME:ARCH` (dpkg) or `NAME.ARCH` (rpm).
    pub packages: Vec<(String, Side)>,
}

/// What is planned for the packages.
pub(super) struct Planned {
    /// Whose the names of the view are then.
    pub(super) owned: Box<dyn Ownership>,
    /// Files that are diverted on one side alone.
    pub(super) diverted: Diverted,
    /// What becomes of files of the database, by their paths in the view.
    pub(super) database: Vec<(PathBuf, DatabaseFile)>,
    /// What is written when all else is done.
    pub(super) later: Option<WrittenLater>,
    /// What is to be run inside.
    pub(super) pending: Vec<Vec<String>>,
    /// What kept packages have that may lie in the base alone, and which package it is. Of dpkg's, that is
    /// configuration alone, which it does not write where it is there: all else it unpacks anew.
    pub(super) kept: Vec<(PathBuf, String)>,
    /// What kept packages name, of which directories and links may be in the base alone, since dpkg makes neither anew.
    pub(super) named: HashSet<PathBuf>,
    /// What a person should know.
    pub(super) lines: Vec<Line>,
    /// What is wrong then that was not before, in words.
    pub(super) broken: Vec<String>,
    /// What mends that, inside.
    pub(super) remedy: &'static str,
    /// What [`note`] would note of the base's packages, where it was seen on the way.
    pub(super) manifest: Option<String>,
}

/// What a person should know of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// What becomes of it.
    pub(super) text: String,
    /// What could be asked for instead, as an option.
    pub(super) choice: Option<String>,
}

impl From<String> for Line {
    fn from(text: String) -> Line {
        Line { text, choice: None }
    }
}

/// What becomes of a file of a package database.
pub(super) enum DatabaseFile {
    /// It has this content.
    Content(Vec<u8>),
    /// The overlay has it with this content, even where the base's is the same.
    Own(Vec<u8>),
    /// The base's is seen.
    Theirs,
    /// It is not there.
    Gone,
}

/// What is merged.
pub(super) struct Sides<'a> {
    /// The overlay as it is seen over the base of now.
    pub(super) view: &'a Root,
    /// The base of now.
    pub(super) host: &'a Root,
    /// The same without the extensions that are merged over it, where any are.
    pub(super) bare: Option<&'a Root>,
    /// Where it is kept what was seen of the old base.
    pub(super) layers: &'a Root,
    /// All names that the overlay has, by their paths in the view, whiteouts among them.
    pub(super) names: &'a HashSet<PathBuf>,
    /// Those that are whiteouts.
    pub(super) whiteouts: &'a HashSet<PathBuf>,
}

/// What is written when all else is done.
pub(super) struct WrittenLater(rpm::Writing);

impl Default for Planned {
    fn default() -> Planned {
        Planned {
            owned: Box::new(Claims::none()),
            diverted: Diverted::default(),
            database: Vec::new(),
            later: None,
            pending: Vec::new(),
            kept: Vec::new(),
            named: HashSet::new(),
            lines: Vec::new(),
            broken: Vec::new(),
            remedy: "",
            manifest: None,
        }
    }
}

impl WrittenLater {
    /// The directory that it is written to, in the view.
    pub(super) fn directory(&self) -> &Path {
        self.0.directory()
    }

    /// How much that takes on disk, as far as the base's tells.
    pub(super) fn size(&self, host: &Root) -> Result<u64, Error> {
        self.0.size(host)
    }

    /// Writes it there: into the draft's own directory of that name. Copies that are needed on the way are made in
    /// `scratch`.
    pub(super) fn write(&self, host: &Root, target: &Root, scratch: &Path) -> Result<(), Error> {
        self.0.write(host, target, scratch)
    }
}

/// Refuses a base whose package manager is at work, and still is when there is no more patience.
pub(super) fn refuse_in_use(host: &Root, patience: Duration) -> Result<(), Error> {
    let Some(system) = PackageSystem::find(host) else { return Ok(()) };
    let directory = host.open_dir(system.database.parent().unwrap_or(Path::new("/")))?;
    let end = Instant::now() + patience;
    loop {
        let is_in_use = match system.kind {
            "rpm" => pkgdb::rpm::is_locked(&directory)?,
            "dpkg" => pkgdb::dpkg::is_locked(&directory)?,
            _ => false,
        };
        if !is_in_use {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(pkgdb::Error::InUse { path: directory.path().to_owned() }.into());
        }
        std::thread::sleep(STEP);
    }
}

/// How long a rebase waits for a package manager that is about to be done, and in what steps.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(20);

/// Plans it. Copies that are needed on the way are made in `scratch`.
pub(super) fn plan(
    sides: &Sides<'_>,
    record: &Record,
    scratch: &Path,
    wishes: &Wishes,
) -> Result<Planned, Error> {
    let system = PackageSystem::find(sides.host);
    if system.is_none()
        && let Some(own) = PackageSystem::find(sides.view).filter(|own| sides.names.contains(&own.database))
    {
        return Err(gone(THE_BASE, format!("there is no '{}'", own.database.display())));
    }
    let planned = match system.map(|system| system.kind) {
        Some("rpm") => rpm::plan(sides, record, scratch, wishes),
        Some("dpkg") => dpkg::plan(sides, &record.base, wishes),
        _ => Ok(None),
    };
    match planned {
        Ok(planned) => Ok(planned.unwrap_or_default()),
        // Files are merged all the same: by their contents.
        Err(error) if is_unsupported(&error) => {
            let lines = vec![format!("packages are not merged: {error}").into()];
            Ok(Planned { lines, ..Planned::default() })
        }
        Err(error) => Err(error),
    }
}

/// Refuses choices for packages that neither side has: what was meant would be decided otherwise without a word.
fn refuse_unknown(wishes: &Wishes, is_known: impl Fn(&str) -> bool) -> Result<(), Error> {
    match wishes.packages.iter().find(|(name, _)| !is_known(name)) {
        Some((name, _)) => Err(Error::NoSuchPackage { name: name.clone() }),
        None => Ok(()),
    }
}

const THE_BASE: &str = "the base";
const THE_OVERLAY: &str = "the overlay";

/// A base without packages is none that somebody has updated: everything would go from the overlay with it.
fn gone(whose: &'static str, what: String) -> Error {
    Error::PackagesGone { whose, what }
}

/// Refuses to merge where one side has lost its packages and the other has not.
fn refuse_empty(ours: usize, theirs: usize, database: &Path) -> Result<(), Error> {
    let what = || format!("'{}' is empty", database.display());
    match (ours, theirs) {
        (0, 0) => Ok(()),
        (0, _) => Err(gone(THE_OVERLAY, what())),
        (_, 0) => Err(gone(THE_BASE, what())),
        _ => Ok(()),
    }
}

fn is_unsupported(error: &Error) -> bool {
    matches!(error, Error::Packages(pkgdb::Error::Unsupported { .. }))
}

/// What was decided for a package, in words; `None` where both sides have the same.
fn line(
    key: &str,
    name: &str,
    outcome: Outcome,
    ours: Option<String>,
    theirs: Option<String>,
) -> Option<Line> {
    let what = match (outcome.decision, ours, theirs) {
        (Decision::Unchanged | Decision::BothSame, ..) => return None,
        (Decision::TakeTheirs, Some(ours), Some(theirs)) if ours == theirs => {
            format!("{key} {theirs} is the base's")
        }
        (Decision::TakeTheirs, Some(ours), Some(theirs)) => format!("{key} {theirs} replaces {ours}"),
        (Decision::TakeTheirs, _, theirs) => {
            format!("{key} {} came with the base", theirs.unwrap_or_default())
        }
        (Decision::Remove, ours, _) => format!("{key} {} went with the base", ours.unwrap_or_default()),
        (Decision::KeepOurs, Some(ours), Some(theirs)) if outcome.reason == Reason::HostIsPassing => {
            format!("{key} {ours} stays, and an extension has {theirs}")
        }
        (Decision::KeepOurs, Some(ours), Some(theirs)) => {
            format!("{key} {ours} stays (the base has {theirs})")
        }
        (Decision::KeepOurs, ours, _) => format!("{key} {} stays", ours.unwrap_or_default()),
        (Decision::StayRemoved, _, Some(theirs)) => format!("{key} stays removed (the base has {theirs})"),
        (Decision::StayRemoved, ..) => format!("{key} stays removed"),
    };
    let why = match outcome.reason {
        Reason::Agreed
        | Reason::OnlyHostChanged
        | Reason::OnlyOverlayChanged
        | Reason::SameVersion
        | Reason::HostIsPassing
        | Reason::Asked => "",
        Reason::RemovedInOverlay => ", though the base changed it",
        Reason::RemovedFromHost => ", though the base has it no more",
        Reason::OverlayIsBroken => ": the overlay's is broken",
        Reason::HostIsBroken => ": the base's is broken",
        Reason::Held => ": it is on hold",
        Reason::HostIsNewer | Reason::OverlayIsNewer => ": it is newer",
    };
    let choice = match outcome.alternative.filter(|_| outcome.is_conflict()) {
        Some(Side::Ours) => Some(format!("the overlay's: --ours={name}")),
        Some(Side::Theirs) => Some(format!("the base's: --theirs={name}")),
        None => None,
    };
    Some(Line { text: format!("{what}{why}"), choice })
}

/// Tables of a base's package database that change what its files are, though no package changes.
pub(super) fn tables_of_files(host: &Root) -> Vec<PathBuf> {
    let system = PackageSystem::find(host).filter(|system| system.kind == "dpkg");
    let beside = |system: PackageSystem| TABLES.map(|name| system.database.with_file_name(name)).to_vec();
    system.map(beside).unwrap_or_default()
}

const TABLES: [&str; 2] = ["diversions", "statoverride"];

/// Whether a path belongs to a package database, and may be changed while packages stay: by dpkg-divert(1),
/// dpkg-statoverride(1), update-alternatives(1), apt-mark(8) and the like.
pub(super) fn is_edited_alone(path: &Path) -> bool {
    let names: Vec<&str> = path.iter().rev().take(3).filter_map(|name| name.to_str()).collect();
    match names[..] {
        ["diversions" | "statoverride" | "arch", "dpkg", _] | [_, "alternatives", "dpkg"] => true,
        _ => path == Path::new(dpkg::APT) || auto_installed::files().iter().any(|file| file == path),
    }
}

/// Whether an overlay has a package database of its own, or a table of one; `has` says what files it has.
pub(super) fn is_own(host: &Host, has: impl Fn(&Path) -> bool) -> bool {
    host.package_system().is_some_and(|system| {
        let beside = TABLES.iter().filter(|_| system.kind == "dpkg");
        has(&system.database) || beside.into_iter().any(|name| has(&system.database.with_file_name(name)))
    })
}

/// The paths of dpkg's packages that an overlay has as its own; `own` finds a directory of its layers.
pub(super) fn listed(
    host: &Root,
    own: impl FnOnce(&Path) -> Option<Root>,
) -> Result<BTreeSet<PathBuf>, Error> {
    let system = PackageSystem::find(host).filter(|system| system.kind == "dpkg");
    let info = system.and_then(|system| own(&system.database.with_file_name("info")));
    info.map_or(Ok(BTreeSet::new()), |info| Ok(dpkg::listed(&info, &pkgdb::dpkg::Aliases::of(host)?)?))
}

/// What is diverted on a base and in an overlay over it.
#[derive(Debug, Default)]
pub(super) struct Diversions {
    /// The base's table.
    pub(super) of_base: Vec<u8>,
    /// Every path that is diverted, and every target.
    pub(super) places: BTreeSet<PathBuf>,
}

impl Diversions {
    /// Reads them; `own` reads a file of the overlay's layers.
    pub(super) fn of(
        host: &Root,
        own: impl Fn(&Path) -> Result<Option<Vec<u8>>, IoError>,
    ) -> Result<Diversions, IoError> {
        let Some(system) = PackageSystem::find(host).filter(|system| system.kind == "dpkg") else {
            return Ok(Diversions::default());
        };
        let table = system.database.with_file_name("diversions");
        let of_base = match host.read(&table, LARGEST_TABLE) {
            Err(error) if error.is_not_found() => Vec::new(),
            other => other?,
        };
        let aliases = pkgdb::dpkg::Aliases::of(host)?;
        let own = own(&table)?.unwrap_or_default();
        let tables = [&of_base, &own].map(|text| pkgdb::dpkg::diversions::parse(text).unwrap_or_default());
        let both = tables.into_iter().flatten().flat_map(|(from, to)| [from, to.target]);
        let places = both.map(|path| aliases.resolve(&path)).collect();
        Ok(Diversions { of_base, places })
    }
}

/// Notes what packages a base has, unless that was done; `manifest` is what there is to note, where that is known.
pub(super) fn note(host: &Root, layers: &Root, (base, manifest): (&Base, Option<&str>)) -> Result<(), Error> {
    if seen::packages(layers, base)?.is_some() {
        return Ok(());
    }
    let noted = seen::note_packages(layers, base, |target| {
        match PackageSystem::find(host).map(|system| system.kind) {
            Some("rpm") => rpm::note(host, layers.path(), target, manifest),
            Some("dpkg") => dpkg::note(host, target, manifest),
            _ => Ok(false),
        }
    });
    match noted {
        Err(error) if is_unsupported(&error) => Ok(()),
        other => other,
    }
}

/// What tells a package that was noted: its name, architecture and version.
pub(in crate::overlay) type NotedPackage = (String, String, String);

/// The packages that a base had, as they were noted; none where nobody noted them.
pub(in crate::overlay) fn noted(layers: &Root, base: &Base) -> Result<Vec<NotedPackage>, Error> {
    let Some(root) = seen::packages(layers, base)? else { return Ok(Vec::new()) };
    if let Some(noted) = rpm::noted(&root)? {
        return Ok(noted);
    }
    let Some(database) = pkgdb::dpkg::Database::open(&root)? else { return Ok(Vec::new()) };
    let packages = database.present().map(pkgdb::dpkg::Entry::package);
    Ok(packages.map(|package| (package.name, package.arch, package.version)).collect())
}

/// The edits of one layer that make the files of the database what they are to be.
pub(super) fn edits(
    layer: &Layer<'_>,
    database: &[(PathBuf, DatabaseFile)],
    names: &HashSet<PathBuf>,
) -> Result<Vec<(PathBuf, Edit)>, IoError> {
    let mut found = Vec::new();
    for (path, file) in database {
        let Some(inside) = layer.inside(path) else { continue };
        let is_above = names.contains(path);
        let edit = match file {
            DatabaseFile::Content(content) if is_in(layer.lower, &inside, Some(content))? => Edit::Drop,
            // Without it, dpkg reads the same.
            DatabaseFile::Content(content) if content.is_empty() && !is_in(layer.lower, &inside, None)? => {
                Edit::Drop
            }
            DatabaseFile::Content(content) | DatabaseFile::Own(content)
                if is_above && is_in(layer.upper, &inside, Some(content))? =>
            {
                continue;
            }
            DatabaseFile::Content(content) | DatabaseFile::Own(content) => {
                found.push((inside, Edit::Write(content.clone())));
                continue;
            }
            DatabaseFile::Gone if is_in(layer.lower, &inside, None)? => {
                found.push((inside, Edit::Hide));
                continue;
            }
            DatabaseFile::Theirs | DatabaseFile::Gone => Edit::Drop,
        };
        if is_above {
            found.push((inside, edit));
        }
    }
    Ok(found)
}

/// Whether one side of a layer has a file; with this content, where that is asked.
fn is_in(side: &Root, inside: &Path, content: Option<&[u8]>) -> Result<bool, IoError> {
    let mut place = Place::at(side, inside.parent().unwrap_or(Path::new("")));
    let Some(name) = inside.file_name() else { return Ok(false) };
    if !place.exists()? {
        return Ok(false);
    }
    let dir = place.dir()?;
    let Some(stat) = dir.lstat(name)? else { return Ok(false) };
    let Some(content) = content else { return Ok(true) };
    if FileKind::of(&stat) != FileKind::File {
        return Ok(false);
    }
    let is_as_long = u64::try_from(stat.st_size).is_ok_and(|size| size == content.len() as u64);
    Ok(is_as_long && dir.read(name, content.len() as u64)? == content)
}
