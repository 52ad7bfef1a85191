//! Packages of dpkg: the database has many files, most of them about one package.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::diversions::{Moving, Whose};
use super::{DatabaseFile, Line, Planned, Sides, Wishes, alternatives, refuse_empty, refuse_unknown};
use crate::host::Base;
use crate::overlay::Error;
use crate::overlay::attributes::Named;
use crate::overlay::rebase::claims::{Brought, Claims};
use crate::overlay::rebase::seen;
use crate::package::DebianVersion;
use crate::package::digest::{Algorithm, FileDigest};
use crate::pkgdb;
use crate::pkgdb::dpkg::merge::{self, Decided, Input, Known};
use crate::pkgdb::dpkg::{
    Aliases, Database, Diversions, Entry, InstalledFile, Key, Want, differing, diversions, stem,
};
use crate::pkgdb::merge::{Decision, Reason, Side, Wishes as Choices};
use crate::sys::{Context, FileKind, IoError, Root, replace_file};

/// What dpkg itself leaves beside configuration that both changed, and what it is called that is saved.
const ENDINGS: (&str, &str) = (".dpkg-old", ".dpkg-dist");

pub(super) fn plan(sides: &Sides<'_>, base: &Base, wishes: &Wishes) -> Result<Option<Planned>, Error> {
    let Some(theirs) = Database::open(sides.host)? else { return Ok(None) };
    refuse_in_use(&theirs)?;
    let mut planned = Planned::default();
    if has_tables(sides.names, theirs.directory()) {
        let Some(mut ours) = Database::open(sides.view)? else { return Ok(None) };
        refuse_empty(ours.present().count(), theirs.present().count(), &theirs.directory().join("status"))?;
        let known = known_base(sides, base, &ours, &theirs)?;
        let had = match &known.tables {
            Some(tables) => tables.diversions.clone(),
            None => known_diversions(sides, base, &ours, &theirs)?,
        };
        if !sides.names.contains(&theirs.directory().join("diversions")) {
            ours.set_diversions(had.clone());
        }
        let base = known;
        // The overlay is read over the new base, whose files about its packages show through.
        let is_known = |key: &Key, identity| {
            base.packages.get(key).is_some_and(|known| known.is_present && known.identity == identity)
        };
        ours.leave_out_of_info(is_known, |path| sides.names.contains(path));
        let is_known = |name: &str| {
            let mut keys = ours.entries.keys().chain(theirs.entries.keys());
            keys.any(|key| key.name == name || key.to_string() == name)
        };
        refuse_unknown(wishes, is_known)?;
        let bare = sides.bare.map(Database::open).transpose()?.flatten();
        let mut choices = choices(wishes, &ours, &theirs);
        choices.passing = bare.as_ref().map(|bare| passing(&theirs, bare)).unwrap_or_default();
        let mut plan = merge::plan(&base, input(&ours), input(&theirs), &choices)?;
        let settled = alternatives::settle(&mut plan, sides, &theirs);
        let (of_ours, has) = (&ours.tables.diversions, &theirs.tables.diversions);
        let own = Some(&ours).filter(|_| sides.names.contains(&theirs.directory().join("status")));
        let mut moving = Moving::of([of_ours, &had, has, &plan.tables.diversions], &theirs.aliases);
        moving.look_at(|key| side_taken(&plan.packages, key), own, &theirs)?;
        planned.kept = kept_configuration(&plan.packages, &ours, &moving)?;
        planned.named = named(&plan.packages, &ours)?;
        let mut claims = AllClaims::new(theirs.directory(), moving, sides.names);
        claims.gather(&plan.packages, &ours, &theirs)?;
        claims.put_into(&mut planned);
        planned.manifest = match &bare {
            Some(bare) => status_beside(sides, &plan, &choices.passing, bare, theirs.directory())?,
            None => None,
        };
        planned.lines = lines(&plan, &ours);
        planned.lines.extend(settled);
        planned.broken = plan.findings.iter().map(ToString::to_string).collect();
        planned.remedy = "apt-get --fix-broken install";
        planned.pending = alternatives::commands(&plan, &ours);
        planned.database = database(&plan, &theirs, sides);
        if planned.manifest.is_some() {
            keep_status(&mut planned.database, sides, &theirs.directory().join("status"))?;
        }
        if !plan.tables.activated.is_empty() {
            planned.pending.push(["dpkg", "--triggers-only", "--pending"].map(str::to_owned).to_vec());
        }
    } else {
        let has = &theirs.tables.diversions;
        let had = known_diversions(sides, base, &theirs, &theirs)?;
        let mut moving = Moving::of([&had, &had, has, has], &theirs.aliases);
        moving.look_at(|_| Some(Whose::Has), None, &theirs)?;
        let mut claims = AllClaims::new(theirs.directory(), moving, sides.names);
        for entry in theirs.present() {
            claims.share(&entry.key.name, theirs.files(entry)?);
        }
        claims.put_into(&mut planned);
    }
    Ok(Some(planned))
}

