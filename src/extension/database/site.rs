//! Where a base's database is, as far as extensions are concerned.

use std::path::{Path, PathBuf};

use super::{Error, Remark};
use crate::host::PackageSystem;
use crate::pkgdb::{Place, rpm};
use crate::sys::Root;

/// A database in /usr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    /// Its directory below the root, no link on the way, without a slash before.
    pub(super) directory: PathBuf,
    /// What it is.
    pub(super) kind: Kind,
    /// The file whose change shows that packages changed.
    pub(super) system: PackageSystem,
}

/// Kinds of databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// rpm's.
    Rpm(rpm::Backend),
    /// dpkg's.
    Dpkg,
}

impl Site {
    /// Finds the database of a base's own package system; `None` where there is none. One that no extension is laid over is
    /// told by a remark.
    pub(super) fn of(base: &Root) -> Result<Option<Result<Site, Remark>>, Error> {
        let Some(system) = PackageSystem::find(base) else { return Ok(None) };
        let Some(place) = Place::of_system(base, &system)? else { return Ok(None) };
        let (named, kind) = match &place {
            Place::Rpm { directory, backend } => {
                (directory.path().strip_prefix(base.path()).unwrap_or(directory.path()), Kind::Rpm(*backend))
            }
            Place::Dpkg { directory, .. } => (directory.as_path(), Kind::Dpkg),
        };
        let real = base.resolve(named)?;
        let below = real.strip_prefix("/").unwrap_or(&real);
        if !below.starts_with("usr") || below == Path::new("usr") {
            let database = Path::new("/").join(named);
            return Ok(Some(Err(Remark::OutOfReach { database, system: system.kind.to_owned() })));
        }
        Ok(Some(Ok(Site { directory: below.to_owned(), kind, system })))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_database_is_where_links_lead() {
        for (file, link, expected) in [
            ("usr/lib/sysimage/rpm/rpmdb.sqlite", None, Some("usr/lib/sysimage/rpm")),
            (
                "usr/lib/sysimage/rpm/Packages.db",
                Some(("var/lib/rpm", "../../usr/lib/sysimage/rpm")),
                Some("usr/lib/sysimage/rpm"),
            ),
            (
                "usr/share/rpm/rpmdb.sqlite",
                Some(("usr/lib/sysimage/rpm", "../../share/rpm")),
                Some("usr/share/rpm"),
            ),
            (
                "usr/share/dpkg-base/status",
                Some(("var/lib/dpkg", "/usr/share/dpkg-base")),
                Some("usr/share/dpkg-base"),
            ),
            ("var/lib/dpkg/status", None, None),
            ("var/lib/rpm/rpmdb.sqlite", None, None),
            ("srv/rpm/rpmdb.sqlite", Some(("usr/lib/sysimage/rpm", "/srv/rpm")), None),
        ] {
            let scratch = tempfile::tempdir().expect("a directory");
            let make = |path: &Path| fs::create_dir_all(path.parent().expect("below")).expect("ours");
            make(&scratch.path().join(file));
            fs::write(scratch.path().join(file), "Package: a\n").expect("ours");
            if let Some((link, target)) = link {
                make(&scratch.path().join(link));
                symlink(target, scratch.path().join(link)).expect("ours");
            }
            let found = Site::of(&Root::open(scratch.path()).expect("it opens")).expect("it can be read");
            let found = found.expect("there is one");
            assert_eq!(found.as_ref().ok().map(|site| &*site.directory), expected.map(Path::new), "{file}");
            assert_eq!(found.is_err(), expected.is_none(), "{file}");
        }
    }
}
