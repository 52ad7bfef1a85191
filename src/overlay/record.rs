//! `overlay.toml`: what is known of a named overlay beside its changes.
//!
//! ```toml
//! format = 1                        # this description; a reader refuses a larger number
//! created = "2026-11-21T01:06:07Z"  # RFC 3339, UTC
//! root = "/"                        # the root directory that it lies over
//!
//! [base]                            # what it lay on when it was last entered
//! kind = "plain"                    # ostree, composefs, snapshot, image, plain
//! id = ""                           # deployment, snapshot number, version; absent for plain
//! os = "Debian GNU/Linux 13 (trixie)"
//! packages = "dpkg:12345-1790000000.5"   # state of the package database
//! extensions = "gdb strace 0123456789abcdef"   # what was merged over it, and what tells that from another; absent for none
//! ```
//!
//! The file is replaced as a whole, and only when something in it changed; so entering an overlay
//! over an unchanged base costs no sync. Its modification time is when the overlay was last used.
//!
//! An overlay's directory holds besides it `layers/ID/upper` and `layers/ID/work`, one pair for each
//! file system of the host. ID is `@root` for `/`, else the mount point as systemd.unit(5) escapes
//! paths: `var-lib`, `mnt-my\x2ddisk`. Beside a pair, `work-ID` is for a directory of that upper over which extensions are merged
//! (`parts.rs`); `apart-ID` is what an earlier version had kept of one, and is not seen (`settle.rs`). `unnoted` is there from when it is entered until it was noted what the base has below
//! it (`rebase/noting.rs`).

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::host::Base;

use super::Error;
use super::name::OverlayName;

/// The newest format that this program reads and the one that it writes.
pub(super) const FORMAT: u64 = 1;

/// The content of `overlay.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    format: u64,
    /// When the overlay was made (RFC 3339).
    pub created: String,
    /// The root directory that it lies over, which stays the same.
    pub root: String,
    /// What it lay on when it was last entered.
    pub base: Base,
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u64,
}

impl Record {
    /// Describes a new overlay.
    pub fn new(root: &Path, base: Base) -> Record {
        let now = std::time::SystemTime::now();
        let created = humantime::format_rfc3339_seconds(now).to_string();
        Record { format: FORMAT, created, root: root.to_string_lossy().into_owned(), base }
    }

    pub(super) fn parse(name: &OverlayName, text: &[u8]) -> Result<Record, Error> {
        let damaged = |what: String| Error::Damaged { name: name.clone(), what };
        let text = std::str::from_utf8(text).map_err(|_| damaged("overlay.toml is not text".into()))?;
        if text.trim().is_empty() {
            return Err(damaged("overlay.toml is empty".into()));
        }
        // The number comes first: a later format may have any other content.
        let in_words = |error: toml::de::Error| damaged(format!("overlay.toml: {}", error.message()));
        let FormatOnly { format } = toml::from_str(text).map_err(in_words)?;
        if format > FORMAT {
            return Err(Error::Newer { name: name.clone(), found: format, known: FORMAT });
        }
        toml::from_str(text).map_err(in_words)
    }

    pub(super) fn to_text(&self) -> String {
        toml::to_string(self).expect("a record has only strings, numbers and one table")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::BaseKind;

    fn name() -> OverlayName {
        "x".parse().expect("a good name")
    }

    fn record() -> Record {
        let base = Base {
            kind: BaseKind::Plain,
            id: String::new(),
            os: "Debian".into(),
            packages: None,
            extensions: None,
        };
        Record::new(Path::new("/"), base)
    }

    #[test]
    fn a_record_comes_back_as_written() {
        let record = record();
        assert_eq!(Record::parse(&name(), record.to_text().as_bytes()).expect("readable"), record);
    }

    #[test]
    fn a_later_format_is_refused_by_its_number() {
        let error = Record::parse(&name(), b"format = 7\nsomething = { new = true }\n").expect_err("newer");
        assert_eq!(error.to_string(), "overlay 'x' has format 7; this onlay reads up to 1");
    }

    #[test]
    fn half_a_record_is_damaged() {
        let text = record().to_text();
        for length in 0..text.len() - 1 {
            let part = &text.as_bytes()[..length];
            if let Err(error) = Record::parse(&name(), part) {
                assert!(matches!(error, Error::Damaged { .. }), "{error}");
            }
        }
        assert!(matches!(Record::parse(&name(), b"\xff"), Err(Error::Damaged { .. })));
        assert!(matches!(Record::parse(&name(), b"\0\0\0\0"), Err(Error::Damaged { .. })));
    }
}
