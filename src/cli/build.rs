//! `onlay build`.

mod prepare;
mod words;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{Args, ValueHint};
use serde::Serialize;

use super::arguments::Place;
use super::finding_row::FindingRow;
use super::image_options::Options;
use super::output;
use super::report::{self, Error, FAILED};
use super::save;
use crate::extension::build::{self, Base, ExtensionName, Manifest, PackageNote, Recipe};
use crate::extension::{is_merged_for_all, with_base};
use crate::host::Host;
use crate::overlay::OverlayName;
use crate::resolve::Manager;
use crate::sys::{Context, available_memory};
pub(super) use prepare::{Making, make, source_date_epoch};
use prepare::{Prepared, Ready};

#[derive(Debug, Args)]
#[command(after_help = "\
Where recipes are given, each is an image: a file NAME.toml with the fields
packages, trees, version, recommends, drop, keep, bases, match, scope, reload,
restart, reload-or-restart, selinux, format, compression. Options come on top of what it says.")]
pub(super) struct Arguments {
    /// The extension's name; or a recipe (a file *.toml), or a directory of recipes
    #[arg(value_name = "NAME|RECIPE", value_hint = ValueHint::AnyPath)]
    what: String,
    /// Put a package in, and what it needs that the base lacks: by its name, or a file
    /// (a word with '/' in it), which is taken as it is
    #[arg(long = "package", short, value_name = "PACKAGE")]
    packages: Vec<String>,
    /// Put the content of a directory in, as it is to lie on the host from its root
    #[arg(long = "tree", value_name = "DIR", value_hint = ValueHint::DirPath)]
    trees: Vec<PathBuf>,
    /// Put in what an overlay changes, instead of packages and directories: like 'onlay
    /// save OVERLAY --ext NAME'
    #[arg(long, value_name = "OVERLAY", conflicts_with_all = ["packages", "trees", "recommends", "manager", "base", "jobs"])]
    from: Option<OverlayName>,
    /// Build for the base that this file stands for ('onlay ext base' makes one) instead
    /// of this host or --root: package files and directories alone
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    base: Option<PathBuf>,
    /// Take packages, too, that are only recommended
    #[arg(long)]
    recommends: bool,
    /// Ask this package manager instead of the one that the base is known by
    #[arg(long, value_enum)]
    manager: Option<Manager>,
    /// Build so many recipes at a time [default: as many as processors and memory allow]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    #[command(flatten)]
    options: Options,
}

/// One image that is to be made.
struct Job {
    name: ExtensionName,
    recipe: Recipe,
    base: PathBuf,
    output: PathBuf,
}

/// What came of one.
pub(super) struct Done {
    report: Report,
    /// For people, on stderr.
    said: String,
    /// Where it is, on stdout.
    printed: String,
}

/// What came of an image, and its name.
type Named = (String, Result<Report, Error>);

/// What `--json` says of one image.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) name: String,
    /// Where it is; nothing where that was only to be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image: Option<PathBuf>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// Which package manager was asked, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) manager: Option<&'static str>,
    /// Its version, where no image was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    /// The packages in it, where no image was made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) packages: Vec<PackageNote>,
    /// Packages that were named, and that the base has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) in_base: Vec<String>,
    /// What it says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) manifest: Option<Manifest>,
    /// What was found when it was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) findings: Option<Vec<FindingRow>>,
    /// What else is to be known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) remarks: Vec<String>,
    /// What became of an overlay's changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) changes: Option<save::Told>,
}

/// As much memory as one build may want (its threads, with blocks on their way).
const MEMORY_OF_ONE: u64 = 256 << 20;

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    if let Some(overlay) = &arguments.from {
        return from_overlay(place, arguments, overlay);
    }
    if arguments.base.is_some() {
        return of_packages(place, arguments);
    }
    let host = Host::open(&place.root)?;
    if is_merged_for_all(&host) {
        output::say(
            "onlay: the extensions that are merged are taken for a part of the base: only root sees it without them",
        );
    }
    // What is merged goes or changes while the image stays: an update is not judged over what it replaces.
    with_base(&host, |_| of_packages(place, arguments))?
}

