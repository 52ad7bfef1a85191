//! How much a rebase takes on disk, for whoever has too little.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::edit::Edit;
use crate::overlay::changes::place::Place;
use crate::overlay::changes::upper::Upper;
use crate::overlay::layers;
use crate::overlay::{Error, Overlay};
use crate::pkgdb;
use crate::sys::{Context, IoError, Root};

/// Space on a file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// In bytes.
    pub bytes: u64,
    /// In files and directories; `None` where the file system does not count them.
    pub files: Option<u64>,
}

/// What most file systems take for a directory.
const BLOCK: u64 = 4096;

impl Room {
    /// Adds what a layer takes: a directory for each of its directories, and new files for some of its files.
    pub(super) fn add(
        &mut self,
        upper: &Upper,
        edits: &[(PathBuf, Edit)],
        lower: &Root,
    ) -> Result<(), IoError> {
        let directories = upper.paths().filter(|(_, node)| node.status.is_dir()).count() as u64 + 4;
        let mut files = directories;
        self.bytes += directories * BLOCK;
        let mut place = Place::top(lower);
        for (path, edit) in edits {
            match edit {
                Edit::Make(_) => self.bytes += BLOCK,
                Edit::Write(content) => self.bytes += content.len() as u64,
                Edit::Offer(_) | Edit::Refresh | Edit::Bring { .. } => {
                    let source = if let Edit::Bring { from, .. } = edit { from } else { path };
                    place.move_to(source.parent().unwrap_or(Path::new("")));
                    let name = source.file_name().unwrap_or_default();
                    let stat = if place.exists()? { place.dir()?.lstat(name)? } else { None };
                    self.bytes += stat.map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or_default());
                }
                _ => continue,
            }
            files += 1;
        }
        *self.files.get_or_insert(0) += files;
        Ok(())
    }

    /// What is free on a file system.
    fn free(dir: &Root) -> Result<Room, IoError> {
        let stat = rustix::fs::fstatvfs(dir).context("examine the file system of", dir.path())?;
        let bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
        Ok(Room { bytes, files: (stat.f_files > 0).then_some(stat.f_favail) })
    }

    /// Says of an error that there is too little room how much is needed, and how much is there.
    pub(super) fn explain(self, error: Error, overlay: &Overlay) -> Error {
        let path = overlay.dir.path().join(OsStr::new(layers::DIRECTORY));
        match Room::free(&overlay.dir) {
            Ok(free) if is_full(&error) => {
                let (name, source) = (overlay.name.clone(), Box::new(error));
                Error::NoRoom { name, path, needed: self, free, source }
            }
            _ => error,
        }
    }
}

fn is_full(error: &Error) -> bool {
    let is_full = |error: &IoError| matches!(error.errno(), Some(libc::ENOSPC | libc::EDQUOT));
    match error {
        Error::Io(error) | Error::Packages(pkgdb::Error::Io(error)) => is_full(error),
        Error::Packages(pkgdb::Error::Sqlite { source, .. }) => {
            source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
        }
        _ => false,
    }
}
