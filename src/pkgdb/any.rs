//! A database of whichever kind, for who only wants to know what is installed.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::compare::Versions;
use super::{Error, Package, dpkg, rpm};
use crate::host::PackageSystem;
use crate::package::Identity;
use crate::package::header::{File, Header};
use crate::sys::{Context, Root};

/// Where a database is.
#[derive(Debug)]
pub enum Place {
    /// rpm's.
    Rpm {
        /// Its directory.
        directory: Root,
        /// How it is stored.
        backend: rpm::Backend,
    },
    /// dpkg's, which is spread over a root.
    Dpkg {
        /// The root.
        root: Root,
        /// The database's directory in it.
        directory: PathBuf,
    },
}

/// A database that is open.
#[derive(Debug)]
pub enum AnyDatabase {
    /// rpm's.
    Rpm(rpm::Database),
    /// dpkg's.
    Dpkg(Box<dpkg::Database>),
}

/// Where dpkg's directory is below a root.
const DPKG: &[&str] = &["var/lib/dpkg", "usr/lib/sysimage/dpkg"];

/// rpm's name for its database when that was a Berkeley DB.
const BERKELEY: &str = "Packages";

impl Place {
    /// What a person means by a path: a root directory, or a database itself, by its directory or its file.
    pub fn of(path: &Path) -> Result<Place, Error> {
        let missing = || Error::Missing { path: path.to_owned() };
        let absolute = std::path::absolute(path).context("find", path)?;
        let found = match Root::open("/")?.resolve(absolute) {
            Err(error) if error.is_not_found() => return Err(missing()),
            other => other?,
        };
        if found.is_dir() {
            let directory = Root::open(&found)?;
            return match Place::in_directory(&directory)? {
                Some(place) => Ok(place),
                None => Place::in_root(&directory)?.ok_or_else(missing),
            };
        }
        let (Some(parent), Some(name)) = (found.parent(), found.file_name()) else { return Err(missing()) };
        let backends = [rpm::Backend::Sqlite, rpm::Backend::Ndb];
        if let Some(backend) = backends.into_iter().find(|backend| name == backend.file_name()) {
            return Ok(Place::Rpm { directory: Root::open(parent)?, backend });
        }
        if name == BERKELEY {
            return Err(berkeley(found));
        }
        let dpkg = (name == OsStr::new("status")).then(|| dpkg_root(parent)).flatten();
        dpkg.unwrap_or_else(|| Err(missing()))
    }

    /// The database of a root.
    pub fn in_root(root: &Root) -> Result<Option<Place>, Error> {
        PackageSystem::find(root).map_or(Ok(None), |system| Place::of_system(root, &system))
    }

    /// The database of one of a root's package systems.
    pub fn of_system(root: &Root, system: &PackageSystem) -> Result<Option<Place>, Error> {
        match system.kind {
            "rpm" => {
                let Some(location) = rpm::Location::find(root)? else { return Ok(None) };
                let directory = root.open_dir(&location.directory)?;
                Ok(Some(Place::Rpm { directory, backend: location.backend }))
            }
            "dpkg" => {
                let directory = system.database.parent().unwrap_or(Path::new("/")).to_owned();
                Ok(Some(Place::Dpkg { root: root.try_clone()?, directory }))
            }
            other => {
                let format = if other == "pacman" { "pacman's" } else { "apk's" };
                Err(Error::Unsupported { path: root.join(&system.database), format })
            }
        }
    }

    /// The database that a directory is.
    fn in_directory(directory: &Root) -> Result<Option<Place>, Error> {
        if let Some(backend) = rpm::Backend::in_directory(directory) {
            return Ok(Some(Place::Rpm { directory: directory.try_clone()?, backend }));
        }
        let has = |name: &str| directory.lstat(name).map(|stat| stat.is_some());
        if has(BERKELEY)? {
            return Err(berkeley(directory.join(BERKELEY)));
        }
        if has("status")? { dpkg_root(directory.path()).transpose() } else { Ok(None) }
    }

    /// The database's directory, for messages.
    pub fn path(&self) -> PathBuf {
        match self {
            Place::Rpm { directory, .. } => directory.path().to_owned(),
            Place::Dpkg { root, directory } => root.join(directory),
        }
    }

    /// Whose rules order its versions.
    pub fn versions(&self) -> Versions {
        match self {
            Place::Rpm { .. } => Versions::Rpm,
            Place::Dpkg { .. } => Versions::Debian,
        }
    }

    /// Opens it to be read. Where somebody is changing it, that is an error after some patience.
    pub fn open(&self, patience: Duration) -> Result<AnyDatabase, Error> {
        match self {
            Place::Rpm { directory, backend } => {
                let scratch = std::env::temp_dir();
                let opening = rpm::Opening { scratch: &scratch, patience, access: rpm::Access::Read };
                Ok(AnyDatabase::Rpm(rpm::Database::open_in(directory.try_clone()?, *backend, &opening)?))
            }
            Place::Dpkg { root, .. } => match dpkg::Database::open(root)? {
                None => Err(Error::Missing { path: self.path() }),
                Some(found) if found.is_in_use => Err(Error::InUse { path: self.path() }),
                Some(found) => Ok(AnyDatabase::Dpkg(Box::new(found))),
            },
        }
    }
}

