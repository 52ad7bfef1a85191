//! `onlay build`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};
use serde::Serialize;

use super::arguments::Place;
use super::db;
use super::image_options::{Options, check_way, compression, file_system};
use super::messages::Messages;
use super::output;
use super::report::Error;
use super::save;
use crate::event::counted;
use crate::extension::build::{self, Built, ExtensionName, Manifest, PackageNote, Recipe, Request, Source};
use crate::extension::finding::Weight;
use crate::extension::fit::Fitness;
use crate::host::Host;
use crate::overlay::OverlayName;
use crate::package::archive::PackageFile;
use crate::pkgdb;
use crate::resolve::{self, Manager, Resolved, Wanted};
use crate::sys::{Context, Root};

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
    #[arg(long, value_name = "OVERLAY", conflicts_with_all = ["packages", "trees", "recommends", "manager"])]
    from: Option<OverlayName>,
    /// Take packages, too, that are only recommended
    #[arg(long)]
    recommends: bool,
    /// Ask this package manager instead of the one that the base is known by
    #[arg(long, value_enum)]
    manager: Option<Manager>,
    #[command(flatten)]
    options: Options,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    let mut reports = Vec::new();
    let options = &arguments.options;
    for (name, recipe) in recipes(arguments)? {
        let recipe = arguments.over(recipe);
        recipe.check().map_err(Error::Words)?;
        if let Some(overlay) = &arguments.from {
            reports.push(save::of_overlay(place, options, &name, &recipe, overlay)?);
            continue;
        }
        if recipe.bases.is_empty() {
            reports.push(one(place, arguments, &name, &recipe, &place.root, &options.output)?);
        }
        for base in &recipe.bases {
            // Images for several bases have one name.
            let output = options.output.join(base_name(base)?);
            std::fs::create_dir_all(&output).context("make", &output)?;
            reports.push(one(place, arguments, &name, &recipe, base, &output)?);
        }
    }
    if options.json {
        output::print_json(&reports)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The name of a base's directory among those of others: its distribution and version.
fn base_name(base: &Path) -> Result<String, Error> {
    let release = Host::open(base)?.os_release();
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

/// What `--json` says of one image.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Where it is; nothing where that was only to be said.
    pub(super) image: Option<PathBuf>,
    /// Which package manager was asked, if any.
    pub(super) manager: Option<&'static str>,
    /// The packages in it, where no image was made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) packages: Vec<PackageNote>,
    /// What it says of itself.
    pub(super) manifest: Option<Manifest>,
    /// What was found when it was judged.
    pub(super) findings: Vec<String>,
    /// What else is to be known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) remarks: Vec<String>,
    /// What became of an overlay's changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) changes: Option<save::Told>,
}

fn one(
    place: &Place,
    arguments: &Arguments,
    name: &ExtensionName,
    recipe: &Recipe,
    base: &Path,
    output: &Path,
) -> Result<Report, Error> {
    if recipe.packages.is_empty() && recipe.trees.is_empty() {
        return Err(Error::Words(format!("what is to be in '{name}'? give --package, --tree or --from")));
    }
    check_way(recipe)?;
    let host = Host::open(base)?;
    // Before anything is downloaded.
    let output_directory = Root::open(output)?;
    let resolved = resolved(place, arguments, recipe, base)?;
    let sources = sources(recipe, resolved.as_ref())?;
    let replaced = replaced(&host, &sources)?;
    if !arguments.options.replace && !replaced.is_empty() {
        return Err(Error::Replaces { name: name.to_string(), packages: replaced });
    }
    let manager = resolved.as_ref().map(|resolved| resolved.manager.name());
    if arguments.options.dry_run {
        return would_build(arguments, name, &sources, manager);
    }
    let job = Job { name, recipe, host: &host, output: output_directory, sources, told: Vec::new() };
    Ok(Report { manager, ..make(&arguments.options, job)? })
}

/// An image that is to be made, when it is known of what.
pub(super) struct Job<'a> {
    pub(super) name: &'a ExtensionName,
    pub(super) recipe: &'a Recipe,
    pub(super) host: &'a Host,
    /// Where it goes.
    pub(super) output: Root,
    pub(super) sources: Vec<Source>,
    /// Why files are left out, as far as that was said already.
    pub(super) told: Vec<&'static str>,
}

