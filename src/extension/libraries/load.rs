//! What is loaded with a program: its libraries, theirs, and so on in the loader's order, and whether they have the symbol
//! versions that are needed of them. So the same name may be another library in another program.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::search::{Found, Libraries, Loader};
use crate::extension::Error;
use crate::extension::elf::{Elf, Machine};

/// No program has as many libraries.
const MOST_OBJECTS: usize = 4096;

/// A program with all that is loaded with it.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The program itself, and then its libraries in the order in which they are loaded.
    pub objects: Vec<Object>,
    /// What is not found.
    pub missing: Vec<MissingLibrary>,
    /// What the libraries that are found do not have.
    pub missing_versions: Vec<MissingVersion>,
}

/// One that is loaded.
#[derive(Debug, Clone)]
pub struct Object {
    /// The name that it was looked for by.
    pub name: String,
    /// Where it is, without links.
    pub path: PathBuf,
    /// What it says.
    pub elf: Rc<Elf>,
    /// The number of the object that needed it first.
    pub loader: Option<usize>,
}

/// A library that is not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingLibrary {
    /// Its name.
    pub name: String,
    /// Who needs it.
    pub needed_by: PathBuf,
}

/// A symbol version that a library does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingVersion {
    /// The version.
    pub version: String,
    /// The library, as it is named.
    pub library: String,
    /// Where that is.
    pub path: PathBuf,
    /// Who needs it.
    pub needed_by: PathBuf,
}

impl Libraries<'_> {
    /// Loads a program, or a library by itself; `None` where there is no ELF file at the path.
    pub fn load(&self, path: &Path) -> Result<Option<Loaded>, Error> {
        let Some(found) = self.find_at(path)? else { return Ok(None) };
        let loader = self.loader(found.elf.interpreter.as_deref(), found.elf.machine)?;
        let mut loading =
            Loading { libraries: self, loader, loaded: Loaded::default(), names: HashMap::new() };
        loading.preset()?;
        loading.add(path.display().to_string(), found, None);
        loading.load_all()?;
        loading.check_versions();
        Ok(Some(loading.loaded))
    }
}

struct Loading<'a> {
    libraries: &'a Libraries<'a>,
    loader: Rc<Loader>,
    loaded: Loaded,
    /// Under which names a library is known that is loaded; the loader's own are there from the beginning.
    names: HashMap<String, Known>,
}

#[derive(Debug, Clone)]
enum Known {
    /// The loader itself.
    Loader(Found),
    Object(usize),
    Missing,
}