/// What is installed.
#[derive(Debug, Default)]
pub struct Listed {
    /// What can be read.
    pub packages: Vec<Package>,
    /// How many headers cannot.
    pub unreadable: usize,
}

impl AnyDatabase {
    /// What is installed, as far as it can be read.
    pub fn packages(&self) -> Result<Listed, Error> {
        match self {
            AnyDatabase::Rpm(database) => {
                let all = database.packages()?;
                let count = all.len();
                let packages: Vec<Package> = all.into_iter().filter_map(|found| found.package.ok()).collect();
                Ok(Listed { unreadable: count - packages.len(), packages })
            }
            AnyDatabase::Dpkg(database) => {
                Ok(Listed { packages: database.present().map(dpkg::Entry::package).collect(), unreadable: 0 })
            }
        }
    }

    /// The paths of a package that is installed, links on the way resolved where dpkg's database is.
    pub fn files_of(&self, package: &Package) -> Result<Vec<PathBuf>, Error> {
        let mut files = Vec::new();
        match self {
            AnyDatabase::Rpm(database) => database.each_named(&package.name, &mut |_, blob| {
                // What cannot be read is no package that anybody was told of.
                let Ok(header) = Header::parse(blob) else { return Ok(()) };
                if Identity::of(blob) == package.identity {
                    files.extend(header.files().filter(File::is_installed).map(|file| file.path()));
                }
                Ok(())
            })?,
            AnyDatabase::Dpkg(database) => {
                let is_it = |entry: &&dpkg::Entry| entry.package() == *package;
                for entry in database.present().filter(is_it) {
                    database.each_location(entry, &mut |location| files.push(location.to_owned()))?;
                }
            }
        }
        Ok(files)
    }

    /// The name of a package that has each of these paths below the root that the database is about, under whichever
    /// of its names (`/bin/ls`, `/usr/bin/ls`). The cost is that of the paths, where there are indexes: in SQLite's
    /// format; else one look at all packages.
    pub fn owners(&self, root: &Root, paths: &[&Path]) -> Result<Vec<Option<String>>, Error> {
        let mut owners = vec![None; paths.len()];
        if paths.is_empty() {
            return Ok(owners);
        }
        match self {
            AnyDatabase::Rpm(database) => rpm_owners(database, root, paths, &mut owners)?,
            AnyDatabase::Dpkg(database) => dpkg_owners(database, paths, &mut owners)?,
        }
        Ok(owners)
    }
}

fn rpm_owners(
    database: &rpm::Database,
    root: &Root,
    paths: &[&Path],
    owners: &mut [Option<String>],
) -> Result<(), Error> {
    let aliases = dpkg::Aliases::of(root)?;
    let names =
        |(index, path): (usize, &&Path)| aliases.names(path).into_iter().map(move |name| (index, name));
    let named: Vec<(usize, PathBuf)> = paths.iter().enumerate().flat_map(names).collect();
    let wanted: Vec<&Path> = named.iter().map(|(_, name)| name.as_path()).collect();
    database.each_owner(&wanted, &mut |index, _, header, file| {
        let owner = &mut owners[named[index].0];
        if owner.is_none() && file.is_installed() {
            *owner = Some(header.name().into_owned());
        }
    })
}

fn dpkg_owners(
    database: &dpkg::Database,
    paths: &[&Path],
    owners: &mut [Option<String>],
) -> Result<(), Error> {
    let mut wanted: HashMap<PathBuf, Vec<usize>> = HashMap::new();
    for (index, path) in paths.iter().enumerate() {
        wanted.entry(database.aliases.resolve(path)).or_default().push(index);
    }
    for entry in database.entries.values() {
        database.each_location(entry, &mut |location| {
            for index in wanted.get(location).into_iter().flatten() {
                owners[*index].get_or_insert_with(|| entry.key.name.clone());
            }
        })?;
    }
    Ok(())
}

fn berkeley(path: PathBuf) -> Error {
    Error::Unsupported { path, format: rpm::BERKELEY_DB }
}

/// The root that dpkg's directory belongs to; `None` where it is none.
fn dpkg_root(directory: &Path) -> Option<Result<Place, Error>> {
    let place = DPKG.iter().find(|place| directory.ends_with(place))?;
    let depth = Path::new(place).components().count();
    let root = directory.ancestors().nth(depth)?;
    let directory = Path::new("/").join(place);
    Some(Root::open(root).map(|root| Place::Dpkg { root, directory }).map_err(Error::from))
}
