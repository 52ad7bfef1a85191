//! What a manifest says of base, packages and files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::assemble::Assembly;
use super::error::Error;
use super::gather::Gathered;
use super::manifest::{Base, Files, PackageNote};
use super::source::Source;
use crate::host::OsRelease;
use crate::sys::Context;

/// The base, by its os-release.
pub(super) fn base(os_release: &OsRelease) -> Base {
    Base {
        id: os_release.id().to_owned(),
        version_id: os_release.get("VERSION_ID").map(str::to_owned),
        sysext_level: os_release.get("SYSEXT_LEVEL").map(str::to_owned),
    }
}

/// A source that is a package.
pub(super) fn package(source: &Source) -> Result<Option<PackageNote>, Error> {
    let Source::Package(package) = source else { return Ok(None) };
    let file = File::open(package.path()).context("open", package.path())?;
    Ok(Some(PackageNote {
        name: package.name().into_owned(),
        version: package.version(),
        architecture: package.architecture().into_owned(),
        source: package.source().into_owned(),
        license: package.license().map(std::borrow::Cow::into_owned),
        sha256: digest_of(&file, package.path())?.1,
        scripts: package.scripts().into_iter().map(str::to_owned).collect(),
        replaces: None,
    }))
}

/// All files with contents.
pub(super) fn files(assembly: &Assembly<'_>) -> Files {
    let mut files = Files::default();
    let mut digest = Sha256::new();
    for (path, stored, contents) in assembly.contents() {
        files.count += 1;
        files.bytes += stored.size();
        digest.update(hex(contents));
        digest.update(b"  ");
        digest.update(path.as_os_str().as_encoded_bytes());
        digest.update(b"\n");
    }
    files.sha256 = hex(&digest.finalize());
    files
}

/// A file's size in bytes and its SHA-256.
pub(super) fn digest_of(file: &File, path: &Path) -> Result<(u64, String), Error> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    loop {
        let length = file.read_at(&mut buffer, offset).context("read", path)?;
        if length == 0 {
            return Ok((offset, hex(&digest.finalize())));
        }
        digest.update(&buffer[..length]);
        offset += length as u64;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// How many files are not in the image, by the reason.
pub(super) fn left_out(gathered: &[Gathered]) -> BTreeMap<String, u64> {
    let mut left_out = BTreeMap::new();
    for gathered in gathered {
        for (reason, files) in &gathered.out {
            *left_out.entry(reason.words().to_owned()).or_default() += files.len() as u64;
        }
        if gathered.dropped > 0 {
            *left_out.entry("what was to be dropped".to_owned()).or_default() += gathered.dropped;
        }
    }
    left_out
}
