//! `onlay ext owner`.

use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};
use serde::Serialize;

use super::Place;
use super::refuse_blind;
use crate::cli::output::{self, JsonPath};
use crate::cli::report::{Error, FAILED};
use crate::extension::database::{self, Owner, Records};
use crate::extension::matching::HostFacts;
use crate::extension::places::{Form, candidates};
use crate::extension::{Class, Contents, Directory};
use crate::host::Host;
use crate::pkgdb::dpkg::Aliases;
use crate::sys::Context;

/// Tell which extension has a file, and which package in it
///
/// This is what `dpkg -S` and `rpm -qf` do not know where the database of packages
/// is in /var, which no extension is laid over. Exits with 1 where a file is in no
/// extension.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Files, as they are seen while extensions are merged
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// An extension of the host.
struct Subject {
    name: String,
    path: PathBuf,
    contents: Box<dyn Contents>,
    records: Records,
}

/// A file in an extension, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    file: JsonPath<'a>,
    #[serde(skip)]
    name: &'a Path,
    extension: &'a str,
    path: JsonPath<'a>,
    packages: Vec<PackageRow>,
}

/// A package that has a file, as `--json` shows it.
#[derive(Debug, Serialize)]
struct PackageRow {
    name: String,
    version: String,
    architecture: String,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    refuse_blind(place)?;
    let host = Host::open(&place.root)?;
    let subjects = subjects(&host)?;
    let aliases = Aliases::of(&host.root)?;
    let mut rows = Vec::new();
    let mut strangers = Vec::new();
    for file in &arguments.files {
        let names = names(&host, file)?;
        let before = rows.len();
        // The topmost comes first, which is the one that is seen.
        for subject in subjects.iter().rev() {
            if let Some(packages) = subject.owners(&names, &aliases)? {
                rows.push(row(file, subject, packages));
            }
        }
        if rows.len() == before {
            strangers.push(file);
        }
    }
    if arguments.json {
        output::print_json(&rows)?;
    } else {
        rows.iter().try_for_each(|row| output::print(&in_words(row)))?;
    }
    for stranger in &strangers {
        output::say(&format!("onlay: no extension has '{}'", output::path(stranger)));
    }
    Ok(if strangers.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// The extensions that count on a host, in the order in which they are laid.
fn subjects(host: &Host) -> Result<Vec<Subject>, Error> {
    let facts = HostFacts::read(host, &Directory::new(host.root.try_clone()?), None)?;
    let mut subjects = Vec::new();
    for candidate in candidates(&host.root, Class::Sysext, facts.systemd)? {
        let is_known = matches!(candidate.form, Form::Directory | Form::Image);
        if candidate.hidden_by.is_some() || !is_known || candidate.name == database::NAME {
            continue;
        }
        let path = host.root.join(host.root.resolve(&candidate.path)?);
        // What cannot be looked into is told by `onlay ext check`.
        let Ok(contents) = super::check::contents_of(&path) else { continue };
        let records = Records::read(&*contents)?;
        subjects.push(Subject { name: candidate.name, path, contents, records });
    }
    Ok(subjects)
}

/// The path as it is said, and as it is where its directory really is.
fn names(host: &Host, file: &Path) -> Result<Vec<PathBuf>, Error> {
    let absolute = std::path::absolute(file).context("find", file)?;
    let mut names = vec![absolute.clone()];
    if let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name())
        && !absolute.components().any(|part| part == Component::ParentDir)
        && let Ok(parent) = host.root.resolve(parent)
    {
        names.push(parent.join(name));
        names.dedup();
    }
    Ok(names)
}

impl Subject {
    /// The packages that have a file; `None` where the extension has it not.
    fn owners(&self, names: &[PathBuf], aliases: &Aliases) -> Result<Option<Vec<Owner>>, Error> {
        let mut found = None;
        for name in names {
            match database::owner(&*self.contents, &self.records, name, aliases)? {
                Some(owners) if !owners.is_empty() => return Ok(Some(owners)),
                Some(owners) => found = Some(owners),
                None => {}
            }
        }
        Ok(found)
    }
}

fn row<'a>(file: &'a Path, subject: &'a Subject, packages: Vec<Owner>) -> Row<'a> {
    let package = |owner: Owner| PackageRow {
        name: owner.package,
        version: owner.version,
        architecture: owner.architecture,
    };
    Row {
        file: file.into(),
        name: file,
        extension: &subject.name,
        path: subject.path.as_path().into(),
        packages: packages.into_iter().map(package).collect(),
    }
}

fn in_words(row: &Row<'_>) -> String {
    let package =
        |package: &PackageRow| format!("{} {} {}", package.name, package.version, package.architecture);
    let packages: Vec<String> = row.packages.iter().map(package).collect();
    let packages = if packages.is_empty() { "no package".to_owned() } else { packages.join(", ") };
    let text = format!("{}: {packages}, in extension '{}'", row.name.display(), row.extension);
    output::visible(&text) + "\n"
}