/// From which side a package is when all is merged; `None` where it is gone.
fn side_taken(packages: &[Decided], key: &Key) -> Option<Whose> {
    let decided = packages.iter().find(|decided| decided.key == *key)?;
    match decided.outcome.decision {
        Decision::KeepOurs => Some(Whose::Own),
        Decision::Unchanged | Decision::BothSame | Decision::TakeTheirs => Some(Whose::Has),
        Decision::Remove | Decision::StayRemoved => None,
    }
}

/// Where apt keeps which packages it installed for others' sake.
pub(super) const APT: &str = "/var/lib/apt/extended_states";

fn refuse_in_use(database: &Database) -> Result<(), Error> {
    if database.is_in_use {
        let path = database.root().join(database.directory());
        return Err(pkgdb::Error::InUse { path }.into());
    }
    Ok(())
}

/// The choices for the packages that have such a name.
fn choices(wishes: &Wishes, ours: &Database, theirs: &Database) -> Choices<Key> {
    let keys: Vec<&Key> = ours.entries.keys().chain(theirs.entries.keys()).collect();
    let mut packages = BTreeMap::new();
    for (wanted, side) in &wishes.packages {
        let named = keys.iter().filter(|key| key.name == *wanted || key.to_string() == *wanted);
        packages.extend(named.map(|key| ((*key).clone(), *side)));
    }
    Choices { conflicts: wishes.all, packages, ..Choices::default() }
}

/// The packages that come and go with extensions.
fn passing(theirs: &Database, bare: &Database) -> BTreeSet<Key> {
    let is_of_bare = |key: &Key, entry: &Entry| {
        bare.entries.get(key).is_some_and(|other| other.identity == entry.identity)
    };
    let passing = theirs.entries.iter().filter(|(key, entry)| !is_of_bare(key, entry));
    passing.map(|(key, _)| key.clone()).collect()
}

/// The `status` that is to be known of the base another time, where the overlay keeps packages of its own beside an extension's:
/// what the base has of them without that. `None` where it is the host's.
fn status_beside(
    sides: &Sides<'_>,
    plan: &merge::Plan,
    passing: &BTreeSet<Key>,
    bare: &Database,
    directory: &Path,
) -> Result<Option<String>, Error> {
    let is_kept =
        |decided: &&Decided| decided.outcome.decision == Decision::KeepOurs && passing.contains(&decided.key);
    let kept: BTreeSet<&Key> = plan.packages.iter().filter(is_kept).map(|decided| &decided.key).collect();
    if kept.is_empty() {
        return Ok(None);
    }
    let status = directory.join("status");
    let read = |root: &Root| -> Result<String, IoError> {
        Ok(String::from_utf8_lossy(&root.read(&status, 256 << 20)?).into_owned())
    };
    let (theirs, base) = (read(sides.host)?, read(bare.root())?);
    let of_theirs = stanzas(&theirs).filter(|stanza| !is_of(stanza, &kept));
    let of_base = stanzas(&base).filter(|stanza| is_of(stanza, &kept));
    Ok(Some(of_theirs.chain(of_base).flat_map(|stanza| [stanza, "\n\n"]).collect()))
}

