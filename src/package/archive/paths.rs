//! Where entries are: paths that stay inside the package's directory, and that do not contradict each other.
//!
//! An entry below a symbolic link of the same package would be written where the link leads, so there is none: dpkg and
//! rpm would follow it, but no package that they build has one. Nor does anything but a directory come twice, of which
//! dpkg takes the last.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use super::entry::Kind;
use super::error::{Fault, os_string};

/// PATH_MAX of the kernel, with its NUL.
const LONGEST_PATH: usize = 4096;
/// NAME_MAX of the kernel.
const LONGEST_NAME: usize = 255;
/// The most memory for paths: thirty times what the package with the most files needs.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// A path as it is from the root: without `/` before or behind it, `.` and empty names, which dpkg and rpm leave out.
/// That of the root is empty.
pub(super) fn clean(path: &[u8]) -> Result<Vec<u8>, Fault> {
    let wrong = |problem| Err(Fault::of_entry(path, problem));
    if path.is_empty() {
        return wrong("has no name");
    }
    if path.contains(&0) {
        return wrong("has a NUL in its name");
    }
    let mut clean = Vec::with_capacity(path.len());
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => continue,
            b".." => return wrong("leads out of a directory by '..'"),
            _ if name.len() > LONGEST_NAME => return wrong("has a name that is too long"),
            _ => {}
        }
        if !clean.is_empty() {
            clean.push(b'/');
        }
        clean.extend_from_slice(name);
    }
    if clean.len() >= LONGEST_PATH {
        return wrong("has a path that is too long");
    }
    Ok(clean)
}

/// What is known to be at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Directory,
    Symlink,
    Other,
}

/// All paths of a package so far.
#[derive(Debug, Default)]
pub(super) struct Tree {
    known: HashMap<Box<[u8]>, Known>,
    bytes: u64,
}

impl Tree {
    /// Adds an entry whose path is clean.
    pub(super) fn add(&mut self, path: &[u8], kind: &Kind) -> Result<(), Fault> {
        let found = match kind {
            Kind::Directory => Known::Directory,
            Kind::Symlink(_) => Known::Symlink,
            Kind::Hardlink(target) => self.check_link(path, target.as_os_str().as_encoded_bytes())?,
            _ => Known::Other,
        };
        if path.is_empty() && found != Known::Directory {
            return Err(Fault::of_entry(b"/", "is no directory"));
        }
        self.check_parents(path)?;
        self.insert(path, found)
    }

    /// Two names of a file are there in this order; a link to a directory there is not.
    fn check_link(&self, path: &[u8], target: &[u8]) -> Result<Known, Fault> {
        match self.known.get(target) {
            Some(Known::Directory) => Err(contradicts(path, "is a hard link to the directory", target)),
            Some(known) => Ok(*known),
            None => Err(contradicts(path, "is a hard link to what did not come before,", target)),
        }
    }

    /// From the deepest up to one that is known to be a directory: then all above it are.
    fn check_parents(&mut self, path: &[u8]) -> Result<(), Fault> {
        let mut parent = path;
        while let Some(slash) = parent.iter().rposition(|byte| *byte == b'/') {
            parent = &parent[..slash];
            match self.known.get(parent) {
                Some(Known::Directory) => return Ok(()),
                Some(Known::Symlink) => {
                    return Err(contradicts(path, "lies below the symbolic link", parent));
                }
                Some(Known::Other) => {
                    return Err(contradicts(path, "lies below what is no directory,", parent));
                }
                None => self.insert(parent, Known::Directory)?,
            }
        }
        Ok(())
    }

    fn insert(&mut self, path: &[u8], found: Known) -> Result<(), Fault> {
        match self.known.entry(path.into()) {
            Slot::Occupied(known) if *known.get() == Known::Directory && found == Known::Directory => Ok(()),
            Slot::Occupied(known) => Err(Fault::of_entry(
                path,
                match (*known.get(), found) {
                    (Known::Directory, _) | (_, Known::Directory) => "is a directory and something else",
                    _ => "comes twice",
                },
            )),
            Slot::Vacant(slot) => {
                slot.insert(found);
                self.bytes += path.len() as u64;
                if self.bytes > MOST_BYTES {
                    return Err(Fault::Limit { what: "bytes of names", limit: MOST_BYTES });
                }
                Ok(())
            }
        }
    }
}

fn contradicts(path: &[u8], problem: &'static str, other: &[u8]) -> Fault {
    Fault::Entries { path: os_string(path), problem, other: os_string(other) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_or_refused() {
        let long = [b'x'; 256];
        let deep = b"x/".repeat(2048);
        for (path, clean) in [
            (&b"./usr/bin/x"[..], Some(&b"usr/bin/x"[..])),
            (b"/usr//bin/./x/", Some(b"usr/bin/x")),
            (b"./", Some(b"")),
            (b".", Some(b"")),
            (b"...", Some(b"...")),
            (b"\xff\n", Some(b"\xff\n")),
            (b"", None),
            (b"a/../b", None),
            (b"..", None),
            (b"a\0b", None),
            (&long, None),
            (&long[1..], Some(&long[1..])),
            (&deep, Some(&deep[..4095])),
            (&[&deep[..], b"y"].concat(), None),
        ] {
            assert_eq!(super::clean(path).ok().as_deref(), clean, "{}", path.escape_ascii());
        }
    }

    #[test]
    fn what_contradicts_is_refused() {
        let file = Kind::File;
        let link = Kind::Symlink("/etc".into());
        for (entries, problem) in [
            (&[("usr/x", &link), ("usr/x/passwd", &file)][..], "lies below the symbolic link 'usr/x'"),
            (&[("usr/x", &link), ("usr/x/a/passwd", &file)], "lies below the symbolic link 'usr/x'"),
            (&[("usr/x/passwd", &file), ("usr/x", &link)], "is a directory and something else"),
            (&[("x", &file), ("x/y", &Kind::Directory)], "lies below what is no directory, 'x'"),
            (&[("x", &file), ("x", &file)], "comes twice"),
            (&[("x", &file), ("x", &Kind::Directory)], "is a directory and something else"),
            (&[("y", &Kind::Hardlink("x".into()))], "is a hard link to what did not come before, 'x'"),
            (
                &[("x", &Kind::Directory), ("y", &Kind::Hardlink("x".into()))],
                "is a hard link to the directory 'x'",
            ),
            (
                &[("x", &link), ("y", &Kind::Hardlink("x".into())), ("y/z", &file)],
                "lies below the symbolic link 'y'",
            ),
            (&[("", &file)], "is no directory"),
        ] {
            let mut tree = Tree::default();
            let (last, before) = entries.split_last().expect("there is one");
            for (path, kind) in before {
                tree.add(path.as_bytes(), kind).expect("right so far");
            }
            let error = tree.add(last.0.as_bytes(), last.1).expect_err("wrong").to_string();
            assert!(error.ends_with(problem), "{error}");
        }
        let mut tree = Tree::default();
        for path in ["usr/bin/x", "", "usr", "usr/bin", "usr/bin"] {
            let kind = if path.ends_with('x') { &file } else { &Kind::Directory };
            tree.add(path.as_bytes(), kind).expect("directories may come late, and twice");
        }
    }

    #[test]
    fn names_take_no_endless_memory() {
        let mut tree = Tree::default();
        let deep = "x/".repeat(1000);
        let added =
            (0..1000).try_for_each(|number| tree.add(format!("{number}/{deep}y").as_bytes(), &Kind::File));
        assert!(matches!(added, Err(Fault::Limit { .. })), "{added:?}");
    }
}
