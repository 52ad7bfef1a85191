//! What an image is: its name, version and architecture, by its release file, its manifest and its file name. Others name their
//! images in other ways (`NAME-VERSION.ARCHITECTURE.raw`, `NAME.sysext.raw`); here they get the name that ours have.

use std::fs::File;
use std::path::Path;

use super::Error;
use crate::extension::build::{ExtensionName, Manifest, image_name, version_of};
use crate::extension::{Class, Contents, Layer, Release, Stack, SystemdVersion};
use crate::host::OsRelease;
use crate::image::ddi::Architecture;
use crate::package::digest::Algorithm;
use crate::sys::FileKind;

const PREFIX: &str = "extension-release.";
/// So much of a digest tells images apart that say no version.
const DIGITS: usize = 12;

/// What an image is.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// Its name with us.
    pub(super) name: ExtensionName,
    pub(super) version: String,
    pub(super) architecture: Option<String>,
    pub(super) manifest: Option<Manifest>,
}

impl Identity {
    /// Of an image that is open; `path` is what it is called, and where a manifest may be beside it.
    pub(super) fn of(contents: &dyn Contents, file: &File, path: &Path) -> Result<Identity, Error> {
        // One that cannot be read says nothing.
        let beside = Manifest::beside(path).ok().flatten();
        Identity::with(contents, file, path, beside)
    }

    /// The same by what is in it alone.
    pub(super) fn inside(contents: &dyn Contents, file: &File, path: &Path) -> Result<Identity, Error> {
        Identity::with(contents, file, path, None)
    }

    fn with(
        contents: &dyn Contents,
        file: &File,
        path: &Path,
        beside: Option<Manifest>,
    ) -> Result<Identity, Error> {
        let unusable = |why: String| Error::Unusable { path: path.to_owned(), why };
        let stem = stem(path);
        let merged_as = release_name(contents, &stem).map_err(|why| unusable(why.to_owned()))?;
        let release = Release::find(contents, Class::Sysext, &merged_as, SystemdVersion::LAST)?;
        let fields = match release {
            Release::Found { fields, .. } => fields,
            _ => OsRelease::default(),
        };
        let manifest = match beside {
            None => Manifest::inside(contents, &merged_as)?,
            beside => beside,
        };
        let of_manifest = manifest.as_ref().filter(|manifest| !manifest.name.is_empty());
        let guessed = Guessed::of(&stem, &merged_as);
        let name = match of_manifest {
            Some(manifest) => manifest.name.parse(),
            None => guessed.name.parse::<ExtensionName>(),
        };
        let name = name.map_err(|error| unusable(error.to_string()))?;
        let said = of_manifest.map(|manifest| manifest.version.clone()).filter(|version| !version.is_empty());
        let version = said.or(guessed.version).or_else(|| fields.get("IMAGE_VERSION").map(str::to_owned));
        let version = match version {
            Some(version) => version_of(&version),
            None => Algorithm::Sha256.digest_file(file, path)?.to_string()[..DIGITS].to_owned(),
        };
        let architecture = fields.get("ARCHITECTURE").filter(|name| Architecture::named(name).is_some());
        Ok(Identity { name, version, architecture: architecture.map(str::to_owned), manifest })
    }

    /// The name that its file gets.
    pub(super) fn file_name(&self) -> String {
        image_name(&self.name, &self.version, self.architecture.as_deref())
    }
}

/// The name by which an image is merged, or why there is none: that of its release file, as every version of systemd wants it.
pub fn merged_as(contents: &dyn Contents, path: &Path) -> Result<String, &'static str> {
    release_name(contents, &stem(path))
}

/// The file name without what says that it is an image.
fn stem(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = file.strip_suffix(".raw").unwrap_or(&file);
    stem.strip_suffix(".sysext").unwrap_or(stem).to_owned()
}