/// Keeps the overlay's own `status`, which says that packages are the overlay's, too, where it is the same as the host's: that
/// will say nothing of them when an extension has gone.
fn keep_status(
    files: &mut Vec<(PathBuf, DatabaseFile)>,
    sides: &Sides<'_>,
    status: &Path,
) -> Result<(), IoError> {
    let planned = files.iter().position(|(path, _)| path == status).map(|index| files.swap_remove(index).1);
    let content = match planned {
        Some(DatabaseFile::Content(content) | DatabaseFile::Own(content)) => content,
        _ => sides.host.read(status, 256 << 20)?,
    };
    files.push((status.to_owned(), DatabaseFile::Own(content)));
    Ok(())
}

fn stanzas(status: &str) -> impl Iterator<Item = &str> {
    status.split("\n\n").map(|stanza| stanza.trim_matches('\n')).filter(|stanza| !stanza.is_empty())
}

/// Whether a stanza is of one of some packages.
fn is_of(stanza: &str, packages: &BTreeSet<&Key>) -> bool {
    let field =
        |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    let key = Key { name: field("Package:").to_owned(), arch: field("Architecture:").to_owned() };
    packages.contains(&key)
}

/// What the base had: as it was noted; else as far as the files in the overlay's `info/` tell.
fn known_base(
    sides: &Sides<'_>,
    base: &Base,
    ours: &Database,
    theirs: &Database,
) -> Result<merge::Base, Error> {
    if let Some(root) = seen::packages(sides.layers, base)?
        && let Some(noted) = Database::open(&root)?
    {
        return Ok(merge::Base::of(&noted));
    }
    let info = theirs.directory().join("info");
    let list = |entry: &Entry| info.join(format!("{}.list", stem(entry)));
    let mut packages = BTreeMap::new();
    // What was removed in the overlay was there before, as far as anybody knows as it is now.
    let removed = theirs.entries.iter().filter(|(_, entry)| sides.whiteouts.contains(&list(entry)));
    packages.extend(removed.map(|(key, entry)| (key.clone(), known(entry))));
    // What has no list in the upper was never touched there.
    let untouched = ours.entries.iter().filter(|(_, entry)| !sides.names.contains(&list(entry)));
    packages.extend(untouched.map(|(key, entry)| (key.clone(), known(entry))));
    Ok(merge::Base { packages, tables: None })
}

/// The old base's table of diversions: as it was noted; else the new one's, of packages that the overlay has.
fn known_diversions(
    sides: &Sides<'_>,
    base: &Base,
    ours: &Database,
    theirs: &Database,
) -> Result<Diversions, Error> {
    if let Some(table) = seen::diversions(sides.layers, base)?
        && let Ok(noted) = diversions::parse(&table)
    {
        return Ok(noted);
    }
    let mut guessed = theirs.tables.diversions.clone();
    guessed.retain(|_, to| {
        to.package.as_ref().is_none_or(|name| ours.present().any(|entry| entry.key.name == *name))
    });
    Ok(guessed)
}

fn known(entry: &Entry) -> Known {
    Known { identity: entry.identity, is_present: entry.is_present(), marks: Some(entry.marks()) }
}

fn input(database: &Database) -> Input<'_> {
    Input { contents: database, paths: database }
}

/// Whose all names are.
struct AllClaims<'a> {
    usual: Claims<Md5Of>,
    /// On files that are diverted somewhere, and on those that are there instead.
    diverted: [Claims<Md5Of>; 2],
    moving: Moving,
    /// All names that the overlay has.
    names: &'a HashSet<PathBuf>,
}

