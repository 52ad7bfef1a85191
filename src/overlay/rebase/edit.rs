//! What is changed in a draft, name by name.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::shown::Shown;
use crate::overlay::attributes::{Named, copy_attributes};
use crate::overlay::changes::place::Place;
use crate::overlay::copy::{copy_one, make_whiteout, set_times};
use crate::sys::{Context, FileKind, IoError, Root, Xattrs};

/// A change of one name of an upper, by its path from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edit {
    /// What lies below is seen again.
    Drop,
    /// The same, and the overlay's is put beside it under this ending.
    Save(String),
    /// What lies below is put beside it under this ending.
    Offer(String),
    /// The content of what lies below replaces its own.
    Refresh,
    /// A directory takes mode, owner and attributes of what lies below.
    RefreshDirectory,
    /// A directory goes, if nothing is in it any more.
    Prune,
    /// The overlay's file from another name comes here.
    Rename(PathBuf),
    /// What lies below another name is put here: all of it, or the content alone.
    Bring {
        /// By its path from the lower.
        from: PathBuf,
        /// Mode, owner and attributes stay those of what is here.
        keeps_attributes: bool,
    },
    /// A directory or a link is made where there is nothing.
    Make(Shown),
    /// What lies below is hidden.
    Hide,
    /// A directory that hid all that lies below it hides only these names.
    Unveil(Vec<OsString>),
    /// A directory hides all that lies below it.
    Veil,
    /// It has this content; mode, owner and attributes stay, or are those of what lies below.
    Write(Vec<u8>),
}

impl Edit {
    /// The name that is moved here.
    pub(super) fn renamed_from(&self) -> Option<&PathBuf> {
        match self {
            Edit::Rename(from) => Some(from),
            _ => None,
        }
    }
}

/// Applies edits to an upper of a draft over what it covers. They come in the order of [`order`].
pub(super) fn apply(edits: &[(PathBuf, Edit)], upper: &Root, lower: &Root) -> Result<(), IoError> {
    let (mut above, mut below) = (Place::top(upper), Place::top(lower));
    for (path, edit) in edits {
        let Some(name) = path.file_name() else { continue };
        let parent = path.parent().unwrap_or(Path::new(""));
        let makes =
            |edit| matches!(edit, &Edit::Write(_) | Edit::Rename(_) | Edit::Bring { .. } | Edit::Make(_));
        if makes(edit) || *edit == Edit::Hide {
            make_parents(upper, lower, parent)?;
        }
        above.move_to(parent);
        below.move_to(parent);
        let (dir, covered) = (above.dir()?, if below.exists()? { Some(below.dir()?) } else { None });
        match edit {
            Edit::Rename(from) => {
                let mut source = Place::at(upper, from.parent().unwrap_or(Path::new("")));
                let from = from.file_name().unwrap_or_default();
                rustix::fs::renameat(source.dir()?, from, dir, name).context("move", dir.join(name))?;
            }
            Edit::Bring { from, keeps_attributes } => {
                let mut source = Place::at(lower, from.parent().unwrap_or(Path::new("")));
                let from = from.file_name().unwrap_or_default();
                bring((source.dir()?, from), (dir, name), *keeps_attributes)?;
            }
            _ => apply_one(edit, dir, covered, name)?,
        }
    }
    Ok(())
}

/// Sorts edits so that each finds what it needs: a directory is pruned after what was in it, and what
/// replaces a name comes after what drops another. What is hidden may have been moved away before.
pub(super) fn order(edits: &mut [(PathBuf, Edit)]) {
    const LAST: u8 = 4;
    let rank = |edit: &Edit| match edit {
        Edit::Unveil(_) | Edit::Veil => 0,
        Edit::Rename(_) => 2,
        Edit::Bring { .. } | Edit::Make(_) | Edit::Hide => 3,
        Edit::Prune => LAST,
        _ => 1,
    };
    edits.sort_by(|(path, edit), (other, second)| {
        let by_rank = rank(edit).cmp(&rank(second));
        // From the deepest up, where directories are to go.
        let by_path = if rank(edit) == LAST { other.cmp(path) } else { path.cmp(other) };
        by_rank.then(by_path)
    });
}

