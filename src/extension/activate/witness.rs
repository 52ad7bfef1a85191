//! A base that notes what was looked at, so that a verdict on extensions holds for as long as that is what it was, and no longer:
//! a library that somebody put there or took away by hand is in no package database.
//!
//! Of a file, its inode, its size and its times count; of a name that is not there, the times of the directory where it would be;
//! of a directory, only that it is one, unless it was listed. So cost follows what an extension looks for, and not the host.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::extension::{Content, Contents, Directory, Error, Item};
use crate::package::digest::Algorithm;
use crate::sys::{FileKind, IoError, Root};

/// Where more than this was looked at, looking again costs no less than judging again.
const MOST: usize = 20_000;

/// What was looked at, and a digest of what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Paths below the root.
    files: Vec<PathBuf>,
    /// Directories whose entries count.
    directories: Vec<PathBuf>,
    sha256: String,
}

/// How a path counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    File,
    Directory,
}

/// The base.
#[derive(Debug)]
pub(super) struct Witness {
    contents: Directory,
    root: Root,
    stamps: RefCell<BTreeMap<(How, PathBuf), String>>,
    /// Whether something cannot be told from what it may become.
    is_blind: Cell<bool>,
}

impl Witness {
    pub(super) fn of(root: &Root) -> Result<Witness, IoError> {
        let contents = Directory::new(root.try_clone()?);
        Ok(Witness {
            contents,
            root: root.try_clone()?,
            stamps: RefCell::default(),
            is_blind: Cell::new(false),
        })
    }

    /// What was looked at; nothing where that says too little, or is too much.
    pub(super) fn seen(self) -> Option<Seen> {
        let stamps = self.stamps.into_inner();
        let is_text = stamps.keys().all(|(_, path)| path.to_str().is_some());
        if self.is_blind.get() || !is_text || stamps.len() > MOST {
            return None;
        }
        let sha256 = digest(stamps.values());
        let of = |how| stamps.keys().filter(move |key| key.0 == how).map(|(_, path)| path.clone());
        Some(Seen { files: of(How::File).collect(), directories: of(How::Directory).collect(), sha256 })
    }

    /// Notes what is there before it is looked at: what changes in between is then another one.
    fn note(&self, how: How, path: &Path) {
        let key = (how, path.to_owned());
        if self.stamps.borrow().contains_key(&key) || self.stamps.borrow().len() > MOST {
            return;
        }
        match stamp(&self.root, how, path) {
            Ok(stamp) => drop(self.stamps.borrow_mut().insert(key, stamp)),
            Err(_) => self.is_blind.set(true),
        }
    }
}

impl Contents for Witness {
    fn list(&self, directory: &Path) -> Result<Vec<OsString>, Error> {
        self.note(How::Directory, directory);
        self.contents.list(directory)
    }

    fn look(&self, path: &Path) -> Result<Option<Item>, Error> {
        let found = self.contents.look(path)?;
        match (&found, path.parent()) {
            (None, Some(parent)) => {
                self.note(How::Directory, parent);
                // It may have come before that was noted.
                return self.contents.look(path);
            }
            _ => self.note(How::File, path),
        }
        Ok(found)
    }

    fn link(&self, path: &Path) -> Result<PathBuf, Error> {
        self.note(How::File, path);
        self.contents.link(path)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Content>, Error> {
        self.note(How::File, path);
        self.contents.open(path)
    }

    fn attribute(&self, path: &Path, name: &str) -> Result<Option<Vec<u8>>, Error> {
        self.note(How::File, path);
        self.contents.attribute(path, name)
    }
}

impl Seen {
    /// Whether a root still has all of it.
    pub(super) fn holds(&self, root: &Root) -> bool {
        let files = self.files.iter().map(|path| (How::File, path));
        let all = files.chain(self.directories.iter().map(|path| (How::Directory, path)));
        let stamps: Result<Vec<String>, IoError> = all.map(|(how, path)| stamp(root, how, path)).collect();
        stamps.is_ok_and(|stamps| digest(stamps.iter()) == self.sha256)
    }
}

fn digest<'a>(stamps: impl Iterator<Item = &'a String>) -> String {
    let text = stamps.map(String::as_str).collect::<Vec<_>>().join("\n");
    Algorithm::Sha256.digest(text.as_bytes()).expect("memory can be read").to_string()
}

