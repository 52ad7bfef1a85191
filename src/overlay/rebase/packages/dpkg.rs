//! Packages of dpkg: the database has many files, most of them about one package.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{DatabaseFile, Line, Planned, Sides, Wishes, refuse_empty, refuse_unknown};
use crate::host::Base;
use crate::overlay::Error;
use crate::overlay::attributes::Named;
use crate::overlay::rebase::claims::{Brought, Claims};
use crate::overlay::rebase::seen;
use crate::package::DebianVersion;
use crate::package::digest::{Algorithm, FileDigest};
use crate::pkgdb;
use crate::pkgdb::dpkg::merge::{self, Decided, Input, Known};
use crate::pkgdb::dpkg::{Database, Entry, InstalledFile, Key, Want, differing, stem};
use crate::pkgdb::merge::{Decision, Side, Wishes as Choices};
use crate::sys::{Context, FileKind, IoError, Root};

/// What dpkg itself leaves beside configuration that both changed, and what it is called that is saved.
const ENDINGS: (&str, &str) = (".dpkg-old", ".dpkg-dist");

pub(super) fn plan(sides: &Sides<'_>, base: &Base, wishes: &Wishes) -> Result<Option<Planned>, Error> {
    let Some(theirs) = Database::open(sides.host)? else { return Ok(None) };
    refuse_in_use(&theirs)?;
    let mut claims = Claims::new(Some(theirs.directory()), vec![PathBuf::from(APT)], ENDINGS);
    let mut planned = Planned::default();
    if has_tables(sides.names, theirs.directory()) {
        let Some(mut ours) = Database::open(sides.view)? else { return Ok(None) };
        refuse_empty(ours.present().count(), theirs.present().count(), &theirs.directory().join("status"))?;
        let base = known_base(sides, base, &ours, &theirs)?;
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
        let choices = choices(wishes, &ours, &theirs);
        let plan = merge::plan(&base, input(&ours), input(&theirs), &choices)?;
        claim(&mut claims, &plan.packages, &ours, &theirs, sides.names)?;
        planned.kept = kept_configuration(&plan.packages, &ours)?;
        planned.lines = lines(&plan, &ours);
        planned.lines.extend(misplaced(&plan, &ours, &theirs)?.into_iter().map(Line::from));
        planned.broken = plan.findings.iter().map(ToString::to_string).collect();
        planned.remedy = "apt-get --fix-broken install";
        planned.pending = alternatives(&plan, &ours);
        planned.database = database(&plan, &theirs, sides);
        if !plan.tables.activated.is_empty() {
            planned.pending.push(["dpkg", "--triggers-only", "--pending"].map(str::to_owned).to_vec());
        }
    } else {
        share_all(&mut claims, &theirs, sides.names)?;
    }
    planned.owned = Box::new(claims);
    Ok(Some(planned))
}

/// Where apt keeps which packages it installed for others' sake.
const APT: &str = "/var/lib/apt/extended_states";

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
    Choices { conflicts: wishes.all, packages }
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

fn known(entry: &Entry) -> Known {
    Known { identity: entry.identity, is_present: entry.is_present(), marks: Some(entry.marks()) }
}

fn input(database: &Database) -> Input<'_> {
    Input { contents: database, paths: database }
}

/// Gathers the claims of all packages: those that differ on all their names, the others on names that the
/// overlay has as well.
fn claim(
    claims: &mut Claims<Md5Of>,
    packages: &[Decided],
    ours: &Database,
    theirs: &Database,
    names: &HashSet<PathBuf>,
) -> Result<(), pkgdb::Error> {
    for Decided { key, outcome, .. } in packages {
        let (own, host) = (ours.entries.get(key), theirs.entries.get(key));
        let files = |database: &Database, entry: Option<&Entry>| match entry {
            Some(entry) => database.files(entry),
            None => Ok(Vec::new()),
        };
        match outcome.decision {
            Decision::Unchanged | Decision::BothSame => {
                let shared = files(theirs, host)?.into_iter().filter(|file| names.contains(&file.location));
                shared.for_each(|file| claims.share(file.location, file.is_conffile));
            }
            Decision::TakeTheirs | Decision::Remove => {
                files(ours, own)?.into_iter().for_each(|file| {
                    let brought = Md5Of::brought(&file);
                    claims.replace(file.location, brought, file.is_conffile);
                });
                files(theirs, host)?
                    .into_iter()
                    .for_each(|file| claims.take(file.location, file.is_conffile));
            }
            Decision::KeepOurs | Decision::StayRemoved => {
                files(ours, own)?.into_iter().for_each(|file| claims.keep(file.location, &key.name));
                without_directories(files(theirs, host)?).for_each(|file| claims.refuse(file.location));
            }
        }
    }
    Ok(())
}