fn apply_one(edit: &Edit, dir: &Root, covered: Option<&Root>, name: &OsStr) -> Result<(), IoError> {
    match edit {
        Edit::Drop => unlink(dir, name),
        Edit::Save(ending) => {
            let aside = free_name(dir, covered, name, ending)?;
            rustix::fs::renameat(dir, name, dir, &aside).context("save", dir.join(name))
        }
        Edit::Offer(ending) => match covered {
            Some(covered) => {
                let offered = free_name(dir, Some(covered), name, ending)?;
                copy_file((covered, name), (covered, name), (dir, &offered))
            }
            None => Ok(()),
        },
        Edit::Refresh => match covered {
            Some(covered) => copy_file((covered, name), (dir, name), (dir, name)),
            None => unlink(dir, name),
        },
        Edit::RefreshDirectory => match covered {
            Some(covered) => copy_own_attributes((covered, name), (dir, name)),
            None => Ok(()),
        },
        Edit::Rename(_) | Edit::Bring { .. } => unreachable!("they need more than one directory"),
        Edit::Prune => match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
            Err(error) => Err(error).context("remove", dir.join(name)),
        },
        Edit::Make(shown) => make(shown, dir, name),
        Edit::Hide => {
            if dir.lstat(name)?.is_some() {
                unlink(dir, name)?;
            }
            make_whiteout(dir, name)
        }
        Edit::Unveil(hidden) => unveil(&dir.open_child(name)?, hidden),
        Edit::Veil => Xattrs::set(dir, Path::new(name), b"trusted.overlay.opaque", b"y"),
        Edit::Write(content) => {
            let (from, name_of) = match covered {
                _ if dir.lstat(name)?.is_some() => (dir, name),
                Some(covered) if covered.lstat(name)?.is_some() => (covered, name),
                _ => (dir, OsStr::new("")),
            };
            write_file(content, (from, name_of), (dir, name))
        }
    }
}