/// What tells what is there from what may be there later. Directories of a merged tree have numbers that change with each mount.
fn stamp(root: &Root, how: How, path: &Path) -> Result<String, IoError> {
    let Some(found) = root.lstat_exact(path)? else { return Ok("-".to_owned()) };
    let kind = FileKind::of(&found);
    let times =
        format!("{}.{} {}.{}", found.st_mtime, found.st_mtime_nsec, found.st_ctime, found.st_ctime_nsec);
    Ok(match (how, kind) {
        (How::File, FileKind::Directory) => "directory".to_owned(),
        (How::Directory, _) => format!("{kind:?} {times}"),
        (How::File, _) => format!("{kind:?} {} {} {times}", found.st_ino, found.st_size),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Looks as a judge does: at a library, at one that is not there, at what is in a directory, and at a directory.
    fn look(root: &Root) -> Seen {
        let witness = Witness::of(root).expect("ours");
        let mut page = [0; 4];
        witness.look(Path::new("usr")).expect("readable");
        witness.look(Path::new("usr/lib/liba.so.1")).expect("readable");
        witness
            .open(Path::new("usr/lib/liba.so.1"))
            .and_then(|file| file.read_at(0, &mut page))
            .expect("there");
        witness.look(Path::new("usr/opt/libb.so.1")).expect("readable");
        witness.list(Path::new("usr/listed")).expect("readable");
        witness.seen().expect("it is little")
    }

    #[test]
    fn a_verdict_holds_until_what_it_was_made_of_changes() {
        type Deed = fn(&Path);
        let deeds: [(&str, bool, Deed); 9] = [
            ("nothing", true, |_| ()),
            ("a file elsewhere", true, |top| fs::write(top.join("usr/share/x"), "x").expect("ours")),
            ("a file beside a library", true, |top| fs::write(top.join("usr/lib/x"), "x").expect("ours")),
            ("another library", false, |top| {
                fs::write(top.join("usr/lib/new"), "1234").expect("ours");
                fs::rename(top.join("usr/lib/new"), top.join("usr/lib/liba.so.1")).expect("ours");
            }),
            ("another content", false, |top| {
                fs::write(top.join("usr/lib/liba.so.1"), "12345").expect("ours");
            }),
            ("no library", false, |top| fs::remove_file(top.join("usr/lib/liba.so.1")).expect("ours")),
            ("one that was missing", false, |top| {
                fs::write(top.join("usr/opt/libb.so.1"), "").expect("ours");
            }),
            ("a name in a list", false, |top| fs::write(top.join("usr/listed/x"), "").expect("ours")),
            ("no directory", false, |top| {
                fs::rename(top.join("usr"), top.join("usr.old")).expect("ours");
                fs::write(top.join("usr"), "").expect("ours");
            }),
        ];
        for (what, holds, deed) in deeds {
            let place = tempfile::tempdir().expect("a directory");
            for directory in ["lib", "opt", "listed", "share"] {
                fs::create_dir_all(place.path().join("usr").join(directory)).expect("ours");
            }
            fs::write(place.path().join("usr/lib/liba.so.1"), "1234").expect("ours");
            let root = Root::open(place.path()).expect("ours");
            let seen = look(&root);
            // Times of files have the width of a tick.
            std::thread::sleep(std::time::Duration::from_millis(20));
            deed(place.path());
            assert_eq!(seen.holds(&root), holds, "{what}");
            let text = serde_json::to_string(&seen).expect("text");
            assert_eq!(serde_json::from_str::<Seen>(&text).expect("the same"), seen);
        }
    }
}
