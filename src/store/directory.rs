//! A store on disk, and changing it.
//!
//! New files are complete, and have no name, until a change is carried out; then they get theirs, the index is replaced, and
//! the list of digests with its signatures after it; last, files go that the index has no more. So who reads meanwhile finds what
//! the index says he finds, but for what was removed; and what a crash leaves undone of this, the next change does.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;

use super::Error;
use super::beside::beside;
use super::best_before::{BestBefore, file_of};
use super::describe::{self, describe};
use super::index::{Entry, FORMAT, INDEX, Index, Signed, later_format};
use super::name::ImageName;
use super::openpgp::Signer;
use super::sums::{SUMS, Sums};
use crate::extension::build::manifest::place_beside;
use crate::extension::build::{Image, Manifest};
use crate::extension::matching::Mismatch;
use crate::extension::{ImageFiles, order};
use crate::package::Identity;
use crate::sys::{Context, Lock, NewFile, Root, allow_many_files, copy_content};

/// More than this is no index.
pub(super) const LARGEST_INDEX: u64 = 256 << 20;

/// A store that is being changed.
#[derive(Debug)]
pub struct Store {
    pub(super) dir: Root,
    pub(super) index: Index,
    /// The index as it is on disk; none where there is none yet, or what is there is not believed.
    pub(super) found: Option<Signed>,
    /// Files that get their names when all is carried out.
    pub(super) new: Vec<NewFile>,
    /// Of how many older versions an image gets patches.
    pub(super) patches: usize,
    /// Files that go then.
    pub(super) gone: Vec<String>,
    pub(super) is_changed: bool,
    /// Keys that are at hand.
    pub(super) signers: Vec<Box<dyn Signer>>,
    _lock: Lock,
}

/// What became of an image that was to be added.
#[derive(Debug)]
pub struct Added {
    /// Its name in the store.
    pub file: String,
    /// Whether it was there already.
    pub is_there: bool,
    /// Why systemd 252 would not merge it.
    pub not_by_the_oldest: Option<Mismatch>,
    /// Whether systemd-sysupdate before 258 does not see it.
    pub is_unseen: bool,
}

impl Store {
    /// Makes a directory a store, which it is when all is carried out; it is made where it is missing.
    pub fn init(path: &Path) -> Result<Store, Error> {
        std::fs::create_dir_all(path).context("create", path)?;
        let dir = Root::open(path)?;
        let names: Vec<_> = dir.entries()?.into_iter().map(|entry| entry.name).collect();
        if names.iter().any(|name| name == INDEX) {
            read_index(&dir)?;
            return Err(Error::Exists(path.to_owned()));
        }
        if has_lost_its_index(&dir) {
            return Err(Error::Lost(path.to_owned()));
        }
        if !names.is_empty() {
            return Err(Error::NotEmpty(path.to_owned()));
        }
        let lock = lock(&dir)?;
        let index = Index { format: FORMAT, ..Index::default() };
        Ok(Store { is_changed: true, ..Store::with(dir, index, lock) })
    }

    /// Opens a store to change it.
    pub fn open(path: &Path) -> Result<Store, Error> {
        let dir = Root::open(path)?;
        let lock = lock(&dir)?;
        let found = read_index(&dir)?;
        let store = Store::with(dir, found.index.clone(), lock);
        Ok(Store { found: Some(found), ..store })
    }

    pub(super) fn with(dir: Root, index: Index, lock: Lock) -> Store {
        // New files stay open until all is carried out: a few for each image.
        allow_many_files();
        Store {
            dir,
            index,
            found: None,
            new: Vec::new(),
            patches: 0,
            gone: Vec::new(),
            is_changed: false,
            signers: Vec::new(),
            _lock: lock,
        }
    }

    /// Says until when it is to be believed.
    pub fn set_best_before(&mut self, best_before: &BestBefore) {
        best_before.set(&mut self.index);
        self.is_changed = true;
    }

    /// What is in it.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Has images that are added get patches, which make them of so many older versions each.
    #[must_use]
    pub fn with_patches(self, patches: usize) -> Store {
        Store { patches, ..self }
    }

