//! Which libraries and loaders the programs of an extension need, and which libraries are in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::elf::{Elf, Kind};
use super::{Class, Contents, Error};
use crate::sys::FileKind;

/// Libraries by their sonames, each with symbol versions.
pub type Versions = BTreeMap<String, BTreeSet<String>>;

/// What the programs of an extension need of others, and what its libraries have for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sonames {
    /// Libraries that its programs need and that are not in it, with the symbol versions that they need.
    pub needs: Versions,
    /// Libraries that are in it, with the symbol versions that they define.
    pub provides: Versions,
    /// Loaders of its programs that are not in it, by their paths, each with the architectures of those programs. Examples and
    /// the like may lack theirs.
    pub loaders: Versions,
}

impl Sonames {
    /// Those of some files.
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a Elf>) -> Sonames {
        let mut found = Sonames::default();
        objects.into_iter().for_each(|elf| found.add(elf));
        found.settled()
    }

    /// Those of all files of an extension. A file that begins as ELF and cannot be read as that needs nothing.
    pub fn read(contents: &dyn Contents, class: Class) -> Result<Sonames, Error> {
        let mut found = Sonames::default();
        let mut ahead: Vec<PathBuf> = class.hierarchies().iter().map(PathBuf::from).collect();
        while let Some(path) = ahead.pop() {
            let Some(item) = contents.look(&path)? else { continue };
            match item.kind {
                FileKind::Directory => {
                    ahead.extend(contents.list(&path)?.into_iter().map(|name| path.join(name)));
                }
                FileKind::File if item.size > 4 => {
                    if let Some(elf) = object(contents, &path)? {
                        found.add(&elf);
                        if !path.starts_with("usr/share") {
                            found.add_loader(&elf);
                        }
                    }
                }
                _ => {}
            }
        }
        let Sonames { loaders, .. } = &mut found;
        for path in loaders.keys().cloned().collect::<Vec<_>>() {
            if has_loader(contents, &path)? {
                loaders.remove(&path);
            }
        }
        Ok(found.settled())
    }

    fn add_loader(&mut self, elf: &Elf) {
        if let (Some(loader), Some(architecture)) = (&elf.interpreter, elf.machine.architecture()) {
            self.loaders.entry(loader.clone()).or_default().insert(architecture.to_owned());
        }
    }

    fn add(&mut self, elf: &Elf) {
        if let Some(soname) = &elf.soname {
            self.provides.entry(soname.clone()).or_default().extend(elf.versions.iter().cloned());
        }
        for needed in &elf.needed {
            self.needs.entry(needed.clone()).or_default();
        }
        for needed in &elf.needed_versions {
            let strong = needed.versions.iter().filter(|version| !version.weak);
            let versions = strong.map(|version| version.name.clone());
            self.needs.entry(needed.library.clone()).or_default().extend(versions);
        }
    }

    /// Without what it needs of itself.
    fn settled(mut self) -> Sonames {
        let provides = &self.provides;
        self.needs.retain(|soname, _| !provides.contains_key(soname));
        self
    }
}

/// Whether an extension has a loader itself: /lib and /lib64 of a host are links to those in /usr.
pub fn has_loader(contents: &dyn Contents, path: &str) -> Result<bool, Error> {
    let path = Path::new(path.trim_start_matches('/'));
    Ok(contents.look(path)?.is_some() || contents.look(&Path::new("usr").join(path))?.is_some())
}

fn object(contents: &dyn Contents, path: &Path) -> Result<Option<Elf>, Error> {
    let file = contents.open(path)?;
    let mut beginning = [0; 4];
    let length = file.read_at(0, &mut beginning)?;
    if !Elf::is_one(&beginning[..length]) {
        return Ok(None);
    }
    Ok(Elf::read(&*file).ok().filter(|elf| elf.kind != Kind::Other))
}
