//! What an extension is built for: a root, or a file that stands for one where that is not at hand.
//!
//! Such a file is a squashfs image without contents: names, kinds, modes and owners of /usr and /opt, directories of /etc and
//! /var, and of files what is looked into: lists of users, ld.so.cache, os-release, loaders, and of each program or
//! library the pages that say what it is called, needs and defines. The rest are files of their length, or empty. What is known
//! otherwise is in `onlay-base.json`: [`Facts`]. The same root gives the same file.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::extension::elf::Elf;
use crate::extension::matching::HostFacts;
use crate::extension::{Content, Contents, Directory, ImageFiles, Layer, Stack, SystemdVersion};
use crate::host::{Host, OsRelease};
use crate::image::squashfs::{Options, Segment, StoredFile, Writer};
use crate::image::tree::{Kind, Metadata, Node, Tree};
use crate::sys::{FileKind, NewFile, Root};

/// A base.
#[derive(Debug)]
pub struct Base {
    contents: Box<dyn Contents + Send + Sync>,
    /// Where it is, unless a file stands for it.
    pub(super) root: Option<Root>,
    /// What decides whether systemd takes an extension.
    pub facts: HostFacts,
    /// The packages in it, where a file stands for it.
    pub packages: Option<Vec<KnownPackage>>,
}

/// A package that a base has.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KnownPackage {
    /// Its name.
    pub name: String,
    /// Its version, in its package manager's words.
    pub version: String,
    /// Its architecture, likewise.
    pub architecture: String,
}

/// What the file of a base says in words. Fields may be added.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Facts {
    /// The version of this format: 1.
    format: u32,
    /// In systemd's words.
    architecture: String,
    /// The version of systemd.
    systemd: String,
    packages: Vec<KnownPackage>,
}

/// Where the file of a base says that it is one.
const FACTS: &str = "onlay-base.json";
/// More than a list of all packages of the largest distribution.
const LARGEST_FACTS: usize = 64 << 20;
/// Larger ones are no os-release.
const LARGEST_RELEASE: usize = 1 << 20;

/// Directories of which all names are told.
const WHOLE: &[&str] = &["usr", "opt"];
/// Those of which directories alone are.
const DIRECTORIES: &[&str] = &["etc", "var"];
/// Files that are read.
const READ: &[&str] = &[
    "etc/os-release",
    "usr/lib/os-release",
    "etc/passwd",
    "etc/group",
    "usr/lib/passwd",
    "usr/lib/group",
    "etc/ld.so.cache",
];
/// More than any of them has, loaders among them.
const LARGEST_READ: u64 = 16 << 20;
/// Pages of a file that are read to know what a program or library is.
const PAGE: u64 = 4096;

impl Base {
    /// The base that a directory is, or a file stands for.
    pub fn open(path: &Path) -> Result<Base, Error> {
        if path.is_file() { Base::read(path) } else { Base::of(&Host::open(path)?) }
    }

    /// The base that is at hand.
    pub fn of(host: &Host) -> Result<Base, Error> {
        let contents = Directory::new(host.root.try_clone()?);
        let facts = HostFacts::read(host, &contents, None)?;
        let root = Some(host.root.try_clone()?);
        Ok(Base { contents: Box::new(contents), root, facts, packages: None })
    }

    fn read(path: &Path) -> Result<Base, Error> {
        let contents = ImageFiles::open(path)?;
        let unusable = |why: &str| Error::Base { path: path.to_owned(), why: why.to_owned() };
        let stack = stack(&contents);
        let text = stack.read(Path::new(FACTS), LARGEST_FACTS)?;
        let text = text.ok_or_else(|| unusable("it is no file that 'onlay ext base' made"))?;
        let facts: Facts = serde_json::from_slice(&text).map_err(|error| unusable(&error.to_string()))?;
        if facts.format != 1 {
            return Err(unusable(&format!("its format is {}, known is 1", facts.format)));
        }
        let mut release = None;
        for place in ["etc/os-release", "usr/lib/os-release"] {
            release = release.or(stack.read(Path::new(place), LARGEST_RELEASE)?);
        }
        let release = String::from_utf8_lossy(&release.unwrap_or_default()).into_owned();
        let facts_of_host = HostFacts {
            release: OsRelease::parse(&release),
            architecture: facts.architecture,
            systemd: SystemdVersion::from_str(&facts.systemd)?,
        };
        drop(stack);
        let packages = Some(facts.packages);
        Ok(Base { contents: Box::new(contents), root: None, facts: facts_of_host, packages })
    }

    /// Its files.
    pub fn contents(&self) -> &(dyn Contents + Send + Sync) {
        &*self.contents
    }

    /// Its files, links followed.
    pub(super) fn stack(&self) -> Stack<'_> {
        stack(&*self.contents)
    }
}

/// The files of a base alone, links followed.
pub(super) fn stack(contents: &dyn Contents) -> Stack<'_> {
    Stack::new(vec![Layer { contents, hierarchies: None }])
}

/// Writes the file that stands for a base. `packages` are those in it.
pub fn describe(host: &Host, mut packages: Vec<KnownPackage>, to: &Path) -> Result<PathBuf, Error> {
    let base = Base::of(host)?;
    packages.sort();
    let facts = Facts {
        format: 1,
        architecture: base.facts.architecture.clone(),
        systemd: base.facts.systemd.to_string(),
        packages,
    };
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (dir, name) = (Root::open(parent)?, to.file_name().unwrap_or_default());
    let file = NewFile::create(&dir, name)?;
    let writer = Writer::new(file.file(), 0, &file.path(), &dir, Options::new(0))?;
    let mut describing = Describing {
        contents: base.contents(),
        tree: Tree::new(Metadata { mode: 0o755, ..Metadata::default() }),
        segment: writer.segment(),
    };
    describing.add_words(&facts)?;
    describing.walk(Path::new(""))?;
    let Describing { tree, segment, .. } = describing;
    segment.close()?;
    writer.finish(&tree)?;
    let path = file.path();
    file.place(0o644)?;
    Ok(path)
}