/// Builds from packages and directories.
fn of_packages(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    let jobs = jobs(place, arguments)?;
    let is_alone = jobs.len() == 1;
    // Package managers are asked one after the other: they use what the others have downloaded, and all of the network.
    let mut ready = Vec::new();
    let mut results: Vec<Named> = Vec::new();
    for job in &jobs {
        let name = job.name.to_string();
        match prepare::prepare(place, arguments, job) {
            Err(error) if is_alone => return Err(error),
            Err(error) => results.push((name, Err(told(job, error)))),
            Ok(Prepared::Told(done)) => results.push((name, Ok(show(&arguments.options, *done)?))),
            Ok(Prepared::Ready(one)) => ready.push(Mutex::new(Some(*one))),
        }
    }
    let at_once = arguments.jobs.map_or_else(at_once, NonZeroUsize::get).clamp(1, ready.len().max(1));
    results.extend(build_all(arguments, &ready, at_once, is_alone));
    if is_alone && let Some((_, Err(_))) = results.first() {
        let (_, result) = results.remove(0);
        return result.map(|_| ExitCode::SUCCESS);
    }
    if !arguments.options.json {
        tell_next(&jobs, &results);
    }
    let has_failed = results.iter().any(|(_, result)| result.is_err());
    if arguments.options.json {
        let report = |(name, result): Named| match result {
            Ok(report) => report,
            Err(error) => Report { name, error: Some(crate::sys::with_causes(&error)), ..Report::default() },
        };
        output::print_json(&results.into_iter().map(report).collect::<Vec<_>>())?;
    }
    Ok(if has_failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// What a person does next with what was built for the running host.
fn tell_next(jobs: &[Job], results: &[Named]) {
    let is_for_here = |name: &str| {
        jobs.iter().any(|job| job.name.as_str() == name && job.base == Path::new("/"))
            && !jobs.iter().any(|job| job.name.as_str() == name && job.base != Path::new("/"))
    };
    let built = results.iter().filter(|(name, _)| is_for_here(name));
    let images: Vec<&Path> = built.filter_map(|(_, result)| result.as_ref().ok()?.image.as_deref()).collect();
    save::tell_add(&images);
}

/// Builds what an overlay changes.
fn from_overlay(place: &Place, arguments: &Arguments, overlay: &OverlayName) -> Result<ExitCode, Error> {
    for (name, recipe) in recipes(arguments)? {
        let recipe = arguments.over(recipe);
        recipe.check().map_err(Error::Words)?;
        let report = save::of_overlay(place, &arguments.options, &name, &recipe, overlay)?;
        if arguments.options.json {
            output::print_json(&[report])?;
        } else if place.root == Path::new("/") {
            save::tell_add(&report.image.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds what is ready, so many at a time. What is said of each is said at once, when it is done.
fn build_all(
    arguments: &Arguments,
    ready: &[Mutex<Option<Ready<'_>>>],
    at_once: usize,
    is_alone: bool,
) -> Vec<Named> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Named>>> = ready.iter().map(|_| Mutex::new(None)).collect();
    let telling = Mutex::new(());
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = ready.get(number).and_then(|one| one.lock().ok()?.take()) else { break };
                    let job = one.job;
                    let result = one.build(arguments);
                    let guard = telling.lock();
                    let result = match result {
                        Ok(done) => show(&arguments.options, done),
                        Err(error) if is_alone => Err(error),
                        Err(error) => Err(told(job, error)),
                    };
                    drop(guard);
                    if let Ok(mut slot) = results[number].lock() {
                        *slot = Some((job.name.to_string(), result));
                    }
                }
            });
        }
    });
    results.into_iter().filter_map(|result| result.into_inner().ok().flatten()).collect()
}

/// Says what came of one.
pub(super) fn show(options: &Options, done: Done) -> Result<Report, Error> {
    output::say_lines(&done.said);
    if !options.json {
        output::print(&done.printed)?;
    }
    Ok(done.report)
}

/// Says why one of several is not built.
fn told(job: &Job, error: Error) -> Error {
    output::complain(&format!("onlay: '{}' is not built:", job.name));
    report::show(&error);
    error
}

/// How many are built at a time: each uses all processors for a while, and waits for disks in between.
fn at_once() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let available = available_memory().map_or(1, |bytes| (bytes / MEMORY_OF_ONE) as usize);
    processors.min(available).max(1)
}

/// All images that are to be made.
fn jobs(place: &Place, arguments: &Arguments) -> Result<Vec<Job>, Error> {
    let mut jobs = Vec::new();
    let mut places = HashSet::new();
    for (name, recipe) in recipes(arguments)? {
        let recipe = arguments.over(recipe);
        recipe.check().map_err(Error::Words)?;
        let mut targets =
            vec![(arguments.base.clone().unwrap_or(place.root.clone()), arguments.options.output.clone())];
        if !recipe.bases.is_empty() {
            targets.clear();
        }
        for base in &recipe.bases {
            // Images for several bases have one name.
            let output = arguments.options.output.join(base_name(base)?);
            std::fs::create_dir_all(&output).context("make", &output)?;
            targets.push((base.clone(), output));
        }
        for (base, output) in targets {
            if !places.insert((name.clone(), output.clone())) {
                return Err(Error::Words(format!(
                    "two images for one base have the name '{name}': give one of the recipes another ('name')"
                )));
            }
            jobs.push(Job { name: name.clone(), recipe: recipe.clone(), base, output });
        }
    }
    Ok(jobs)
}

/// The name of a base's directory among those of others: its distribution and version.
fn base_name(base: &Path) -> Result<String, Error> {
    let release = Base::open(base)?.facts.release;
    let words = format!("{}-{}", release.id(), release.get("VERSION_ID").unwrap_or("rolling"));
    Ok(words.chars().map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' }).collect())
}

/// What is to be built: what recipes say, or what the command line says alone.
fn recipes(arguments: &Arguments) -> Result<Vec<(ExtensionName, Recipe)>, Error> {
    let word = &arguments.what;
    let is_recipe = word.contains('/') || Path::new(word).extension().is_some_and(|end| end == "toml");
    if !is_recipe {
        let name = word.parse().map_err(|error: build::InvalidName| Error::Words(error.to_string()))?;
        return Ok(vec![(name, Recipe::default())]);
    }
    if !is_recipe_file(Path::new(word)) {
        return Err(Error::Words(format!("'{word}' is no recipe: packages come after --package")));
    }
    if arguments.from.is_some() {
        return Err(Error::Words(format!("'{word}' is a recipe, and those are not built from overlays")));
    }
    let found = Recipe::find(Path::new(word)).map_err(build::Error::from)?;
    let read = |path: &PathBuf| Recipe::read(path).map_err(|error| build::Error::from(error).into());
    found.iter().map(read).collect()
}

/// Whether it can be one: a directory, or a file that is called so.
fn is_recipe_file(path: &Path) -> bool {
    !path.is_file() || path.extension().is_some_and(|end| end == "toml")
}

impl Arguments {
    /// The command line's words on top of a recipe.
    fn over(&self, mut recipe: Recipe) -> Recipe {
        recipe.packages.extend(self.packages.iter().cloned());
        recipe.trees.extend(self.trees.iter().cloned());
        recipe.recommends |= self.recommends;
        self.options.over(recipe)
    }
}
