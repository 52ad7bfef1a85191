//! Which package system a root has, and where its database is.

use std::path::{Path, PathBuf};

use crate::sys::Root;

/// A database of installed packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSystem {
    /// `dpkg`, `rpm`, `pacman` or `apk`.
    pub kind: &'static str,
    /// How the database is stored: `sqlite`, `ndb`, `bdb`, `text`.
    pub format: &'static str,
    /// The file whose change shows that packages changed, below the root; no directory of its path is a link.
    pub database: PathBuf,
}

/// Where distributions keep their databases. Fedora and SUSE moved rpm's into /usr, so that it
/// lives and dies with the files that it describes; the old place may then be a link to it.
const KNOWN: &[(&str, &str, &str)] = &[
    ("rpm", "sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite"),
    ("rpm", "ndb", "/usr/lib/sysimage/rpm/Packages.db"),
    ("rpm", "sqlite", "/usr/share/rpm/rpmdb.sqlite"),
    ("rpm", "sqlite", "/var/lib/rpm/rpmdb.sqlite"),
    ("rpm", "ndb", "/var/lib/rpm/Packages.db"),
    ("rpm", "bdb", "/usr/share/rpm/Packages"),
    ("rpm", "bdb", "/var/lib/rpm/Packages"),
    ("dpkg", "text", "/var/lib/dpkg/status"),
    ("dpkg", "text", "/usr/lib/sysimage/dpkg/status"),
    ("pacman", "text", "/var/lib/pacman/local"),
    ("apk", "text", "/lib/apk/db/installed"),
];

impl PackageSystem {
    /// Finds the database of a root's own package system. A system of dpkg's that has packages is one, whatever else
    /// lies there: rpm makes itself a database on a Debian where somebody only asks it something.
    pub fn find(root: &Root) -> Option<PackageSystem> {
        let is_used = |system: &PackageSystem| root.stat(&system.database).is_ok_and(|stat| stat.st_size > 0);
        PackageSystem::find_kind(root, "dpkg").filter(is_used).or_else(|| PackageSystem::all(root).next())
    }

    /// Finds the database of one kind, where a root may have several (a Debian with rpm installed).
    pub fn find_kind(root: &Root, kind: &str) -> Option<PackageSystem> {
        PackageSystem::all(root).find(|system| system.kind == kind)
    }

    /// Finds all known databases of a root.
    pub fn all(root: &Root) -> impl Iterator<Item = PackageSystem> + '_ {
        let found = KNOWN.iter().filter(|(_, _, path)| root.exists(path));
        found.map(|&(kind, format, path)| {
            let path = Path::new(path);
            // What lies in layers is known by where it really is.
            let real = path.parent().and_then(|directory| root.resolve(directory).ok());
            let real = real.zip(path.file_name()).map(|(directory, name)| directory.join(name));
            PackageSystem { kind, format, database: real.unwrap_or_else(|| path.to_owned()) }
        })
    }

    /// A word that changes when packages are installed or removed: size and time of the database
    /// and, for sqlite, of its log, where a change may still be.
    pub fn stamp(&self, root: &Root) -> Option<String> {
        let stat = root.stat(&self.database).ok()?;
        let mut stamp = format!("{}:{}-{}.{}", self.kind, stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
        let mut log = self.database.clone().into_os_string();
        log.push("-wal");
        if let Some(stat) = root.stat(Path::new(&log)).ok().filter(|stat| stat.st_size > 0) {
            stamp.push_str(&format!("+{}-{}", stat.st_size, stat.st_mtime));
        }
        Some(stamp)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_database_is_where_links_lead() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(dir.path().join("usr/lib/sysimage/dpkg")).expect("ours");
        fs::create_dir_all(dir.path().join("var/lib")).expect("ours");
        fs::write(dir.path().join("usr/lib/sysimage/dpkg/status"), "Package: a\n").expect("ours");
        std::os::unix::fs::symlink("../../usr/lib/sysimage/dpkg", dir.path().join("var/lib/dpkg"))
            .expect("ours");
        let found = PackageSystem::find(&Root::open(dir.path()).expect("it opens")).expect("it is there");
        assert_eq!(found.database, Path::new("/usr/lib/sysimage/dpkg/status"));
    }

    #[test]
    fn a_database_that_was_only_asked_does_not_make_another_system() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Root::open(dir.path()).expect("it opens");
        let kind = || PackageSystem::find(&root).map(|system| system.kind);
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("below")).expect("ours");
            fs::write(path, text).expect("ours");
        };
        assert_eq!(kind(), None);
        put("var/lib/rpm/rpmdb.sqlite", "SQLite");
        assert_eq!(kind(), Some("rpm"));
        put("var/lib/dpkg/status", "");
        assert_eq!(kind(), Some("rpm"), "no package of dpkg's");
        put("var/lib/dpkg/status", "Package: a\n");
        assert_eq!(kind(), Some("dpkg"));
    }
}
