//! A database as it is on disk.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use super::contents::{self, Contents, Paths, Tables};
use super::files::{Files, parse_list};
use super::lines::{is_package_name, path};
use super::triggers::{self, Declared, Interest};
use super::{
    Aliases, Alternative, AutoInstalled, Diversions, Entry, InfoFiles, InstalledFile, Key, Triggers,
    diversions, lock, parse_status, statoverride, stem,
};
use crate::host::PackageSystem;
use crate::package::Identity;
use crate::pkgdb::Error;
use crate::sys::{IoError, Root};

/// A database that was read, and where it is.
#[derive(Debug)]
pub struct Database {
    root: Root,
    directory: PathBuf,
    contents: Contents,
    /// Somebody held dpkg's locks when this was read.
    pub is_in_use: bool,
}

/// Where apt keeps what it installed for others' sake.
pub const EXTENDED_STATES: &str = "/var/lib/apt/extended_states";

/// Bounds of what is read; a `status` of ten thousand packages has 20 MB.
pub(super) const LARGE: u64 = 256 << 20;
pub(super) const SMALL: u64 = 16 << 20;

/// Digits that dpkg gives to the names of its records in `updates/`.
const LONGEST_UPDATE: usize = 10;

impl Database {
    /// Reads the database of a root; `None` where there is none.
    pub fn open(root: &Root) -> Result<Option<Database>, Error> {
        let Some(found) = PackageSystem::find_kind(root, "dpkg") else { return Ok(None) };
        let directory = found.database.parent().unwrap_or(Path::new("/")).to_owned();
        let reader = Reader { root, directory: &directory };
        let is_in_use = lock::is_locked(&root.open_dir(&directory)?)?;
        reader.refuse_unfinished(is_in_use)?;
        let text = optional(root.read(directory.join("status"), LARGE))?.unwrap_or_default();
        let entries = parse_status(&text).map_err(|error| damaged(&root.join(&found.database), &error))?;
        let info = reader.info()?;
        let contents = Contents {
            native: reader.native(&entries)?,
            declared: reader.declared(&entries, &info)?,
            tables: reader.tables()?,
            triggers: reader.triggers()?,
            aliases: Aliases::of(root)?,
            entries,
            info,
        };
        Ok(Some(Database { root: root.try_clone()?, directory, contents, is_in_use }))
    }

    /// The database's directory below its root.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The root that it describes.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Leaves out what shows through from another base. An overlay whose old base is gone can only be read over the
    /// new one, whose files in `info/` are seen beside the overlay's own. dpkg writes all of a package's files anew
    /// when it installs it: of packages that are not `known`, because the overlay changed them, only names count for
    /// which `is_own` says that they are in the overlay's layer.
    pub fn leave_out_of_info(
        &mut self,
        known: impl Fn(&Key, Identity) -> bool,
        is_own: impl Fn(&Path) -> bool,
    ) {
        let directory = self.directory.join("info");
        let Contents { entries, info, declared, .. } = &mut self.contents;
        for (key, entry) in entries.iter().filter(|(_, entry)| entry.is_present()) {
            if known(key, entry.identity) {
                continue;
            }
            let stem = stem(entry);
            info.retain(&stem, |kind| is_own(&directory.join(format!("{stem}.{kind}"))));
            if !info.has(&stem, "triggers") {
                declared.remove(key);
            }
        }
    }

    /// Takes another table of diversions for this one's: an overlay without a file of its own shows another base's.
    pub fn set_diversions(&mut self, diversions: Diversions) {
        self.contents.tables.diversions = diversions;
    }

    /// The files of a package.
    pub fn files(&self, entry: &Entry) -> Result<Vec<InstalledFile>, Error> {
        let files = Files {
            package: &entry.key.name,
            list: &self.info_file(entry, "list")?.unwrap_or_default(),
            digests: &self.info_file(entry, "md5sums")?.unwrap_or_default(),
            conffiles: &entry.conffiles,
            diversions: &self.tables.diversions,
            aliases: &self.aliases,
        };
        Ok(files.collect())
    }

