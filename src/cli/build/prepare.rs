//! What must be known before an image is made: packages are downloaded, and refusals come first.

use std::path::{Path, PathBuf};

use super::words;
use super::{Arguments, Done, Job, Report};
use crate::cli::arguments::Place;
use crate::cli::db;
use crate::cli::finding_row::FindingRow;
use crate::cli::image_options::{Options, check_way, compression, file_system};
use crate::cli::messages::Messages;
use crate::cli::output;
use crate::cli::report::Error;
use crate::extension::build::{
    self, Base, ExtensionName, KnownPackage, PackageNote, Recipe, Request, Source,
};
use crate::host::Host;
use crate::package::archive::{Format as PackageFormat, PackageFile};
use crate::package::{DebianVersion, Evr};
use crate::resolve::{self, Resolved, Wanted};
use crate::sys::Root;

/// What can be said of a job before it is done.
pub(super) enum Prepared<'a> {
    /// It was only to be said.
    Told(Box<Done>),
    /// All is there.
    Ready(Box<Ready<'a>>),
}

/// An image that can be made.
pub(super) struct Ready<'a> {
    pub(super) job: &'a Job,
    base: Base,
    output: Root,
    time: Option<u32>,
    sources: Vec<Source>,
    /// What was downloaded, which is removed with it.
    resolved: Option<Resolved>,
    report: Report,
    /// What is to be said already.
    said: String,
}

/// Does all that comes before the image: refuses what cannot be, and downloads what is missing.
pub(super) fn prepare<'a>(place: &Place, arguments: &Arguments, job: &'a Job) -> Result<Prepared<'a>, Error> {
    let Job { name, recipe, base, output } = job;
    if recipe.packages.is_empty() && recipe.trees.is_empty() {
        return Err(Error::Words(nothing_named(name.as_str())));
    }
    check_way(recipe)?;
    arguments.options.envelope(recipe)?;
    let built_for = Base::open(base)?;
    // Before anything is downloaded.
    let output = Root::open(output)?;
    let time = source_date_epoch()?;
    let resolved = resolved(place, arguments, recipe, base)?;
    let sources = sources(recipe, resolved.as_ref())?;
    let installed = installed(base, &built_for)?;
    let replaced = replaced(&installed, &sources);
    if !arguments.options.replace && !replaced.is_empty() {
        let packages = replaced.into_iter().map(|(words, _)| words).collect();
        return Err(Error::Replaces { name: name.to_string(), packages });
    }
    let in_base = in_base(recipe, &installed, &sources);
    let mut said = words::before(&replaced, &in_base);
    let report = Report {
        name: name.to_string(),
        manager: resolved.as_ref().map(|resolved| resolved.manager.name()),
        in_base: in_base.iter().map(|known| known.name.clone()).collect(),
        ..Report::default()
    };
    if arguments.options.dry_run {
        let packages = packages(&sources);
        let version = build::version(name, recipe, first_name(recipe).as_deref(), &sources)?;
        let printed = words::would_build(name, &version, &packages);
        said = if arguments.options.json { String::new() } else { said };
        return Ok(Prepared::Told(Box::new(Done {
            report: Report { version: Some(version), packages, ..report },
            said,
            printed,
        })));
    }
    Ok(Prepared::Ready(Box::new(Ready {
        job,
        base: built_for,
        output,
        time,
        sources,
        resolved,
        report,
        said,
    })))
}

impl Ready<'_> {
    /// Makes the image.
    pub(super) fn build(self, arguments: &Arguments) -> Result<Done, Error> {
        let Ready { job: Job { name, recipe, .. }, base, output, time, sources, .. } = self;
        let making = Making { name, recipe, base: &base, output, time, sources, told: Vec::new() };
        let Done { report, said, printed } = make(&arguments.options, making)?;
        drop(self.resolved);
        let said = if arguments.options.json { said } else { self.said + &said };
        let Report { manager, in_base, .. } = self.report;
        Ok(Done { report: Report { manager, in_base, ..report }, said, printed })
    }
}

/// An image that is to be made, when it is known of what.
pub(in crate::cli) struct Making<'a> {
    pub(in crate::cli) name: &'a ExtensionName,
    pub(in crate::cli) recipe: &'a Recipe,
    pub(in crate::cli) base: &'a Base,
    /// Where it goes.
    pub(in crate::cli) output: Root,
    /// The time of what has none of its own.
    pub(in crate::cli) time: Option<u32>,
    pub(in crate::cli) sources: Vec<Source>,
    /// Why files are left out, as far as that was said already.
    pub(in crate::cli) told: Vec<&'static str>,
}

/// Makes an image. Nothing is said of it yet, but why it does not fit.
pub(in crate::cli) fn make(options: &Options, making: Making<'_>) -> Result<Done, Error> {
    let Making { name, recipe, base, output, time, sources, told } = making;
    let request = Request {
        name: name.clone(),
        recipe,
        first: first_name(recipe),
        sources,
        base,
        output,
        format: file_system(recipe),
        compression: compression(recipe)?,
        envelope: options.envelope(recipe)?,
        time,
        unfit: options.unfit,
    };
    let built = match build::build(&request) {
        Err(build::Error::Unfit { name, fitness }) => {
            words::of_findings(&fitness).lines().for_each(output::complain);
            return Err(build::Error::Unfit { name, fitness }.into());
        }
        other => other?,
    };
    let said = if options.json { String::new() } else { words::of_built(&built, &told) };
    let printed = format!("{}\n", output::path(&built.path));
    let report = Report {
        name: name.to_string(),
        image: Some(built.path),
        manifest: Some(built.manifest),
        findings: Some(built.fitness.findings.iter().map(FindingRow::of).collect()),
        remarks: built.remarks,
        ..Report::default()
    };
    Ok(Done { report, said, printed })
}

