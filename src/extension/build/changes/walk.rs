//! The files that go in, read from the view.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Changes;
use crate::extension::build::error::Error;
use crate::extension::build::source::Entries;
use crate::package::archive::{Entry, Kind};
use crate::sys::Root;

impl Changes {
    /// Gives all files that go in, by path. What has gone meanwhile is passed over.
    pub(in crate::extension::build) fn visit(
        &self,
        visit: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut entries = Entries::default();
        let mut parent: Option<(PathBuf, Root)> = None;
        for (path, taken) in &self.sorted.taken {
            let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { continue };
            let dir = match parent.take() {
                Some((known, dir)) if known == above => dir,
                _ => match self.directory(above)? {
                    Some(dir) => dir,
                    None => continue,
                },
            };
            if let Some(mut entry) = entries.read(&dir, name, path)? {
                if let (Kind::Symlink(says), Some(target)) = (&mut entry.kind, &taken.target) {
                    says.clone_from(target);
                }
                match entry.kind {
                    Kind::File => visit(&entry, &mut dir.open_child_file(name)?)?,
                    _ => visit(&entry, &mut io::empty())?,
                }
            }
            parent = Some((above.to_owned(), dir));
        }
        Ok(())
    }

    fn directory(&self, path: &Path) -> Result<Option<Root>, Error> {
        match self.view.open_exact(path) {
            Ok(fd) => Ok(Some(Root::from_fd(fd, self.view.join(path)))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