struct Describing<'a> {
    contents: &'a dyn Contents,
    tree: Tree<StoredFile>,
    segment: Segment,
}

impl Describing<'_> {
    fn add_words(&mut self, facts: &Facts) -> Result<(), Error> {
        let mut text = serde_json::to_vec_pretty(facts).expect("it has nothing that JSON cannot say");
        text.push(b'\n');
        let stored = self.segment.store(&mut &text[..], Path::new(FACTS))?;
        let metadata = Metadata { mode: 0o644, ..Metadata::default() };
        self.tree.insert(FACTS.as_bytes(), Node::new(metadata, Kind::File(stored)))?;
        Ok(())
    }

    fn walk(&mut self, directory: &Path) -> Result<(), Error> {
        let is_at_top = directory.as_os_str().is_empty();
        let names = match self.contents.list(directory) {
            // Who may not look into a directory may still say that it is there.
            Err(_) if !is_at_top => return Ok(()),
            names => names?,
        };
        for name in names {
            let path = directory.join(name);
            // Gone meanwhile.
            let Some(item) = self.contents.look(&path)? else { continue };
            let below = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
            let is_directory = item.kind == FileKind::Directory;
            let is_told = is_directory && below(DIRECTORIES) || below(WHOLE) || is_read(&path);
            let is_of_top = is_at_top && matches!(item.kind, FileKind::Directory | FileKind::Symlink);
            if !is_told && !is_of_top {
                continue;
            }
            let kind = match item.kind {
                FileKind::Directory => Kind::Directory(std::collections::BTreeMap::new()),
                FileKind::Symlink => {
                    Kind::Symlink(self.contents.link(&path)?.into_os_string().into_encoded_bytes())
                }
                FileKind::File => Kind::File(self.store(&path, item.size)?),
                _ => continue,
            };
            let metadata =
                Metadata { mode: item.mode as u16, uid: item.uid, gid: item.gid, ..Metadata::default() };
            self.tree.insert(path.as_os_str().as_encoded_bytes(), Node::new(metadata, kind))?;
            if is_directory && (below(WHOLE) || below(DIRECTORIES)) {
                self.walk(&path)?;
            }
        }
        Ok(())
    }

    /// What is kept of a file.
    fn store(&mut self, path: &Path, size: u64) -> Result<StoredFile, Error> {
        // Who may not read a file may still say that it is there.
        let Ok(file) = self.contents.open(path) else {
            return Ok(self.segment.store(&mut io::empty(), path)?);
        };
        let pages = if is_read(path) && size <= LARGEST_READ {
            (0..size.div_ceil(PAGE)).collect()
        } else {
            let noted = Noted { file: &*file, pages: Mutex::default() };
            let mut beginning = [0; 4];
            let is_elf = noted.read_at(0, &mut beginning)? == 4 && Elf::is_one(&beginning);
            if !is_elf {
                return Ok(self.segment.store(&mut io::empty(), path)?);
            }
            // One that makes no sense is one that the loader does not take either.
            let _ = Elf::read(&noted);
            noted.pages.into_inner().unwrap_or_default()
        };
        Ok(self.segment.store(&mut Sparse { file: &*file, pages, size, at: 0 }, path)?)
    }
}

/// Whether all of a file is looked into.
fn is_read(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_loader =
        ["ld-linux", "ld-musl", "ld64.so", "ld.so", "ld-2."].iter().any(|begin| name.starts_with(begin));
    is_loader || READ.iter().any(|read| path == Path::new(read))
}

/// A file that is read, and which pages of it were.
struct Noted<'a> {
    file: &'a dyn Content,
    pages: Mutex<BTreeSet<u64>>,
}

impl Content for Noted<'_> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, crate::extension::Error> {
        if let Ok(mut pages) = self.pages.lock() {
            pages.extend(offset / PAGE..(offset + buffer.len() as u64).div_ceil(PAGE));
        }
        self.file.read_at(offset, buffer)
    }
}

/// Some pages of a file, and zeros between them.
struct Sparse<'a> {
    file: &'a dyn Content,
    pages: BTreeSet<u64>,
    size: u64,
    at: u64,
}

impl Read for Sparse<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = (self.size - self.at).min(PAGE - self.at % PAGE).min(buffer.len() as u64) as usize;
        let target = &mut buffer[..rest];
        target.fill(0);
        if self.pages.contains(&(self.at / PAGE)) {
            self.file.read_at(self.at, target).map_err(io::Error::other)?;
        }
        self.at += rest as u64;
        Ok(rest)
    }
}

/// The packages of a base, as its own database lists them.
pub fn packages_of(
    host: &Host,
    patience: std::time::Duration,
) -> Result<Vec<KnownPackage>, crate::pkgdb::Error> {
    let Some(place) = crate::pkgdb::Place::in_root(&host.root)? else { return Ok(Vec::new()) };
    let listed = place.open(patience)?.packages()?.packages;
    let known = |package: crate::pkgdb::Package| KnownPackage {
        name: package.name,
        version: package.version,
        architecture: package.arch,
    };
    Ok(listed.into_iter().map(known).collect())
}
