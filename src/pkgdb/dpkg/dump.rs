//! Stanzas of `status` as files, to be kept under version control or compared. They are no database: what is in
//! `info/` does not come with them, so there is no way back.

use std::fs::File;
use std::io::Write;

use rustix::fs::{Mode, OFlags};

use super::{Database, Entry};
use crate::package::Identity;
use crate::pkgdb::Error;
use crate::sys::{Context, Root};

/// No name that we give is longer; file systems take 255 bytes.
const LONGEST_NAME: usize = 200;

/// Writes each stanza into a file of its own in an empty directory, named for the package and the beginning of the
/// digest of its text. Says how many.
pub fn export(database: &Database, directory: &Root) -> Result<usize, Error> {
    for entry in database.entries.values() {
        let name = file_name(entry);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let shown = directory.join(&name);
        let file = rustix::fs::openat(directory, &name, flags, Mode::from_raw_mode(0o644));
        File::from(file.context("create", &shown)?)
            .write_all(entry.stanza.as_bytes())
            .context("write", &shown)?;
    }
    Ok(database.entries.len())
}

/// Names, versions and architectures have been read, and have nothing in them that a path could lead away by.
fn file_name(entry: &Entry) -> String {
    let version = entry.version.as_ref().map(|version| version.as_str().replace('/', "_"));
    let mut name = format!("{}_{}_{}", entry.key.name, version.unwrap_or_default(), entry.key.arch);
    name.retain(|letter| letter.is_ascii_graphic());
    name.truncate(LONGEST_NAME);
    let identity = Identity::of(entry.stanza.as_bytes()).to_string();
    format!("{name}-{}.stanza", &identity[..16])
}
