//! What an overlay's own database has of the packages that it has and the base lacks, for the records in the image.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::Changes;
use crate::extension::build::gather::Brought;
use crate::package::Identity;
use crate::package::deb822::Stanza;
use crate::package::header::Header;
use crate::pkgdb::{self, AnyDatabase, Package, dpkg};
use crate::sys::Root;

/// A package as it is installed in an overlay.
#[derive(Debug)]
pub(in crate::extension::build) enum Installed {
    /// rpm's: its header.
    Rpm(Vec<u8>),
    /// dpkg's.
    Dpkg(Box<InstalledDeb>),
}

/// A package of dpkg's.
#[derive(Debug)]
pub(in crate::extension::build) struct InstalledDeb {
    /// Its stanza, without what is of the system and the moment.
    pub(in crate::extension::build) stanza: Stanza,
    /// What the names of its files in `info/` begin with.
    pub(in crate::extension::build) stem: String,
    /// Those of them that say something of its files, by their types.
    pub(in crate::extension::build) info: Vec<(&'static str, Vec<u8>)>,
}

/// Files in `info/` that are lists of paths.
const LISTS: &[&str] = &["list", "md5sums", "conffiles"];

impl Installed {
    /// What a database has of a package; `None` where it is not there any more.
    pub(super) fn read(database: &AnyDatabase, package: &Package) -> Result<Option<Installed>, pkgdb::Error> {
        let mut found = None;
        match database {
            AnyDatabase::Rpm(database) => database.each_named(&package.name, &mut |_, blob| {
                if Header::parse(blob).is_ok() && Identity::of(blob) == package.identity {
                    found = Some(Installed::Rpm(blob.to_vec()));
                }
                Ok(())
            })?,
            AnyDatabase::Dpkg(database) => {
                let Some(entry) = database.present().find(|entry| entry.package() == *package) else {
                    return Ok(None);
                };
                let mut info = Vec::new();
                for kind in LISTS {
                    info.extend(database.info_file(entry, kind)?.map(|text| (*kind, text)));
                }
                let (stanza, stem) = (plain(&entry.stanza), dpkg::stem(entry));
                found = Some(Installed::Dpkg(Box::new(InstalledDeb { stanza, stem, info })));
            }
        }
        Ok(found)
    }
}

/// A stanza, as of a package that is installed and awaits nothing.
fn plain(stanza: &Stanza) -> Stanza {
    const OF_THE_MOMENT: &[&str] = &["Status", "Config-Version", "Triggers-Pending", "Triggers-Awaited"];
    let mut plain = Stanza::of([]);
    for (name, value) in stanza.fields() {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        if !OF_THE_MOMENT.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            plain.set(name, value);
        }
        if name.eq_ignore_ascii_case("Package") {
            plain.set("Status", b"install ok installed");
        }
    }
    plain
}

/// Which paths are there when the image lies on the base.
pub(in crate::extension::build) struct SeenPaths<'a> {
    view: &'a Root,
    base: &'a Root,
    brought: BTreeSet<&'a Path>,
    directories: HashMap<PathBuf, PathBuf>,
}

impl Changes {
    /// Its packages, as they are installed in it.
    pub(in crate::extension::build) fn installed(&self) -> &[Installed] {
        &self.installed
    }

    /// Which paths are there, with these files in the image.
    pub(in crate::extension::build) fn seen_paths<'a>(
        &'a self,
        base: &'a Root,
        files: &'a [Brought],
    ) -> SeenPaths<'a> {
        let brought = files.iter().map(|file| file.default_of.as_deref().unwrap_or(&file.path)).collect();
        SeenPaths { view: &self.view, base, brought, directories: HashMap::new() }
    }
}

impl SeenPaths<'_> {
    /// Whether there is something at a path, which may lead through links to directories.
    pub(in crate::extension::build) fn has(&mut self, path: &Path) -> bool {
        let path = path.strip_prefix("/").unwrap_or(path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return true };
        let view = self.view;
        let directory = self.directories.entry(parent.to_owned()).or_insert_with(|| {
            let real = view.resolve(parent).unwrap_or_else(|_| parent.to_owned());
            real.strip_prefix("/").map_or(real.clone(), Path::to_owned)
        });
        let real = directory.join(name);
        let is_brought = self.brought.contains(real.as_path())
            // A directory above what is there is there, too.
            || self.brought.range(real.as_path()..).next().is_some_and(|next| next.starts_with(&real));
        is_brought || self.base.lstat_exact(&real).is_ok_and(|stat| stat.is_some())
    }
}
