//! `onlay build`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};
use serde::Serialize;

use super::arguments::Place;
use super::db;
use super::messages::Messages;
use super::output;
use super::report::Error;
use crate::event::counted;
use crate::extension::build::{
    self, Base, Built, Envelope, ExtensionName, ImageFormat, KnownPackage, Manifest, Matching, PackageNote,
    Recipe, Request, Source,
};
use crate::extension::finding::Weight;
use crate::extension::fit::Fitness;
use crate::host::Host;
use crate::image::Format;
use crate::image::ddi::Signer;
use crate::image::squashfs::{Compression, Options};
use crate::package::archive::PackageFile;
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

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    let mut reports = Vec::new();
    for (name, recipe) in recipes(arguments)? {
        let recipe = arguments.over(recipe);
        recipe.check().map_err(Error::Words)?;
        if recipe.bases.is_empty() {
            let base = arguments.base.as_ref().unwrap_or(&place.root);
            reports.push(one(place, arguments, &name, &recipe, base, &arguments.output)?);
        }
        for base in &recipe.bases {
            // Images for several bases have one name.
            let output = arguments.output.join(base_name(base)?);
            std::fs::create_dir_all(&output).context("make", &output)?;
            reports.push(one(place, arguments, &name, &recipe, base, &output)?);
        }
    }
    if arguments.json {
        output::print_json(&reports)?;
    }
    Ok(ExitCode::SUCCESS)
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

/// What `--json` says of one image.
#[derive(Debug, Serialize)]
struct Report {
    /// Where it is; nothing where that was only to be said.
    image: Option<PathBuf>,
    /// Which package manager was asked, if any.
    manager: Option<&'static str>,
    /// The packages in it, where no image was made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    packages: Vec<PackageNote>,
    /// What it says of itself.
    manifest: Option<Manifest>,
    /// What was found when it was judged.
    findings: Vec<String>,
}

fn one(
    place: &Place,
    arguments: &Arguments,
    name: &ExtensionName,
    recipe: &Recipe,
    base: &Path,
    output: &Path,
) -> Result<Report, Error> {
    let compression = match &recipe.compression {
        Some(words) => words.parse::<Compression>().map_err(|error| Error::Words(error.to_string()))?,
        None => Compression::Zstd(3),
    };
    if recipe.packages.is_empty() && recipe.trees.is_empty() {
        return Err(Error::Words(format!("what is to be in '{name}'? give --package or --tree")));
    }
    let format = recipe.format.map_or(Format::Squashfs, ImageFormat::file_system);
    Options { format, compression, ..Options::new(0) }.check().map_err(build::Error::from)?;
    let built_for = Base::open(base)?;
    // Before anything is downloaded.
    let output_directory = Root::open(output)?;
    let resolved = resolved(place, arguments, recipe, base)?;
    let sources = sources(recipe, resolved.as_ref())?;
    let replaced = replaced(base, &built_for, &sources)?;
    if !arguments.replace && !replaced.is_empty() {
        return Err(Error::Replaces { name: name.to_string(), packages: replaced });
    }
    let manager = resolved.as_ref().map(|resolved| resolved.manager.name());
    if arguments.dry_run {
        return would_build(arguments, name, &sources, manager);
    }
    let request = Request {
        name: name.clone(),
        recipe,
        first: first_name(recipe),
        sources,
        base: &built_for,
        output: output_directory,
        format,
        compression,
        envelope: arguments.envelope(recipe)?,
        time: source_date_epoch()?,
        unfit: arguments.unfit,
    };
    let built = match build::build(&request) {
        Err(build::Error::Unfit { name, fitness }) => {
            findings_in_words(&fitness).lines().for_each(output::complain);
            return Err(build::Error::Unfit { name, fitness }.into());
        }
        other => other?,
    };
    if !arguments.json {
        output::say_lines(&in_words(&built));
    }
    if !arguments.json {
        output::print(&format!("{}\n", output::path(&built.path)))?;
    }
    Ok(Report {
        image: Some(built.path),
        manager,
        packages: Vec::new(),
        manifest: Some(built.manifest),
        findings: built.fitness.findings.iter().map(ToString::to_string).collect(),
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

/// Packages of which the base has another version.
fn replaced(base: &Path, built_for: &Base, sources: &[Source]) -> Result<Vec<String>, Error> {
    let installed = match &built_for.packages {
        Some(packages) => packages.clone(),
        None => match build::packages_of(&Host::open(base)?, db::PATIENCE) {
            // Who may not lock it has no way to read it whole.
            Err(_) if !rustix::process::geteuid().is_root() => return Ok(Vec::new()),
            found => found?,
        },
    };
    let version = |package: &PackageFile| {
        let is_it = |known: &&KnownPackage| {
            known.name == package.name() && known.architecture == package.architecture()
        };
        installed.iter().find(is_it).map(|known| known.version.clone())
    };
    let words = |source: &Source| match source {
        Source::Package(package) => {
            let other = version(package).filter(|known| *known != package.version());
            other.map(|known| format!("{} {known} by {}", package.name(), package.version()))
        }
        Source::Tree(_) => None,
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
            Source::Tree(_) => None,
        })
        .collect();
    if !arguments.json {
        let mut text = format!("would build '{name}' from\n");
        for package in &packages {
            let _ = writeln!(text, "  {} {}", package.name, output::visible(&package.version));
        }
        output::print(&text)?;
    }
    Ok(Report { image: None, manager, packages, manifest: None, findings: Vec::new() })
}

/// What a person should know of an image that was built.
fn in_words(built: &Built) -> String {
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
    for (why, count) in &manifest.left_out {
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
