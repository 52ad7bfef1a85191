//! A second set of an overlay's layers, which is changed while nobody sees it.
//!
//! It consists of new directories and of links to the files of the first set, so it costs as much as
//! the overlay has names, and no space. Files are never written in place, since the first set has them,
//! too. When all is done it takes the first one's place by one exchange: a crash before leaves the
//! overlay as it was, a crash after leaves it changed, and what remains is cleared by whoever comes next.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, RenameFlags};

use crate::overlay::clear::clear;
use crate::overlay::copy::make_tree;
use crate::overlay::layers::{self, directory_name};
use crate::sys::{Context, IoError, Root, sync_dir, sync_file_system};

/// Where the second set is, beside [`layers::DIRECTORY`].
const DRAFT: &str = "layers.new";

/// A second set of layers, of an overlay that nobody is in.
#[derive(Debug)]
pub(in crate::overlay) struct Draft<'a> {
    overlay: &'a Root,
    layers: Root,
}

/// Clears what a crash left of a draft, or of the layers that one has replaced.
pub fn clear_draft(overlay: &Root) -> Result<(), IoError> {
    if overlay.lstat(DRAFT)?.is_some() { clear(overlay, OsStr::new(DRAFT)) } else { Ok(()) }
}

impl<'a> Draft<'a> {
    /// Links everything that these uppers hold.
    pub(in crate::overlay) fn begin(
        overlay: &'a Root,
        uppers: &[(PathBuf, Root)],
    ) -> Result<Draft<'a>, IoError> {
        clear_draft(overlay)?;
        overlay.make_dir(DRAFT, 0o700)?;
        let draft = Draft { overlay, layers: overlay.open_child(OsStr::new(DRAFT))? };
        for (point, upper) in uppers {
            make_tree(upper, &draft.make_layer(point)?, |source, target, path| {
                let name = path.file_name().unwrap_or_default();
                rustix::fs::linkat(source, name, target, name, AtFlags::empty())
                    .context("link", source.join(name))
            })?;
        }
        Ok(draft)
    }

    fn make_layer(&self, point: &Path) -> Result<Root, IoError> {
        let name = directory_name(point);
        self.layers.make_dir(&name, 0o700)?;
        let layer = self.layers.open_child(OsStr::new(&name))?;
        layer.make_dir("work", 0o700)?;
        layer.make_dir("upper", 0o700)?;
        layer.open_child(OsStr::new("upper"))
    }

    /// The directory that holds the layers.
    pub(in crate::overlay) fn layers(&self) -> &Root {
        &self.layers
    }

    /// Makes it durable.
    pub(in crate::overlay) fn sync(&self) -> Result<(), IoError> {
        sync_file_system(&self.layers)
    }

    /// Takes the place of the layers, for good. It must have been synced. The old ones are cleared.
    pub(in crate::overlay) fn publish(self) -> Result<(), IoError> {
        let Draft { overlay, layers: _ } = self;
        rustix::fs::renameat_with(overlay, DRAFT, overlay, layers::DIRECTORY, RenameFlags::EXCHANGE)
            .context("replace", overlay.join(layers::DIRECTORY))?;
        // What comes next can only be on disk when this is.
        sync_dir(overlay)?;
        // What resists is in nobody's way, and is tried again by whoever enters next.
        let _ = clear_draft(overlay);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    /// An overlay's directory with one layer, filled.
    fn overlay() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().expect("a directory");
        let upper = dir.path().join("layers/@root/upper");
        fs::create_dir_all(upper.join("a/b")).expect("directories");
        fs::write(upper.join("a/file"), "text").expect("a file");
        symlink("nowhere", upper.join("a/b/link")).expect("a link");
        fs::set_permissions(upper.join("a"), fs::Permissions::from_mode(0o1750)).expect("ours");
        let old = fs::File::open(upper.join("a")).expect("it is there");
        old.set_modified(std::time::UNIX_EPOCH).expect("ours");
        let root = Root::open(dir.path()).expect("it opens");
        (dir, root)
    }

    fn uppers(root: &Root) -> Vec<(PathBuf, Root)> {
        vec![("/".into(), root.open_dir("layers/@root/upper").expect("it is there"))]
    }

    #[test]
    fn a_draft_has_the_same_files_and_is_changed_alone() {
        let (dir, root) = overlay();
        let draft = Draft::begin(&root, &uppers(&root)).expect("it is made");
        let (old, new) = (dir.path().join("layers/@root/upper"), dir.path().join("layers.new/@root/upper"));
        let inode = |path: &Path| fs::symlink_metadata(path).expect("it is there").ino();
        for name in ["a/file", "a/b/link"] {
            assert_eq!(inode(&old.join(name)), inode(&new.join(name)), "{name}");
        }
        for name in ["a", "a/b"] {
            let [was, is] = [&old, &new].map(|top| fs::metadata(top.join(name)).expect("it is there"));
            assert_ne!(was.ino(), is.ino(), "{name}");
            assert_eq!((was.mode(), was.mtime()), (is.mode(), is.mtime()), "{name}");
        }
        fs::remove_file(new.join("a/file")).expect("ours");
        assert!(old.join("a/file").exists());
        draft.publish().expect("it takes its place");
        assert!(!old.join("a/file").exists());
        assert!(fs::symlink_metadata(old.join("a/b/link")).is_ok());
        assert!(!dir.path().join(DRAFT).exists());
    }

    #[test]
    fn what_a_crash_left_is_in_nobodys_way() {
        let (dir, root) = overlay();
        for name in ["x", "@root"] {
            fs::create_dir_all(dir.path().join(DRAFT).join(name).join("upper/left")).expect("directories");
        }
        let draft = Draft::begin(&root, &uppers(&root)).expect("it is made");
        draft.publish().expect("it takes its place");
        assert!(!dir.path().join("layers/x").exists());
        assert!(!dir.path().join("layers/@root/upper/left").exists());
        fs::create_dir(dir.path().join(DRAFT)).expect("a directory");
        clear_draft(&root).expect("it is cleared");
        assert!(!dir.path().join(DRAFT).exists());
        clear_draft(&root).expect("nothing to do");
    }
}