    /// Calls with the place of each file of a package, which is not where its list says where it is diverted.
    pub fn each_location(&self, entry: &Entry, call: &mut dyn FnMut(&Path)) -> Result<(), Error> {
        let list = self.info_file(entry, "list")?.unwrap_or_default();
        let files = Files {
            package: &entry.key.name,
            list: &list,
            digests: &[],
            conffiles: &[],
            diversions: &self.tables.diversions,
            aliases: &self.aliases,
        };
        parse_list(&list).for_each(|name| call(&files.locate(&path(name))));
        Ok(())
    }

    /// The packages that have a path, under whichever of its names.
    pub fn owners(&self, wanted: &Path) -> Result<Vec<&Entry>, Error> {
        let names = self.aliases.names(wanted);
        let mut owners = Vec::new();
        for entry in self.entries.values() {
            let mut is_owner = false;
            self.each_path(entry, &mut |name| is_owner |= names.contains(&path(name)))?;
            if is_owner {
                owners.push(entry);
            }
        }
        Ok(owners)
    }

    /// A file about a package, by its type; `None` where there is none.
    pub fn info_file(&self, entry: &Entry, kind: &str) -> Result<Option<Vec<u8>>, Error> {
        let stem = stem(entry);
        if !self.info.has(&stem, kind) {
            return Ok(None);
        }
        let name = self.directory.join("info").join(format!("{stem}.{kind}"));
        Ok(optional(self.root.read(name, LARGE))?)
    }
}

impl Deref for Database {
    type Target = Contents;

    fn deref(&self) -> &Contents {
        &self.contents
    }
}

impl Paths for Database {
    fn each_file(&self, entry: &Entry, call: &mut dyn FnMut(&[u8], &str)) -> Result<(), Error> {
        for file in self.files(entry)? {
            if let Some(digest) = &file.digest {
                call(file.path.as_os_str().as_encoded_bytes(), digest);
            }
        }
        Ok(())
    }

    fn each_path(&self, entry: &Entry, call: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        parse_list(&self.info_file(entry, "list")?.unwrap_or_default()).for_each(call);
        Ok(())
    }
}

/// Reads the files of a database's directory.
pub(super) struct Reader<'a> {
    pub(super) root: &'a Root,
    pub(super) directory: &'a Path,
}