    /// Adds an image, with the manifest beside it or in it. It is there when all is carried out.
    pub fn add(&mut self, path: &Path) -> Result<Added, Error> {
        let file = File::open(path).context("open", path)?;
        let contents = ImageFiles::of(&file, path)?;
        let beside = Manifest::beside(path)?;
        let name = name_of(path, beside.as_ref())?;
        let described = describe(&contents, &name, &name.to_string(), path)?;
        // One that cannot be read says nothing.
        let inside = Manifest::inside(&contents, name.name.as_str()).ok().flatten();
        check_version(inside.as_ref(), &name, path)?;
        if !contents.is_as_built(&file)? {
            return Err(Error::Damaged(path.to_owned()));
        }
        let copy = NewFile::create(&self.dir, OsStr::new(&name.to_string()))?;
        let size = copy_content(&file, copy.file()).context("copy", path)?;
        let sha256 = Identity::of_file(copy.file(), path)?;
        let file = name.to_string();
        let added = |is_there| Added {
            file: file.clone(),
            is_there,
            not_by_the_oldest: described.not_by_the_oldest.clone(),
            is_unseen: !name.is_seen_by_all(),
        };
        if let Some(known) = self.index.image(&file) {
            if known.digest() != Some(sha256) {
                return Err(Error::Published { file });
            }
            if self.has(&file, sha256)? {
                return Ok(added(true));
            }
            // It was lost, or damaged.
            self.new.push(copy);
            return Ok(added(false));
        }
        let beside = beside.filter(|manifest| is_of(manifest, sha256));
        let mut entry = self.enter(&described.entry, beside.or(inside), size, sha256)?;
        self.add_beside(&mut entry, copy.file())?;
        self.index.put(entry);
        self.new.push(copy);
        self.is_changed = true;
        Ok(added(false))
    }

    /// What the index is to say of an image, which is described; its manifest gets its name when all is carried out.
    pub(super) fn enter(
        &mut self,
        described: &Entry,
        manifest: Option<Manifest>,
        size: u64,
        sha256: Identity,
    ) -> Result<Entry, Error> {
        let mut entry = Entry { size, sha256: sha256.to_string(), ..described.clone() };
        if let Some(mut manifest) = manifest {
            manifest.image = Some(Image { file: entry.file.clone(), size, sha256: sha256.to_string() });
            entry.packages = describe::packages(&manifest);
            entry.manifest = Some(self.add_manifest(&entry.file, &manifest)?.to_string());
        }
        Ok(entry)
    }

