//! The files that an extension has besides those of its sources.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::assemble::Assembly;
use super::error::Error;
use super::gather::{Brought, What};
use super::manifest::{self, Manifest};
use super::naming::ExtensionName;
use super::records::Records;
use crate::image::squashfs::Segment;
use crate::image::tree::Metadata;
use crate::package::digest::Algorithm;
use crate::sys::Xattrs;

/// What is said in those files.
pub(super) struct Said<'a> {
    pub(super) name: &'a ExtensionName,
    pub(super) manifest: &'a Manifest,
    pub(super) records: &'a Records,
    /// The release file.
    pub(super) release: &'a str,
    /// Lines for sysusers.d(5).
    pub(super) users: Vec<u8>,
    /// Users and groups that are made where the extension is, by those lines or a package's own.
    pub(super) made: &'a BTreeSet<OsString>,
}

/// Adds the release file, the manifest, records of packages, and lines for sysusers.d and tmpfiles.d where there are users
/// and defaults.
pub(super) fn add(
    assembly: &mut Assembly<'_>,
    said: Said<'_>,
    mut segment: Segment,
    time: i64,
) -> Result<(), Error> {
    let Said { name, manifest, records, release, users, made } = said;
    let lines = assembly.default_lines(made);
    let mut files = vec![
        (manifest::place(name.as_str()), manifest.to_text(), Xattrs::default()),
        (release_place(name), release.as_bytes().to_vec(), not_strict()),
    ];
    files.extend(records.files(name).into_iter().map(|(path, text)| (path, text, Xattrs::default())));
    // Of several lines for one path, systemd takes the first in the order of file names: a package's own come before.
    if !lines.is_empty() {
        let path = Path::new("usr/lib/tmpfiles.d").join(format!("zzz-onlay-{name}.conf"));
        files.push((path, lines, Xattrs::default()));
    }
    // Of users it takes the first line, too, and ours have the numbers that files in the image have.
    if !users.is_empty() {
        let path = Path::new("usr/lib/sysusers.d").join(format!("000-onlay-{name}.conf"));
        files.push((path, users, Xattrs::default()));
    }
    let mut generated = Vec::new();
    for path in records.directories(name) {
        let metadata = Metadata { mode: 0o755, mtime: time, ..Metadata::default() };
        generated.push(Brought::plain(path, metadata, What::Directory));
    }
    for (path, text, xattrs) in files {
        let stored = segment.store(&mut &text[..], &path)?;
        let metadata = Metadata { mode: 0o644, mtime: time, xattrs, ..Metadata::default() };
        let digest = Algorithm::Sha256.digest(&text[..]).expect("memory can be read");
        let what = What::File(stored, digest);
        generated.push(Brought::plain(path, metadata, what));
    }
    segment.close()?;
    assembly.add(PathBuf::from("onlay"), generated)
}

/// Where systemd looks for the extension-release file.
fn release_place(name: &ExtensionName) -> PathBuf {
    Path::new("usr/lib/extension-release.d").join(format!("extension-release.{name}"))
}

/// Before 257, systemd takes all of the image's file name for the extension's: the file has another then, which it reads all the
/// same where this says so (systemd-sysext(8)).
fn not_strict() -> Xattrs {
    Xattrs(BTreeMap::from([(b"user.extension-release.strict".to_vec(), b"0".to_vec())]))
}