/// The files of a package but its directories, as far as its list tells: what else is in one is seen through it. On
/// disk it may be a link: `/lib` is one that hundreds of packages have as a directory.
fn without_directories(files: Vec<InstalledFile>) -> impl Iterator<Item = InstalledFile> {
    let parents = files.iter().filter_map(|file| file.path.parent());
    let directories: HashSet<PathBuf> = parents.map(Path::to_owned).collect();
    files.into_iter().filter(move |file| !directories.contains(&file.path))
}

/// Configuration of packages that stay, which dpkg does not write anew where the base has it already.
fn kept_configuration(packages: &[Decided], ours: &Database) -> Result<Vec<(PathBuf, String)>, pkgdb::Error> {
    let mut found = Vec::new();
    for Decided { key, outcome, .. } in packages {
        let entry = ours.entries.get(key).filter(|_| outcome.decision == Decision::KeepOurs);
        for file in entry.map_or(Ok(Vec::new()), |entry| ours.files(entry))? {
            if file.is_conffile {
                found.push((file.location, key.name.clone()));
            }
        }
    }
    Ok(found)
}

/// Files that have another place by the merged diversions than they have where they come from, in words: only dpkg itself
/// puts them there.
fn misplaced(plan: &merge::Plan, ours: &Database, theirs: &Database) -> Result<Vec<String>, pkgdb::Error> {
    let mut lines = Vec::new();
    for (database, is_from) in [(ours, Decision::KeepOurs), (theirs, Decision::TakeTheirs)] {
        let diversions = &plan.tables.diversions;
        if database.tables.diversions == *diversions {
            continue;
        }
        for Decided { key, outcome, .. } in &plan.packages {
            let is_theirs = database.root().path() == theirs.root().path();
            let is_shared = matches!(outcome.decision, Decision::Unchanged | Decision::BothSame) && is_theirs;
            let entry = database.entries.get(key).filter(|_| outcome.decision == is_from || is_shared);
            let Some(entry) = entry.filter(|entry| entry.is_present()) else { continue };
            for file in database.files(entry)? {
                let diverted = diversions.get(&file.path).filter(|diversion| diversion.is_for(&key.name));
                let place = diverted.map_or(&file.path, |diversion| &diversion.target);
                if database.aliases.resolve(place) != file.location {
                    lines.push(format!(
                        "{} of {key} belongs at {} now, by what is diverted: 'apt-get install --reinstall {}' \
                         inside puts it there",
                        file.path.display(),
                        place.display(),
                        key.name
                    ));
                }
            }
        }
    }
    Ok(lines)
}

/// What makes the links of alternatives that were merged: update-alternatives(1) alone knows which they are.
fn alternatives(plan: &merge::Plan, ours: &Database) -> Vec<Vec<String>> {
    let merged = plan.tables.alternatives.iter();
    let changed = merged.filter(|(name, one)| ours.tables.alternatives.get(*name) != Some(one));
    let command = |name: &str| ["update-alternatives", "--auto", name].map(str::to_owned).to_vec();
    changed.filter(|(_, alternative)| !alternative.is_manual).map(|(name, _)| command(name)).collect()
}

/// Gathers the claims of the base's packages on names that the overlay has as well.
fn share_all(
    claims: &mut Claims<Md5Of>,
    theirs: &Database,
    names: &HashSet<PathBuf>,
) -> Result<(), pkgdb::Error> {
    for entry in theirs.present() {
        for file in theirs.files(entry)?.into_iter().filter(|file| names.contains(&file.location)) {
            claims.share(file.location, file.is_conffile);
        }
    }
    Ok(())
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
struct Md5Of(Option<FileDigest>);

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

/// The files that tell another time what packages a base had: enough for a root of their own.
pub(super) fn note(host: &Root, target: &Root) -> Result<bool, Error> {
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
