//! A base's dpkg database with the packages of images.
//!
//! `status` is written anew; files in `info/` lie beside the base's, since directories are merged.

use std::collections::BTreeMap;
use std::path::Path;

use super::generate::Added;
use super::records::{Deb, Records};
use super::tree::Tree;
use super::{Error, Remark};
use crate::package::deb822::Document;
use crate::pkgdb::dpkg::{self, Database, Entry, Key, MultiArch};
use crate::pkgdb::{self};

/// Makes the database in a directory of the tree. `images` are in the order in which they are laid, the topmost last.
pub(super) fn merge(directory: &Path, images: &[(&str, Records)], tree: &Tree<'_>) -> Result<Added, Error> {
    let missing = || pkgdb::Error::Missing { path: tree.base.join(directory) };
    let base = Database::open(tree.base)?.ok_or_else(missing)?;
    if base.is_in_use {
        return Err(pkgdb::Error::InUse { path: tree.base.join(directory) }.into());
    }
    let mut merged = Merged { entries: base.entries.clone(), added: BTreeMap::new(), remarks: Vec::new() };
    for (image, records) in images.iter().rev() {
        records.debs.iter().for_each(|deb| merged.add(image, deb));
    }
    let Merged { entries, added, remarks } = merged;
    if added.is_empty() {
        return Ok(Added { packages: 0, remarks });
    }
    tree.directory(&directory.join("info"))?;
    let status = directory.join("status");
    let stanzas = entries.into_values().map(|entry| entry.stanza);
    tree.file(&status, &status, &Document::of(stanzas).to_bytes())?;
    // As dpkg makes its own.
    let model = directory.join("info/format");
    for (_, deb) in added.values() {
        let stem = dpkg::stem(&deb.entry);
        for (kind, text) in &deb.info {
            tree.file(&directory.join("info").join(format!("{stem}.{kind}")), &model, text)?;
        }
    }
    Ok(Added { packages: added.len(), remarks })
}

/// A database in the making.
struct Merged<'a> {
    entries: BTreeMap<Key, Entry>,
    /// What came from images, and from which.
    added: BTreeMap<Key, (&'a str, &'a Deb)>,
    remarks: Vec<Remark>,
}

impl<'a> Merged<'a> {
    fn add(&mut self, image: &'a str, deb: &'a Deb) {
        let entry = &deb.entry;
        let version = version(entry);
        for key in self.rivals(entry) {
            if let Some((by, above)) = self.added.get(&key) {
                if above.entry.identity != entry.identity {
                    self.remarks.push(Remark::Covered {
                        extension: image.to_owned(),
                        package: entry.key.name.clone(),
                        version,
                        by: (*by).to_owned(),
                    });
                }
                return;
            }
            // Of what was removed, configuration may be left.
            let theirs = &self.entries[&key];
            if theirs.is_present() && theirs.identity == entry.identity {
                return;
            }
        }
        for key in self.rivals(entry) {
            let Some(theirs) = self.entries.remove(&key).filter(Entry::is_present) else { continue };
            self.remarks.push(Remark::Replaces {
                extension: image.to_owned(),
                package: entry.key.name.clone(),
                version: version.clone(),
                base: self::version(&theirs),
            });
        }
        self.entries.insert(entry.key.clone(), entry.clone());
        self.added.insert(entry.key.clone(), (image, deb));
    }

    /// Packages that cannot be there beside another: of its name, if not both can be there for several architectures.
    fn rivals(&self, entry: &Entry) -> Vec<Key> {
        let first = Key { name: entry.key.name.clone(), arch: String::new() };
        let named = self.entries.range(first..).take_while(|(key, _)| key.name == entry.key.name);
        let is_rival = |(key, other): &(&Key, &Entry)| {
            let both = [entry.multi_arch, other.multi_arch];
            **key == entry.key || both.iter().any(|one| *one != MultiArch::Same)
        };
        named.filter(is_rival).map(|(key, _)| key.clone()).collect()
    }
}

fn version(entry: &Entry) -> String {
    entry.package().version
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::deb822::Stanza;

    fn package(name: &str, arch: &str, version: &str, status: &str, multi_arch: &str) -> Entry {
        let fields = [
            ("Package", name),
            ("Status", status),
            ("Architecture", arch),
            ("Version", version),
            ("Multi-Arch", multi_arch),
        ];
        Entry::parse(Stanza::of(fields)).expect("it is right")
    }

    const INSTALLED: &str = "install ok installed";

    /// What is in the database, and what is said, when an image has a package and the base (or an image above) another.
    fn merged(theirs: Entry, is_image: bool, ours: Entry) -> (Vec<String>, Vec<String>) {
        let deb = |entry| Deb { entry, info: BTreeMap::new() };
        let (theirs, ours) = (deb(theirs), deb(ours));
        let mut merged = Merged { entries: BTreeMap::new(), added: BTreeMap::new(), remarks: Vec::new() };
        if is_image {
            merged.add("above", &theirs);
        } else {
            merged.entries.insert(theirs.entry.key.clone(), theirs.entry.clone());
        }
        merged.add("image", &ours);
        let line = |entry: &Entry| format!("{} {} {}", entry.key, version(entry), entry.status);
        let remarks = merged.remarks.iter().map(Remark::to_string).collect();
        (merged.entries.values().map(line).collect(), remarks)
    }

    #[test]
    fn of_packages_that_cannot_be_beside_each_other_one_is_there() {
        let one = |arch, version, multi_arch| package("a", arch, version, INSTALLED, multi_arch);
        let replaced = "'image' has a in version 2, which replaces the base's 1";
        let covered = "'image' has a in version 2, but 'above' lies above with another";
        let left = package("a", "amd64", "2", "deinstall ok config-files", "no");
        for (theirs, is_image, ours, there, said) in [
            (one("amd64", "1", "no"), false, one("amd64", "2", "no"), &["a:amd64 2"][..], &[replaced][..]),
            (one("amd64", "1", "no"), false, one("all", "2", "no"), &["a:all 2"], &[replaced]),
            (one("amd64", "1", "same"), false, one("i386", "2", "same"), &["a:amd64 1", "a:i386 2"], &[]),
            (one("amd64", "1", "same"), false, one("amd64", "2", "same"), &["a:amd64 2"], &[replaced]),
            (one("amd64", "2", "no"), false, one("amd64", "2", "no"), &["a:amd64 2"], &[]),
            (left, false, one("amd64", "2", "no"), &["a:amd64 2"], &[]),
            (one("amd64", "1", "no"), true, one("amd64", "2", "no"), &["a:amd64 1"], &[covered]),
            (one("amd64", "2", "no"), true, one("amd64", "2", "no"), &["a:amd64 2"], &[]),
            (
                package("b", "all", "1", INSTALLED, "no"),
                false,
                one("all", "2", "no"),
                &["a:all 2", "b:all 1"],
                &[],
            ),
        ] {
            let expected: Vec<String> = there.iter().map(|line| format!("{line} {INSTALLED}")).collect();
            let said: Vec<String> = said.iter().map(|line| (*line).to_owned()).collect();
            assert_eq!(merged(theirs, is_image, ours), (expected, said));
        }
    }
}
