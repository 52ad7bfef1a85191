//! Finding one library, and reading each only once.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::cache::Cache;
use crate::extension::elf::{Elf, Machine};
use crate::extension::{Error, Stack};
use crate::sys::FileKind;

/// A cache of all libraries of a large desktop has 500 kB.
const LARGEST_CACHE: usize = 32 << 20;

/// Loaders have 250 kB.
const LARGEST_LOADER: usize = 4 << 20;

/// Below a directory, the loader looks in these first, where the processor is as good (ld.so(8)).
const BETTER: &[&str] = &["glibc-hwcaps/x86-64-v4", "glibc-hwcaps/x86-64-v3", "glibc-hwcaps/x86-64-v2"];

/// The libraries of a stack, as its loaders find them.
#[derive(Debug)]
pub struct Libraries<'a> {
    stack: &'a Stack<'a>,
    cache: OnceCell<Option<Cache>>,
    loaders: RefCell<HashMap<PathBuf, Rc<Loader>>>,
    elves: RefCell<HashMap<PathBuf, Option<Rc<Elf>>>>,
    usual: RefCell<HashMap<(PathBuf, Machine, String), Option<Found>>>,
}

/// What is particular to one loader.
#[derive(Debug)]
pub(super) struct Loader {
    /// Where it is; a root may lack it.
    pub(super) path: Option<PathBuf>,
    /// The directories that are compiled into it.
    directories: Vec<PathBuf>,
    /// glibc's, which alone has a cache and knows symbol versions.
    pub(super) is_glibc: bool,
}

/// A library that was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Without links.
    pub(super) path: PathBuf,
    pub(super) elf: Rc<Elf>,
}

