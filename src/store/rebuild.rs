//! A store's index made anew of what lies in its directory, where it was lost or is broken.
//!
//! What an image is, it says itself. Whose it is, it does not: so that nobody's words are signed who can write the directory and has no
//! key, only what a list says that the store's own key has signed (`SHA256SUMS`) is in the index again. Nobody knows any more how
//! often the store was changed, and clients take no index with a lower serial than one that they have seen: it goes on from the
//! seconds since 1970, which no store reaches by one change at a time.

use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Error;
use super::best_before::PREFIX;
use super::delta;
use super::describe::describe;
use super::directory::{LARGEST_INDEX, Store, is_image, lock, manifest_of, read_index, sums_of};
use super::index::{Entry, FORMAT, Index};
use super::name::ImageName;
use super::openpgp::Signer;
use super::signing::SIGNATURES;
use super::sums::{SUMS, Sums};
use crate::extension::ImageFiles;
use crate::extension::build::Manifest;
use crate::extension::build::manifest::LARGEST;
use crate::package::Identity;
use crate::sys::{Context, Root};

/// Who answers for the images that lie in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voucher {
    /// The list that the store's key has signed; nobody, where the store has no key.
    List,
    /// Whoever asks for it.
    Caller,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// Images that are in the index, by their file names.
    pub taken: Vec<String>,
    /// Files that are not, and why.
    pub left: Vec<(String, Left)>,
    /// Whether it is not known any more for how many days from each signature the store is to be believed.
    pub lost_days: bool,
    /// When the list was signed by which images are known, where it was. That it is the last one which was signed, nothing says: who can
    /// write the directory can put an older one back.
    pub signed_at: Option<SystemTime>,
}

/// Why an image is not in the index again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Left {
    /// Its name says too little.
    #[error("its name is none of NAME_VERSION_ARCHITECTURE.raw")]
    Unnamed,
    /// Nobody has signed that it is the store's.
    #[error("it is not in the list that the store's key has signed")]
    Unsigned,
    /// It is not what it was.
    #[error("it is not what SHA256SUMS says: it has another digest")]
    Changed,
    /// The list has it, the directory not.
    #[error("SHA256SUMS has it, and it is not there")]
    Missing,
    /// It cannot be added to any store.
    #[error(transparent)]
    Unfit(#[from] Error),
}

/// What is known of the files that lie there.
struct Listed {
    sums: Sums,
    /// Whether what it does not have is nobody's.
    is_signed: bool,
    signed_at: Option<SystemTime>,
}

impl Store {
    /// Opens a store whose index is to be made anew. It has no images until [`Store::rebuild`], and the keys whose certificates lie there.
    pub fn open_lost(path: &Path) -> Result<Store, Error> {
        let dir = Root::open(path)?;
        let lock = lock(&dir)?;
        let known = match read_index(&dir) {
            // One that is none.
            Err(Error::Index { .. } | Error::Lost(_)) => Vec::new(),
            other => other?.index.keys,
        };
        let mut store = Store::with(dir, Index { format: FORMAT, ..Index::default() }, lock);
        let own = store.certificates().fingerprints();
        store.index.keys = if own.is_empty() { known } else { own.iter().map(ToString::to_string).collect() };
        Ok(store)
    }

    /// Has the index say what lies in the directory, as far as somebody answers for it. With [`Voucher::Caller`], keys that are given sign
    /// it instead of those that did.
    pub fn rebuild(&mut self, signers: Vec<Box<dyn Signer>>, voucher: Voucher) -> Result<Rebuilt, Error> {
        let listed = self.find_list(signers, voucher)?;
        let lost_days = self.find_head(&listed);
        let mut rebuilt = Rebuilt { lost_days, signed_at: listed.signed_at, ..Rebuilt::default() };
        let mut names: Vec<String> = Vec::new();
        for entry in self.dir.entries()? {
            names.extend(entry.name.into_string().ok());
        }
        names.sort_unstable();
        for name in names.iter().filter(|name| is_image(name)) {
            match self.take_back(name, &listed) {
                Ok(entry) => {
                    rebuilt.taken.push(name.clone());
                    self.index.put(entry);
                }
                Err(left) => rebuilt.left.push((name.clone(), left)),
            }
        }
        for mut entry in self.index.images.clone() {
            let image = entry.file.clone();
            // Names are sorted, and so those of its patches are together.
            let first = names.partition_point(|name| *name < image);
            let beside = names[first..].iter().take_while(|name| name.starts_with(&image));
            let patches = beside.filter(|name| delta::is_patch_of(name, &image));
            self.find_patches(&mut entry, patches.filter(|name| listed.allows(&self.dir, name)))?;
            self.index.put(entry);
        }
        let missing =
            listed.sums.0.keys().filter(|name| is_image(name) && names.binary_search(name).is_err());
        rebuilt.left.extend(missing.map(|name| (name.clone(), Left::Missing)));
        self.is_changed = true;
        Ok(rebuilt)
    }

