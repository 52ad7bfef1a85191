//! What images are called in stores.

use std::fmt;

use crate::extension::build::{ExtensionName, image_name, version_of};
use crate::image::ddi::Architecture;

/// The file name of an image, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName {
    /// The extension.
    pub name: ExtensionName,
    /// Its version.
    pub version: String,
    /// Its architecture, in systemd's words; none where it is for all.
    pub architecture: Option<String>,
}

/// The word for no architecture in particular.
const ANY: &str = "any";

/// What systemd-pull unpacks (importctl(1)), by the endings of its names.
const PACKINGS: [&str; 4] = [".xz", ".gz", ".bz2", ".zst"];

impl ImageName {
    /// Takes the file name of an image apart: `NAME_VERSION_ARCHITECTURE.raw`, or as others call theirs,
    /// `NAME-VERSION.ARCHITECTURE.raw`. `None` where it is neither.
    pub fn parse(file: &str) -> Option<ImageName> {
        let stem = file.strip_suffix(".raw")?;
        match stem.split('_').collect::<Vec<_>>()[..] {
            [name, version, architecture] => ImageName::of(name, version, architecture),
            [_] => ImageName::of_others(stem),
            _ => None,
        }
    }

    /// The same of an image that may be compressed as a whole, as systemd-sysupdate and importctl take them
    /// (`NAME_VERSION_ARCHITECTURE.raw.xz`), and the ending that says so; that is empty where it is not.
    pub fn parse_packed(file: &str) -> Option<(ImageName, &str)> {
        let (image, packing) = without_packing(file)?;
        Some((ImageName::parse(image)?, packing))
    }

    /// As microos-sysext names images. An extension's name may have a minus itself, so its version is what begins with a
    /// digit behind one.
    fn of_others(stem: &str) -> Option<ImageName> {
        let (rest, architecture) = stem.rsplit_once('.')?;
        let at = rest.match_indices('-').map(|(at, _)| at).find(|at| {
            let next = rest.as_bytes().get(at + 1);
            next.is_some_and(u8::is_ascii_digit)
        })?;
        ImageName::of(&rest[..at], &rest[at + 1..], architecture)
    }

    fn of(name: &str, version: &str, architecture: &str) -> Option<ImageName> {
        let is_version = !version.is_empty() && version_of(version) == version;
        let architecture = match architecture {
            ANY => None,
            word => Some(Architecture::named(word)?.name().to_owned()),
        };
        let name = name.parse().ok().filter(|_| is_version)?;
        Some(ImageName { name, version: version.to_owned(), architecture })
    }

    /// Whether systemd-sysupdate before 258 sees it: in a version, it takes neither `~` nor `^`.
    pub fn is_seen_by_all(&self) -> bool {
        !self.version.contains(['~', '^'])
    }
}

/// The file name of an image without the ending that says how it is compressed as a whole, and that ending, which is empty where
/// it is not; `None` of what is no image's, whatever else is to be said of its name.
pub(super) fn without_packing(file: &str) -> Option<(&str, &str)> {
    let end = file.rfind(".raw")? + ".raw".len();
    let (image, packing) = file.split_at(end);
    (packing.is_empty() || PACKINGS.contains(&packing)).then_some((image, packing))
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&image_name(&self.name, &self.version, self.architecture.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_taken_apart() {
        for (file, parts) in [
            ("gdb_16.3-1_x86-64.raw", Some(("gdb", "16.3-1", Some("x86-64")))),
            ("debug-tools_1~rc1_any.raw", Some(("debug-tools", "1~rc1", None))),
            ("strace-6.13-1.1.x86-64.raw", Some(("strace", "6.13-1.1", Some("x86-64")))),
            ("debug-tools-3.arm64.raw", Some(("debug-tools", "3", Some("arm64")))),
            ("gdb_16_sparc99.raw", None),
            ("gdb.raw", None),
            ("gdb_1.raw", None),
            ("gdb__x86-64.raw", None),
            ("g++_1_x86-64.raw", None),
            ("a_b_1_x86-64.raw", None),
            ("gdb_16.3_x86-64.raw.json", None),
            ("../gdb_16.3_x86-64.raw", None),
        ] {
            let name = ImageName::parse(file);
            let found = name
                .as_ref()
                .map(|name| (name.name.as_str(), name.version.as_str(), name.architecture.as_deref()));
            assert_eq!(found, parts, "{file}");
        }
        let name = ImageName::parse("strace-6.13.x86-64.raw").expect("one of others");
        assert_eq!(name.to_string(), "strace_6.13_x86-64.raw");
    }

    #[test]
    fn one_that_is_compressed_is_called_the_same() {
        for (file, packing) in [
            ("gdb_16.3-1_x86-64.raw", Some("")),
            ("gdb_16.3-1_x86-64.raw.xz", Some(".xz")),
            ("gdb-16.3-1.x86-64.raw.zst", Some(".zst")),
            ("gdb_16.3-1_x86-64.raw.json", None),
            ("gdb_16.3-1_x86-64.raw.xz.asc", None),
            ("gdb_16.3-1_x86-64.xz", None),
        ] {
            let found = ImageName::parse_packed(file);
            assert_eq!(found.as_ref().map(|(_, packing)| *packing), packing, "{file}");
            assert!(found.is_none_or(|(name, _)| name.to_string() == "gdb_16.3-1_x86-64.raw"), "{file}");
        }
    }
}
