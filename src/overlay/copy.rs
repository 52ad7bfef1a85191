//! Making a tree of an upper's files anew: all that is there, with what overlayfs notes of it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid};

use super::attributes::{Named, copy_attributes};
use super::changes::place::Place;
use crate::sys::{Context, FileKind, IoError, Root, Xattrs, copy_content};

/// Overlayfs's note of which file of the base one was copied from, by which it gives both one inode number
/// (`ovl_hash_bylower` in fs/overlayfs/inode.c). Where the two are seen under different names, whichever is looked up
/// later cannot be opened (ESTALE). In another upper nothing is lost with it.
const ORIGIN: &[u8] = b"trusted.overlay.origin";

/// Makes a tree of new directories, with the same attributes; `make` makes all else but whiteouts, from a name in one
/// directory to the same in the other, and is told the path from the top.
pub(super) fn make_tree(
    from: &Root,
    to: &Root,
    mut make: impl FnMut(&Root, &Root, &Path) -> Result<(), IoError>,
) -> Result<(), IoError> {
    let (mut source, mut target) = (Place::top(from), Place::top(to));
    let mut unread = vec![source.dir()?.entries()?.into_iter()];
    while let Some(entries) = unread.last_mut() {
        let Some(entry) = entries.next() else {
            unread.pop();
            // After all that it contains, which changes its times.
            copy_directory(source.dir()?, target.dir()?)?;
            source.pop();
            target.pop();
            continue;
        };
        let name = &*entry.name;
        let Some(stat) = source.dir()?.lstat(name)? else { continue };
        match FileKind::of(&stat) {
            FileKind::Directory => {
                target.dir()?.make_dir(name, 0o700)?;
                source.push(name);
                target.push(name);
                unread.push(source.dir()?.entries()?.into_iter());
            }
            // All whiteouts of an upper may be one file, which has as many names as a file can have.
            FileKind::CharDevice if stat.st_rdev == 0 => make_whiteout(target.dir()?, name)?,
            _ => {
                let path = source.path().join(name);
                let target = target.dir()?;
                make(source.dir()?, target, &path)?;
                // Who may not have such notes may not even remove none.
                if Xattrs::read(target, Path::new(name))?.0.contains_key(ORIGIN) {
                    Xattrs::remove(target, Path::new(name), ORIGIN)?;
                }
            }
        }
    }
    Ok(())
}

/// Copies a tree into a directory that has nothing. Names of one file are that again.
pub fn copy_tree(from: &Root, to: &Root) -> Result<(), IoError> {
    let mut linked: HashMap<(u64, u64), PathBuf> = HashMap::new();
    make_tree(from, to, |source, target, path| {
        let name = path.file_name().unwrap_or_default();
        let Some(stat) = source.lstat(name)? else { return Ok(()) };
        if stat.st_nlink > 1 {
            if let Some(other) = linked.get(&(stat.st_dev, stat.st_ino)) {
                let mut first = Place::at(to, other.parent().unwrap_or(Path::new("")));
                let first_name = other.file_name().unwrap_or_default();
                return rustix::fs::linkat(first.dir()?, first_name, target, name, AtFlags::empty())
                    .context("link", target.join(name));
            }
            linked.insert((stat.st_dev, stat.st_ino), path.to_owned());
        }
        copy_one((source, name), (target, name), &stat)
    })
}

/// Makes a file, whatever it is, that is like another in everything, under a name that is not there.
pub(super) fn copy_one(from: Named<'_>, to: Named<'_>, stat: &Stat) -> Result<(), IoError> {
    let ((source, source_name), (target, name)) = (from, to);
    let shown = || target.join(name);
    match FileKind::of(stat) {
        FileKind::File => {
            let content = source.open_child_file(source_name)?;
            let file = File::from(target.make_file(name, 0o600)?);
            copy_content(&content, &file).context("copy", shown())?;
        }
        FileKind::Symlink => {
            rustix::fs::symlinkat(source.read_link(source_name)?, target, name).context("create", shown())?;
            // It has no mode, and a change of mode would follow it.
            let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            rustix::fs::chownat(target, name, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)
                .context("set owner of", shown())?;
            for (attribute, value) in Xattrs::read(source, Path::new(source_name))?.0 {
                Xattrs::set(target, Path::new(name), &attribute, &value)?;
            }
            return set_times(target, name, stat);
        }
        _ => {
            let kind = FileType::from_raw_mode(stat.st_mode);
            rustix::fs::mknodat(target, name, kind, Mode::empty(), stat.st_rdev)
                .context("create", shown())?;
        }
    }
    copy_attributes(from, to, |_| true)?;
    set_times(target, name, stat)
}

/// Hides a name that is not there.
pub(super) fn make_whiteout(dir: &Root, name: &OsStr) -> Result<(), IoError> {
    rustix::fs::mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0)
        .context("hide", dir.join(name))
}

/// Gives a directory all attributes of another, overlayfs's notes and times among them.
fn copy_directory(from: &Root, to: &Root) -> Result<(), IoError> {
    let itself = OsStr::new(".");
    copy_attributes((from, itself), (to, itself), |_| true)?;
    set_times(to, itself, &rustix::fs::fstat(from).context("examine", from.path())?)
}

/// Gives a name times.
pub(super) fn set_times(dir: &Root, name: &OsStr, stat: &Stat) -> Result<(), IoError> {
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds as _ };
    let times = Timestamps {
        last_access: time(stat.st_atime as _, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime as _, stat.st_mtime_nsec),
    };
    rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)
        .context("set times of", dir.join(name))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_copy_has_all_that_was_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
        fs::create_dir_all(from.join("a/b")).expect("directories");
        fs::create_dir(&to).expect("a directory");
        fs::write(from.join("a/file"), "text").expect("a file");
        fs::hard_link(from.join("a/file"), from.join("a/b/again")).expect("a link");
        symlink("/nowhere", from.join("a/link")).expect("a link");
        fs::set_permissions(from.join("a/file"), fs::Permissions::from_mode(0o4751)).expect("ours");
        let old = File::open(from.join("a")).expect("it is there");
        old.set_modified(std::time::UNIX_EPOCH).expect("ours");
        let open = |path: &Path| Root::open(path).expect("it opens");
        rustix::fs::mknodat(open(&from), "pipe", FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
        copy_tree(&open(&from), &open(&to)).expect("a copy");
        let of = |path: &Path| fs::symlink_metadata(path).expect("it is there");
        for name in ["a", "a/b", "a/file", "a/link", "pipe"] {
            let (was, is) = (of(&from.join(name)), of(&to.join(name)));
            assert_eq!((was.mode(), was.mtime(), was.nlink()), (is.mode(), is.mtime(), is.nlink()), "{name}");
        }
        assert_eq!(of(&to.join("a/file")).ino(), of(&to.join("a/b/again")).ino());
        assert_eq!(fs::read_to_string(to.join("a/file")).expect("a file"), "text");
        assert_eq!(fs::read_link(to.join("a/link")).expect("a link"), Path::new("/nowhere"));
    }
}
