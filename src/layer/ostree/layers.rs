//! Layers of a compose, as the tree of a commit: /etc has its defaults in /usr/etc there, and /var is empty.

use std::path::PathBuf;

use super::compose::Composition;
use super::error::Error;
use super::labels::{self, Labels};
use super::object::{DirTree, Directory, Item};
use super::transaction::Transaction;
use crate::layer::Layers;
use crate::sys::Root;

/// Where a deployment's defaults for /etc are.
pub(super) const ETC: &str = "usr/etc";

impl Transaction<'_> {
    /// Writes the objects of a tree with a base's files and what layers change, and says what it is.
    pub fn compose_layers(&mut self, base: Directory, layers: &Layers) -> Result<Directory, Error> {
        let without = [PathBuf::from("etc"), PathBuf::from("var")];
        let contexts = labels::find(self.repository, base, layers)?;
        let below = |top| contexts.as_ref().map(|contexts| Labels { contexts, top });
        let mut tree = base;
        if let Some(root) = &layers.root {
            let composition = Composition { base: tree, upper: root, without: &without };
            tree = self.compose_labelled(&composition, below("/"))?;
        }
        if let Some(etc) = &layers.etc {
            tree = self.compose_at(tree, ETC, etc, below("/etc"))?;
        }
        Ok(tree)
    }

    /// A tree in which the directory of that path is made of what it was and of an upper.
    fn compose_at(
        &mut self,
        tree: Directory,
        path: &str,
        upper: &Root,
        labels: Option<Labels<'_>>,
    ) -> Result<Directory, Error> {
        if path.is_empty() {
            return self.compose_labelled(&Composition { base: tree, upper, without: &[] }, labels);
        }
        let (name, below) = path.split_once('/').unwrap_or((path, ""));
        let mut names: DirTree = self.tree(tree.tree)?;
        let Some(&Item::Directory(directory)) = names.0.get(name) else {
            let path = self.repository.root().path().to_owned();
            return Err(Error::Nonsense { path, what: format!("a base without {name}") });
        };
        let new = self.compose_at(directory, below, upper, labels)?;
        if new == directory {
            return Ok(tree);
        }
        names.0.insert(name.to_owned(), Item::Directory(new));
        Ok(Directory { tree: self.write_tree(&names)?, meta: tree.meta })
    }
}
