//! Labels of SELinux on the files of an image: without them, what is merged would have none that the base's policy lets run.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::Error;
use super::manifest::LabelsNote;
use crate::host::selinux::{self, FileContexts};
use crate::image::Tree;
use crate::image::squashfs::StoredFile;
use crate::image::tree::{Kind, NodeId};
use crate::package::digest::Algorithm;
use crate::sys::{Context, FileKind, Root};

/// How files are labelled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Labelling {
    /// By the policy that the base has, if any.
    #[default]
    Auto,
    /// Not at all: what trees and overlays have stays.
    No,
    /// By this list (file_contexts(5)).
    List(PathBuf),
}

impl FromStr for Labelling {
    type Err = String;

    fn from_str(word: &str) -> Result<Labelling, String> {
        match word {
            "auto" => Ok(Labelling::Auto),
            "no" => Ok(Labelling::No),
            path if path.contains('/') => Ok(Labelling::List(path.into())),
            other => {
                Err(format!("labels are 'auto', 'no' or the path of a list, with a '/' in it, not '{other}'"))
            }
        }
    }
}

/// The labels of a policy.
pub(super) struct Labels {
    contexts: FileContexts,
    pub(super) note: LabelsNote,
}

impl Labels {
    /// Finds and reads them; `None` where there are to be none.
    pub(super) fn find(labelling: &Labelling, base: Option<&Root>) -> Result<Option<Labels>, Error> {
        match labelling {
            Labelling::No => Ok(None),
            Labelling::Auto => {
                // A file that stands for a base has no policy.
                let Some(base) = base else { return Ok(None) };
                selinux::policy(base)?.map(|path| Labels::read(base, &path)).transpose()
            }
            Labelling::List(path) => {
                let path = std::path::absolute(path).context("find", path)?;
                let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
                Labels::read(&Root::open(parent)?, Path::new(name)).map(Some)
            }
        }
    }

    fn read(root: &Root, path: &Path) -> Result<Labels, Error> {
        let contexts = selinux::read(root, path)?;
        let digest = Algorithm::Sha256.digest(root.open_file(path)?).context("read", root.join(path))?;
        let note = LabelsNote { file_contexts: path.to_owned(), sha256: digest.to_string() };
        Ok(Labels { contexts, note })
    }

    /// Labels all files of a tree; what the policy says nothing of has none.
    pub(super) fn put_on(&self, tree: &mut Tree<StoredFile>) -> Result<(), Error> {
        let mut waiting: Vec<(NodeId, Vec<u8>)> = vec![(tree.root(), b"/".to_vec())];
        while let Some((id, path)) = waiting.pop() {
            let kind = kind(&tree.node(id).kind);
            let xattrs = &mut tree.metadata_mut(id).xattrs;
            self.contexts.put_on(xattrs, &path, kind).map_err(selinux::Error::from)?;
            let above = if path == b"/" { &b""[..] } else { &path };
            waiting.extend(tree.children(id).map(|(name, child)| (child, [above, b"/", name].concat())));
        }
        Ok(())
    }
}

fn kind<F>(kind: &Kind<F>) -> FileKind {
    match kind {
        Kind::Directory(_) => FileKind::Directory,
        Kind::File(_) => FileKind::File,
        Kind::Symlink(_) => FileKind::Symlink,
        Kind::CharacterDevice(_) => FileKind::CharDevice,
        Kind::BlockDevice(_) => FileKind::BlockDevice,
        Kind::Fifo => FileKind::Fifo,
        Kind::Socket => FileKind::Socket,
    }
}
