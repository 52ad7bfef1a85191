//! What a store has to publish.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Seek as _;
use std::path::Path;

use super::Error;
use crate::package::Identity;
use crate::store;
use crate::store::directory::{LARGEST_INDEX, read_index};
use crate::store::export::{PAGES, Pages, page_of};
use crate::store::index::{INDEX, Index};
use crate::store::signing::{KEYRING, KEYS, SIGNATURES};
use crate::store::sums::{SUMS, Sums};
use crate::sys::{Context, Root};

/// A file to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Identity,
    /// Whether another content may come under this name one day: it is a list, or a page.
    pub is_list: bool,
}

/// What a store has.
pub(super) struct Contents {
    dir: Root,
    pub(super) index: Index,
    pub(super) index_bytes: Vec<u8>,
    /// What never changes under its name.
    pub(super) files: Vec<Item>,
    /// What says what there is and who says so, in the order in which it is to be replaced.
    pub(super) lists: Vec<Item>,
    /// Pages that show it, if it has any: those of extensions, the feed, and last the one that leads to the others.
    pub(super) pages: Vec<Item>,
    /// The names of all of these.
    names: HashSet<String>,
    /// Lists and pages as they were when all was read: they go together.
    texts: HashMap<String, Vec<u8>>,
}

impl Contents {
    pub(super) fn read(path: &Path) -> Result<Contents, Error> {
        let dir = Root::open(path)?;
        let signed = read_index(&dir)?;
        let sums = dir.read(SUMS, LARGEST_INDEX)?;
        let sums =
            Sums::parse(&sums).map_err(|problem| store::Error::Sums { path: dir.join(SUMS), problem })?;
        let mut contents = Contents {
            dir,
            index: signed.index,
            index_bytes: signed.bytes,
            files: Vec::new(),
            lists: Vec::new(),
            pages: Vec::new(),
            names: HashSet::new(),
            texts: HashMap::new(),
        };
        for (file, sha256) in sums.0 {
            let size = contents.dir.stat(&file)?.st_size as u64;
            contents.files.push(Item { file, size, sha256, is_list: false });
        }
        for file in contents.list_names() {
            let item = contents.read_text(file)?;
            contents.lists.push(item);
        }
        contents.find_pages()?;
        contents.expect_lists_to_agree()?;
        let all = contents.lists.iter().chain(&contents.files).chain(&contents.pages);
        contents.names = all.map(|item| item.file.clone()).collect();
        Ok(contents)
    }

    /// The lists that it has, in the order in which its own directory gets them; the keys come before what they sign.
    fn list_names(&self) -> Vec<String> {
        lists().filter(|name| self.dir.exists(name)).map(str::to_owned).collect()
    }

    fn read_text(&mut self, file: String) -> Result<Item, Error> {
        let text = self.dir.read(&file, LARGEST_INDEX)?;
        let item =
            Item { size: text.len() as u64, sha256: Identity::of(&text), is_list: true, file: file.clone() };
        self.texts.insert(file, text);
        Ok(item)
    }

    /// The pages that this program made in the store.
    fn find_pages(&mut self) -> Result<(), Error> {
        let Some(pages) = Pages::read(&self.dir) else { return Ok(()) };
        if pages.serial != self.index.serial {
            return Err(Error::StalePages(self.dir.path().to_owned()));
        }
        let [first, feed] = PAGES;
        let extensions = pages.extensions.keys().filter_map(|name| page_of(name));
        for file in extensions.chain([feed.to_owned(), first.to_owned()]) {
            let page = self.read_text(file)?;
            self.pages.push(page);
        }
        Ok(())
    }

    /// A store that somebody is changing, or was killed while changing, has an index that says more than its list.
    fn expect_lists_to_agree(&self) -> Result<(), Error> {
        let listed: HashMap<&str, Identity> =
            self.files.iter().map(|item| (&*item.file, item.sha256)).collect();
        let is_listed = self
            .index
            .images
            .iter()
            .all(|entry| entry.digest().is_some() && listed.get(&*entry.file).copied() == entry.digest());
        let is_same_index = self.texts[INDEX] == self.dir.read(INDEX, LARGEST_INDEX)?;
        if is_listed && is_same_index { Ok(()) } else { Err(Error::Unequal(self.dir.path().to_owned())) }
    }

    pub(super) fn has(&self, file: &str) -> bool {
        self.names.contains(file)
    }

    /// The bytes of a list or a page.
    pub(super) fn list(&self, item: &Item) -> Result<&[u8], Error> {
        self.texts.get(&item.file).map(Vec::as_slice).ok_or_else(|| Error::Gone(item.file.clone()))
    }

    /// Opens a file to be sent; one that is not what the lists say is not.
    pub(super) fn open(&self, item: &Item) -> Result<Content<'_>, Error> {
        if item.is_list {
            return Ok(Content::Bytes(self.list(item)?));
        }
        let path = self.dir.join(&item.file);
        let mut file = match self.dir.open_child_file(OsStr::new(&item.file)) {
            Err(error) if error.is_not_found() => return Err(Error::Gone(item.file.clone())),
            other => other?,
        };
        if Identity::of_file(&file, &path)? != item.sha256 {
            return Err(Error::Damaged(path));
        }
        file.rewind().context("read", &path)?;
        Ok(Content::File(file))
    }
}

/// All lists that there may be: `Store::swap_lists` says why in this order.
pub(super) fn lists() -> impl Iterator<Item = &'static str> {
    let [(first, _), others @ ..] = SIGNATURES;
    [KEYS, KEYRING, INDEX, first, SUMS].into_iter().chain(others.map(|(name, _)| name))
}

/// What is in a file that is sent.
pub enum Content<'a> {
    /// Few bytes.
    Bytes(&'a [u8]),
    /// A file, from its beginning.
    File(File),
}
