//! Whether an extension fits: whether its programs find on this base, and with the other extensions, what they need.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::elf::{Elf, Kind, Machine};
use super::finding::{Fault, Finding, Weight};
use super::libraries::Libraries;
use super::matching::{self, HostFacts, Verdict};
use super::rules::{self, Owners};
use super::scripts::{self, Runner};
use super::{Class, Contents, Error, Item, Layer, Release, Stack, database};
use crate::sys::FileKind;

mod needs;

/// An extension, and the name by which it is merged.
#[derive(Debug, Clone, Copy)]
pub struct Extension<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it extends.
    pub class: Class,
    /// Its files.
    pub contents: &'a dyn Contents,
}

/// What was found of one extension.
#[derive(Debug)]
pub struct Fitness {
    /// Whether systemd merges it.
    pub verdict: Verdict,
    /// What was found, problems first.
    pub findings: Vec<Finding>,
    /// How many files of it the loader or the kernel starts: programs, libraries, scripts.
    pub programs: usize,
}

impl Fitness {
    /// Whether what it needs is there.
    pub fn fits(&self) -> bool {
        self.findings.iter().all(|finding| finding.weight != Weight::Problem)
    }
}

/// Judges one extension on a base, together with the others that are merged, the topmost first. `position` is where it
/// comes among them.
pub fn check(
    host: &HostFacts,
    base: &dyn Contents,
    extension: &Extension<'_>,
    others: &[Extension<'_>],
    position: usize,
) -> Result<Fitness, Error> {
    let release = Release::find(extension.contents, extension.class, extension.name, host.systemd)?;
    let verdict = matching::judge(host, extension.class, &release, has_os_release(extension)?);
    let mut layers: Vec<_> = others.iter().map(layer).collect();
    layers.push((base, None));
    let below = stack(&layers);
    layers.insert(position.min(others.len()), layer(extension));
    let all = stack(&layers);

    let owners: Vec<String> = others.iter().map(|other| other.name.to_owned()).collect();
    let mut survey = Survey {
        extension,
        below: &below,
        owners: Owners(&owners),
        found: Vec::new(),
        started: Vec::new(),
        libraries: Vec::new(),
    };
    survey.found.extend(rules::check_top(extension.contents, extension.class)?);
    for hierarchy in extension.class.hierarchies() {
        survey.walk(Path::new(hierarchy))?;
    }
    let Survey { found: mut findings, started, libraries, .. } = survey;

    let mut names = owners.clone();
    names.insert(position.min(others.len()), extension.name.to_owned());
    let needs = needs::Needs {
        libraries: Libraries::new(&all),
        own_libraries: &libraries,
        own_layer: position.min(others.len()),
        owners: Owners(&names),
        architecture: &host.architecture,
    };
    findings.extend(needs.check(&started)?);
    findings.sort_by(|one, other| (one.weight, &one.path).cmp(&(other.weight, &other.path)));
    Ok(Fitness { verdict, findings, programs: started.len() })
}

/// The files of a layer, and which of its directories are laid.
type Laid<'a> = (&'a dyn Contents, Option<&'a [&'a str]>);

fn layer<'a>(extension: &Extension<'a>) -> Laid<'a> {
    (extension.contents, Some(extension.class.hierarchies()))
}

fn stack<'a>(layers: &[Laid<'a>]) -> Stack<'a> {
    Stack::new(layers.iter().map(|&(contents, hierarchies)| Layer { contents, hierarchies }).collect())
}

/// Whether systemd finds the base's own file in it, also by way of links.
fn has_os_release(extension: &Extension<'_>) -> Result<bool, Error> {
    let alone = stack(&[(extension.contents, None)]);
    Ok(alone.resolve(Path::new("usr/lib/os-release"))?.is_some())
}

/// A file that is started, or loaded into one that is.
#[derive(Debug)]
enum Started {
    Elf { path: PathBuf, elf: Result<Elf, String>, is_executable: bool },
    Script { path: PathBuf, runner: Runner },
}

impl Started {
    fn path(&self) -> &Path {
        match self {
            Started::Elf { path, .. } | Started::Script { path, .. } => path,
        }
    }
}

/// All files of an extension, looked at one after the other.
struct Survey<'a> {
    extension: &'a Extension<'a>,
    below: &'a Stack<'a>,
    owners: Owners<'a>,
    found: Vec<Finding>,
    started: Vec<Started>,
    /// All that is named as libraries are, links too.
    libraries: Vec<PathBuf>,
}

impl Survey<'_> {
    fn walk(&mut self, path: &Path) -> Result<(), Error> {
        let contents = self.extension.contents;
        let Some(item) = contents.look(path)? else { return Ok(()) };
        // The database that was made for this host is to hide the base's.
        if !database::is_generated(self.extension.name) {
            self.found.extend(rules::check_file(contents, path, &item)?);
            self.found.extend(rules::check_collision(contents, path, &item, self.below, &self.owners)?);
        }
        if item.kind != FileKind::Directory && path.file_name().is_some_and(is_library_name) {
            self.libraries.push(path.to_owned());
        }
        match item.kind {
            FileKind::Directory => {
                for name in contents.list(path)? {
                    self.walk(&path.join(name))?;
                }
            }
            FileKind::File if may_be_started(path, &item) => {
                self.started.extend(look_into(contents, path, &item)?);
            }
            _ => {}
        }
        Ok(())
    }
}

fn is_library_name(name: &OsStr) -> bool {
    name.to_string_lossy().contains(".so")
}

/// What is in directories of documents and data alone, and cannot be executed, need not be opened.
fn may_be_started(path: &Path, item: &Item) -> bool {
    let is_data =
        path.starts_with("usr/share") || path.starts_with("usr/include") || path.starts_with("usr/lib/debug");
    item.size >= 4 && (item.is_executable() || !is_data) && !path.starts_with("usr/lib/debug")
}

fn look_into(contents: &dyn Contents, path: &Path, item: &Item) -> Result<Option<Started>, Error> {
    let file = contents.open(path)?;
    let mut beginning = [0; scripts::LONGEST_LINE];
    let length = file.read_at(0, &mut beginning)?;
    let beginning = &beginning[..length];
    if Elf::is_one(beginning) {
        let elf = Elf::read(&*file).map_err(|defect| defect.to_string());
        let is_for_loader = elf.as_ref().is_ok_and(|elf| elf.kind != Kind::Other) || elf.is_err();
        let started = Started::Elf { path: path.to_owned(), elf, is_executable: item.is_executable() };
        return Ok(is_for_loader.then_some(started));
    }
    let runner = Runner::of(beginning).filter(|_| item.is_executable());
    Ok(runner.map(|runner| Started::Script { path: path.to_owned(), runner }))
}