fn make(shown: &Shown, dir: &Root, name: &OsStr) -> Result<(), IoError> {
    let (uid, gid) = match shown {
        Shown::Directory { owner, .. } => {
            dir.make_dir(name, 0o700)?;
            *owner
        }
        Shown::Link { target, owner } => {
            rustix::fs::symlinkat(target, dir, name).context("create", dir.join(name))?;
            *owner
        }
    };
    let (owner, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    rustix::fs::chownat(dir, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)
        .context("set owner of", dir.join(name))?;
    match shown {
        Shown::Directory { mode, .. } => {
            rustix::fs::chmodat(dir, name, Mode::from_raw_mode(*mode), AtFlags::empty())
                .context("set mode of", dir.join(name))
        }
        Shown::Link { .. } => Ok(()),
    }
}

/// Puts a file of the lower into the upper, as a copy-up would, whatever the name is there.
fn bring(from: Named<'_>, to: Named<'_>, keeps_attributes: bool) -> Result<(), IoError> {
    let (dir, name) = to;
    let Some(stat) = from.0.lstat(from.1)? else { return Ok(()) };
    if keeps_attributes {
        return copy_file(from, to, to);
    }
    if FileKind::of(&stat) == FileKind::File {
        copy_file(from, from, to)?;
        return set_times(dir, name, &stat);
    }
    let aside = OsStr::new(ASIDE);
    copy_one(from, (dir, aside), &stat)?;
    rustix::fs::renameat(dir, aside, dir, name).context("replace", dir.join(name))
}

fn unlink(dir: &Root, name: &OsStr) -> Result<(), IoError> {
    rustix::fs::unlinkat(dir, name, AtFlags::empty()).context("remove", dir.join(name))
}

fn unveil(dir: &Root, hidden: &[OsString]) -> Result<(), IoError> {
    Xattrs::remove(dir, Path::new(""), b"trusted.overlay.opaque")?;
    hidden.iter().try_for_each(|name| make_whiteout(dir, name))
}

/// A name beside another that neither side has.
fn free_name(dir: &Root, covered: Option<&Root>, name: &OsStr, ending: &str) -> Result<OsString, IoError> {
    let mut free = name.to_owned();
    free.push(free_ending(dir, covered, name, ending)?);
    Ok(free)
}

/// An ending with which a name is one that neither side has: this one, or this one with a number.
pub(super) fn free_ending(
    dir: &Root,
    covered: Option<&Root>,
    name: &OsStr,
    ending: &str,
) -> Result<String, IoError> {
    let mut candidate = ending.to_owned();
    let mut number = 0;
    loop {
        let mut beside = name.to_owned();
        beside.push(&candidate);
        let below = covered.map_or(Ok(None), |covered| covered.lstat(&beside))?;
        if dir.lstat(&beside)?.is_none() && below.is_none() {
            return Ok(candidate);
        }
        number += 1;
        candidate = format!("{ending}.{number}");
    }
}

/// Makes the directories of a path that the upper does not have, as a copy-up would.
pub(in crate::overlay) fn make_parents(upper: &Root, lower: &Root, path: &Path) -> Result<(), IoError> {
    let (mut above, mut below) = (Place::top(upper), Place::top(lower));
    for part in path.components() {
        let name = part.as_os_str();
        let dir = above.dir()?;
        if dir.make_dir(name, 0o755)? && below.exists()? {
            copy_own_attributes((below.dir()?, name), (dir, name))?;
        }
        above.push(name);
        below.push(name);
    }
    Ok(())
}

/// Replaces a file, or makes it, with the content of one and the attributes of another. The name may be
/// a second one of a file elsewhere, which stays as it is.
fn copy_file(content: Named<'_>, attributes: Named<'_>, to: Named<'_>) -> Result<(), IoError> {
    if content.0.lstat(content.1)?.is_some_and(|stat| FileKind::of(&stat) == FileKind::Symlink) {
        let target = content.0.read_link(content.1)?;
        return rustix::fs::symlinkat(&target, to.0, to.1).context("create", to.0.join(to.1));
    }
    let mut source = content.0.open_child_file(content.1)?;
    replace(attributes, to, |target| std::io::copy(&mut source, target).map(drop))
}

fn write_file(content: &[u8], attributes: Named<'_>, to: Named<'_>) -> Result<(), IoError> {
    replace(attributes, to, |target| target.write_all(content))
}

fn replace(
    attributes: Named<'_>,
    to: Named<'_>,
    fill: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<(), IoError> {
    let (dir, name) = to;
    let aside = OsStr::new(ASIDE);
    let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = rustix::fs::openat(dir, aside, flags, Mode::from_raw_mode(0o600))
        .map(File::from)
        .context("create", dir.join(name))?;
    fill(&mut file).context("write", dir.join(name))?;
    drop(file);
    if attributes.1.is_empty() {
        rustix::fs::chmodat(dir, aside, Mode::from_raw_mode(0o644), AtFlags::empty())
            .context("set mode of", dir.join(name))?;
    } else {
        copy_own_attributes(attributes, (dir, aside))?;
    }
    rustix::fs::renameat(dir, aside, dir, name).context("replace", dir.join(name))
}

/// The name of what is about to take another's.
const ASIDE: &str = ".onlay-aside";

/// Gives a file or directory the attributes of another, but overlayfs's notes.
fn copy_own_attributes(from: Named<'_>, to: Named<'_>) -> Result<(), IoError> {
    copy_attributes(from, to, |name| !name.starts_with(b"trusted.overlay."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_beside_takes_nobodys_place() {
        let [above, below] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
        let [upper, lower] = [&above, &below].map(|dir| Root::open(dir.path()).expect("it opens"));
        let free = || free_ending(&upper, Some(&lower), OsStr::new("a"), ".new").expect("readable");
        assert_eq!(free(), ".new");
        std::fs::write(below.path().join("a.new"), "").expect("writable");
        assert_eq!(free(), ".new.1");
        std::fs::write(above.path().join("a.new.1"), "").expect("writable");
        assert_eq!(free(), ".new.2");
    }
}
