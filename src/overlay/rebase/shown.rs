//! Directories and links of an overlay's own packages that lie in the base alone.
//!
//! dpkg leaves a directory as it is that is there already, and a link to one, when it unpacks another version of their
//! package. So an overlay may show them through, and should the base lose the package they would go, though the package
//! stays. A list of dpkg's says of a path neither that it is a directory nor where a link leads: that is noted while the
//! base is there.
//!
//! # Format of `layers/@seen/shown`
//! For each, in the order of paths: `d MODE UID GID NUL PATH NUL`, or `l UID GID TARGET NUL PATH NUL`. MODE is octal, PATH
//! is from the root of the view. It belongs to the base that `layers/@seen/files` is of.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::seen;
use crate::overlay::changes::place::Place;
use crate::sys::{FileKind, IoError, Root, replace_file};

const FILE: &str = "shown";

/// More than this is no record of ours.
const LARGEST: u64 = 1 << 28;

/// What is made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// A directory, with mode and owner.
    Directory { mode: u32, owner: (u32, u32) },
    /// A link, with its owner.
    Link { target: OsString, owner: (u32, u32) },
}

impl Shown {
    /// What is under a name; `None` for files, and for nothing.
    pub(super) fn at(dir: &Root, name: &OsStr) -> Result<Option<Shown>, IoError> {
        let Some(stat) = dir.lstat(name)? else { return Ok(None) };
        let owner = (stat.st_uid, stat.st_gid);
        Ok(match FileKind::of(&stat) {
            FileKind::Directory => Some(Shown::Directory { mode: stat.st_mode & 0o7777, owner }),
            FileKind::Symlink => Some(Shown::Link { target: dir.read_link(name)?, owner }),
            _ => None,
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Shown::Directory { mode, owner: (uid, gid) } => format!("d {mode:o} {uid} {gid}").into_bytes(),
            Shown::Link { target, owner: (uid, gid) } => {
                [format!("l {uid} {gid} ").as_bytes(), target.as_bytes()].concat()
            }
        }
    }

    fn parse(bytes: &[u8]) -> Option<Shown> {
        let mut words = bytes.splitn(4, |&byte| byte == b' ');
        let mut word = || words.next();
        let number = |word: Option<&[u8]>| std::str::from_utf8(word?).ok()?.parse().ok();
        match word()? {
            b"d" => {
                let mode = u32::from_str_radix(std::str::from_utf8(word()?).ok()?, 8).ok()?;
                Some(Shown::Directory { mode: mode & 0o7777, owner: (number(word())?, number(word())?) })
            }
            b"l" => {
                let owner = (number(word())?, number(word())?);
                Some(Shown::Link { target: OsString::from_vec(word()?.to_vec()), owner })
            }
            _ => None,
        }
    }
}

/// Looks for those of these paths of the view that a layer shows through; each comes with its path from the layer.
pub(super) fn find(
    upper: &Root,
    lower: &Root,
    paths: impl Iterator<Item = (PathBuf, PathBuf)>,
    found: &mut BTreeMap<PathBuf, Shown>,
) -> Result<(), IoError> {
    let (mut above, mut below) = (Place::top(upper), Place::top(lower));
    for (whole, path) in paths {
        let Some(name) = path.file_name() else { continue };
        let parent = path.parent().unwrap_or(Path::new(""));
        above.move_to(parent);
        below.move_to(parent);
        let is_above = above.exists()? && above.dir()?.lstat(name)?.is_some();
        if !is_above
            && below.exists()?
            && let Some(shown) = Shown::at(below.dir()?, name)?
        {
            found.insert(whole, shown);
        }
    }
    Ok(())
}

/// Notes them, before it is said that what was noted is of that base.
pub(super) fn note(layers: &Root, all: &BTreeMap<PathBuf, Shown>) -> Result<(), IoError> {
    if all.is_empty() && layers.lstat(seen::DIRECTORY)?.is_none() {
        return Ok(());
    }
    layers.make_dir(seen::DIRECTORY, 0o700)?;
    let dir = layers.open_child(OsStr::new(seen::DIRECTORY))?;
    let mut bytes = Vec::new();
    for (path, shown) in all {
        bytes.extend(shown.to_bytes());
        bytes.push(0);
        bytes.extend(path.as_os_str().as_bytes());
        bytes.push(0);
    }
    if read_noted(&dir)? == bytes { Ok(()) } else { replace_file(&dir, FILE, &bytes) }
}

/// Reads what was noted.
pub(super) fn read(layers: &Root) -> Result<BTreeMap<PathBuf, Shown>, IoError> {
    match layers.open_child(OsStr::new(seen::DIRECTORY)) {
        Err(error) if error.is_not_found() => Ok(BTreeMap::new()),
        dir => Ok(parse(&read_noted(&dir?)?)),
    }
}

fn read_noted(dir: &Root) -> Result<Vec<u8>, IoError> {
    match dir.read(FILE, LARGEST) {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        other => other,
    }
}

fn parse(bytes: &[u8]) -> BTreeMap<PathBuf, Shown> {
    let mut found = BTreeMap::new();
    let mut fields = bytes.strip_suffix(b"\0").unwrap_or_default().split(|&byte| byte == 0);
    while let (Some(shown), Some(path)) = (fields.next(), fields.next()) {
        if let Some(shown) = Shown::parse(shown) {
            found.insert(PathBuf::from(OsStr::from_bytes(path)), shown);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_through_is_noted_and_read() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["upper/a", "lower/a/empty", "lower/b", "layers"] {
            std::fs::create_dir_all(dir.path().join(name)).expect("directories");
        }
        std::os::unix::fs::symlink("to there", dir.path().join("lower/a/link")).expect("a link");
        std::fs::write(dir.path().join("lower/a/file"), "").expect("a file");
        let open = |name: &str| Root::open(dir.path().join(name)).expect("it opens");
        let names = ["a", "a/empty", "a/file", "a/link", "b", "b/none"];
        let paths = names.map(|name| (Path::new("/usr").join(name), PathBuf::from(name)));
        let mut found = BTreeMap::new();
        find(&open("upper"), &open("lower"), paths.into_iter(), &mut found).expect("readable");
        let names: Vec<&str> = found.keys().filter_map(|path| path.to_str()).collect();
        assert_eq!(names, ["/usr/a/empty", "/usr/a/link", "/usr/b"]);
        note(&open("layers"), &found).expect("writable");
        assert_eq!(read(&open("layers")).expect("readable"), found);
        assert!(parse(b"d 755 0\0/a\0l 0\0/b\0x\0/c\0d\0").is_empty(), "damage tells nothing");
    }
}