impl Reader<'_> {
    /// Parses a file; one that is not there is empty.
    pub(super) fn parse<T>(
        &self,
        name: &str,
        limit: u64,
        parser: impl FnOnce(&[u8]) -> Result<T, crate::package::Error>,
    ) -> Result<T, Error> {
        self.parse_at(&self.directory.join(name), limit, parser)
    }

    pub(super) fn parse_at<T>(
        &self,
        name: &Path,
        limit: u64,
        parser: impl FnOnce(&[u8]) -> Result<T, crate::package::Error>,
    ) -> Result<T, Error> {
        let text = optional(self.root.read(name, limit))?.unwrap_or_default();
        parser(&text).map_err(|error| damaged(&self.root.join(name), &error))
    }

    /// The names in a directory, or none where it is not there.
    pub(super) fn names(&self, name: &str) -> Result<Vec<OsString>, Error> {
        let entries = match optional(self.root.open_dir(self.directory.join(name)))? {
            Some(directory) => directory.entries()?,
            None => Vec::new(),
        };
        let mut names: Vec<OsString> = entries.into_iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Records in `updates/` belong to `status` but are not in it; dpkg puts them there when it next runs.
    pub(super) fn refuse_unfinished(&self, is_in_use: bool) -> Result<(), Error> {
        let directory = self.root.open_dir(self.directory)?;
        let is_record = |name: &OsStr| {
            name.len() <= LONGEST_UPDATE && name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
        };
        if !self.names("updates")?.iter().any(|name| is_record(name)) {
            return Ok(());
        }
        if is_in_use {
            return Err(lock::in_use(&directory));
        }
        Err(Error::Interrupted {
            path: directory.path().to_owned(),
            program: "dpkg",
            remedy: "dpkg --configure --pending",
        })
    }

    /// `info/format` says how the names there are made; without it they are of before several architectures.
    pub(super) fn info(&self) -> Result<InfoFiles, Error> {
        let format = self.directory.join("info/format");
        let text = optional(self.root.read(&format, SMALL))?;
        match text.as_deref().map(<[u8]>::trim_ascii) {
            Some(b"1") => Ok(InfoFiles::of(self.names("info")?)),
            None if self.names("info")?.is_empty() => Ok(InfoFiles::default()),
            _ => Err(Error::Unsupported {
                path: self.root.join(self.directory),
                format: "of another dpkg, by its info/format",
            }),
        }
    }

    fn alternatives(&self) -> Result<BTreeMap<String, Alternative>, Error> {
        let mut found = BTreeMap::new();
        for name in self.names("alternatives")? {
            // What update-alternatives writes aside, and names that it would not take.
            let Some(name) = name.to_str().filter(|name| !name.ends_with(".dpkg-tmp")) else { continue };
            let alternative = self.parse(&format!("alternatives/{name}"), SMALL, Alternative::parse)?;
            found.insert(name.to_owned(), alternative);
        }
        Ok(found)
    }

    fn tables(&self) -> Result<Tables, Error> {
        Ok(Tables {
            diversions: self.parse("diversions", SMALL, diversions::parse)?,
            overrides: self.parse("statoverride", SMALL, statoverride::parse)?,
            alternatives: self.alternatives()?,
            auto_installed: self.parse_at(Path::new(EXTENDED_STATES), SMALL, AutoInstalled::parse)?,
            activated: self.parse("triggers/Unincorp", SMALL, triggers::parse_activated)?,
            architectures: self.parse("arch", SMALL, contents::parse_architectures)?,
        })
    }

    fn declared(
        &self,
        entries: &BTreeMap<Key, Entry>,
        info: &InfoFiles,
    ) -> Result<BTreeMap<Key, Declared>, Error> {
        let mut found = BTreeMap::new();
        for (key, entry) in entries {
            let stem = stem(entry);
            if info.has(&stem, "triggers") {
                let declared =
                    self.parse(&format!("info/{stem}.triggers"), SMALL, triggers::parse_declared)?;
                found.insert(key.clone(), declared);
            }
        }
        Ok(found)
    }

    pub(super) fn triggers(&self) -> Result<Triggers, Error> {
        let mut named = BTreeMap::new();
        for name in self.names("triggers")? {
            let name = name.to_str().unwrap_or_default();
            let is_own = ["File", "Lock", "Unincorp"].contains(&name) || name.strip_suffix(".new").is_some();
            if is_own || !is_package_name(name) {
                continue;
            }
            let interests =
                self.parse(&format!("triggers/{name}"), SMALL, |text| Interest::parse_named(name, text))?;
            named.insert(name.to_owned(), interests);
        }
        Ok(Triggers { files: self.parse("triggers/File", SMALL, Interest::parse_files)?, named })
    }

    /// Newer systems say so in a file; on others it is what dpkg itself was built for.
    fn native(&self, entries: &BTreeMap<Key, Entry>) -> Result<String, Error> {
        let text = optional(self.root.read(self.directory.join("arch-native"), SMALL))?.unwrap_or_default();
        let word = String::from_utf8_lossy(text.trim_ascii()).into_owned();
        if !word.is_empty() {
            return Ok(word);
        }
        let dpkg = entries.values().find(|entry| entry.key.name == "dpkg" && entry.is_present());
        Ok(dpkg.map(|entry| entry.key.arch.clone()).unwrap_or_default())
    }
}

pub(super) fn optional<T>(result: Result<T, IoError>) -> Result<Option<T>, IoError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn damaged(path: &Path, error: &crate::package::Error) -> Error {
    Error::Damaged { path: path.to_owned(), what: error.to_string() }
}
