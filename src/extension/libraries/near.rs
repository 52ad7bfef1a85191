//! What of a library is there where it is not found: other versions of it, and itself where the loader does not look.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::search::Libraries;
use crate::extension::Error;
use crate::extension::elf::{Elf, Machine};
use crate::sys::FileKind;

/// What is near a library that is missing.
#[derive(Debug, Default)]
pub struct Near {
    /// Where it is, though the loader does not look there.
    pub elsewhere: Option<PathBuf>,
    /// Other versions of it.
    pub similar: Vec<String>,
}

impl Libraries<'_> {
    /// Looks for a library that is missing: in the loader's own directories, and those in them.
    pub fn near(&self, interpreter: Option<&str>, machine: Machine, missing: &str) -> Result<Near, Error> {
        let stack = self.stack();
        let stem = stem(missing);
        let mut similar = BTreeSet::new();
        let mut elsewhere = None;
        for directory in self.usual_directories(interpreter, machine)? {
            for name in stack.list(&directory)? {
                let path = directory.join(&name);
                let text = name.to_string_lossy();
                if text.starts_with(stem) && text != missing && has_version(&text, stem) {
                    similar.insert(text.into_owned());
                }
                let is_directory =
                    stack.resolve(&path)?.is_some_and(|node| node.item.kind == FileKind::Directory);
                let within = path.join(missing);
                if is_directory
                    && elsewhere.is_none()
                    && self.elf(&within)?.is_some_and(|(_, elf)| elf.machine == machine)
                {
                    elsewhere = Some(within);
                }
            }
        }
        Ok(Near { elsewhere, similar: shortest(similar) })
    }

    /// The library that a program gets by this name, if it says nothing of where it is to be looked for.
    pub fn usual(
        &self,
        interpreter: Option<&str>,
        machine: Machine,
        name: &str,
    ) -> Result<Option<Rc<Elf>>, Error> {
        let loader = self.loader(interpreter, machine)?;
        if let Some(path) =
            loader.path.as_ref().filter(|path| path.file_name().is_some_and(|file| file == name))
        {
            return Ok(self.elf(Path::new(path))?.map(|(_, elf)| elf));
        }
        Ok(self.find_usual(&loader, name, machine)?.map(|found| found.elf))
    }
}

/// The newest version whose name begins alike: of `GLIBC_2.38`, others of `GLIBC_`.
pub fn newest_like(version: &str, has: &[String]) -> Option<String> {
    let prefix = version.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    if prefix.len() == version.len() || prefix.is_empty() {
        return None;
    }
    let is_alike = |other: &&String| {
        other
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
    };
    has.iter().filter(is_alike).max_by_key(|other| numbers(other)).cloned()
}

/// The numbers in a name, to compare versions by.
pub(in crate::extension) fn numbers(text: &str) -> Vec<u64> {
    let parts = text.split(|letter: char| !letter.is_ascii_digit()).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().unwrap_or(u64::MAX)).collect()
}

/// What the versions of a library's name have in common: `libreadline.so.` of `libreadline.so.8`.
fn stem(name: &str) -> &str {
    name.find(".so").map_or(name, |at| &name[..at + 3])
}

/// Whether a name is the stem and a version: `libc.so.6`, not `libc.so`, `libcap.so.2`.
fn has_version(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.'))
}

/// Of `libx.so.1` and `libx.so.1.2.3`, which is usually the file that it links to, the first.
fn shortest(names: BTreeSet<String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        if !found.iter().any(|shorter| name.starts_with(&format!("{shorter}."))) {
            found.push(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_of_a_kind_is_told() {
        let has = ["GLIBC_2.2.5", "GLIBC_2.9", "GLIBC_2.36", "GLIBC_PRIVATE", "OTHER_9"].map(str::to_owned);
        for (version, newest) in
            [("GLIBC_2.38", Some("GLIBC_2.36")), ("GLIBC_PRIVATE", None), ("CXX_1", None)]
        {
            assert_eq!(newest_like(version, &has).as_deref(), newest, "{version}");
        }
    }

    #[test]
    fn other_versions_of_a_library_are_told_once() {
        let names = ["libx.so.1", "libx.so.1.2", "libx.so.12", "libx.so.2.0"].map(str::to_owned);
        assert_eq!(shortest(names.into()), ["libx.so.1", "libx.so.12", "libx.so.2.0"]);
        assert_eq!(stem("libreadline.so.8"), "libreadline.so");
        assert!(has_version("libx.so.1", "libx.so") && !has_version("libx.so", "libx.so"));
    }
}
