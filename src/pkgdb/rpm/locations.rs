//! Where rpm's databases are, and how they are stored.

use std::path::PathBuf;

use crate::host::PackageSystem;
use crate::pkgdb::Error;
use crate::sys::Root;

/// SQLite's log beside its database, which may hold what is not yet in there.
pub(super) const LOG: &str = "rpmdb.sqlite-wal";
/// The same for a database without a log: what was there before a change.
pub(super) const JOURNAL: &str = "rpmdb.sqlite-journal";

/// How a database is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// One SQLite database: Fedora and its relatives, Debian.
    Sqlite,
    /// rpm's own format: SUSE.
    Ndb,
}

impl Backend {
    /// The file with the headers.
    pub fn file_name(self) -> &'static str {
        match self {
            Backend::Sqlite => "rpmdb.sqlite",
            Backend::Ndb => "Packages.db",
        }
    }

    /// What else may lie beside it and belongs to it.
    pub fn companions(self) -> &'static [&'static str] {
        match self {
            Backend::Sqlite => &[LOG, "rpmdb.sqlite-shm", JOURNAL],
            Backend::Ndb => &["Index.db"],
        }
    }

    /// The backend of the database in a directory.
    pub fn in_directory(dir: &Root) -> Option<Backend> {
        let backends = [Backend::Sqlite, Backend::Ndb];
        backends.into_iter().find(|backend| matches!(dir.lstat(backend.file_name()), Ok(Some(_))))
    }
}

/// What a database is called that only rpm itself converts.
pub(in crate::pkgdb) const BERKELEY_DB: &str = "a Berkeley DB (rpmdb --rebuilddb converts it)";

/// A database below some root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Its directory, as distributions name it.
    pub directory: PathBuf,
    /// How it is stored.
    pub backend: Backend,
}

impl Location {
    /// Finds the first database that can be read. One in Berkeley DB's format is an error where there is
    /// no other: rpm itself only converts it.
    pub fn find(root: &Root) -> Result<Option<Location>, Error> {
        let mut refusal = None;
        for system in PackageSystem::all(root).filter(|system| system.kind == "rpm") {
            let backend = match system.format {
                "sqlite" => Backend::Sqlite,
                "ndb" => Backend::Ndb,
                _ => {
                    refusal = refusal.or(Some(Error::Unsupported {
                        path: root.join(&system.database),
                        format: BERKELEY_DB,
                    }));
                    continue;
                }
            };
            let directory = system.database.parent().unwrap_or(&system.database).to_owned();
            return Ok(Some(Location { directory, backend }));
        }
        refusal.map_or(Ok(None), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn databases_are_found_where_distributions_have_them() {
        for (file, expected) in [
            ("usr/lib/sysimage/rpm/rpmdb.sqlite", Some(("/usr/lib/sysimage/rpm", Backend::Sqlite))),
            ("usr/lib/sysimage/rpm/Packages.db", Some(("/usr/lib/sysimage/rpm", Backend::Ndb))),
            ("usr/share/rpm/rpmdb.sqlite", Some(("/usr/share/rpm", Backend::Sqlite))),
            ("var/lib/rpm/rpmdb.sqlite", Some(("/var/lib/rpm", Backend::Sqlite))),
            ("var/lib/rpm/Packages.db", Some(("/var/lib/rpm", Backend::Ndb))),
            ("var/lib/dpkg/status", None),
        ] {
            let scratch = tempfile::tempdir().expect("a temporary directory");
            let file = scratch.path().join(file);
            fs::create_dir_all(file.parent().expect("it has one")).expect("our directory");
            fs::write(&file, "").expect("our file");
            let root = Root::open(scratch.path()).expect("it opens");
            let found = Location::find(&root).expect("nothing is refused");
            let expected = expected
                .map(|(directory, backend)| Location { directory: PathBuf::from(directory), backend });
            assert_eq!(found, expected, "{}", file.display());
            let directory = Root::open(file.parent().expect("it has one")).expect("it opens");
            assert_eq!(Backend::in_directory(&directory), found.map(|location| location.backend));
        }
    }

    #[test]
    fn a_berkeley_db_is_refused_unless_there_is_another() {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let root = Root::open(scratch.path()).expect("it opens");
        let place = scratch.path().join("var/lib/rpm");
        fs::create_dir_all(&place).expect("our directory");
        fs::write(place.join("Packages"), "").expect("our file");
        let error = Location::find(&root).expect_err("it is refused").to_string();
        assert!(error.contains("/var/lib/rpm/Packages' is a Berkeley DB (rpmdb --rebuilddb"), "{error}");
        fs::write(place.join("Packages.db"), "").expect("our file");
        let found = Location::find(&root).expect("another is there");
        assert_eq!(found.map(|location| location.backend), Some(Backend::Ndb));
    }
}