impl<'a> Libraries<'a> {
    /// The libraries of a stack; nothing is read yet.
    pub fn new(stack: &'a Stack<'a>) -> Libraries<'a> {
        Libraries {
            stack,
            cache: OnceCell::new(),
            loaders: RefCell::default(),
            elves: RefCell::default(),
            usual: RefCell::default(),
        }
    }

    /// The stack.
    pub fn stack(&self) -> &'a Stack<'a> {
        self.stack
    }

    /// The ELF file that a path leads to; `None` where it leads to none that can be read.
    pub fn elf(&self, path: &Path) -> Result<Option<(PathBuf, Rc<Elf>)>, Error> {
        Ok(self.find_at(path)?.map(|found| (found.path, found.elf)))
    }

    pub(super) fn find_at(&self, path: &Path) -> Result<Option<Found>, Error> {
        let Some(node) = self.stack.resolve(path)? else { return Ok(None) };
        if node.item.kind != FileKind::File {
            return Ok(None);
        }
        if let Some(known) = self.elves.borrow().get(&node.path) {
            return Ok(known.clone().map(|elf| Found { path: node.path.clone(), elf }));
        }
        let file = self.stack.open(&node)?;
        let mut beginning = [0; 4];
        file.read_at(0, &mut beginning)?;
        let elf = if Elf::is_one(&beginning) { Elf::read(&*file).ok().map(Rc::new) } else { None };
        self.elves.borrow_mut().insert(node.path.clone(), elf.clone());
        Ok(elf.map(|elf| Found { path: node.path.clone(), elf }))
    }

    /// A library that is for this machine; ld.so passes over others.
    pub(super) fn library_at(&self, path: &Path, machine: Machine) -> Result<Option<Found>, Error> {
        Ok(self.find_at(path)?.filter(|found| found.elf.machine == machine))
    }

    /// In a directory: what all processors can use, else what some can.
    pub(super) fn find_in(
        &self,
        directory: &Path,
        name: &str,
        machine: Machine,
    ) -> Result<Option<Found>, Error> {
        if let Some(found) = self.library_at(&directory.join(name), machine)? {
            return Ok(Some(found));
        }
        for better in BETTER {
            if let Some(found) = self.library_at(&directory.join(better).join(name), machine)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Where a loader looks when nothing else leads to a library: in what ldconfig found, then in its own directories.
    pub(super) fn find_usual(
        &self,
        loader: &Loader,
        name: &str,
        machine: Machine,
    ) -> Result<Option<Found>, Error> {
        let key = (loader.path.clone().unwrap_or_default(), machine, name.to_owned());
        if let Some(known) = self.usual.borrow().get(&key) {
            return Ok(known.clone());
        }
        let found = self.look_in_usual(loader, name, machine)?;
        self.usual.borrow_mut().insert(key, found.clone());
        Ok(found)
    }

    fn look_in_usual(&self, loader: &Loader, name: &str, machine: Machine) -> Result<Option<Found>, Error> {
        if loader.is_glibc {
            for path in self.cached(name)? {
                if let Some(found) = self.library_at(Path::new(&path), machine)? {
                    return Ok(Some(found));
                }
            }
        }
        for directory in &loader.directories {
            if let Some(found) = self.find_in(directory, name, machine)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn cached(&self, name: &str) -> Result<Vec<String>, Error> {
        if self.cache.get().is_none() {
            let bytes = self.stack.read(Path::new("etc/ld.so.cache"), LARGEST_CACHE)?;
            let _ = self.cache.set(bytes.and_then(Cache::new));
        }
        let cache = self.cache.get().and_then(Option::as_ref);
        Ok(cache.map(|cache| cache.paths(name)).unwrap_or_default().into_iter().map(str::to_owned).collect())
    }

    /// The directories in which a loader looks by itself.
    pub fn usual_directories(
        &self,
        interpreter: Option<&str>,
        machine: Machine,
    ) -> Result<Vec<PathBuf>, Error> {
        Ok(self.loader(interpreter, machine)?.directories.clone())
    }

    /// The loader of a program; of a library, which names none, the one that its machine usually has.
    pub(super) fn loader(&self, interpreter: Option<&str>, machine: Machine) -> Result<Rc<Loader>, Error> {
        let path = PathBuf::from(interpreter.unwrap_or(usual_loader(machine)));
        if let Some(known) = self.loaders.borrow().get(&path) {
            return Ok(known.clone());
        }
        let loader = Rc::new(self.read_loader(&path, machine)?);
        self.loaders.borrow_mut().insert(path, loader.clone());
        Ok(loader)
    }

    fn read_loader(&self, path: &Path, machine: Machine) -> Result<Loader, Error> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(architecture) = name.strip_prefix("ld-musl-") {
            let list = format!("etc/ld-musl-{}.path", architecture.split('.').next().unwrap_or_default());
            let listed = self.stack.read(Path::new(&list), LARGEST_LOADER)?;
            let text = listed.map_or("/lib:/usr/local/lib:/usr/lib".to_owned(), |text| {
                String::from_utf8_lossy(&text).into_owned()
            });
            let directories =
                text.split([':', '\n']).filter(|part| !part.is_empty()).map(PathBuf::from).collect();
            return Ok(Loader { path: Some(path.to_owned()), directories, is_glibc: false });
        }
        let content = self.stack.read(path, LARGEST_LOADER)?;
        let mut directories = content.as_deref().map(compiled_in).unwrap_or_default();
        if directories.is_empty() {
            directories = customary(machine);
        }
        Ok(Loader { path: content.map(|_| path.to_owned()), directories, is_glibc: true })
    }

    /// What `$LIB` stands for: the directory that the loader's own are named by.
    pub(super) fn lib(loader: &Loader) -> String {
        let first = loader.directories.first().map(|path| path.to_string_lossy().into_owned());
        first
            .unwrap_or_default()
            .trim_start_matches('/')
            .trim_start_matches("usr/")
            .trim_end_matches('/')
            .to_owned()
    }
}

/// The directories that are compiled into glibc's loader: texts one after the other, such as "/lib64/" and "/usr/lib64/"
/// (`SYSTEM_DIRS` in glibc).
fn compiled_in(loader: &[u8]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for text in loader.split(|byte| *byte == 0) {
        let is_directory = text.len() > 4
            && text.ends_with(b"/")
            && (text.starts_with(b"/lib") || text.starts_with(b"/usr/lib"))
            && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/_-.".contains(byte));
        match std::str::from_utf8(text) {
            Ok(text) if is_directory => found.push(text.into()),
            // The first run of them; it is there twice.
            _ if !found.is_empty() => break,
            _ => {}
        }
    }
    found
}

/// Where libraries usually are, for a root whose loader cannot be read.
fn customary(machine: Machine) -> Vec<PathBuf> {
    let triplet = match machine.architecture() {
        Some("x86-64") => "x86_64-linux-gnu",
        Some("arm64") => "aarch64-linux-gnu",
        Some("arm") => "arm-linux-gnueabihf",
        Some("x86") => "i386-linux-gnu",
        _ => "",
    };
    let mut found = Vec::new();
    if !triplet.is_empty() {
        found.extend([format!("/lib/{triplet}"), format!("/usr/lib/{triplet}")]);
    }
    if machine.is_64 {
        found.extend(["/lib64".to_owned(), "/usr/lib64".to_owned()]);
    }
    found.extend(["/lib".to_owned(), "/usr/lib".to_owned()]);
    found.into_iter().map(PathBuf::from).collect()
}

/// glibc's loader, by the machine's ABI.
fn usual_loader(machine: Machine) -> &'static str {
    match machine.architecture() {
        Some("x86-64") => "/lib64/ld-linux-x86-64.so.2",
        Some("x86") => "/lib/ld-linux.so.2",
        Some("arm64") => "/lib/ld-linux-aarch64.so.1",
        Some("arm") => "/lib/ld-linux-armhf.so.3",
        Some("riscv64") => "/lib/ld-linux-riscv64-lp64d.so.1",
        Some("ppc64-le") => "/lib64/ld64.so.2",
        Some("s390x") => "/lib/ld64.so.1",
        Some("loongarch64") => "/lib64/ld-linux-loongarch-lp64d.so.1",
        _ => "/lib/ld.so.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loader_says_where_it_looks() {
        let text = b"x\0/lib64/ld-linux-x86-64.so.2\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0\0y\0/lib/z/\0";
        let found: Vec<String> = compiled_in(text).iter().map(|path| path.display().to_string()).collect();
        assert_eq!(found, ["/lib/x86_64-linux-gnu/", "/usr/lib/x86_64-linux-gnu/", "/lib/", "/usr/lib/"]);
        assert!(compiled_in(b"/usr/share/\0/lib\0").is_empty());
    }
}
