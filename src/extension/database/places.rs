//! Where an image has what databases of packages say of its packages: beside its manifest, by the name of the extension.
//!
//! | path | what |
//! |---|---|
//! | `usr/share/onlay/extensions/NAME.rpm-headers` | headers of rpm's as a database has them, in the form of `rpmdb --exportdb` |
//! | `usr/share/onlay/extensions/NAME.dpkg/` | a database of dpkg's, of these packages alone: `status` and `info/` |

use std::path::{Path, PathBuf};

/// Where all of it is, with manifests.
pub(in crate::extension) const DIRECTORY: &str = "usr/share/onlay/extensions";
/// How names of files with headers of rpm's end.
pub(super) const HEADERS: &str = ".rpm-headers";
/// How names of directories with a database of dpkg's end.
pub(super) const DPKG: &str = ".dpkg";

/// The file with headers of rpm's.
pub(in crate::extension) fn headers(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{name}{HEADERS}"))
}

/// The database of dpkg's.
pub(in crate::extension) fn dpkg(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{name}{DPKG}"))
}
