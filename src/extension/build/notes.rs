//! What a manifest says of base, packages and files.

use std::collections::BTreeMap;
use std::fs::File;

use super::assemble::Assembly;
use super::error::Error;
use super::gather::Gathered;
use super::manifest::{BaseNote, Files, LeftOut, PackageNote};
use super::source::Source;
use crate::host::OsRelease;
use crate::package::archive::PackageFile;
use crate::package::digest::{Algorithm, Digester};
use crate::sys::Context;

/// The base, by its os-release.
pub(super) fn base(os_release: &OsRelease) -> BaseNote {
    BaseNote {
        id: os_release.id().to_owned(),
        version_id: os_release.get("VERSION_ID").map(str::to_owned),
        sysext_level: os_release.get("SYSEXT_LEVEL").map(str::to_owned),
    }
}

/// The packages of a source.
pub(super) fn packages(source: &Source) -> Result<Vec<PackageNote>, Error> {
    match source {
        Source::Package(package) => Ok(vec![of_file(package)?]),
        Source::Tree(_) => Ok(Vec::new()),
        Source::Changes(changes) => Ok(changes.packages().to_vec()),
    }
}

fn of_file(package: &PackageFile) -> Result<PackageNote, Error> {
    let file = File::open(package.path()).context("open", package.path())?;
    Ok(PackageNote {
        name: package.name().into_owned(),
        version: package.version(),
        architecture: package.architecture().into_owned(),
        source: package.source().into_owned(),
        license: package.license().map(std::borrow::Cow::into_owned),
        sha256: Algorithm::Sha256.digest_file(&file, package.path())?.to_string(),
        scripts: package.scripts().into_iter().map(str::to_owned).collect(),
    })
}

/// All files with contents.
pub(super) fn files(assembly: &Assembly<'_>) -> Files {
    let mut files = Files::default();
    let mut digest = Digester::new(Algorithm::Sha256);
    for (path, stored, contents) in assembly.contents() {
        if let Some(stored) = stored {
            files.count += 1;
            files.bytes += stored.size();
        }
        digest.update(contents.to_string().as_bytes());
        digest.update(b"  ");
        digest.update(path.as_os_str().as_encoded_bytes());
        digest.update(b"\n");
    }
    files.sha256 = digest.finish().to_string();
    files
}

/// What is not in the image, by the reason.
pub(super) fn left_out(sources: &[Source], gathered: &[Gathered]) -> BTreeMap<String, LeftOut> {
    let mut left_out: BTreeMap<String, LeftOut> = BTreeMap::new();
    for source in sources {
        let Source::Changes(changes) = source else { continue };
        for (why, paths) in changes.untaken() {
            let all = left_out.entry(why.word().to_owned()).or_default();
            for path in paths {
                all.add(path);
            }
        }
    }
    for (reason, out) in gathered.iter().flat_map(|gathered| &gathered.out) {
        let all = left_out.entry(reason.word().to_owned()).or_default();
        out.paths.iter().for_each(|path| all.add(path));
        all.count += out.count - out.paths.len() as u64;
    }
    left_out
}
