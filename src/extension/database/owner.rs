//! Whose a file is that an extension has.

use std::path::{Path, PathBuf};

use super::places::DIRECTORY;
use super::records::Records;
use crate::extension::build::Manifest;
use crate::extension::build::manifest::LARGEST;
use crate::extension::contents::read_whole;
use crate::extension::{Contents, Error};
use crate::package::Header;
use crate::pkgdb::dpkg::Aliases;
use crate::sys::FileKind;

/// A package that has a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
}

/// The packages of an image that have a path, whichever of its names (`/bin/ls`, `/usr/bin/ls`) is said. `None` where the image
/// neither has such a file, nor a package that does.
pub fn owner(
    contents: &dyn Contents,
    records: &Records,
    path: &Path,
    aliases: &Aliases,
) -> Result<Option<Vec<Owner>>, Error> {
    let wanted = aliases.resolve(path);
    let mut owners = Vec::new();
    for header in records.headers.iter().filter_map(|header| Header::parse(header).ok()) {
        let has_it =
            header.files().any(|file| file.is_installed() && aliases.resolve(&file.path()) == wanted);
        if has_it {
            owners.push(Owner {
                package: header.name().into_owned(),
                version: header.evr().to_string(),
                architecture: header.arch().into_owned(),
            });
        }
    }
    for deb in &records.debs {
        let has_it = deb.paths().any(|path| aliases.resolve(&path) == wanted);
        if has_it {
            let package = deb.entry.package();
            owners.push(Owner {
                package: package.name,
                version: package.version,
                architecture: package.arch,
            });
        }
    }
    let is_there = || contents.look(wanted.strip_prefix("/").unwrap_or(&wanted)).map(|item| item.is_some());
    Ok(if !owners.is_empty() || is_there()? { Some(owners) } else { None })
}

/// Whether a manifest in an image says that there are packages in it; `None` where it has none.
pub(super) fn lists_packages(contents: &dyn Contents) -> Result<Option<bool>, Error> {
    let mut found = None;
    let directory = Path::new(DIRECTORY);
    if contents.look(directory)?.is_none_or(|item| item.kind != FileKind::Directory) {
        return Ok(None);
    }
    for name in contents.list(directory)? {
        let path: PathBuf = directory.join(&name);
        let is_manifest = name.to_string_lossy().ends_with(".json")
            && contents.look(&path)?.is_some_and(|item| item.kind == FileKind::File);
        if !is_manifest {
            continue;
        }
        let text = read_whole(contents, &path, LARGEST)?;
        if let Ok(manifest) = serde_json::from_slice::<Manifest>(&text) {
            found = Some(found.unwrap_or(false) || !manifest.packages.is_empty());
        }
    }
    Ok(found)
}
