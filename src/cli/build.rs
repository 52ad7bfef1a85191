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
use super::output;
use super::report::{self, Error, FAILED};
use crate::extension::build::{
    self, Base, Envelope, ExtensionName, ImageFormat, Manifest, Matching, PackageNote, Recipe,
};
use crate::image::ddi::Signer;
use crate::resolve::Manager;
use crate::sys::Context;
use prepare::{Prepared, Ready};

/// Build an extension: packages as an image for systemd-sysext
///
/// The base's own package manager says which packages are missing on the base, and
/// downloads them; their files go straight into NAME_VERSION_ARCHITECTURE.raw, and
/// what it holds, needs and was built for into a manifest beside it. No script of a
/// package runs, and neither the host nor its package database changes. What the
/// extension's programs need is looked for on the base: an image that does not fit is
/// not made.
#[derive(Debug, Args)]
#[command(after_help = "\
Where recipes are given, each is an image: a file NAME.toml with the fields
packages, trees, version, recommends, drop, keep, bases, match, scope, reload,
restart, reload-or-restart, compression, format. Options come on top of what it says.")]
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
    /// Build for the base that this file stands for ('onlay ext base' makes one) instead
    /// of this host or --root: package files and directories alone
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    base: Option<PathBuf>,
    /// Where the image goes
    #[arg(long, short, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    output: PathBuf,
    /// The extension's version [default: that of the package it is named after, else of
    /// the first]
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Which hosts systemd is to take it for: those like the base (of its SYSEXT_LEVEL,
    /// else of its version), those of its version, or any
    #[arg(long = "match", value_enum, value_name = "WHICH")]
    matching: Option<Matching>,
    /// Leave files out: a pattern such as 'usr/share/doc/**'
    #[arg(long, value_name = "PATTERN")]
    drop: Vec<String>,
    /// Leave these in all the same
    #[arg(long, value_name = "PATTERN")]
    keep: Vec<String>,
    /// Take packages, too, that are only recommended
    #[arg(long)]
    recommends: bool,
    /// Let packages hide older versions that the base has
    #[arg(long)]
    replace: bool,
    /// Ask this package manager instead of the one that the base is known by
    #[arg(long, value_enum)]
    manager: Option<Manager>,
    /// Have systemd read its units again when the extension comes or goes
    #[arg(long)]
    reload: bool,
    /// Have systemd (262 or newer) restart a unit when the extension comes or goes
    #[arg(long, value_name = "UNIT")]
    restart: Vec<String>,
    /// zstd:1 to zstd:22, lz4, none; squashfs also xz:0 to xz:9, gzip:1 to gzip:9
    /// [default: zstd:3]
    #[arg(long, value_name = "HOW")]
    compression: Option<String>,
    /// A file system image alone, or a disk image (DDI) with one and a dm-verity hash tree
    /// [default: squashfs, or ddi with --key]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<ImageFormat>,
    /// Sign the hash tree with this key (PEM); the image is a DDI then
    #[arg(long, value_name = "FILE", requires = "certificate", value_hint = ValueHint::FilePath)]
    key: Option<PathBuf>,
    /// The certificate of that key (PEM), which hosts have in /etc/verity.d
    #[arg(long, value_name = "FILE", requires = "key", value_hint = ValueHint::FilePath)]
    certificate: Option<PathBuf>,
    /// Build so many recipes at a time [default: as many as processors and memory allow]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Make the image though it does not fit the base
    #[arg(long)]
    unfit: bool,
    /// Say which packages would go in, and stop
    #[arg(long)]
    dry_run: bool,
    /// Say it as JSON
    #[arg(long)]
    json: bool,
}

/// One image that is to be made.
struct Job {
    name: ExtensionName,
    recipe: Recipe,
    base: PathBuf,
    output: PathBuf,
}

