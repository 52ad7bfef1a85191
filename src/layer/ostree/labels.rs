//! Labels of SELinux on what layers bring, by the policy of the tree that comes of them, as `ostree commit --selinux-policy` gives them with
//! `--selinux-labeling-epoch=1`: what lies in /usr/etc has the labels of /etc, where it is going to be. What is the base's keeps those that it has.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use super::error::Error;
use super::layers::ETC;
use super::object::{Directory, Item};
use super::repo::Repository;
use crate::host::selinux::{self, FileContexts};
use crate::layer::Layers;
use crate::overlay::changes::upper::Upper;
use crate::sys::{Context, FileKind};

/// Labels for what lies below a place of the system that will boot.
#[derive(Clone, Copy)]
pub(super) struct Labels<'a> {
    pub(super) contexts: &'a FileContexts,
    /// Where the top of the upper is.
    pub(super) top: &'a str,
}

/// The labels of the policy of a base with layers; `None` where it has none, or uses none.
pub(super) fn find(
    repository: &Repository,
    base: Directory,
    layers: &Layers,
) -> Result<Option<FileContexts>, Error> {
    selinux::find(|path| {
        let in_etc = path.strip_prefix("etc").unwrap_or(path);
        if let Some(etc) = &layers.etc {
            match etc.read(in_etc, selinux::LARGEST) {
                Err(error) if error.is_not_found() => {}
                other => return Ok(Some(other?)),
            }
        }
        read(repository, base, &Path::new(ETC).join(in_etc))
    })
}

impl Labels<'_> {
    /// Labels all that an upper has; what the policy says nothing of has none.
    pub(super) fn put_on(&self, upper: &mut Upper) -> Result<(), Error> {
        let mut waiting = vec![(0, PathBuf::from(self.top))];
        while let Some((index, path)) = waiting.pop() {
            let Some(node) = upper.nodes.get_mut(index).filter(|node| !node.whiteout) else { continue };
            let place = place(&path);
            let place = place.as_os_str().as_encoded_bytes();
            self.contexts.put_on(&mut node.xattrs, place, node.status.kind).map_err(selinux::Error::from)?;
            let children = upper.nodes[index].children.clone();
            waiting.extend(children.map(|child| (child, path.join(&upper.nodes[child].name))));
        }
        Ok(())
    }
}

/// Where a path of a commit is on the system that boots.
fn place(path: &Path) -> PathBuf {
    match path.strip_prefix(Path::new("/").join(ETC)) {
        Ok(rest) if rest == Path::new("") => PathBuf::from("/etc"),
        Ok(rest) => Path::new("/etc").join(rest),
        Err(_) => path.to_owned(),
    }
}

/// What a regular file of a tree has in it, by its path; `None` where there is none.
fn read(repository: &Repository, tree: Directory, path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let mut item = Item::Directory(tree);
    for part in path.components() {
        let (Item::Directory(directory), Component::Normal(name)) = (item, part) else { return Ok(None) };
        let names = repository.tree(directory.tree)?;
        let found = name.to_str().and_then(|name| names.0.get(name).copied());
        let Some(found) = found else { return Ok(None) };
        item = found;
    }
    let Item::File(checksum) = item else { return Ok(None) };
    let (root, object) = (repository.root(), Repository::file(checksum));
    if root.lstat_exact(&object)?.is_none_or(|stat| FileKind::of(&stat) != FileKind::File) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let file = root.open_exact_file(&object)?;
    file.take(selinux::LARGEST).read_to_end(&mut bytes).context("read", root.join(&object))?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_in_etc_is_labelled_so() {
        for (path, expected) in [
            ("/usr/etc", "/etc"),
            ("/usr/etc/a/b", "/etc/a/b"),
            ("/usr/etcetera", "/usr/etcetera"),
            ("/", "/"),
        ] {
            assert_eq!(place(Path::new(path)), Path::new(expected));
        }
    }
}
