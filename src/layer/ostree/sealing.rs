//! fs-verity for the files that a transaction writes, and for those of layers that are there already, from when nobody asked for it.

use std::fs::File;
use std::path::Path;

use super::checksum::Checksum;
use super::error::Error;
use super::integrity::{Demand, Sealing};
use super::repo::Repository;
use super::transaction::Transaction;
use crate::sys::{Context, Root, Verity, enable_verity, verity_size};

impl Transaction<'_> {
    /// Whether a file of that size can be written, with the hashes of its blocks where it gets them.
    pub(super) fn take_room(&mut self, size: u64) -> bool {
        let has_room = self.room.take(size);
        if self.sealing == Sealing::No { has_room } else { self.room.take(verity_size(size)) }
    }

    /// Gives it to a file of the staging directory that nobody writes to any more.
    pub(super) fn seal_new(&mut self, name: &str) -> Result<(), Error> {
        if self.sealing == Sealing::No {
            return Ok(());
        }
        let staging = self.staging.try_clone()?;
        let file = staging.open_exact_file(name)?;
        self.seal(&file, &staging, Path::new(name))
    }

    /// Gives it to a file that is there and must have it, as `ostree admin post-copy` does: its content stays what it is.
    pub(super) fn seal_object(&mut self, file: Checksum) -> Result<(), Error> {
        let path = Repository::file(file);
        let root = self.repository.root();
        // One of this transaction has it.
        if self.sealing != Sealing::Yes || root.lstat(&path)?.is_none() {
            return Ok(());
        }
        self.seal(&root.open_exact_file(&path)?, root, Path::new(&path))
    }

    fn seal(&mut self, file: &File, root: &Root, path: &Path) -> Result<(), Error> {
        let verity = enable_verity(file).context("give fs-verity to", root.join(path))?;
        match (verity, self.sealing) {
            (Verity::Impossible, Sealing::Yes) => Err(Error::Demanding { demand: Demand::VerityOfObjects }),
            // Nor has any other.
            (Verity::Impossible, _) => {
                self.sealing = Sealing::No;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