/// What a person may have meant who names nothing.
fn nothing_named(name: &str) -> String {
    let is_directory = Path::new(name).is_dir();
    let hint =
        if is_directory { format!("; the recipes in the directory are '{name}/'") } else { String::new() };
    format!("what is to be in '{name}'? give --package, --tree or --from{hint}")
}

/// What the base's package manager makes of the names of packages, if there are any.
fn resolved(
    place: &Place,
    arguments: &Arguments,
    recipe: &Recipe,
    base: &Path,
) -> Result<Option<Resolved>, Error> {
    let names: Vec<String> = recipe.packages.iter().filter(|word| !build::is_path(word)).cloned().collect();
    if names.is_empty() {
        return Ok(None);
    }
    if let Some(file) = names.iter().find(|name| Path::new(name).is_file()) {
        return Err(Error::Words(format!("'{file}' is a name of a package here; the file is ./{file}")));
    }
    if base.is_file() {
        return Err(Error::Words(format!(
            "'{}' is to be had from repositories, whose package manager needs the base itself: over a file that stands for it, \
             name package files (./NAME.deb) or directories",
            names[0]
        )));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let wanted = Wanted {
        packages: names,
        manager: arguments.manager,
        recommends: recipe.recommends,
        root: base.to_owned(),
        state: place.state.clone(),
    };
    let resolved = resolve::resolve(&wanted, &mut Messages)?;
    if resolved.files.is_empty() {
        return Err(Error::HasAll { packages: wanted.packages });
    }
    Ok(Some(resolved))
}

fn sources(recipe: &Recipe, resolved: Option<&Resolved>) -> Result<Vec<Source>, Error> {
    let files = recipe.packages.iter().filter(|word| build::is_path(word)).map(PathBuf::from);
    let from_repositories = resolved.into_iter().flat_map(|resolved| resolved.files.iter().cloned());
    let all = from_repositories.chain(files).chain(recipe.trees.iter().cloned());
    let mut sources: Vec<Source> = Vec::new();
    for path in all {
        let source = build::open(&path)?;
        if !sources.iter().any(|known| known.is_same_package(&source)) {
            sources.push(source);
        }
    }
    Ok(sources)
}

/// The packages of the base.
fn installed(base: &Path, built_for: &Base) -> Result<Vec<KnownPackage>, Error> {
    match &built_for.packages {
        Some(packages) => Ok(packages.clone()),
        None => match build::packages_of(&Host::open(base)?, db::PATIENCE) {
            // Who may not lock it has no way to read it whole.
            Err(_) if !rustix::process::geteuid().is_root() => Ok(Vec::new()),
            found => Ok(found?),
        },
    }
}

/// Packages of which the base has another version, in words, and whether that is newer.
fn replaced(installed: &[KnownPackage], sources: &[Source]) -> Vec<(String, bool)> {
    let other = |package: &PackageFile| {
        let is_it = |known: &&KnownPackage| {
            known.name == package.name() && known.architecture == package.architecture()
        };
        installed.iter().find(is_it).filter(|known| known.version != package.version())
    };
    let words = |source: &Source| match source {
        Source::Package(package) => {
            let known = other(package)?;
            let words = format!("{} {} by {}", package.name(), known.version, package.version());
            Some((words, is_older(package, &known.version)))
        }
        Source::Tree(_) | Source::Changes(_) => None,
    };
    sources.iter().filter_map(words).collect()
}

/// Whether a package is older than a version that is installed.
fn is_older(package: &PackageFile, installed: &str) -> bool {
    let version = package.version();
    match package.format() {
        PackageFormat::Rpm => Evr::parse(&version) < Evr::parse(installed),
        PackageFormat::Deb => {
            let parsed = DebianVersion::parse(&version).ok().zip(DebianVersion::parse(installed).ok());
            parsed.is_some_and(|(version, installed)| version < installed)
        }
    }
}

/// Packages that were named, that are not in it, and that the base has.
fn in_base<'a>(recipe: &Recipe, installed: &'a [KnownPackage], sources: &[Source]) -> Vec<&'a KnownPackage> {
    let is_in = |name: &str| {
        sources.iter().any(|source| matches!(source, Source::Package(package) if package.name() == name))
    };
    let names = recipe.packages.iter().filter(|word| !build::is_path(word));
    let names =
        names.map(|word| word.split(['=', ':', '/']).next().unwrap_or(word)).filter(|name| !is_in(name));
    names.filter_map(|name| installed.iter().find(|known| known.name == name)).collect()
}

/// The packages that would go in.
fn packages(sources: &[Source]) -> Vec<PackageNote> {
    let note = |source: &Source| match source {
        Source::Package(package) => Some(PackageNote {
            name: package.name().into_owned(),
            version: package.version(),
            architecture: package.architecture().into_owned(),
            ..PackageNote::default()
        }),
        Source::Tree(_) | Source::Changes(_) => None,
    };
    sources.iter().filter_map(note).collect()
}

/// The name of the first package that was asked for by name.
fn first_name(recipe: &Recipe) -> Option<String> {
    let first = recipe.packages.iter().find(|word| !build::is_path(word))?;
    Some(first.split(['=', ':', '/']).next().unwrap_or(first).to_owned())
}

/// The time that all is to have that has none of its own (<https://reproducible-builds.org/specs/source-date-epoch/>).
pub(in crate::cli) fn source_date_epoch() -> Result<Option<u32>, Error> {
    let Some(value) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| Error::Words("SOURCE_DATE_EPOCH is no number of seconds".to_owned()))
}
