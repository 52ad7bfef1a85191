//! What an image is, by what is in it: nothing is believed that somebody says of it.

use std::collections::BTreeMap;
use std::path::Path;

use super::Error;
use super::index::{Entry, Package};
use super::name::ImageName;
use crate::extension::build::{Manifest, PackageNote};
use crate::extension::matching::{self, HostFacts, Mismatch};
use crate::extension::release::name_of;
use crate::extension::{Class, Contents, Release, Sonames, SystemdVersion};
use crate::host::OsRelease;

/// The fields of a release file by which a host takes an extension, and which say what is to be done then.
const FIELDS: &[&str] = &[
    "ID",
    "VERSION_ID",
    "SYSEXT_LEVEL",
    "SYSEXT_SCOPE",
    "CONFEXT_LEVEL",
    "CONFEXT_SCOPE",
    "EXTENSION_RELOAD_MANAGER",
    "EXTENSION_RESTART_UNITS",
    "EXTENSION_RELOAD_OR_RESTART_UNITS",
];

/// What an image is.
#[derive(Debug)]
pub struct Described {
    /// As an index has it; without what its file is.
    pub entry: Entry,
    /// Why systemd 252, the oldest that is still in use, would not merge it.
    pub not_by_the_oldest: Option<Mismatch>,
}

/// Finds out what an image is, which has this name in a store, and this file name, by which systemd merges it. One that no
/// systemd would merge is refused.
pub fn describe(
    contents: &dyn Contents,
    name: &ImageName,
    file: &str,
    path: &Path,
) -> Result<Described, Error> {
    let class = Class::of(contents)?;
    let judged = |systemd| judge(contents, class, file, systemd);
    let fields = judged(SystemdVersion::LAST)?
        .map_err(|mismatch| Error::Unmatched { path: path.to_owned(), mismatch: Box::new(mismatch) })?;
    let sonames = Sonames::read(contents, class)?;
    let architecture = fields.get("ARCHITECTURE").filter(|word| *word != "_any").map(str::to_owned);
    if let (Some(says), Some(named)) = (&architecture, &name.architecture)
        && says != named
    {
        return Err(Error::Misnamed { path: path.to_owned(), says: says.clone(), named: named.clone() });
    }
    let release = FIELDS.iter().filter_map(|field| Some((*field, fields.get(field)?)));
    let entry = Entry {
        file: name.to_string(),
        name: name.name.to_string(),
        version: name.version.clone(),
        architecture,
        release: release
            .map(|(field, value)| (field.to_owned(), value.to_owned()))
            .collect::<BTreeMap<_, _>>(),
        needs: sonames.needs,
        provides: sonames.provides,
        loaders: Some(sonames.loaders),
        confext: class == Class::Confext,
        ..Entry::default()
    };
    Ok(Described { entry, not_by_the_oldest: judged(SystemdVersion::FIRST)?.err() })
}

/// Whether a host that is what the image is for would merge it: its release file.
fn judge(
    contents: &dyn Contents,
    class: Class,
    file: &str,
    systemd: SystemdVersion,
) -> Result<Result<OsRelease, Mismatch>, Error> {
    let merged_as = name_of(file, true, class, systemd).unwrap_or_else(|| file.to_owned());
    let release = Release::find(contents, class, &merged_as, systemd)?;
    let fields = match &release {
        Release::Found { fields, .. } => fields.clone(),
        _ => OsRelease::default(),
    };
    let has_os_release = contents.look(Path::new("usr/lib/os-release"))?.is_some();
    let host = HostFacts {
        // One that says of itself what the extension says, which has to say something.
        release: if fields.get("ID").is_some() { fields.clone() } else { OsRelease::parse("ID=linux\n") },
        architecture: fields.get("ARCHITECTURE").unwrap_or("x86-64").to_owned(),
        systemd,
    };
    Ok(matching::judge(&host, class, &release, has_os_release).map(|_| fields))
}

/// What of an entry is not so of the image, which is what is described, and has so many bytes.
pub(super) fn lie(entry: &Entry, described: &Entry, size: u64) -> Option<&'static str> {
    let lies = [
        ("its size", entry.size == size),
        ("its name", entry.name == described.name),
        ("its version", entry.version == described.version),
        ("its architecture", entry.architecture == described.architecture),
        ("which hosts it is for", entry.release == described.release),
        ("which libraries it needs", entry.needs == described.needs),
        ("which libraries it has", entry.provides == described.provides),
        ("which loaders it needs", entry.loaders.is_none() || entry.loaders == described.loaders),
        ("what it extends", !entry.confext || described.confext),
    ];
    lies.into_iter().find_map(|(what, is_true)| (!is_true).then_some(what))
}

/// The packages that a manifest says are in an image.
pub(super) fn packages(manifest: &Manifest) -> Vec<Package> {
    let package = |note: &PackageNote| Package { name: note.name.clone(), version: note.version.clone() };
    manifest.packages.iter().map(package).collect()
}
