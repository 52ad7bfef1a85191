//! Which packages were installed for others' sake alone, as far as package managers have noted it.
//!
//! | who | where |
//! |---|---|
//! | apt | `/var/lib/apt/extended_states` |
//! | zypp | `/var/lib/zypp/AutoInstalled`: names, line by line |
//! | dnf 5 | `/usr/lib/sysimage/libdnf5/packages.toml` |
//! | dnf 4 | `/var/lib/dnf/history.sqlite`, and its log |
//!
//! What nobody notes was asked for: `dpkg --install` and `rpm --install` note nothing.

use std::collections::BTreeSet;
use std::path::Path;

use super::dnf::{history, state};
use super::dpkg::{AutoInstalled, EXTENDED_STATES};
use super::{Error, Package};
use crate::sys::{Root, write_new_unsynced};

/// zypp's list.
const ZYPP: &str = "/var/lib/zypp/AutoInstalled";

/// More than any of these files has, in bytes.
const LARGEST: u64 = 256 << 20;

/// What stands for every architecture.
const ANY: &str = "*";

/// Packages that were installed for others' sake alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reasons {
    /// By name and architecture.
    needed: BTreeSet<(String, String)>,
}

impl Reasons {
    /// What the package managers of a root have noted. A history is copied to an empty directory, so that reading it changes nothing.
    pub fn of(root: &Root, scratch: &Root) -> Result<Reasons, Error> {
        let mut needed = BTreeSet::new();
        if let Some(text) = read(root, EXTENDED_STATES)? {
            let damaged = |error: crate::package::Error| Error::Damaged {
                path: root.join(EXTENDED_STATES),
                what: error.to_string(),
            };
            let known = AutoInstalled::parse(&text).map_err(damaged)?;
            let auto = known.stanzas.keys().filter(|key| known.contains(key));
            needed.extend(auto.map(|key| (key.name.clone(), key.arch.clone())));
        }
        if let Some(text) = read(root, ZYPP)? {
            let text = String::from_utf8_lossy(&text);
            let names = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            needed.extend(names.map(|name| (name.to_owned(), ANY.to_owned())));
        }
        if let Some(text) = read(root, state::File::Packages.path())? {
            needed.extend(
                state::needed(&String::from_utf8_lossy(&text)).iter().filter_map(|package| split(package)),
            );
        }
        for ending in ["", "-wal"] {
            if let Some(bytes) = read(root, format!("{}{ending}", history::PATH))? {
                write_new_unsynced(scratch, &format!("history{ending}"), 0o600, &bytes)?;
            }
        }
        if scratch.exists("history") {
            needed.extend(
                history::needed(&scratch.join("history"))?.iter().filter_map(|package| split(package)),
            );
        }
        Ok(Reasons { needed })
    }

    /// Whether a package is there for others' sake alone.
    pub fn is_needed(&self, package: &Package) -> bool {
        // dpkg's packages for all architectures stand with the system's own.
        let is_it = |(name, arch): &(String, String)| {
            *name == package.name && (*arch == package.arch || arch == ANY || package.arch == "all")
        };
        let names = (package.name.clone(), String::new())..;
        self.needed.range(names).take_while(|(name, _)| *name == package.name).any(is_it)
    }
}

fn read(root: &Root, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>, Error> {
    match root.read(path, LARGEST) {
        Err(error) if error.is_not_found() => Ok(None),
        bytes => Ok(Some(bytes?)),
    }
}

/// `NAME.ARCHITECTURE`.
fn split(package: &str) -> Option<(String, String)> {
    let (name, arch) = package.rsplit_once('.')?;
    Some((name.to_owned(), arch.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;

    use super::*;
    use crate::package::Identity;

    fn package(name: &str, arch: &str) -> Package {
        let identity = Identity::of(name.as_bytes());
        Package { name: name.to_owned(), arch: arch.to_owned(), version: "1".to_owned(), identity }
    }

    #[test]
    fn each_package_manager_is_believed() {
        let place = tempfile::tempdir().expect("a directory");
        let put = |path: &str, text: &str| {
            let path = place.path().join("root").join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().expect("below")).expect("ours");
            fs::write(path, text).expect("ours");
        };
        put(
            EXTENDED_STATES,
            "Package: apt-auto\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: apt-asked\nArchitecture: amd64\nAuto-Installed: 0\n\n",
        );
        put(ZYPP, "# a list\nzypp-auto\n");
        put(
            &state::File::Packages.path(),
            "version = \"1.0\"\n[packages]\n\"dnf-auto.noarch\" = {reason = \"Dependency\"}\n\
             \"dnf-weak.x86_64\" = {reason = \"Weak Dependency\"}\n\"dnf-asked.noarch\" = {reason = \"User\"}\n",
        );
        fs::create_dir_all(place.path().join("root/var/lib/dnf")).expect("ours");
        let history = Connection::open(place.path().join("root").join(history::PATH.trim_start_matches('/')));
        let sql = "CREATE TABLE trans (id INTEGER PRIMARY KEY, state INTEGER); CREATE TABLE rpm (item_id INTEGER, name TEXT, arch TEXT);
                   CREATE TABLE trans_item (id INTEGER PRIMARY KEY, trans_id INTEGER, item_id INTEGER, action INTEGER, reason INTEGER);
                   INSERT INTO trans VALUES (1, 1); INSERT INTO rpm VALUES (1, 'old-auto', 'noarch'), (2, 'old-asked', 'noarch');
                   INSERT INTO trans_item VALUES (1, 1, 1, 1, 1), (2, 1, 2, 1, 2);";
        history.and_then(|history| history.execute_batch(sql)).expect("it is a history");
        let scratch = place.path().join("scratch");
        fs::create_dir(&scratch).expect("ours");
        let open = |path: &Path| Root::open(path).expect("it opens");
        let reasons =
            Reasons::of(&open(&place.path().join("root")), &open(&scratch)).expect("all can be read");
        for (name, arch) in [
            ("apt-auto", "amd64"),
            ("apt-auto", "all"),
            ("zypp-auto", "x86_64"),
            ("dnf-auto", "noarch"),
            ("dnf-weak", "x86_64"),
            ("old-auto", "noarch"),
        ] {
            assert!(reasons.is_needed(&package(name, arch)), "{name}");
        }
        for (name, arch) in [
            ("apt-auto", "i386"),
            ("apt-asked", "amd64"),
            ("dnf-asked", "noarch"),
            ("old-asked", "noarch"),
            ("zypp", "all"),
        ] {
            assert!(!reasons.is_needed(&package(name, arch)), "{name}");
        }
    }

    #[test]
    fn where_nothing_is_noted_all_was_asked_for() {
        let place = tempfile::tempdir().expect("a directory");
        let root = Root::open(place.path()).expect("it opens");
        assert_eq!(Reasons::of(&root, &root).expect("nothing is there"), Reasons::default());
    }
}
