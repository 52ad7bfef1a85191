//! The digest of a whole file.

use std::fs::File;
use std::path::Path;

use crate::package::Identity;
use crate::package::digest::Algorithm;
use crate::sys::IoError;

/// The SHA-256 of a file.
pub(super) fn digest_of(file: &File, path: &Path) -> Result<Identity, IoError> {
    let digest = Algorithm::Sha256.digest_file(file, path)?;
    Ok(Identity::parse(&digest.to_string()).expect("a SHA-256 is one"))
}
