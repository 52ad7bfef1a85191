//! Packages of rpm: the database is one file, and what is merged is written when all else is done.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::{
    DatabaseFile, Line, NotedPackage, PATIENCE, Planned, Sides, Wishes, WrittenLater, auto_installed,
    refuse_empty, refuse_unknown,
};
use crate::overlay::attributes::Named;
use crate::overlay::rebase::claims::{Brought, Claims};
use crate::overlay::rebase::seen;
use crate::overlay::{Error, Record};
use crate::package::digest::FileDigest;
use crate::package::header::{File, FileFlags};
use crate::package::{Evr, Header, Identity};
use crate::pkgdb::dpkg::Aliases;
use crate::pkgdb::merge::{Decision, Reason, Side};
use crate::pkgdb::rpm::merge::{self, Catalog, Choice, Decided, Entry, Known};
use crate::pkgdb::rpm::{Access, Database, Delta, Fingerprint, Hnum, Location, Opening, prepare};
use crate::sys::{Context, FileKind, IoError, Root, replace_file};

/// What rpm itself leaves beside files that both changed.
const ENDINGS: (&str, &str) = (".rpmsave", ".rpmnew");

/// How the merged database is made: the change of one of the two.
pub(super) struct Writing {
    location: Location,
    from: Side,
    delta: Delta,
}

fn opening(scratch: &Path, access: Access) -> Opening<'_> {
    Opening { scratch, patience: PATIENCE, access }
}

pub(super) fn plan(
    sides: &Sides<'_>,
    record: &Record,
    scratch: &Path,
    wishes: &Wishes,
) -> Result<Option<Planned>, Error> {
    let Some(location) = Location::find(sides.host)? else { return Ok(None) };
    let theirs = Database::open(sides.host, &location, &opening(scratch, Access::Read))?;
    let mut claims = Claims::new(Some(&location.directory), auto_installed::files(), ENDINGS);
    let aliases = Aliases::of(sides.host)?;
    let mut planned = Planned::default();
    if sides.names.contains(&location.directory.join(location.backend.file_name())) {
        let ours = Database::open(sides.view, &location, &opening(scratch, Access::Read))?;
        let noted = noted_base(sides.layers, record)?;
        let known = noted.as_deref().unwrap_or_default();
        let (our, their) = Catalog::of_both(known, &ours, &theirs)?;
        let file = location.directory.join(location.backend.file_name());
        refuse_empty(our.entries().len(), their.entries().len(), &file)?;
        let base = match noted {
            Some(noted) => noted,
            None => guessed_base(record, &our, &their, &hidden(&theirs, sides.whiteouts, &aliases)?),
        };
        let is_known = |name: &str| {
            let mut entries = our.entries().iter().chain(their.entries());
            entries.any(|Entry { known, .. }| {
                &*known.name == name || format!("{}.{}", known.name, known.arch) == name
            })
        };
        refuse_unknown(wishes, is_known)?;
        let bare = sides.bare.map(|bare| of_bare(bare, &location, scratch)).transpose()?;
        let passing = bare.as_ref().map(|bare| passing(&their, bare)).unwrap_or_default();
        let choice = Choice { all: wishes.all, packages: wishes.packages.clone(), passing };
        let plan = merge::plan(&base, (&ours, &our), (&theirs, &their), &choice, &aliases)?;
        claim(&mut claims, &plan, (&ours, &theirs), &aliases)?;
        planned.lines = lines(&plan);
        planned.manifest = Some(match &bare {
            Some(bare) => manifest(beside(&plan, &their, bare, &choice.passing).into_iter()),
            None => manifest(their.entries().iter().map(|entry| &entry.known)),
        });
        planned.broken.clone_from(&plan.findings);
        planned.remedy = if sides.view.exists("usr/bin/zypper") { "zypper verify" } else { "dnf check" };
        let written = plan.from == Side::Ours || !plan.delta.is_empty();
        planned.database = database(&location, sides.names, written);
        let noted = seen::packages(sides.layers, &record.base)?;
        planned.database.extend(auto_installed::merge(sides, noted.as_ref(), &plan.packages, scratch)?);
        if written {
            let writing = Writing { location, from: plan.from, delta: plan.delta };
            planned.later = Some(WrittenLater(writing));
        }
    } else {
        // A log or lock beside the base's database was left by somebody who only looked.
        planned.database = database(&location, sides.names, false);
    }
    share(&mut claims, &theirs, sides.names, &aliases)?;
    planned.kept = claims.kept().map(|(path, package)| (path.to_owned(), package.to_owned())).collect();
    planned.owned = Box::new(claims);
    Ok(Some(planned))
}

