//! Package files that are given by their paths: kept beside what was downloaded, under their digests, as long as anything asks for
//! them.

use std::fs::File;
use std::path::Path;

use super::compose::FILES;
use super::{Error, LocalFile, Requests, Workshop};
use crate::package::Identity;
use crate::package::archive::{Format, PackageFile};
use crate::sys::{Context, NewFile, Root, copy_content};

/// Takes a package file over; the name of its package, and what is to be remembered of it.
pub fn take(workshop: &Workshop, path: &Path) -> Result<(String, LocalFile), Error> {
    let package = PackageFile::open(path)?;
    let suffix = match package.format() {
        Format::Deb => "deb",
        Format::Rpm => "rpm",
    };
    let file = File::open(path).context("open", path)?;
    let sha256 = Identity::of_file(&file, path)?.to_string();
    let known = LocalFile {
        version: package.version(),
        architecture: package.architecture().into_owned(),
        sha256: sha256.clone(),
    };
    let name = format!("{sha256}.{suffix}");
    let files = files(workshop)?;
    if !files.exists(&name) {
        let copy = NewFile::create(&files, name.as_ref())?;
        copy_content(&file, copy.file()).context("copy", path)?;
        // What was copied is what was read before, or it is not kept.
        if Identity::of_file(copy.file(), path)?.to_string() != sha256 {
            return Err(Error::Changed { path: path.to_owned() });
        }
        copy.place(0o644)?;
    }
    Ok((package.name().into_owned(), known))
}

/// The packages, of those that are asked for, whose files are there no more: whoever has cleared the state has cleared them.
pub fn gone(workshop: &Workshop, requests: &Requests) -> Result<Vec<String>, Error> {
    let files = files(workshop)?;
    let is_gone =
        |file: &LocalFile| !["deb", "rpm"].iter().any(|end| files.exists(format!("{}.{end}", file.sha256)));
    let given = requests.files.iter().chain(&requests.replaced);
    Ok(given.filter(|(_, file)| is_gone(file)).map(|(name, _)| name.clone()).collect())
}

/// The directory in which they are.
fn files(workshop: &Workshop) -> Result<Root, Error> {
    let cache = workshop.cache()?;
    cache.make_dir(FILES, 0o700)?;
    Ok(cache.open_child(FILES.as_ref())?)
}
