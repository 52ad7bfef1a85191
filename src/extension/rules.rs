//! What an extension may have in it, whatever its programs need: only what is merged, no database of packages, and nothing
//! that hides what others have.

use std::path::Path;

use super::finding::{Fault, Finding};
use super::{Class, Contents, Error, Item, Node, Stack};
use crate::sys::FileKind;

/// Databases of packages that would hide the host's: rpm's places of Fedora and of SUSE, and dpkg's of hosts whose /var
/// does not go with /usr.
const DATABASES: &[&str] =
    &["usr/lib/sysimage/rpm", "usr/share/rpm", "usr/lib/sysimage/dpkg", "usr/lib/sysimage/libdnf5"];

/// What to do with what is not merged, by the directory at the top.
const ADVICE: &[(&str, &str)] = &[
    ("etc", "settings have their defaults in /usr, and tmpfiles.d(5) puts others there ('C')"),
    ("var", "tmpfiles.d(5) makes what a program needs there"),
    ("run", "tmpfiles.d(5) makes what a program needs there"),
    ("bin", "it belongs in usr/bin"),
    ("sbin", "it belongs in usr/sbin"),
    ("lib", "it belongs in usr/lib"),
    ("lib32", "it belongs in usr/lib32"),
    ("lib64", "it belongs in usr/lib64"),
    ("libx32", "it belongs in usr/libx32"),
];

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

/// Whose the layers of a stack are.
#[derive(Debug)]
pub(super) struct Owners<'a>(pub(super) &'a [String]);

impl Owners<'_> {
    /// In words: "the base", "extension 'gdb'".
    pub(super) fn of(&self, layer: usize) -> String {
        self.0.get(layer).map_or_else(|| "the base".to_owned(), |name| format!("extension '{name}'"))
    }
}

/// What is wrong with the top of an extension: what is there that is not merged.
pub(super) fn check_top(contents: &dyn Contents, class: Class) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for name in contents.list(Path::new(""))? {
        if class.hierarchies().iter().any(|hierarchy| name == *hierarchy) {
            continue;
        }
        let path = Path::new(&name);
        let is_full = match contents.look(path)? {
            // Packages have empty directories, which nobody misses.
            Some(item) if item.kind == FileKind::Directory => has_files(contents, path)?,
            Some(item) => item.kind != FileKind::Symlink,
            None => false,
        };
        if !is_full {
            continue;
        }
        let advice = ADVICE.iter().find(|known| name == known.0).map_or("leave it out", |known| known.1);
        let is_misplaced = advice.starts_with("it belongs");
        let make = if is_misplaced { Finding::problem } else { Finding::remark };
        findings.push(make(path, Fault::NotMerged { advice }));
    }
    Ok(findings)
}

fn has_files(contents: &dyn Contents, directory: &Path) -> Result<bool, Error> {
    for name in contents.list(directory)? {
        let path = directory.join(name);
        let is_directory = contents.look(&path)?.is_some_and(|item| item.kind == FileKind::Directory);
        if !is_directory || has_files(contents, &path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is wrong with one file that is merged, whatever else is there.
pub(super) fn check_file(contents: &dyn Contents, path: &Path, item: &Item) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    if DATABASES.iter().any(|database| path == Path::new(database)) {
        findings.push(Finding::problem(path, Fault::PackageDatabase));
    }
    let what = match item.kind {
        FileKind::CharDevice | FileKind::BlockDevice if !item.is_whiteout() => Some("a device"),
        FileKind::Fifo => Some("a pipe"),
        FileKind::Socket => Some("a socket"),
        _ => None,
    };
    findings.extend(what.map(|what| Finding::remark(path, Fault::Special(what))));
    if item.kind == FileKind::File && item.mode & SETUID != 0 {
        findings.push(Finding::remark(path, Fault::Privileged("setuid")));
    } else if item.is_executable() && item.mode & SETGID != 0 {
        findings.push(Finding::remark(path, Fault::Privileged("setgid")));
    } else if item.is_executable() && contents.attribute(path, "security.capability")?.is_some() {
        findings.push(Finding::remark(path, Fault::Privileged("given capabilities")));
    }
    Ok(findings)
}

/// What an extension's file does to what is there under its path.
pub(super) fn check_collision(
    contents: &dyn Contents,
    path: &Path,
    item: &Item,
    others: &Stack<'_>,
    owners: &Owners<'_>,
) -> Result<Option<Finding>, Error> {
    let Some(theirs) = others.at(path)? else { return Ok(None) };
    let owner = || owners.of(theirs.layer());
    let is_directory = |kind| kind == FileKind::Directory;
    if is_directory(item.kind) && theirs.item.kind == FileKind::Symlink && is_top(path) {
        // systemd lays a hierarchy over what its name leads to: on hosts of OSTree's, /opt is a link to /var/opt.
        let target = others.resolve(path)?;
        if target.is_some_and(|target| is_directory(target.item.kind)) {
            return Ok(None);
        }
    }
    if is_directory(item.kind) != is_directory(theirs.item.kind) {
        let fault = Fault::Hides { ours: noun(item.kind), theirs: noun(theirs.item.kind), owner: owner() };
        return Ok(Some(Finding::problem(path, fault)));
    }
    if is_directory(item.kind) || is_same(contents, path, item, others, &theirs)? {
        return Ok(None);
    }
    Ok(Some(Finding::remark(path, Fault::Replaces { owner: owner() })))
}

/// Whether it is the directory of a hierarchy itself.
fn is_top(path: &Path) -> bool {
    path.components().count() == 1
}

fn is_same(
    contents: &dyn Contents,
    path: &Path,
    item: &Item,
    others: &Stack<'_>,
    theirs: &Node,
) -> Result<bool, Error> {
    if item.kind != theirs.item.kind {
        return Ok(false);
    }
    match item.kind {
        FileKind::Symlink => Ok(contents.link(path)? == others.link(theirs)?),
        FileKind::File if item.size == theirs.item.size => {
            let (one, other) = (contents.open(path)?, others.open(theirs)?);
            let mut chunks = (vec![0; 128 * 1024], vec![0; 128 * 1024]);
            let mut offset = 0;
            loop {
                let length = one.read_at(offset, &mut chunks.0)?;
                let other_length = other.read_at(offset, &mut chunks.1)?;
                if chunks.0[..length] != chunks.1[..other_length] {
                    return Ok(false);
                }
                if length == 0 {
                    return Ok(true);
                }
                offset += length as u64;
            }
        }
        _ => Ok(false),
    }
}

fn noun(kind: FileKind) -> &'static str {
    match kind {
        FileKind::File => "a file",
        FileKind::Directory => "a directory",
        FileKind::Symlink => "a link",
        FileKind::CharDevice | FileKind::BlockDevice => "a device",
        FileKind::Fifo => "a pipe",
        FileKind::Socket => "a socket",
    }
}