/// The packages of a base without the extensions that are merged over it.
fn of_bare(bare: &Root, location: &Location, scratch: &Path) -> Result<Catalog, Error> {
    Ok(Catalog::of(&Database::open(bare, location, &opening(scratch, Access::Read))?)?)
}

/// What tells the packages that come and go with extensions.
fn passing(their: &Catalog, bare: &Catalog) -> HashSet<Identity> {
    let all = |catalog: &Catalog| -> HashSet<Identity> {
        catalog.entries().iter().map(|entry| entry.known.identity).collect()
    };
    all(their).difference(&all(bare)).copied().collect()
}

/// What is to be known of the base another time: where the overlay keeps a package of its own beside an extension's, what the
/// base has without that.
fn beside<'a>(
    plan: &merge::Plan,
    their: &'a Catalog,
    bare: &'a Catalog,
    passing: &HashSet<Identity>,
) -> Vec<&'a Arc<Known>> {
    let is_theirs = |entry: &Entry| passing.contains(&entry.known.identity);
    let kept = plan.packages.iter().filter(|decided| {
        decided.outcome.decision == Decision::KeepOurs && decided.theirs.as_ref().is_some_and(is_theirs)
    });
    let kept: HashSet<(&str, &str)> = kept.map(|decided| (&*decided.key.name, &*decided.key.arch)).collect();
    let is_kept = |known: &Known| kept.contains(&(&*known.name, &*known.arch));
    let of = |catalog: &'a Catalog| catalog.entries().iter().map(|entry| &entry.known);
    of(their).filter(|known| !is_kept(known)).chain(of(bare).filter(|known| is_kept(known))).collect()
}

/// What the base had, as it was noted.
fn noted_base(layers: &Root, record: &Record) -> Result<Option<Vec<Arc<Known>>>, Error> {
    let Some(noted) = seen::packages(layers, &record.base)? else { return Ok(None) };
    Ok(Some(parse(&noted.read(MANIFEST, LARGEST)?).into_iter().map(Arc::new).collect()))
}

/// The packages that were noted in a directory; `None` where none of rpm's were.
pub(super) fn noted(directory: &Root) -> Result<Option<Vec<NotedPackage>>, Error> {
    let text = match directory.read(MANIFEST, LARGEST) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    let named = |known: Known| (known.name.to_string(), known.arch.to_string(), known.evr.to_string());
    Ok(Some(parse(&text).into_iter().map(named).collect()))
}

/// What the base had, where nobody noted it: what was installed before the overlay was made. What the overlay has no
/// more was removed there if files of it are whiteouts, or if the base has had it all the time.
fn guessed_base(record: &Record, our: &Catalog, their: &Catalog, hidden: &HashSet<Hnum>) -> Vec<Arc<Known>> {
    let made = humantime::parse_rfc3339(&record.created)
        .ok()
        .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok())
        .map_or(u64::MAX, |since| since.as_secs());
    let is_older = |entry: &Entry| entry.installed < made;
    let names: HashSet<(&str, &str)> =
        our.entries().iter().map(|Entry { known, .. }| (&*known.name, &*known.arch)).collect();
    let is_missed = |entry: &&Entry| {
        let is_gone = !names.contains(&(&*entry.known.name, &*entry.known.arch));
        is_gone && (is_older(entry) || hidden.contains(&entry.number))
    };
    let own = our.entries().iter().filter(|entry| is_older(entry));
    own.chain(their.entries().iter().filter(is_missed)).map(|entry| Arc::clone(&entry.known)).collect()
}

/// The headers of which files are whiteouts in the overlay.
fn hidden(
    theirs: &Database,
    whiteouts: &HashSet<PathBuf>,
    aliases: &Aliases,
) -> Result<HashSet<Hnum>, Error> {
    let names: Vec<PathBuf> = whiteouts.iter().flat_map(|name| aliases.names(name)).collect();
    let paths: Vec<&Path> = names.iter().map(PathBuf::as_path).collect();
    let mut found = HashSet::new();
    theirs.each_owner(&paths, &mut |_, number, _, _| {
        found.insert(number);
    })?;
    Ok(found)
}

