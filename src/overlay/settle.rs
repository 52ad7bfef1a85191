//! What an earlier version of Onlay has kept by itself of a directory, while extensions were merged over that, becomes a part of
//! the layer of the file system that the directory is in ([`super::parts`]).
//!
//! It is moved name by name, after a look that nothing is in the way: whoever is killed leaves what another goes on with. Where
//! both have something of one name, nobody can say which is meant: nothing is moved, and all of it is kept beside the layers.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;

use super::Error;
use super::assemble::new_upper;
use super::changes::place::Place;
use super::clear::clear;
use super::diff::{uppers, without_submounts};
use super::layers::{self, directory_name};
use super::parts::{ExtendedPart, part_upper};
use crate::event::{Event, Events};
use crate::host::Host;
use crate::sys::{Context, FileKind, IoError, Root, Xattrs};

/// Moves it. Nobody is in the overlay, of which this is the directory.
pub fn settle(overlay: &Root, host: &Host, events: &mut dyn Events) -> Result<(), Error> {
    let on_disk = uppers(overlay)?;
    for part in candidates(host) {
        if let Some((_, own)) = on_disk.iter().find(|(point, _)| *point == part.point) {
            settle_part(overlay, host, &part, own, events)?;
        }
    }
    Ok(())
}

/// Directories that extensions are merged over; and /usr where it is no mount, whether any are merged or not.
fn candidates(host: &Host) -> Vec<ExtendedPart> {
    let mut found = ExtendedPart::all(host);
    let usr = Path::new("/usr");
    let place = host.root.join(usr);
    if host.mounts.at(&place).is_some_and(|mount| mount.point != place) {
        found.push(ExtendedPart { point: usr.into(), holder: "/".into() });
    }
    found
}

fn settle_part(
    overlay: &Root,
    host: &Host,
    part: &ExtendedPart,
    own: &Root,
    events: &mut dyn Events,
) -> Result<(), Error> {
    let layers = overlay.open_child(OsStr::new(layers::DIRECTORY))?;
    let name = directory_name(&part.point);
    let covered = without_submounts(host, &part.holder)?;
    new_upper(overlay, &directory_name(&part.holder), &covered)?;
    let target = part_upper(overlay, part, &covered)?;
    let can_be_moved = match &target {
        Some(target) => !target.is_opaque && find_conflict(own, &target.upper)?.is_none(),
        None => own.is_empty()?,
    };
    match target.filter(|_| can_be_moved) {
        Some(target) => move_all(own, &target.upper)?,
        None if can_be_moved => {}
        None => {
            let aside = keep_apart(overlay, &layers, &name)?;
            events.tell(Event::KeptApart { path: part.point.clone(), aside: overlay.join(aside) });
            return Ok(());
        }
    }
    Ok(clear(&layers, OsStr::new(&name))?)
}

/// Gives a layer a name beside all layers, where nobody looks.
fn keep_apart(overlay: &Root, layers: &Root, name: &str) -> Result<PathBuf, IoError> {
    let mut aside = format!("apart-{name}");
    let mut number = 0;
    while overlay.lstat(&aside)?.is_some() {
        number += 1;
        aside = format!("apart-{name}.{number}");
    }
    rustix::fs::renameat(layers, name, overlay, &aside).context("move", layers.join(name))?;
    Ok(aside.into())
}

/// A path that both have, and that is not a directory which both show through, or removed in both.
fn find_conflict(from: &Root, to: &Root) -> Result<Option<PathBuf>, IoError> {
    let mut conflict = None;
    walk(from, to, &mut |source, target, name| {
        Ok(match (Kind::of(source.dir()?, name)?, Kind::of(target.dir()?, name)?) {
            (_, None) | (Some(Kind::Whiteout), Some(Kind::Whiteout)) => Next::Sibling,
            (Some(Kind::Merged), Some(Kind::Merged)) => Next::Child,
            _ => {
                conflict = Some(source.path().join(name));
                Next::Nothing
            }
        })
    })?;
    Ok(conflict)
}

/// Where a walk goes on.
enum Next {
    /// Into the directory of this name, which both have.
    Child,
    Sibling,
    Nothing,
}

/// Walks through what `from` has, beside the same directories of `to`.
fn walk(
    from: &Root,
    to: &Root,
    visit: &mut dyn FnMut(&mut Place<'_>, &mut Place<'_>, &OsStr) -> Result<Next, IoError>,
) -> Result<(), IoError> {
    let (mut source, mut target) = (Place::top(from), Place::top(to));
    let mut unread = vec![source.dir()?.entries()?.into_iter()];
    while let Some(entries) = unread.last_mut() {
        let Some(entry) = entries.next() else {
            unread.pop();
            source.pop();
            target.pop();
            continue;
        };
        match visit(&mut source, &mut target, &entry.name)? {
            Next::Sibling => {}
            Next::Nothing => return Ok(()),
            Next::Child => {
                source.push(&entry.name);
                target.push(&entry.name);
                unread.push(source.dir()?.entries()?.into_iter());
            }
        }
    }
    Ok(())
}

/// What an upper has under a name, as far as it counts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Whiteout,
    /// A directory that shows what lies below.
    Merged,
    Other,
}

impl Kind {
    fn of(dir: &Root, name: &OsStr) -> Result<Option<Kind>, IoError> {
        let Some(stat) = dir.lstat(name)? else { return Ok(None) };
        Ok(Some(match FileKind::of(&stat) {
            FileKind::CharDevice if stat.st_rdev == 0 => Kind::Whiteout,
            FileKind::Directory => {
                let marks = Xattrs::read(dir, Path::new(name))?;
                if marks.get("trusted.overlay.opaque").is_some() { Kind::Other } else { Kind::Merged }
            }
            _ => Kind::Other,
        }))
    }
}

/// Moves all names to where nothing is in their way.
fn move_all(from: &Root, to: &Root) -> Result<(), IoError> {
    walk(from, to, &mut |source, target, name| {
        let (here, there) = (source.dir()?, target.dir()?);
        match Kind::of(there, name)? {
            None => rustix::fs::renameat(here, name, there, name).context("move", here.join(name))?,
            Some(Kind::Merged) => return Ok(Next::Child),
            Some(_) => {
                rustix::fs::unlinkat(here, name, AtFlags::empty()).context("remove", here.join(name))?;
            }
        }
        Ok(Next::Sibling)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_not_in_the_way_is_moved() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        for path in ["from/bin", "from/share/a", "to/share/b", "to/lib"] {
            fs::create_dir_all(at(path)).expect("directories");
        }
        for path in ["from/bin/tool", "from/share/a/x", "from/share/c", "to/share/b/y"] {
            fs::write(at(path), path).expect("a file");
        }
        let [from, to] = ["from", "to"].map(|name| Root::open(at(name)).expect("it opens"));
        assert_eq!(find_conflict(&from, &to).expect("readable"), None);
        fs::write(at("to/share/c"), "another").expect("a file");
        assert_eq!(find_conflict(&from, &to).expect("readable"), Some("share/c".into()));
        fs::remove_file(at("to/share/c")).expect("ours");
        move_all(&from, &to).expect("writable");
        for path in ["to/bin/tool", "to/share/a/x", "to/share/c", "to/share/b/y"] {
            assert!(at(path).is_file(), "{path}");
        }
        assert!(fs::read_dir(at("from/share")).expect("it is there").next().is_none());
    }
}
