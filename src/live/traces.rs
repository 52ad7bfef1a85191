//! Where packages that go with a lock may have left something beside the places that are locked: what they name there
//! themselves, in their lists of files, in tmpfiles.d(5) and in the directories of their services (systemd.exec(5)).
//!
//! Cost follows the change: where the package database is as it was, nothing is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::lock::uncover;
use super::namespace::in_workshop;
use super::unlock::check_caller;
use super::{Error, Record};
use crate::host::Host;
use crate::pkgdb::compare::{Difference, Versions, compare};
use crate::pkgdb::{AnyDatabase, Package, Place};
use crate::sys::Root;

/// What tells what packages have left.
#[derive(Debug)]
pub struct Traces {
    /// When the host was unlocked: what is older is nobody's who goes.
    pub(super) since: SystemTime,
    /// What is locked, and takes what is in it along.
    pub(super) places: Vec<PathBuf>,
    /// Names of the packages that go.
    pub(super) packages: Vec<String>,
    /// Paths that they name, with their names.
    pub(super) paths: BTreeMap<PathBuf, String>,
    /// Users that go, by their numbers.
    pub(super) users: BTreeMap<u32, String>,
}

/// What lasts when places are locked.
pub(super) const LASTING: &str = "/var";

/// How long to wait for a package manager that is at work.
const PATIENCE: Duration = Duration::from_secs(2);

/// More than any list of users, or file about a service.
const LARGEST: u64 = 16 << 20;

/// Looks at the packages that were added since the host was unlocked. It must not be locked yet.
pub fn traces(record: &Record) -> Result<Traces, Error> {
    check_caller()?;
    let since = humantime::parse_rfc3339(&record.since).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut traces = Traces {
        since,
        places: record.places.clone(),
        packages: Vec::new(),
        paths: BTreeMap::new(),
        users: BTreeMap::new(),
    };
    let host = Host::open(Path::new("/"))?;
    let Some(system) = host.package_system() else { return Ok(traces) };
    if system.stamp(&host.root) == record.base.packages {
        return Ok(traces);
    }
    let database = |root: &Root| -> Result<Option<AnyDatabase>, Error> {
        let place = Place::of_system(root, &system).map_err(crate::overlay::Error::from)?;
        let opened = place.map(|place| place.open(PATIENCE)).transpose();
        Ok(opened.map_err(crate::overlay::Error::from)?)
    };
    let (before, users) = in_workshop(|| {
        uncover(&record.places)?;
        let below = Root::open("/")?;
        let packages = database(&below)?.map(|database| packages(&database)).transpose()?;
        Ok((packages.unwrap_or_default(), users(&below)))
    })?;
    let Some(now) = database(&host.root)? else { return Ok(traces) };
    traces.users = self::users(&host.root);
    traces.users.retain(|number, _| !users.contains_key(number));
    let versions = if system.kind == "dpkg" { Versions::Debian } else { Versions::Rpm };
    let after = packages(&now)?;
    let added = compare(&before, &after, versions).into_iter();
    let added = added.filter(|compared| compared.difference == Difference::Added);
    for package in added.map(|compared| compared.package()) {
        traces.add(&host.root, &now, package)?;
    }
    Ok(traces)
}

fn packages(database: &AnyDatabase) -> Result<Vec<Package>, Error> {
    Ok(database.packages().map_err(crate::overlay::Error::from)?.packages)
}

impl Traces {
    fn add(&mut self, root: &Root, database: &AnyDatabase, package: &Package) -> Result<(), Error> {
        self.packages.push(package.name.clone());
        for file in database.files_of(package).map_err(crate::overlay::Error::from)? {
            let text = || root.read(&file, LARGEST).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            let named = match kind_of(&file) {
                Kind::Lasting => vec![file],
                // What cannot be read names nothing.
                Kind::Temporary => text().map(|text| of_tmpfiles(&text)).unwrap_or_default(),
                Kind::Service => text().map(|text| of_service(&text)).unwrap_or_default(),
                Kind::Other => continue,
            };
            self.paths.extend(named.into_iter().map(|path| (path, package.name.clone())));
        }
        Ok(())
    }
}

/// What a package's file says of what it leaves.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// It is left itself.
    Lasting,
    /// Settings of systemd-tmpfiles.
    Temporary,
    /// A service.
    Service,
    Other,
}

fn kind_of(file: &Path) -> Kind {
    let has = |ending: &str| file.extension().is_some_and(|extension| extension == ending);
    if file.starts_with(LASTING) {
        Kind::Lasting
    } else if file.starts_with("/usr/lib/tmpfiles.d") && has("conf") {
        Kind::Temporary
    } else if has("service") && file.parent().is_some_and(|parent| parent.ends_with("lib/systemd/system")) {
        Kind::Service
    } else {
        Kind::Other
    }
}

/// The paths that tmpfiles.d(5) makes: the second word of each line.
fn of_tmpfiles(text: &str) -> Vec<PathBuf> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let paths = lines.filter_map(|line| line.split_whitespace().nth(1)).map(|word| word.trim_matches('"'));
    paths
        .filter(|path| !path.contains(['%', '*']))
        .map(PathBuf::from)
        .filter(|path| path.starts_with(LASTING))
        .collect()
}

/// The directories that systemd makes for a service; those of one with DynamicUser= are elsewhere.
fn of_service(text: &str) -> Vec<PathBuf> {
    const DIRECTORIES: &[(&str, &str)] =
        &[("StateDirectory", "/var/lib"), ("CacheDirectory", "/var/cache"), ("LogsDirectory", "/var/log")];
    let mut found = Vec::new();
    for (key, value) in text.lines().filter_map(|line| line.trim().split_once('=')) {
        let Some((_, above)) = DIRECTORIES.iter().find(|(name, _)| *name == key.trim()) else { continue };
        let names = value.split_whitespace().filter_map(|word| word.split(':').next());
        for name in names.filter(|name| !name.contains('%') && !name.starts_with('/')) {
            found.extend([Path::new(above).join(name), Path::new(above).join("private").join(name)]);
        }
    }
    found
}

/// The users of a root, by their numbers.
fn users(root: &Root) -> BTreeMap<u32, String> {
    let text = root.read("/etc/passwd", LARGEST).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    text.lines().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn what_systemd_makes_is_named() {
        let text = "# d /var/no\nd /var/lib/a 0755 a a\nq \"/var/b\" - - -\nd /run/c\nr! /var/cache/d/*\nL+ /var/e%m\n\nd\n";
        assert_eq!(of_tmpfiles(text), paths(&["/var/lib/a", "/var/b"]));
        let text = "[Service]\nStateDirectory = a b/c:link\nLogsDirectory=d-%i\n#CacheDirectory=e\nRuntimeDirectory=f\n";
        let expected = ["/var/lib/a", "/var/lib/private/a", "/var/lib/b/c", "/var/lib/private/b/c"];
        assert_eq!(of_service(text), paths(&expected));
    }

    #[test]
    fn files_of_packages_that_matter_are_known() {
        for (file, kind) in [
            ("/var/lib/a", Kind::Lasting),
            ("/usr/lib/tmpfiles.d/a.conf", Kind::Temporary),
            ("/lib/systemd/system/a.service", Kind::Service),
            ("/usr/lib/systemd/system/a.socket", Kind::Other),
            ("/usr/lib/systemd/system/a.service.d/x.conf", Kind::Other),
            ("/usr/bin/a", Kind::Other),
        ] {
            assert_eq!(kind_of(Path::new(file)), kind, "{file}");
        }
    }
}