impl Loading<'_> {
    /// The loader is there before all others, by its name.
    fn preset(&mut self) -> Result<(), Error> {
        let Some(path) = &self.loader.path else { return Ok(()) };
        if let Some(found) = self.libraries.find_at(path)? {
            let mut names = vec![path.file_name().unwrap_or_default().to_string_lossy().into_owned()];
            names.extend(found.elf.soname.clone());
            for name in names {
                self.names.insert(name, Known::Loader(found.clone()));
            }
        }
        Ok(())
    }

    fn add(&mut self, name: String, found: Found, loader: Option<usize>) {
        // The same file by another name is the same object.
        let same = self.loaded.objects.iter().position(|object| object.path == found.path);
        let number = same.unwrap_or(self.loaded.objects.len());
        if let Some(soname) = &found.elf.soname {
            self.names.entry(soname.clone()).or_insert(Known::Object(number));
        }
        self.names.insert(name.clone(), Known::Object(number));
        if same.is_none() {
            self.loaded.objects.push(Object { name, path: found.path, elf: found.elf, loader });
        }
    }

    fn load_all(&mut self) -> Result<(), Error> {
        let mut number = 0;
        while number < self.loaded.objects.len().min(MOST_OBJECTS) {
            let elf = self.loaded.objects[number].elf.clone();
            for name in &elf.needed {
                if !self.names.contains_key(name) {
                    match self.find(name, number)? {
                        Some(found) => self.add(name.clone(), found, Some(number)),
                        None => drop(self.names.insert(name.clone(), Known::Missing)),
                    }
                }
                if matches!(self.names.get(name), Some(Known::Missing)) {
                    let needed_by = self.loaded.objects[number].path.clone();
                    self.loaded.missing.push(MissingLibrary { name: name.clone(), needed_by });
                }
            }
            number += 1;
        }
        Ok(())
    }

    /// As `_dl_map_object()` in glibc looks.
    fn find(&self, name: &str, by: usize) -> Result<Option<Found>, Error> {
        let machine = self.loaded.objects[by].elf.machine;
        if name.contains('/') {
            return self.libraries.library_at(Path::new(&self.expand(name, by)), machine);
        }
        if self.loaded.objects[by].elf.runpath.is_none() {
            if let Some(found) = self.find_by_rpath(name, by, machine)? {
                return Ok(Some(found));
            }
        } else if let Some(found) =
            self.find_in_list(name, by, self.loaded.objects[by].elf.runpath.as_deref(), machine)?
        {
            return Ok(Some(found));
        }
        if self.loaded.objects[by].elf.without_default_directories {
            return Ok(None);
        }
        self.libraries.find_usual(&self.loader, name, machine)
    }

    /// In the RPATH of who needs it, of who needed that one, and so on, and of the program.
    fn find_by_rpath(&self, name: &str, by: usize, machine: Machine) -> Result<Option<Found>, Error> {
        let mut chain = vec![by];
        while let Some(above) = chain.last().and_then(|last| self.loaded.objects[*last].loader) {
            chain.push(above);
        }
        for object in chain {
            let elf = &self.loaded.objects[object].elf;
            if elf.runpath.is_none()
                && let Some(found) = self.find_in_list(name, object, elf.rpath.as_deref(), machine)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn find_in_list(
        &self,
        name: &str,
        object: usize,
        list: Option<&str>,
        machine: Machine,
    ) -> Result<Option<Found>, Error> {
        for directory in list.into_iter().flat_map(|list| list.split(':')).filter(|part| !part.is_empty()) {
            let directory = self.expand(directory, object);
            if let Some(found) = self.libraries.find_in(Path::new(&directory), name, machine)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Puts in what `$ORIGIN` and the like stand for (ld.so(8), "Dynamic string tokens").
    fn expand(&self, text: &str, object: usize) -> String {
        if !text.contains('$') {
            return text.to_owned();
        }
        let object = &self.loaded.objects[object];
        let origin = format!("/{}", object.path.parent().unwrap_or(Path::new("")).display());
        let lib = Libraries::lib(&self.loader);
        let mut expanded = text.to_owned();
        for (token, value) in
            [("ORIGIN", origin.as_str()), ("LIB", &lib), ("PLATFORM", platform(object.elf.machine))]
        {
            expanded = expanded.replace(&format!("${{{token}}}"), value).replace(&format!("${token}"), value);
        }
        expanded
    }

    fn check_versions(&mut self) {
        if !self.loader.is_glibc {
            return;
        }
        let mut missing = Vec::new();
        for object in &self.loaded.objects {
            for needed in &object.elf.needed_versions {
                let library = match self.names.get(&needed.library) {
                    Some(Known::Loader(found)) => found.clone(),
                    Some(Known::Object(number)) => {
                        let object = &self.loaded.objects[*number];
                        Found { path: object.path.clone(), elf: object.elf.clone() }
                    }
                    Some(Known::Missing) | None => continue,
                };
                // A library without versions satisfies everybody; the loader says so, and goes on.
                let lacks = |name: &str| {
                    !library.elf.versions.is_empty()
                        && !library.elf.versions.iter().any(|version| version == name)
                };
                let lacking = needed.versions.iter().filter(|version| !version.weak && lacks(&version.name));
                missing.extend(lacking.map(|version| MissingVersion {
                    version: version.name.clone(),
                    library: needed.library.clone(),
                    path: library.path.clone(),
                    needed_by: object.path.clone(),
                }));
            }
        }
        self.loaded.missing_versions = missing;
    }
}

/// What `$PLATFORM` stands for, where the kernel says no other.
fn platform(machine: Machine) -> &'static str {
    match machine.architecture() {
        Some("x86-64") => "x86_64",
        Some("arm64") => "aarch64",
        Some("arm") => "v7l",
        Some("x86") => "i686",
        Some(other) => other,
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::elf::tests::library;
    use crate::extension::{Directory, Layer, Stack};
    use crate::sys::Root;

    /// What is loaded with `usr/lib/p/q/liba.so`, where there are others.
    fn load(content: &[u8], others: &[(&str, &[u8])]) -> Loaded {
        let place = tempfile::tempdir().expect("a directory");
        for (name, content) in others.iter().chain(&[("usr/lib/p/q/liba.so", content)]) {
            let path = place.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it is below")).expect("a directory");
            std::fs::write(path, content).expect("a file");
        }
        let contents = Directory::new(Root::open(place.path()).expect("it opens"));
        let stack = Stack::new(vec![Layer { contents: &contents, hierarchies: None }]);
        let loaded = Libraries::new(&stack).load(Path::new("usr/lib/p/q/liba.so"));
        loaded.expect("it can be read").expect("it is one")
    }

    fn second(loaded: &Loaded) -> Option<&str> {
        loaded.objects.get(1).and_then(|object| object.path.to_str())
    }

    #[test]
    fn a_path_of_its_own_comes_first() {
        // DT_RPATH for DT_RUNPATH.
        let mut with_rpath = library();
        with_rpath[0x220] = 15;
        for content in [library(), with_rpath] {
            let others = [("usr/lib/p/x/libb.so.1", &content[..]), ("usr/lib/libb.so.1", &content)];
            let loaded = load(&content, &others);
            assert_eq!((second(&loaded), loaded.objects.len()), (Some("usr/lib/p/x/libb.so.1"), 2));
            assert_eq!(loaded.missing, []);
            // It has A_1 alone; B_2 need not be there. The copy needs the same of itself.
            let missing: Vec<_> =
                loaded.missing_versions.iter().map(|missing| missing.version.as_str()).collect();
            assert_eq!(missing, ["B_1", "B_1"]);
        }
    }

    #[test]
    fn the_usual_directories_come_last() {
        let content = library();
        let usual = ("usr/lib/libb.so.1", &content[..]);
        assert_eq!(second(&load(&content, &[usual])), Some("usr/lib/libb.so.1"));
        let loaded = load(&content, &[("usr/lib/other/libb.so.1", &content)]);
        assert_eq!((second(&loaded), loaded.missing[0].name.as_str()), (None, "libb.so.1"));
        // What is for another machine is passed over.
        let mut other = library();
        other[18] = 183;
        let loaded = load(&content, &[("usr/lib/p/x/libb.so.1", &other), usual]);
        assert_eq!(second(&loaded), Some("usr/lib/libb.so.1"));
    }
}
