//! A copy of a database that is begun before it is known what will be changed in it: copying takes longer than to find
//! that out, and keeps a disk busy rather than a processor.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::thread::{Builder, JoinHandle};

use super::Database;
use crate::sys::{Root, copy_content_to_sync, give_name, open_unnamed};

/// A database that is being copied, by a thread of its own. The copy has no name yet, so nothing is left of it where
/// it turns out not to be wanted, or the program is killed.
#[derive(Debug)]
pub struct Ahead {
    source: (u64, u64),
    worker: JoinHandle<Option<File>>,
}

impl Ahead {
    /// Begins to copy a database to the file system of a directory. `None` where there can be no such file, or no
    /// thread.
    pub fn begin(base: &Database, near: &Root) -> Option<Ahead> {
        let from = base.store.file().try_clone().ok()?;
        let source = identity(&from)?;
        let copy = open_unnamed(near).ok()??;
        let work = move || copy_content_to_sync(&from, &copy).ok().map(|_| copy);
        Some(Ahead { source, worker: Builder::new().spawn(work).ok()? })
    }

    /// The copy under a name in a directory, where it is one of this file and can have that name. What went wrong will
    /// go wrong again for who copies now, and is told then.
    pub(super) fn finish(self, source: &File, dir: &Root, name: &str) -> Option<File> {
        if identity(source) != Some(self.source) {
            return None;
        }
        let copy = self.worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        give_name(&copy, dir, name).ok()?;
        Some(copy)
    }
}

/// Which file it is.
fn identity(file: &File) -> Option<(u64, u64)> {
    file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
