//! What the programs of an extension need, and whether it is there.

use std::path::Component;

use super::{BTreeSet, Error, Fault, Finding, Libraries, Machine, Owners, Path, PathBuf, Started, Weight};
use crate::extension::elf::{Elf, runs};
use crate::extension::libraries::{Loaded, MissingLibrary, MissingVersion, newest_like, numbers};

/// Programs that a person or a service starts are here; elsewhere there are examples, and tools of other programs.
const PROGRAMS: &[&str] = &["bin", "sbin", "games", "libexec"];

pub(super) struct Needs<'a> {
    pub(super) libraries: Libraries<'a>,
    /// What of the extension is named as libraries are.
    pub(super) own_libraries: &'a [PathBuf],
    /// The extension's number among the layers.
    pub(super) own_layer: usize,
    pub(super) owners: Owners<'a>,
    pub(super) architecture: &'a str,
}

/// What was told already, and which of the extension's libraries were loaded with a program.
#[derive(Default)]
struct Told {
    findings: Vec<Finding>,
    pairs: BTreeSet<(PathBuf, String)>,
    reached: BTreeSet<PathBuf>,
}

impl Needs<'_> {
    pub(super) fn check(&self, started: &[Started]) -> Result<Vec<Finding>, Error> {
        let mut told = Told::default();
        let mut by_themselves = Vec::new();
        for one in started {
            if !self.is_seen(one.path())? {
                continue;
            }
            match one {
                Started::Script { path, runner } => {
                    if let Some(missing) = runner.missing(self.libraries.stack())? {
                        told.findings.push(weighed(path, Fault::MissingRunner(missing)));
                    }
                }
                Started::Elf { path, elf: Err(why), .. } => {
                    told.findings.push(weighed(path, Fault::UnreadableElf(why.clone())));
                }
                Started::Elf { path, elf: Ok(elf), is_executable } => {
                    if !self.is_for_host(elf.machine) {
                        told.findings.extend(is_executable.then(|| self.of_other_machine(path, elf)));
                    } else if elf.interpreter.is_some() {
                        self.check_program(path, elf, &mut told)?;
                    } else {
                        by_themselves.push(path);
                    }
                }
            }
        }
        // Libraries and plugins that were not loaded with any program, as they would be by somebody else's.
        for path in by_themselves {
            if !told.reached.contains(path) {
                // Who loads it may have loaded before what it does not find itself.
                self.tell(path, Weight::Remark, &mut told)?;
            }
        }
        Ok(told.findings)
    }

    /// Whether no other extension has its own file over it, which is then the one that is started.
    fn is_seen(&self, path: &Path) -> Result<bool, Error> {
        Ok(self.libraries.stack().at(path)?.is_some_and(|node| node.layer() == self.own_layer))
    }

    fn is_for_host(&self, machine: Machine) -> bool {
        machine.architecture().is_some_and(|architecture| runs(self.architecture, architecture))
    }

    fn of_other_machine(&self, path: &Path, elf: &Elf) -> Finding {
        let fault = Fault::OtherMachine { machine: elf.machine.name(), host: self.architecture.to_owned() };
        weighed(path, fault)
    }

    fn check_program(&self, path: &Path, elf: &Elf, told: &mut Told) -> Result<(), Error> {
        if let Some(interpreter) = &elf.interpreter
            && self.libraries.elf(Path::new(interpreter))?.is_none()
        {
            let fault = Fault::MissingInterpreter(interpreter.clone());
            let make = if path.starts_with("usr/share") { Finding::remark } else { Finding::problem };
            told.findings.push(make(path, fault));
            return Ok(());
        }
        self.tell(path, Weight::Problem, told)
    }

    /// Loads it, and tells what is missing. `least` is how much it matters that a library is where the loader does not
    /// look.
    fn tell(&self, path: &Path, least: Weight, told: &mut Told) -> Result<(), Error> {
        let Some(loaded) = self.libraries.load(path)? else { return Ok(()) };
        told.reached.extend(loaded.objects.iter().map(|object| object.path.clone()));
        for missing in &loaded.missing {
            if told.pairs.insert((missing.needed_by.clone(), missing.name.clone())) {
                told.findings.push(self.missing_library(missing, &loaded, least)?);
            }
        }
        for (first, versions) in by_library(&loaded.missing_versions) {
            if told
                .pairs
                .insert((first.needed_by.clone(), format!("{} {}", first.path.display(), versions.join(" "))))
            {
                told.findings.push(self.missing_versions(first, versions)?);
            }
        }
        Ok(())
    }

    fn missing_library(
        &self,
        missing: &MissingLibrary,
        loaded: &Loaded,
        least: Weight,
    ) -> Result<Finding, Error> {
        let first = loaded.objects.first();
        let interpreter = first.and_then(|object| object.elf.interpreter.as_deref());
        let Some(machine) = first.map(|object| object.elf.machine) else {
            return Ok(plain(missing, Weight::Problem, None, Vec::new()));
        };
        let near = self.libraries.near(interpreter, machine, &missing.name)?;
        let own = self
            .own_libraries
            .iter()
            .find(|path| path.file_name().is_some_and(|name| name == &*missing.name));
        let elsewhere =
            own.cloned().or(near.elsewhere).map(|path| path.strip_prefix("/").unwrap_or(&path).to_owned());
        let weight = if elsewhere.is_some() { least } else { Weight::Problem };
        Ok(plain(missing, weight, elsewhere, near.similar))
    }

    fn missing_versions(&self, first: &MissingVersion, versions: Vec<String>) -> Result<Finding, Error> {
        let stack = self.libraries.stack();
        let owner = stack.at(&first.path)?.map_or_else(String::new, |node| self.owners_name(node.layer()));
        let elf = self.libraries.elf(&first.path)?;
        let has = elf.map(|(_, elf)| elf.versions.clone()).unwrap_or_default();
        let newest = versions.first().and_then(|version| newest_like(version, &has));
        let fault = Fault::MissingVersions { versions, library: first.library.clone(), owner, newest };
        Ok(Finding::problem(&first.needed_by, fault))
    }

    fn owners_name(&self, layer: usize) -> String {
        if layer == self.own_layer { "the extension".to_owned() } else { self.owners.of(layer) }
    }
}

fn plain(
    missing: &MissingLibrary,
    weight: Weight,
    elsewhere: Option<PathBuf>,
    similar: Vec<String>,
) -> Finding {
    let fault = Fault::MissingLibrary { library: missing.name.clone(), elsewhere, similar };
    Finding { weight, path: missing.needed_by.clone(), fault }
}

/// What is not there for an example matters less than for a program.
fn weighed(path: &Path, fault: Fault) -> Finding {
    let is_program = path.parent().is_some_and(|parent| {
        parent.components().any(
            |part| matches!(part, Component::Normal(name) if PROGRAMS.iter().any(|known| name == *known)),
        )
    });
    if is_program && !path.starts_with("usr/share") {
        Finding::problem(path, fault)
    } else {
        Finding::remark(path, fault)
    }
}

/// Versions that the same file needs of the same library, the newest first.
fn by_library(missing: &[MissingVersion]) -> Vec<(&MissingVersion, Vec<String>)> {
    let mut found: Vec<(&MissingVersion, Vec<String>)> = Vec::new();
    for one in missing {
        match found.iter_mut().find(|(first, _)| first.needed_by == one.needed_by && first.path == one.path) {
            Some((_, versions)) => versions.push(one.version.clone()),
            None => found.push((one, vec![one.version.clone()])),
        }
    }
    for (_, versions) in &mut found {
        versions.sort_by_key(|version| std::cmp::Reverse(numbers(version)));
    }
    found
}