/// Makes an image, and says so.
pub(super) fn make(options: &Options, job: Job<'_>) -> Result<Report, Error> {
    let Job { name, recipe, host, output, sources, told } = job;
    let request = Request {
        name: name.clone(),
        recipe,
        first: first_name(recipe),
        sources,
        base: host,
        output,
        format: file_system(recipe),
        compression: compression(recipe)?,
        envelope: options.envelope(recipe)?,
        time: source_date_epoch()?,
        unfit: options.unfit,
    };
    let built = match build::build(&request) {
        Err(build::Error::Unfit { name, fitness }) => {
            findings_in_words(&fitness).lines().for_each(output::complain);
            return Err(build::Error::Unfit { name, fitness }.into());
        }
        other => other?,
    };
    if !options.json {
        output::say_lines(&in_words(&built, &told));
        output::print(&format!("{}\n", output::path(&built.path)))?;
    }
    Ok(Report {
        image: Some(built.path),
        manifest: Some(built.manifest),
        findings: built.fitness.findings.iter().map(ToString::to_string).collect(),
        remarks: built.remarks,
        ..Report::default()
    })
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

/// Packages of which the base has another version.
fn replaced(host: &Host, sources: &[Source]) -> Result<Vec<String>, Error> {
    let Some(place) = pkgdb::Place::in_root(&host.root)? else { return Ok(Vec::new()) };
    let installed = match place.open(db::PATIENCE) {
        // Who may not lock it has no way to read it whole.
        Err(_) if !rustix::process::geteuid().is_root() => return Ok(Vec::new()),
        opened => opened?.packages()?,
    };
    let version = |package: &PackageFile| {
        let is_it =
            |known: &&pkgdb::Package| known.name == package.name() && known.arch == package.architecture();
        installed.packages.iter().find(is_it).map(|known| known.version.clone())
    };
    let words = |source: &Source| match source {
        Source::Package(package) => {
            let other = version(package).filter(|known| *known != package.version());
            other.map(|known| format!("{} {known} by {}", package.name(), package.version()))
        }
        Source::Tree(_) | Source::Changes(_) => None,
    };
    Ok(sources.iter().filter_map(words).collect())
}

/// The name of the first package that was asked for by name.
fn first_name(recipe: &Recipe) -> Option<String> {
    let first = recipe.packages.iter().find(|word| !build::is_path(word))?;
    Some(first.split(['=', ':', '/']).next().unwrap_or(first).to_owned())
}

fn would_build(
    arguments: &Arguments,
    name: &ExtensionName,
    sources: &[Source],
    manager: Option<&'static str>,
) -> Result<Report, Error> {
    let packages: Vec<PackageNote> = sources
        .iter()
        .filter_map(|source| match source {
            Source::Package(package) => Some(PackageNote {
                name: package.name().into_owned(),
                version: package.version(),
                architecture: package.architecture().into_owned(),
                ..PackageNote::default()
            }),
            Source::Tree(_) | Source::Changes(_) => None,
        })
        .collect();
    if !arguments.options.json {
        let mut text = format!("would build '{name}' from\n");
        for package in &packages {
            let _ = writeln!(text, "  {} {}", package.name, output::visible(&package.version));
        }
        output::print(&text)?;
    }
    Ok(Report { manager, packages, ..Report::default() })
}

/// What a person should know of an image that was built.
fn in_words(built: &Built, told: &[&str]) -> String {
    let manifest = &built.manifest;
    let mut text = String::new();
    let size = manifest.image.as_ref().map_or(0, |image| image.size);
    let _ = writeln!(
        text,
        "onlay: built '{}' {}: {} of {} in {}",
        manifest.name,
        manifest.version,
        counted(manifest.files.count, "file"),
        counted(manifest.packages.len() as u64, "package"),
        output::size(size),
    );
    for (why, count) in manifest.left_out.iter().filter(|(why, _)| !told.contains(&why.as_str())) {
        let _ = writeln!(text, "onlay: left out {}: {why}", counted(*count, "file"));
    }
    if !manifest.defaults.is_empty() {
        let count = counted(manifest.defaults.len() as u64, "file");
        let _ = writeln!(
            text,
            "onlay: {count} of /etc and /var go there at boot where nothing is yet (tmpfiles.d)"
        );
    }
    let with_scripts: Vec<&str> = manifest
        .packages
        .iter()
        .filter(|package| !package.scripts.is_empty())
        .map(|package| package.name.as_str())
        .collect();
    if !with_scripts.is_empty() {
        let _ = writeln!(text, "onlay: scripts were not run: of {}", with_scripts.join(", "));
    }
    for (owner, path) in &built.strangers {
        let owner = output::visible(&owner.to_string_lossy());
        let _ =
            writeln!(text, "onlay: the base has no '{owner}', who owns {}: it is root's", output::path(path));
    }
    for remark in &built.remarks {
        let _ = writeln!(text, "onlay: {}", output::visible(remark));
    }
    text + &findings_in_words(&built.fitness)
}

/// What was found when an image was judged: all that is wrong, and as much of the rest as people read.
fn findings_in_words(fitness: &Fitness) -> String {
    let mut text = String::new();
    if let Err(mismatch) = &fitness.verdict {
        let _ = writeln!(text, "onlay: systemd does not take it for this base: {mismatch}");
    }
    let (problems, remarks): (Vec<_>, Vec<_>) =
        fitness.findings.iter().partition(|finding| finding.weight == Weight::Problem);
    for finding in problems.iter().chain(remarks.iter().take(FEW)) {
        let _ = writeln!(text, "onlay: {}", output::visible(&finding.to_string()));
    }
    if remarks.len() > FEW {
        let more = counted((remarks.len() - FEW) as u64, "more remark");
        let _ = writeln!(text, "onlay: and {more}: '{} ext check --all IMAGE' lists them", output::program());
    }
    text
}

/// So many remarks are told.
const FEW: usize = 5;

/// The time that all is to have that has none of its own (<https://reproducible-builds.org/specs/source-date-epoch/>).
fn source_date_epoch() -> Result<Option<u32>, Error> {
    let Some(value) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| Error::Words("SOURCE_DATE_EPOCH is no number of seconds".to_owned()))
}