/// Gathers the claims of packages that differ, on all their names.
fn claim(
    claims: &mut Claims<Content>,
    plan: &merge::Plan,
    (ours, theirs): (&Database, &Database),
    aliases: &Aliases,
) -> Result<(), Error> {
    for Decided { key, outcome, ours: own, theirs: host } in &plan.packages {
        match outcome.decision {
            Decision::Unchanged | Decision::BothSame => {}
            Decision::TakeTheirs | Decision::Remove => {
                each_file(ours, own.as_ref(), &mut |file| {
                    claims.replace(aliases.resolve(&file.path()), Content::of(file), is_config(file));
                })?;
                each_file(theirs, host.as_ref(), &mut |file| {
                    claims.take(aliases.resolve(&file.path()), is_config(file));
                })?;
            }
            Decision::KeepOurs | Decision::StayRemoved => {
                each_file(ours, own.as_ref(), &mut |file| {
                    // What was not wanted, or is another package's, is not missed.
                    let number = own.as_ref().map_or(Hnum(0), |entry| entry.number);
                    if !plan.states.is_installed(Side::Ours, number, file) {
                        return;
                    }
                    let is_same = outcome.reason == Reason::OnlyOverlayChanged;
                    claims.keep(aliases.resolve(&file.path()), &key.name, is_same && is_config(file));
                })?;
                each_file(theirs, host.as_ref(), &mut |file| {
                    // On disk its directory may be a link, through which others' files are seen.
                    if !file.is_directory() {
                        claims.refuse(aliases.resolve(&file.path()));
                    }
                })?;
            }
        }
    }
    Ok(())
}

/// Gathers the claims of the base's packages on names that the overlay has as well.
fn share(
    claims: &mut Claims<Content>,
    theirs: &Database,
    names: &HashSet<PathBuf>,
    aliases: &Aliases,
) -> Result<(), Error> {
    let wanted: Vec<PathBuf> = names.iter().flat_map(|name| aliases.names(name)).collect();
    let paths: Vec<&Path> = wanted.iter().map(PathBuf::as_path).collect();
    theirs.each_owner(&paths, &mut |index, _, _, file| {
        if !file.flags.contains(FileFlags::GHOST)
            && let Some(path) = paths.get(index)
        {
            claims.share(aliases.resolve(path), is_config(file));
        }
    })?;
    Ok(())
}

