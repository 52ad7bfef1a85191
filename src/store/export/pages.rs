//! Pages as they lie in a directory: whose they are, which state of the store they show, and making them again when that changes.
//!
//! Whoever asked once for pages in a store wants them to show what is in it. So `index.html` says itself what it was made with (a title, an
//! address, the serial of the index, digests of the other pages), and each change of a store that has it makes the pages anew. A file that
//! does not say that this program made it is left alone.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, unlinkat};

use super::html::{Site, render};
use super::page::{in_address, plain};
use super::{FIRST, PAGES, page_of};
use crate::package::Identity;
use crate::store::{Error, Index};
use crate::sys::{Context, IoError, Root, replace_public};

/// By what pages and feeds say that this program made them.
pub(super) const GENERATOR: &str = "onlay store export html";
/// It stands within so many bytes from the beginning.
const HEAD: u64 = 1024;
/// More than this is no page of ours.
const LARGEST: u64 = 256 << 20;
/// What says the serial of the index, and where the store is found.
pub(super) const SERIAL: &str = "onlay-serial";
pub(super) const STORE: &str = "onlay-store";

/// What is to become of files in the way that this program did not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Nothing is made.
    Refuse,
    /// They are replaced.
    Replace,
    /// They stay, and only the others are made.
    Leave,
}

/// What pages were made with, as their `index.html` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pages {
    /// What the store is called.
    pub title: String,
    /// Where it is found, if that was said.
    pub url: Option<String>,
    /// The serial of the index that they show.
    pub serial: u64,
    /// The SHA-256 of each page of an extension, by the extension's name.
    pub extensions: BTreeMap<String, String>,
}

impl Pages {
    /// Whether a file, or its beginning, says that this program made it: a page, or a feed.
    pub fn is_ours(text: &[u8]) -> bool {
        let head = &text[..text.len().min(HEAD as usize)];
        head.windows(GENERATOR.len()).any(|part| part == GENERATOR.as_bytes())
    }

    /// The pages in a directory; `None` where there are none that this program made.
    pub fn read(dir: &Root) -> Option<Pages> {
        let text = dir.read(FIRST, LARGEST).ok()?;
        Pages::parse(std::str::from_utf8(&text).ok()?)
    }

    /// What an `index.html` says; `None` where this program did not make it.
    pub fn parse(text: &str) -> Option<Pages> {
        if !Pages::is_ours(text.as_bytes()) {
            return None;
        }
        let title = text.split_once("<title>")?.1.split_once("</title>")?.0;
        let meta = |name: &str| {
            let begin = format!("<meta name=\"{name}\" content=\"");
            Some(text.split_once(&begin)?.1.split_once('"')?.0)
        };
        let link = |rest: &str| {
            let (name, rest) = rest.split_once(".html\" data-sha256=\"")?;
            let digest = rest.split_once('"')?.0;
            page_of(name).map(|_| (name.to_owned(), digest.to_owned()))
        };
        Some(Pages {
            title: plain(title),
            url: meta(STORE).map(plain),
            serial: meta(SERIAL)?.parse().ok()?,
            extensions: text.split("<a href=\"extensions/").skip(1).filter_map(link).collect(),
        })
    }
}

/// Makes pages in a directory, which may be the store itself; how many. Pages of extensions that there are no more go.
pub fn html(index: &Index, site: &Site<'_>, dir: &Root, foreign: Foreign) -> Result<usize, Error> {
    let pages = render(index, site);
    let before = Pages::read(dir).unwrap_or_default();
    let mut left = Vec::new();
    for (file, _) in &pages.files {
        if foreign != Foreign::Replace && !is_free(dir, file)? {
            left.push(file.clone());
        }
    }
    if let (Foreign::Refuse, Some(file)) = (foreign, left.first()) {
        return Err(Error::NotOurPage(dir.join(file)));
    }
    dir.make_dir("extensions", 0o755)?;
    let is_known = |file: &str| {
        let name = file.strip_prefix("extensions/").and_then(|file| file.strip_suffix(".html"));
        let digest = name.and_then(|name| before.extensions.get(name));
        digest.is_some() && digest == name.and_then(|name| pages.extensions.get(name)) && dir.exists(file)
    };
    // The page that leads to the others comes last.
    for (file, text) in pages.files.iter().filter(|(file, _)| !left.contains(file)) {
        if foreign == Foreign::Replace || !is_known(file) {
            put(dir, file, text)?;
        }
    }
    for name in before.extensions.keys().filter(|name| !pages.extensions.contains_key(*name)) {
        let Some(file) = page_of(name).filter(|file| dir.exists(file)) else { continue };
        if is_free(dir, &file)? {
            unlinkat(dir, &*file, AtFlags::empty()).context("remove", dir.join(&file))?;
        }
    }
    Ok(pages.extensions.len() + 1)
}

/// Makes the pages of a store anew that has any, where they do not show what is in it.
pub(in crate::store) fn refresh(dir: &Root, index: &Index) -> Result<(), Error> {
    let Some(pages) = Pages::read(dir).filter(|pages| pages.serial != index.serial) else { return Ok(()) };
    let site =
        Site { title: &pages.title, url: pages.url.as_deref(), way: String::new(), times: times(dir, index) };
    html(index, &site, dir, Foreign::Leave).map(drop)
}