    /// The list by which images are known, and the keys that are to sign.
    fn find_list(&mut self, signers: Vec<Box<dyn Signer>>, voucher: Voucher) -> Result<Listed, Error> {
        let read = match self.dir.read(SUMS, LARGEST_INDEX) {
            Err(error) if error.is_not_found() => None,
            other => Some(other?),
        };
        let parsed = read.as_deref().and_then(|text| Sums::parse(text).ok());
        let unsigned = Listed { sums: parsed.unwrap_or_default(), is_signed: false, signed_at: None };
        if voucher == Voucher::Caller {
            if !signers.is_empty() {
                self.set_signers(signers);
            }
            return Ok(unsigned);
        }
        let was_signed =
            !self.index.keys.is_empty() || SIGNATURES.iter().any(|(name, _)| self.dir.exists(name));
        if !was_signed && signers.is_empty() {
            return Ok(unsigned);
        }
        if self.index.keys.is_empty() {
            self.set_signers(signers);
        } else {
            self.take_signers(signers)?;
        }
        // An index that is the store's own says the same, and last of all.
        if let Some(signed) = read_index(&self.dir).ok().filter(|signed| self.is_own(signed)) {
            let made = UNIX_EPOCH.checked_add(Duration::from_secs(signed.index.made));
            return Ok(Listed { sums: sums_of(&signed.index), is_signed: true, signed_at: made });
        }
        let nobody = |refused| Error::Unproven { path: self.dir.path().to_owned(), refused };
        let text = read.ok_or_else(|| nobody(None))?;
        let signed_at = self.expect_own_list(&text).map_err(|refused| nobody(refused.map(Box::new)))?;
        let sums = Sums::parse(&text);
        let sums = sums.map_err(|problem| Error::Sums { path: self.dir.join(SUMS), problem })?;
        Ok(Listed { sums, is_signed: true, signed_at })
    }

    /// What the index says besides images: of an index that can be read and is the store's own, the same; else what is still known. Whether
    /// it is not known any more how the last day moves on.
    fn find_head(&mut self, listed: &Listed) -> bool {
        let known = read_index(&self.dir).ok();
        let is_own = |signed: &&super::Signed| self.index.keys.is_empty() || self.is_own(signed);
        if let Some(signed) = known.as_ref().filter(is_own) {
            let head = Index { images: Vec::new(), ..signed.index.clone() };
            let keys = std::mem::take(&mut self.index.keys);
            self.index = Index { keys, format: FORMAT, ..head };
            return false;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.index.serial = now;
        let days = listed.sums.0.keys().filter_map(|name| name.strip_prefix(PREFIX));
        self.index.best_before = days.max().map(str::to_owned);
        self.index.best_before.is_some()
    }

    /// What the index is to say of an image that lies in the directory.
    fn take_back(&mut self, file: &str, listed: &Listed) -> Result<Entry, Left> {
        let name = ImageName::parse(file).filter(|name| name.to_string() == file).ok_or(Left::Unnamed)?;
        let path = self.dir.join(file);
        let opened = self.dir.open_child_file(OsStr::new(file)).map_err(Error::from)?;
        let sha256 = Identity::of_file(&opened, &path).map_err(Error::from)?;
        match listed.sums.0.get(file) {
            Some(digest) if *digest != sha256 => return Err(Left::Changed),
            None if listed.is_signed => return Err(Left::Unsigned),
            _ => {}
        }
        let contents = ImageFiles::of(&opened, &path).map_err(Error::from)?;
        let described = describe(&contents, &name, file, &path)?;
        let inside = Manifest::inside(&contents, name.name.as_str()).ok().flatten();
        if !contents.is_as_built(&opened).map_err(Error::from)? {
            return Err(Error::Damaged(path).into());
        }
        let manifest = self.manifest_beside(file, sha256, listed).or(inside);
        let size = opened.metadata().context("examine", &path).map_err(Error::from)?.len();
        let mut entry = self.enter(&described.entry, manifest, size, sha256)?;
        self.add_beside(&mut entry, &opened)?;
        Ok(entry)
    }

    /// The manifest that lies beside an image, if it is that one's and the store's own.
    fn manifest_beside(&self, image: &str, sha256: Identity, listed: &Listed) -> Option<Manifest> {
        let name = manifest_of(image);
        let text = self.dir.read(&name, LARGEST as u64).ok()?;
        if listed.is_signed && listed.sums.0.get(&name) != Some(&Identity::of(&text)) {
            return None;
        }
        let manifest: Manifest = serde_json::from_slice(&text).ok()?;
        super::directory::is_of(&manifest, sha256).then_some(manifest)
    }
}

impl Listed {
    /// Whether a file beside an image is the store's own, if it is what its name says.
    fn allows(&self, dir: &Root, name: &str) -> bool {
        let is_it = |digest: &Identity| {
            let opened = dir.open_child_file(OsStr::new(name)).ok();
            opened.and_then(|file| Identity::of_file(&file, &dir.join(name)).ok()).as_ref() == Some(digest)
        };
        self.sums.0.get(name).map_or(!self.is_signed, is_it)
    }
}