/// What follows `extension-release.` in the name of the release file; of several, that of the one after which the file is named.
fn release_name(contents: &dyn Contents, stem: &str) -> Result<String, &'static str> {
    let names = release_names(contents).map_err(|_| "its release files cannot be read")?;
    let begins = |name: &&String| stem.strip_prefix(name.as_str()).is_some_and(|rest| !begins_word(rest));
    match names.as_slice() {
        [] => Err("it has no release file (usr/lib/extension-release.d/extension-release.NAME)"),
        [one] => Ok(one.clone()),
        several => several
            .iter()
            .filter(begins)
            .max_by_key(|name| name.len())
            .cloned()
            .ok_or("it has several release files, and none of them has its name"),
    }
}

fn begins_word(rest: &str) -> bool {
    rest.starts_with(|letter: char| letter.is_ascii_alphanumeric())
}

fn release_names(contents: &dyn Contents) -> Result<Vec<String>, crate::extension::Error> {
    let stack = Stack::new(vec![Layer { contents, hierarchies: None }]);
    let directory = Class::Sysext.release_directory();
    let mut names = Vec::new();
    for file in stack.list(directory)? {
        let Some(name) = file.to_str().and_then(|file| file.strip_prefix(PREFIX)) else { continue };
        let is_file =
            stack.resolve(&directory.join(&file))?.is_some_and(|node| node.item.kind == FileKind::File);
        if is_file && !name.is_empty() {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// What names say where there is no manifest.
#[derive(Debug, PartialEq, Eq)]
struct Guessed {
    name: String,
    version: Option<String>,
}

impl Guessed {
    fn of(stem: &str, merged_as: &str) -> Guessed {
        let (of_release, version_of_release) = divided(merged_as);
        let version = match stem.strip_prefix(merged_as) {
            Some("") | None => divided(stem).1,
            Some(rest) => version_in(rest),
        };
        let name = if version_of_release.is_some() { of_release } else { merged_as };
        Guessed { name: name.replace('_', "-"), version: version.or(version_of_release) }
    }
}

/// A name with a version and an architecture behind it, as in `strace-6.13.x86-64` or `strace_6.13_x86-64`.
fn divided(words: &str) -> (&str, Option<String>) {
    for (at, _) in words.match_indices(['-', '_']) {
        if let Some(version) = version_in(&words[at..]).filter(|_| at > 0) {
            return (&words[..at], Some(version));
        }
    }
    (words, None)
}

/// The version in what follows a name: it begins with a digit; an architecture behind it is none of it.
fn version_in(rest: &str) -> Option<String> {
    let rest = rest.strip_prefix(['-', '_'])?;
    let version = architectures().find_map(|name| rest.strip_suffix(name)?.strip_suffix(['.', '-', '_']));
    let version = version.unwrap_or(rest);
    version.starts_with(|letter: char| letter.is_ascii_digit()).then(|| version.to_owned())
}

/// Words for architectures in names of files: systemd's, and those of package managers.
fn architectures() -> impl Iterator<Item = &'static str> {
    [
        "x86-64", "arm64", "arm", "x86", "riscv64", "ppc64-le", "s390x", "x86_64", "aarch64", "amd64",
        "armv7", "any",
    ]
    .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_names_are_understood() {
        for (file, release, name, version) in [
            ("gdb_16.3-1_x86-64.raw", "gdb", "gdb", Some("16.3-1")),
            ("strace-6.13.x86-64.raw", "strace", "strace", Some("6.13")),
            ("strace-6.13.x86-64.raw", "strace-6.13.x86-64", "strace", Some("6.13")),
            ("docker-28.0.1-x86-64.raw", "docker", "docker", Some("28.0.1")),
            ("docker_compose-2.34.0-x86-64.raw", "docker_compose", "docker-compose", Some("2.34.0")),
            ("htop.sysext.raw", "htop", "htop", None),
            ("htop.raw", "htop", "htop", None),
            ("git-email.raw", "git", "git", None),
            ("debug-tools_3_any.raw", "debug-tools", "debug-tools", Some("3")),
            ("/x/renamed.raw", "tools", "tools", None),
            ("other-7.raw", "tools", "tools", Some("7")),
        ] {
            let found = Guessed::of(&stem(Path::new(file)), release);
            assert_eq!((&*found.name, found.version.as_deref()), (name, version), "{file}");
        }
    }
}