impl<'a> AllClaims<'a> {
    fn new(directory: &Path, moving: Moving, names: &'a HashSet<PathBuf>) -> AllClaims<'a> {
        let none = || Claims::new(None, Vec::new(), ENDINGS);
        let usual = Claims::new(Some(directory), vec![PathBuf::from(APT)], ENDINGS);
        AllClaims { usual, diverted: [none(), none()], moving, names }
    }

    /// The claims on a package's file, and by what path it is claimed there.
    fn on(&mut self, package: &str, file: &InstalledFile, whose: Whose) -> (&mut Claims<Md5Of>, PathBuf) {
        match self.moving.find(package, file, whose) {
            Some((path, is_instead)) => (&mut self.diverted[usize::from(is_instead)], path),
            None => (&mut self.usual, file.location.clone()),
        }
    }

    /// A package is the same for both: it claims what the overlay has as well.
    fn share(&mut self, package: &str, files: Vec<InstalledFile>) {
        for file in files {
            let is_moving = self.moving.find(package, &file, Whose::Has).is_some();
            if is_moving || self.names.contains(&file.location) {
                let (claims, path) = self.on(package, &file, Whose::Has);
                claims.share(path, file.is_conffile);
            }
        }
    }

    /// Gathers the claims of all packages: those that differ on all their names, the others on names that the
    /// overlay has as well.
    fn gather(
        &mut self,
        packages: &[Decided],
        ours: &Database,
        theirs: &Database,
    ) -> Result<(), pkgdb::Error> {
        for Decided { key, outcome, .. } in packages {
            let name = &key.name;
            let files = |database: &Database| match database.entries.get(key) {
                Some(entry) => database.files(entry),
                None => Ok(Vec::new()),
            };
            match outcome.decision {
                Decision::Unchanged | Decision::BothSame => self.share(name, files(theirs)?),
                Decision::TakeTheirs | Decision::Remove => {
                    for file in files(ours)? {
                        let (claims, path) = self.on(name, &file, Whose::Own);
                        claims.replace(path, Md5Of::brought(&file), file.is_conffile);
                    }
                    for file in files(theirs)? {
                        let (claims, path) = self.on(name, &file, Whose::Has);
                        claims.take(path, file.is_conffile);
                    }
                }
                Decision::KeepOurs | Decision::StayRemoved => {
                    for file in files(ours)? {
                        let (claims, path) = self.on(name, &file, Whose::Own);
                        let is_same = outcome.reason == Reason::OnlyOverlayChanged;
                        claims.keep(path, name, file.is_conffile && is_same);
                    }
                    for file in without_directories(files(theirs)?) {
                        let (claims, path) = self.on(name, &file, Whose::Has);
                        claims.refuse(path);
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts them into a plan.
    fn put_into(self, planned: &mut Planned) {
        planned.diverted = self.moving.finish(self.diverted);
        planned.owned = Box::new(self.usual);
    }
}

/// The files of a package but its directories, as far as its list tells: what else is in one is seen through it. On
/// disk it may be a link: `/lib` is one that hundreds of packages have as a directory.
fn without_directories(files: Vec<InstalledFile>) -> impl Iterator<Item = InstalledFile> {
    let parents = files.iter().filter_map(|file| file.path.parent());
    let directories: HashSet<PathBuf> = parents.map(Path::to_owned).collect();
    files.into_iter().filter(move |file| !directories.contains(&file.path))
}

/// Configuration of packages that stay, which dpkg does not write anew where the base has it already.
fn kept_configuration(
    packages: &[Decided],
    ours: &Database,
    moving: &Moving,
) -> Result<Vec<(PathBuf, String)>, pkgdb::Error> {
    let mut found = Vec::new();
    for Decided { key, outcome, .. } in packages {
        let entry = ours.entries.get(key).filter(|_| outcome.decision == Decision::KeepOurs);
        for file in entry.map_or(Ok(Vec::new()), |entry| ours.files(entry))? {
            if file.is_conffile {
                let place = moving.place_then(&key.name, &file).unwrap_or(file.location);
                found.push((place, key.name.clone()));
            }
        }
    }
    Ok(found)
}

/// All that packages name which stay.
fn named(packages: &[Decided], ours: &Database) -> Result<HashSet<PathBuf>, pkgdb::Error> {
    let mut found = HashSet::new();
    for Decided { key, .. } in
        packages.iter().filter(|decided| decided.outcome.decision == Decision::KeepOurs)
    {
        if let Some(entry) = ours.entries.get(key) {
            found.extend(ours.files(entry)?.into_iter().map(|file| file.location));
        }
    }
    Ok(found)
}

/// The paths in the lists of a directory `info/`.
pub(super) fn listed(info: &Root, aliases: &Aliases) -> Result<BTreeSet<PathBuf>, IoError> {
    let mut found = BTreeSet::new();
    for entry in info.entries()? {
        let is_list = Path::new(&entry.name).extension() == Some(OsStr::new("list"));
        let stat = if is_list { info.lstat(&entry.name)? } else { None };
        if stat.is_some_and(|stat| FileKind::of(&stat) == FileKind::File) {
            let list = info.read(&entry.name, 256 << 20)?;
            let lines = list.split(|&byte| byte == b'\n').filter(|line| line.len() > 1 && line[0] == b'/');
            found.extend(lines.map(|line| aliases.resolve(Path::new(OsStr::from_bytes(line)))));
        }
    }
    Ok(found)
}

/// What becomes of the files of the database.
fn database(plan: &merge::Plan, theirs: &Database, sides: &Sides<'_>) -> Vec<(PathBuf, DatabaseFile)> {
    let info = theirs.directory().join("info");
    let differing: BTreeMap<PathBuf, Option<Vec<u8>>> = differing(plan, theirs).into_iter().collect();
    let is_same = |path: &&PathBuf| {
        let is_in = path.starts_with(theirs.directory()) && !path.starts_with(&info);
        (is_in || **path == Path::new(APT)) && !differing.contains_key(*path) && is_table(path)
    };
    let mut found: Vec<(PathBuf, DatabaseFile)> =
        sides.names.iter().filter(is_same).map(|path| (path.clone(), DatabaseFile::Theirs)).collect();
    found.extend(differing.into_iter().map(|(path, content)| {
        let file = content.map_or(DatabaseFile::Gone, DatabaseFile::Content);
        (path, file)
    }));
    for (name, side) in &plan.info {
        let path = info.join(name);
        let is_above = sides.names.contains(&path);
        match side {
            Some(Side::Theirs) if is_above => found.push((path, DatabaseFile::Theirs)),
            // It is what is seen already.
            Some(_) => {}
            None => found.push((path, DatabaseFile::Gone)),
        }
    }
    found
}

/// Whether an overlay has a database of its own, or only tables of it: dpkg-divert(1) and its like write no `status`.
fn has_tables(names: &HashSet<PathBuf>, directory: &Path) -> bool {
    let info = directory.join("info");
    let is_of_it = |path: &PathBuf| path.starts_with(directory) && !path.starts_with(&info) && is_table(path);
    names.iter().any(is_of_it)
}

/// Whether a file of the database is one that a merge decides on: not a lock, a backup or a list of what could be had.
fn is_table(path: &Path) -> bool {
    let is_below = |name| path.parent().is_some_and(|parent| parent.ends_with(name));
    let names = ["arch", "diversions", "extended_states", "statoverride", "status"];
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    names.contains(&name) || is_below("alternatives") || (is_below("triggers") && name != "Lock")
}

/// What a person should know of the packages.
fn lines(plan: &merge::Plan, ours: &Database) -> Vec<Line> {
    let unheeded = |key: &Key| format!("{key}: what was asked for cannot be had").into();
    let packages = plan.packages.iter().filter_map(|decided| line(decided, ours));
    packages.chain(plan.unheeded.iter().map(unheeded)).collect()
}

fn line(decided: &Decided, ours: &Database) -> Option<Line> {
    let version = |version: &Option<DebianVersion>| version.as_ref().map(ToString::to_string);
    let (own, theirs) = (version(&decided.ours), version(&decided.theirs));
    let mut line = super::line(&decided.key.to_string(), &decided.key.name, decided.outcome, own, theirs)?;
    let is_lost = decided.outcome.decision == Decision::Remove
        && ours.entries.get(&decided.key).is_some_and(|entry| entry.status.want == Want::Hold);
    if is_lost {
        line.text.push_str(", though it was on hold here");
    }
    Some(line)
}

/// The MD5 that a package brought a file with.
#[derive(Debug)]
pub(super) struct Md5Of(Option<FileDigest>);

impl Md5Of {
    fn brought(file: &InstalledFile) -> Md5Of {
        let digits = file.digest.as_deref().unwrap_or_default();
        Md5Of(FileDigest::parse(Algorithm::Md5, digits.as_bytes()))
    }
}

impl Brought for Md5Of {
    fn is(&self, (dir, name): Named<'_>) -> Result<bool, IoError> {
        let Some(stat) = dir.lstat(name)? else { return Ok(false) };
        match (&self.0, FileKind::of(&stat)) {
            (Some(digest), FileKind::File) => {
                let file = dir.open_child_file(name)?;
                Ok(digest.algorithm().digest(file).context("read", dir.join(name))? == *digest)
            }
            // dpkg does not say where its links lead.
            (_, FileKind::Symlink) => Ok(true),
            _ => Ok(false),
        }
    }
}

/// The files that tell another time what packages a base had: enough for a root of their own. `known` is the `status` of them,
/// where it is not the host's.
pub(super) fn note(host: &Root, target: &Root, known: Option<&str>) -> Result<bool, Error> {
    let Some(database) = Database::open(host)? else { return Ok(false) };
    refuse_in_use(&database)?;
    let directory = database.directory();
    let mut names: Vec<PathBuf> =
        ["status", "diversions", "statoverride", "arch", "triggers/File", "triggers/Unincorp", "info/format"]
            .into_iter()
            .map(|name| directory.join(name))
            .collect();
    for below in ["alternatives", "triggers"] {
        let Ok(dir) = host.open_dir(directory.join(below)) else { continue };
        let entries = dir.entries()?;
        names.extend(entries.into_iter().map(|entry| directory.join(below).join(entry.name)));
    }
    names.push(PathBuf::from(APT));
    if let Some(known) = known {
        names.remove(0);
        target.make_dirs(directory, 0o700)?;
        replace_file(&target.open_dir(directory)?, "status", known.as_bytes())?;
    }
    for name in names {
        copy(host, target, &name)?;
    }
    target.make_dirs(directory.join("updates"), 0o700)?;
    Ok(true)
}

fn copy(host: &Root, target: &Root, path: &Path) -> Result<(), IoError> {
    let content = match host.read(path, 256 << 20) {
        Err(error) if error.is_not_found() => return Ok(()),
        other => other?,
    };
    let parent = path.parent().unwrap_or(Path::new("/"));
    target.make_dirs(parent, 0o700)?;
    let name = path.file_name().unwrap_or_default();
    let dir = target.open_dir(parent)?;
    let file = dir.make_file(name, 0o600)?;
    let mut file = std::fs::File::from(file);
    std::io::Write::write_all(&mut file, &content).context("write", dir.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_package_has_as_a_directory_is_not_its_file() {
        let file = |path: &str| InstalledFile {
            path: path.into(),
            location: path.into(),
            digest: None,
            is_conffile: false,
        };
        let files = ["/lib", "/lib/foo", "/lib/foo/file", "/lib/foo.conf", "/usr/lib/link"].map(file);
        let paths: Vec<PathBuf> = without_directories(files.into()).map(|file| file.path).collect();
        let expected = ["/lib/foo/file", "/lib/foo.conf", "/usr/lib/link"];
        assert_eq!(paths, expected.map(PathBuf::from));
    }
}
