//! What an upper says of a tree, done to that tree itself.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Stat};
use rustix::io::Errno;

use super::attributes::copy_attributes;
use super::changes::marks::{Marks, Opaque, Prefix};
use super::changes::place::Place;
use super::clear::clear;
use super::copy::{copy_one, set_times};
use crate::sys::{Context, FileKind, IoError, Root, Xattrs};

/// What begins so is overlayfs's own, and nothing in a tree by itself.
const NOTES: &[u8] = b"trusted.overlay.";

/// Does to a tree what an upper says of it: makes and replaces files, removes what is hidden, and gives directories their attributes. `made`
/// is told of all that is new, by its directory, its name there, its path from the top and its kind. Nobody else writes to either.
///
/// What names another place of the base (`redirect`, `metacopy`) is in no upper of ours, and an error.
pub fn apply(
    upper: &Root,
    tree: &Root,
    mut made: impl FnMut(&Root, &OsStr, &Path, FileKind) -> Result<(), IoError>,
) -> Result<(), IoError> {
    let mut linked: HashMap<(u64, u64), PathBuf> = HashMap::new();
    let (mut source, mut target) = (Place::top(upper), Place::top(tree));
    let mut unread = vec![source.dir()?.entries()?.into_iter()];
    while let Some(entries) = unread.last_mut() {
        let Some(entry) = entries.next() else {
            unread.pop();
            if !unread.is_empty() {
                finish_directory(source.dir()?, target.dir()?)?;
            }
            source.pop();
            target.pop();
            continue;
        };
        let name = &*entry.name;
        let path = source.path().join(name);
        let (from, to) = (source.dir()?, target.dir()?);
        let Some(stat) = from.lstat(name)? else { continue };
        let kind = FileKind::of(&stat);
        match kind {
            FileKind::CharDevice if stat.st_rdev == 0 => clear(to, name)?,
            FileKind::Directory => {
                let marks = marks(from, name)?;
                if begin_directory(to, name, marks.opaque == Some(Opaque::Wholly))? {
                    made(to, name, &path, kind)?;
                }
                source.push(name);
                target.push(name);
                unread.push(source.dir()?.entries()?.into_iter());
            }
            _ => {
                marks(from, name)?;
                clear(to, name)?;
                put(from, to, &stat, &path, tree, &mut linked)?;
                made(to, name, &path, kind)?;
            }
        }
    }
    Ok(())
}

/// What overlayfs notes of a name; an error where it is kept elsewhere.
fn marks(dir: &Root, name: &OsStr) -> Result<Marks, IoError> {
    let (marks, _) = Prefix::Trusted.split(Xattrs::read(dir, Path::new(name))?);
    if marks.metacopy || marks.redirect.is_some() {
        return Err(Errno::NOTSUP).context("take over", dir.join(name));
    }
    Ok(marks)
}

/// Whether the directory is a new one.
fn begin_directory(to: &Root, name: &OsStr, is_opaque: bool) -> Result<bool, IoError> {
    if is_opaque || !to.is_dir(name)? {
        clear(to, name)?;
    }
    to.make_dir(name, 0o700)
}

/// After all that it contains, which changes its times.
fn finish_directory(from: &Root, to: &Root) -> Result<(), IoError> {
    let itself = OsStr::new(".");
    copy_attributes((from, itself), (to, itself), |attribute| !attribute.starts_with(NOTES))?;
    set_times(to, itself, &rustix::fs::fstat(from).context("examine", from.path())?)
}

/// Makes what is no directory. Names of one file are that again.
fn put(
    from: &Root,
    to: &Root,
    stat: &Stat,
    path: &Path,
    tree: &Root,
    linked: &mut HashMap<(u64, u64), PathBuf>,
) -> Result<(), IoError> {
    let name = path.file_name().unwrap_or_default();
    if stat.st_nlink > 1 {
        if let Some(other) = linked.get(&(stat.st_dev, stat.st_ino)) {
            let mut first = Place::at(tree, other.parent().unwrap_or(Path::new("")));
            let first_name = other.file_name().unwrap_or_default();
            return rustix::fs::linkat(first.dir()?, first_name, to, name, AtFlags::empty())
                .context("link", to.join(name));
        }
        linked.insert((stat.st_dev, stat.st_ino), path.to_owned());
    }
    copy_one((from, name), (to, name), stat)?;
    let notes: Vec<Vec<u8>> =
        Xattrs::read(to, Path::new(name))?.0.into_keys().filter(|key| key.starts_with(NOTES)).collect();
    notes.iter().try_for_each(|note| Xattrs::remove(to, Path::new(name), note))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn files_are_made_and_replaced_and_links_stay_links() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |path: &str| dir.path().join(path);
        for path in ["upper/a/new", "tree/a", "tree/was/x"] {
            fs::create_dir_all(at(path)).expect("ours");
        }
        for (path, text) in
            [("upper/a/file", "new"), ("tree/a/file", "old"), ("tree/a/other", "kept"), ("upper/was", "x")]
        {
            fs::write(at(path), text).expect("ours");
        }
        fs::hard_link(at("upper/a/file"), at("upper/a/new/again")).expect("ours");
        symlink("file", at("upper/a/link")).expect("ours");
        fs::set_permissions(at("upper/a"), fs::Permissions::from_mode(0o2750)).expect("ours");
        let open = |path: &str| Root::open(at(path)).expect("it opens");
        let mut told = Vec::new();
        apply(&open("upper"), &open("tree"), |_, _, path, kind| {
            told.push((path.to_owned(), kind));
            Ok(())
        })
        .expect("it can be done");
        let read = |path: &str| fs::read_to_string(at(path)).expect("it is there");
        assert_eq!(
            ["tree/a/file", "tree/a/other", "tree/was", "tree/a/link"].map(read),
            ["new", "kept", "x", "new"]
        );
        let of = |path: &str| fs::metadata(at(path)).expect("it is there");
        assert_eq!(of("tree/a/file").ino(), of("tree/a/new/again").ino());
        assert_eq!(of("tree/a").mode() & 0o7777, 0o2750);
        told.sort();
        let names: Vec<&str> = told.iter().filter_map(|(path, _)| path.to_str()).collect();
        assert_eq!(names, ["a/file", "a/link", "a/new", "a/new/again", "was"]);
    }
}