    /// Whether the file is there that the index says.
    fn has(&self, file: &str, sha256: Identity) -> Result<bool, Error> {
        match self.dir.open_child_file(OsStr::new(file)) {
            Ok(found) => Ok(Identity::of_file(&found, &self.dir.join(file))? == sha256),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn add_manifest(&mut self, image: &str, manifest: &Manifest) -> Result<Identity, Error> {
        let text = manifest.to_text();
        self.write_beside(&manifest_of(image), &text)?;
        Ok(Identity::of(&text))
    }

    /// Removes an image by its file name, its extension's name, or `NAME=VERSION`; the file names of what is removed.
    pub fn remove(&mut self, word: &str) -> Result<Vec<String>, Error> {
        let (name, version) =
            word.split_once('=').map_or((word, None), |(name, version)| (name, Some(version)));
        let is_meant = |entry: &Entry| {
            entry.file == word || entry.name == name && version.is_none_or(|version| entry.version == version)
        };
        let found = self.take_out(is_meant);
        if found.is_empty() { Err(Error::NotThere(word.to_owned())) } else { Ok(found) }
    }

    /// Removes all but the newest versions of each extension, for each architecture and kind of host.
    pub fn prune(&mut self, keep: usize) -> Vec<String> {
        let mut newest: Vec<&Entry> = self.index.images.iter().collect();
        newest.sort_by(|one, other| order::compare(&other.version, &one.version));
        let mut kept = HashMap::new();
        let mut old = BTreeSet::new();
        for entry in newest {
            let count = kept.entry((&entry.name, &entry.architecture, &entry.release)).or_insert(0);
            *count += 1;
            if *count > keep {
                old.insert(entry.file.clone());
            }
        }
        self.take_out(|entry| old.contains(&entry.file))
    }

    fn take_out(&mut self, is_meant: impl Fn(&Entry) -> bool) -> Vec<String> {
        let (gone, kept) = std::mem::take(&mut self.index.images).into_iter().partition(is_meant);
        self.index.images = kept;
        let gone: Vec<Entry> = gone;
        self.is_changed |= !gone.is_empty();
        for entry in &gone {
            self.gone.push(entry.file.clone());
            self.gone.extend(entry.manifest.is_some().then(|| manifest_of(&entry.file)));
            self.gone.extend(beside(entry).map(|(file, _)| file.clone()));
        }
        gone.into_iter().map(|entry| entry.file).collect()
    }
}

/// Refuses an image that was given the name of another version: what is newer, and what may go, is told by that.
fn check_version(inside: Option<&Manifest>, name: &ImageName, path: &Path) -> Result<(), Error> {
    match inside {
        Some(manifest) if !manifest.version.is_empty() && manifest.version != name.version => {
            let (says, named) = (manifest.version.clone(), name.version.clone());
            Err(Error::OtherVersion { path: path.to_owned(), says, named })
        }
        _ => Ok(()),
    }
}

/// The digests of all files that an index has.
pub(super) fn sums_of(index: &Index) -> Sums {
    let mut sums = Sums::default();
    for entry in &index.images {
        sums.0.extend(entry.digest().map(|digest| (entry.file.clone(), digest)));
        let manifest = entry.manifest.as_deref().and_then(Identity::parse);
        sums.0.extend(manifest.map(|digest| (manifest_of(&entry.file), digest)));
        sums.0.extend(beside(entry).filter_map(|(file, digest)| Some((file.clone(), digest?))));
    }
    sums.0.extend(index.best_before.as_deref().map(|day| (file_of(day), Identity::of(b""))));
    sums
}

/// Reads the index of a store, which is believed: it is one's own.
pub fn read(path: &Path) -> Result<Signed, Error> {
    read_index(&Root::open(path)?)
}

/// The file name of an image's manifest.
pub(super) fn manifest_of(image: &str) -> String {
    place_beside(image).to_string_lossy().into_owned()
}

/// Whether a file is an image by its name.
pub(super) fn is_image(file: &str) -> bool {
    file.strip_suffix(".raw").is_some()
}

/// Whether a directory has what is a store's, and no index.
fn has_lost_its_index(dir: &Root) -> bool {
    let has_images =
        || dir.entries().is_ok_and(|all| all.iter().any(|entry| is_image(&entry.name.to_string_lossy())));
    !dir.exists(INDEX) && (dir.exists(SUMS) || has_images())
}

/// The index of a store.
pub(super) fn read_index(dir: &Root) -> Result<Signed, Error> {
    let text = match dir.read(INDEX, LARGEST_INDEX) {
        Err(error) if error.is_not_found() => {
            let path = dir.path().to_owned();
            return Err(if has_lost_its_index(dir) { Error::Lost(path) } else { Error::None(path) });
        }
        other => other?,
    };
    Signed::parse(&text).map_err(|problem| match later_format(&text) {
        Some(format) => Error::Later { path: dir.join(INDEX), format },
        None => Error::Index { path: dir.join(INDEX), problem },
    })
}

pub(super) fn lock(dir: &Root) -> Result<Lock, Error> {
    Lock::try_directory(dir)?.ok_or_else(|| Error::Busy(dir.path().to_owned()))
}

/// What an image is called in a store: by its own name, or by what the manifest beside it says.
fn name_of(path: &Path, manifest: Option<&Manifest>) -> Result<ImageName, Error> {
    let file = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let by_manifest = || {
        let Manifest { name, version, architecture, .. } = manifest?;
        let name = ImageName {
            name: name.parse().ok()?,
            version: version.clone(),
            architecture: architecture.clone(),
        };
        ImageName::parse(&name.to_string())
    };
    ImageName::parse(file).or_else(by_manifest).ok_or_else(|| Error::Unnamed(path.to_owned()))
}

pub(super) fn is_of(manifest: &Manifest, image: Identity) -> bool {
    manifest.image.as_ref().is_some_and(|noted| Identity::parse(&noted.sha256) == Some(image))
}