/// Whether a page can be made under a name: nothing has it, or a page that this program made.
fn is_free(dir: &Root, file: &str) -> Result<bool, IoError> {
    let mut head = Vec::new();
    match dir.open_file(file) {
        Err(error) if error.is_not_found() => return Ok(true),
        other => other?.take(HEAD).read_to_end(&mut head).context("read", dir.join(file))?,
    };
    Ok(Pages::is_ours(&head))
}

fn put(dir: &Root, file: &str, text: &str) -> Result<(), IoError> {
    match file.split_once('/') {
        Some((below, name)) => replace_public(&dir.open_dir(below)?, name, 0o644, text.as_bytes()),
        None => replace_public(dir, file, 0o644, text.as_bytes()),
    }
}

/// When the images of a store came to be.
pub fn times(store: &Root, index: &Index) -> BTreeMap<String, SystemTime> {
    let time = |file: &str| {
        let seconds = store.stat(file).ok()?.st_mtime;
        Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
    };
    index.images.iter().filter_map(|entry| Some((entry.file.clone(), time(&entry.file)?))).collect()
}

/// How an address leads from one directory to another: nothing where they are one, else with a `/` at its end.
pub fn way(from: &Path, to: &Path) -> Result<String, IoError> {
    let [from, to] = [from, to].map(|path| path.canonicalize().context("find", path));
    let (from, to) = (from?, to?);
    let common = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(to.components().skip(common)).collect();
    let mut address = in_address(&way.to_string_lossy());
    if !address.is_empty() {
        address.push('/');
    }
    Ok(address)
}

/// Pages that were made, and not written yet.
pub(super) struct Made {
    /// Their names and texts, `index.html` last.
    pub(super) files: Vec<(String, String)>,
    /// Digests of those of extensions, by their names.
    pub(super) extensions: BTreeMap<String, String>,
}

impl Made {
    pub(super) fn add_extension(&mut self, name: &str, text: String) {
        let Some(file) = page_of(name) else { return };
        self.extensions.insert(name.to_owned(), Identity::of(text.as_bytes()).to_string());
        self.files.push((file, text));
    }

    pub(super) fn add(&mut self, file: &str, text: String) {
        debug_assert!(PAGES.contains(&file));
        self.files.push((file.to_owned(), text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Entry;

    fn index(names: &[&str]) -> Index {
        let entry = |name: &&str| Entry {
            file: format!("{name}_1_any.raw"),
            name: (*name).to_owned(),
            version: "1".to_owned(),
            ..Entry::default()
        };
        Index { format: 1, serial: 7, images: names.iter().map(entry).collect(), ..Index::default() }
    }

    #[test]
    fn a_page_says_what_it_was_made_with() {
        let title = "Tools & <bold> \"friends\" 'of' ours";
        for url in [None, Some("https://example.org/a?b=c&d")] {
            let site = Site { title, url, way: String::new(), times: BTreeMap::new() };
            let made = render(&index(&["gdb", "lsof"]), &site);
            let (file, text) = made.files.last().expect("one is the last");
            assert_eq!(file, FIRST);
            let read = Pages::parse(text).expect("it is ours");
            let expected = Pages {
                title: title.to_owned(),
                url: url.map(str::to_owned),
                serial: 7,
                extensions: made.extensions.clone(),
            };
            assert_eq!((read, made.extensions.len()), (expected, 2));
        }
        for other in
            ["", "<html><title>x</title></html>", "onlay store export html", "onlay store export html<title>"]
        {
            assert_eq!(Pages::parse(other), None, "{other}");
        }
    }

    #[test]
    fn what_others_made_is_left_alone() {
        let top = tempfile::tempdir().expect("a directory");
        let dir = Root::open(top.path()).expect("our directory");
        let site = Site { title: "x", url: None, way: String::new(), times: BTreeMap::new() };
        std::fs::create_dir(top.path().join("extensions")).expect("ours");
        let other = top.path().join("extensions/gdb.html");
        std::fs::write(&other, "theirs").expect("ours");
        let all = index(&["gdb", "lsof"]);
        let refused = html(&all, &site, &dir, Foreign::Refuse).expect_err("one is in the way");
        assert!(matches!(refused, Error::NotOurPage(path) if path == other));
        assert!(!dir.exists(FIRST) && !dir.exists("extensions/lsof.html"));
        html(&all, &site, &dir, Foreign::Leave).expect("there is room");
        assert_eq!(std::fs::read_to_string(&other).expect("it is there"), "theirs");
        assert!(dir.exists(FIRST) && dir.exists("extensions/lsof.html"));
        html(&all, &site, &dir, Foreign::Replace).expect("there is room");
        assert!(std::fs::read_to_string(&other).expect("it is there").contains(GENERATOR));
        // What is ours goes with its extension.
        html(&index(&["lsof"]), &site, &dir, Foreign::Refuse).expect("there is room");
        assert!(!other.exists() && dir.exists("extensions/lsof.html"));
    }

    #[test]
    fn ways_lead_from_pages_to_images() {
        let top = tempfile::tempdir().expect("a directory");
        let at = |name: &str| top.path().join(name);
        std::fs::create_dir_all(at("store/pages")).expect("ours");
        std::fs::create_dir_all(at("a site")).expect("ours");
        for (from, to, expected) in [
            ("store", "store", ""),
            ("store/pages", "store", "../"),
            ("a site", "store", "../store/"),
            ("store", "a site", "../a%20site/"),
            (".", "store", "store/"),
        ] {
            assert_eq!(way(&at(from), &at(to)).expect("both are there"), expected, "{from} {to}");
        }
    }
}