fn each_file(
    database: &Database,
    entry: Option<&Entry>,
    visit: &mut dyn FnMut(&File<'_>),
) -> Result<(), Error> {
    let Some(entry) = entry else { return Ok(()) };
    let Some(blob) = database.blob(entry.number)? else { return Ok(()) };
    let Ok(header) = Header::parse(&blob) else { return Ok(()) };
    // A ghost belongs to a package that did not bring it: nobody knows what it should be.
    header.files().filter(|file| !file.flags.contains(FileFlags::GHOST)).for_each(|file| visit(&file));
    Ok(())
}

fn is_config(file: &File<'_>) -> bool {
    file.flags.contains(FileFlags::CONFIG)
}

/// What becomes of the files that are a database, where it is not written anew.
fn database(location: &Location, names: &HashSet<PathBuf>, is_written: bool) -> Vec<(PathBuf, DatabaseFile)> {
    if is_written {
        return Vec::new();
    }
    // A log that lies beside another database than its own destroys it.
    let backend = location.backend;
    let all = backend.companions().iter().copied().chain([backend.file_name()]);
    let paths = all.map(|name| location.directory.join(name)).filter(|path| names.contains(path));
    paths.map(|path| (path, DatabaseFile::Theirs)).collect()
}

impl Writing {
    /// The directory of the database, in the view.
    pub(super) fn directory(&self) -> &Path {
        &self.location.directory
    }

    /// How large the base's database is, which is more or less what the merged one takes.
    pub(super) fn size(&self, host: &Root) -> Result<u64, Error> {
        let stat = host.stat(self.location.directory.join(self.location.backend.file_name()))?;
        Ok(u64::try_from(stat.st_size).unwrap_or_default())
    }

    /// Writes the merged database into a directory of a draft, where the overlay's lies.
    pub(super) fn write(&self, host: &Root, target: &Root, scratch: &Path) -> Result<(), Error> {
        let backend = self.location.backend;
        // What the overlay had deleted beside its database is in nobody's way now.
        for name in backend.companions().iter().chain([&backend.file_name()]) {
            if target.lstat(name)?.is_some_and(|stat| FileKind::of(&stat) == FileKind::CharDevice) {
                rustix::fs::unlinkat(target, *name, rustix::fs::AtFlags::empty())
                    .context("remove", target.join(name))?;
            }
        }
        let base = match self.from {
            Side::Theirs => Database::open(host, &self.location, &opening(scratch, Access::Read))?,
            Side::Ours => {
                Database::open_in(target.try_clone()?, backend, &opening(scratch, Access::Replace))?
            }
        };
        prepare(&base, &self.delta, target, &opening(scratch, Access::Replace))?.over_another().commit()?;
        Ok(())
    }
}

/// What a person should know of the packages.
fn lines(plan: &merge::Plan) -> Vec<Line> {
    let version = |entry: &Option<Entry>| entry.as_ref().map(|entry| entry.known.evr.to_string());
    let packages = plan.packages.iter().filter_map(|decided| {
        let (ours, theirs) = (version(&decided.ours), version(&decided.theirs));
        super::line(&decided.key.to_string(), &decided.key.name, decided.outcome, ours, theirs)
    });
    let unheeded = plan.unheeded.iter().map(|key| format!("{key}: what was asked for cannot be had").into());
    packages.chain(unheeded).collect()
}

/// What a package brought under a name.
#[derive(Debug)]
enum Content {
    File(Option<FileDigest>),
    Link(Option<OsString>),
    Other,
}

impl Content {
    fn of(file: &File<'_>) -> Content {
        if file.is_regular() {
            Content::File(file.digest)
        } else if file.link_target.is_some_and(|target| !target.is_empty()) {
            Content::Link(file.link_target.map(ToOwned::to_owned))
        } else {
            Content::Other
        }
    }
}

impl Brought for Content {
    fn is(&self, (dir, name): Named<'_>) -> Result<bool, IoError> {
        let Some(stat) = dir.lstat(name)? else { return Ok(false) };
        Ok(match (self, FileKind::of(&stat)) {
            (Content::File(Some(digest)), FileKind::File) => {
                let file = dir.open_child_file(name)?;
                digest.algorithm().digest(file).context("read", dir.join(name))? == *digest
            }
            (Content::Link(target), FileKind::Symlink) => Some(dir.read_link(name)?) == *target,
            (Content::Other, kind) => {
                !matches!(kind, FileKind::File | FileKind::Symlink | FileKind::Directory)
            }
            _ => false,
        })
    }
}

/// The file that tells another time what packages a base had: for each `IDENTITY NAME ARCH EVR MULTIPLE FINGERPRINT`,
/// with `-` for what is empty. The last one is missing where an older version of Onlay wrote it.
const MANIFEST: &str = "rpm";

/// More than this is no list of packages.
const LARGEST: u64 = 64 << 20;

pub(super) fn note(host: &Root, scratch: &Path, target: &Root, known: Option<&str>) -> Result<bool, Error> {
    let Some(location) = Location::find(host)? else { return Ok(false) };
    let read = || -> Result<String, Error> {
        let database = Database::open(host, &location, &opening(scratch, Access::Read))?;
        Ok(manifest(Catalog::of(&database)?.entries().iter().map(|entry| &entry.known)))
    };
    let text = known.map_or_else(read, |known| Ok(known.to_owned()))?;
    auto_installed::note(host, target)?;
    replace_file(target, MANIFEST, text.as_bytes())?;
    Ok(true)
}

fn manifest<'a>(packages: impl Iterator<Item = &'a Arc<Known>>) -> String {
    let mut text = String::new();
    for known in packages {
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let (name, arch, evr) = (or_dash(&known.name), or_dash(&known.arch), or_dash(&known.evr.to_string()));
        let multiple = if known.is_multiple { "multiple" } else { "single" };
        let fingerprint = or_dash(&known.fingerprint.as_ref().map(ToString::to_string).unwrap_or_default());
        text.push_str(&format!("{} {name} {arch} {evr} {multiple} {fingerprint}\n", known.identity));
    }
    text
}

fn parse(text: &[u8]) -> Vec<Known> {
    let text = String::from_utf8_lossy(text);
    let or_empty = |word: &str| if word == "-" { String::new() } else { word.to_owned() };
    text.lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some(Known {
                identity: Identity::parse(words.next()?)?,
                name: or_empty(words.next()?).into(),
                arch: or_empty(words.next()?).into(),
                evr: Evr::parse(&or_empty(words.next()?)).into_owned(),
                is_multiple: words.next()? == "multiple",
                fingerprint: words.next().and_then(Fingerprint::parse),
            })
        })
        .collect()
}
