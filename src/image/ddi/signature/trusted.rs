//! The certificates that a host trusts for images: `*.crt` in `verity.d`, where systemd looks for them. Which keys the
//! kernel has besides cannot be read from files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Certificate;
use crate::image::ddi::error::KeyProblem;
use crate::sys::{FileKind, IoError, Root};

/// Where they are. A name in an earlier one hides the same name in all later ones.
pub const TRUSTED: [&str; 4] = ["etc/verity.d", "run/verity.d", "usr/local/lib/verity.d", "usr/lib/verity.d"];

/// A certificate is a few thousand bytes long.
const LARGEST: u64 = 256 * 1024;

/// What was found there, by name.
#[derive(Debug, Default)]
pub struct Trusted {
    /// Those that can be used.
    pub certificates: Vec<Certificate>,
    /// Files that have none.
    pub unusable: Vec<(PathBuf, KeyProblem)>,
}

impl Trusted {
    /// Reads those of a host.
    pub fn read(host: &Root) -> Result<Trusted, IoError> {
        let mut names: BTreeMap<OsString, &str> = BTreeMap::new();
        for directory in TRUSTED {
            let found = match host.open_dir(directory) {
                Ok(found) => found,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            for entry in found.entries()? {
                if entry.name.as_bytes().ends_with(b".crt") {
                    names.entry(entry.name).or_insert(directory);
                }
            }
        }
        let mut trusted = Trusted::default();
        for (name, directory) in names {
            trusted.take(host, &Path::new(directory).join(name))?;
        }
        Ok(trusted)
    }

    fn take(&mut self, host: &Root, path: &Path) -> Result<(), IoError> {
        // A link to nothing, or to /dev/null, takes a name away.
        let is_file = host.exists(path) && FileKind::of(&host.stat(path)?) == FileKind::File;
        if !is_file {
            return Ok(());
        }
        let text = host.read(path, LARGEST)?;
        match Certificate::from_pem(&text) {
            Ok(certificate) => self.certificates.push(certificate),
            Err(problem) => self.unusable.push((host.join(path), problem)),
        }
        Ok(())
    }
}