/// What came of one.
struct Done {
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
struct Report {
    name: String,
    /// Where it is; nothing where that was only to be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<PathBuf>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Which package manager was asked, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    manager: Option<&'static str>,
    /// The packages in it, where no image was made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    packages: Vec<PackageNote>,
    /// Packages that were named, and that the base has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    in_base: Vec<String>,
    /// What it says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<Manifest>,
    /// What was found when it was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<Vec<FindingRow>>,
}

/// As much memory as one build may want (its threads, with blocks on their way).
const MEMORY_OF_ONE: u64 = 256 << 20;

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
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
            Ok(Prepared::Told(done)) => results.push((name, Ok(show(arguments, *done)?))),
            Ok(Prepared::Ready(one)) => ready.push(Mutex::new(Some(*one))),
        }
    }
    let at_once = arguments.jobs.map_or_else(at_once, NonZeroUsize::get).clamp(1, ready.len().max(1));
    results.extend(build_all(arguments, &ready, at_once, is_alone));
    if is_alone && let Some((_, Err(_))) = results.first() {
        let (_, result) = results.remove(0);
        return result.map(|_| ExitCode::SUCCESS);
    }
    let has_failed = results.iter().any(|(_, result)| result.is_err());
    if arguments.json {
        let report = |(name, result): Named| match result {
            Ok(report) => report,
            Err(error) => Report { name, error: Some(crate::sys::with_causes(&error)), ..Report::default() },
        };
        output::print_json(&results.into_iter().map(report).collect::<Vec<_>>())?;
    }
    Ok(if has_failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
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
                        Ok(done) => show(arguments, done),
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
fn show(arguments: &Arguments, done: Done) -> Result<Report, Error> {
    output::say_lines(&done.said);
    if !arguments.json {
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
    let available = free_memory().map_or(1, |bytes| (bytes / MEMORY_OF_ONE) as usize);
    processors.min(available).max(1)
}

/// What could be had without swapping (proc_meminfo(5)).
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// All images that are to be made.
fn jobs(place: &Place, arguments: &Arguments) -> Result<Vec<Job>, Error> {
    let mut jobs = Vec::new();
    let mut places = HashSet::new();
    for (name, recipe) in recipes(arguments)? {
        let recipe = arguments.over(recipe);
        recipe.check().map_err(Error::Words)?;
        let mut targets =
            vec![(arguments.base.clone().unwrap_or(place.root.clone()), arguments.output.clone())];
        if !recipe.bases.is_empty() {
            targets.clear();
        }
        for base in &recipe.bases {
            // Images for several bases have one name.
            let output = arguments.output.join(base_name(base)?);
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
        recipe.drop.extend(self.drop.iter().cloned());
        recipe.keep.extend(self.keep.iter().cloned());
        recipe.restart.extend(self.restart.iter().cloned());
        recipe.recommends |= self.recommends;
        recipe.reload |= self.reload;
        recipe.version = self.version.clone().or(recipe.version);
        recipe.compression = self.compression.clone().or(recipe.compression);
        recipe.format = self.format.or(recipe.format);
        recipe.matching = self.matching.unwrap_or(recipe.matching);
        recipe
    }

    /// What the file system image goes into.
    fn envelope(&self, recipe: &Recipe) -> Result<Envelope, Error> {
        match (&self.key, &self.certificate, recipe.format) {
            (Some(_), Some(_), Some(format)) if !format.is_disk() => {
                let words = "a file system image alone cannot be signed: it takes --format ddi or ddi-erofs";
                Err(Error::Words(words.to_owned()))
            }
            (Some(key), Some(certificate), _) => {
                let read = |path: &PathBuf| std::fs::read(path).context("read", path);
                let signer = Signer::from_pem(&read(key)?, &read(certificate)?);
                let signer = signer.map_err(|problem| Error::Key { key: key.clone(), problem })?;
                Ok(Envelope::Signed(Box::new(signer)))
            }
            (_, _, Some(format)) if format.is_disk() => Ok(Envelope::Verity),
            _ => Ok(Envelope::None),
        }
    }
}
