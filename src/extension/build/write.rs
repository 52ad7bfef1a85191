//! From sources to an image that has its name.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::PathBuf;

use super::accounts::Accounts;
use super::assemble::Assembly;
use super::base::Base;
use super::error::Error;
use super::gather::{Common, Gathered};
use super::labels::Labels;
use super::manifest::{Image, MadeWith, Manifest, place_beside};
use super::naming::{ExtensionName, image_name, version_of};
use super::recipe::Recipe;
use super::records::Records;
use super::source::Source;
use super::{generated, kernels, notes, parallel, release, remarks};
use crate::extension::fit::{self, Extension, Fitness};
use crate::extension::matching::HostFacts;
use crate::extension::{Class, ImageFiles, of_disk};
use crate::image::Format;
use crate::image::ddi::{self, Designator, PAYLOAD_OFFSET, Payload, Protection, Signer};
use crate::image::squashfs::{Compression, Options, Writer};
use crate::package::digest::Algorithm;
use crate::sys::{Context, NewFile, Root};

/// What is to be built.
#[derive(Debug)]
pub struct Request<'a> {
    /// The extension's name.
    pub name: ExtensionName,
    /// How.
    pub recipe: &'a Recipe,
    /// The package that gives the version where the recipe has none and none is called as the extension.
    pub first: Option<String>,
    /// From what.
    pub sources: Vec<Source>,
    /// For what.
    pub base: &'a Base,
    /// The directory that the image goes to.
    pub output: Root,
    /// Which file system it is.
    pub format: Format,
    /// How the image is compressed.
    pub compression: Compression,
    /// In what it is.
    pub envelope: Envelope,
    /// The time of the image (SOURCE_DATE_EPOCH); that of its newest file where there is none.
    pub time: Option<u32>,
    /// Make the image though it does not fit.
    pub unfit: bool,
}

/// What a file system image is in.
#[derive(Debug)]
pub enum Envelope {
    /// Nothing: it is a file by itself.
    None,
    /// A disk image (a DDI), with a hash tree.
    Verity,
    /// A disk image, with a hash tree whose root is signed.
    Signed(Box<Signer>),
}

/// An image that was built.
#[derive(Debug)]
pub struct Built {
    /// Where it is.
    pub path: PathBuf,
    /// Where its manifest is.
    pub manifest_path: PathBuf,
    /// What it says.
    pub manifest: Manifest,
    /// What was found when it was judged.
    pub fitness: Fitness,
    /// Owners that the base does not know, with a file of each; root has those files.
    pub strangers: BTreeMap<OsString, PathBuf>,
    /// What else a person should know, in a line each.
    pub remarks: Vec<String>,
    /// What was to be left out, and is nowhere.
    pub not_dropped: Vec<String>,
}

/// An image that was written, and is not judged yet.
struct Written {
    manifest: Manifest,
    strangers: BTreeMap<OsString, PathBuf>,
    remarks: Vec<String>,
    not_dropped: Vec<String>,
}

/// Builds an image. Until it is whole, and was judged, there is none of its name, and an older one stays.
pub fn build(request: &Request<'_>) -> Result<Built, Error> {
    let facts = &request.base.facts;
    if !request.unfit {
        kernels::check(&request.base.stack(), request.format, request.compression)?;
    }
    let architecture = architecture(&request.sources, &facts.architecture)?;
    let version = version(&request.name, request.recipe, request.first.as_deref(), &request.sources)?;
    let file = image_name(&request.name, &version, architecture);
    let image = NewFile::create(&request.output, OsStr::new(&file))?;
    let Written { mut manifest, strangers, remarks, not_dropped } =
        write(request, &image, version, architecture, facts)?;
    let fitness = judge(request, &image, facts)?;
    let is_good = fitness.fits() && fitness.verdict.is_ok();
    if !is_good && !request.unfit {
        return Err(Error::Unfit { name: request.name.to_string(), fitness: Box::new(fitness) });
    }
    let size = image.file().metadata().context("examine", image.path())?.len();
    let sha256 = Algorithm::Sha256.digest_file(image.file(), &image.path())?.to_string();
    let beside = NewFile::create(&request.output, place_beside(&file).as_os_str())?;
    manifest.image = Some(Image { file, size, sha256 });
    beside.file().write_all(&manifest.to_text()).context("write", beside.path())?;
    let (path, manifest_path) = (image.path(), beside.path());
    image.place(0o644)?;
    beside.place(0o644)?;
    Ok(Built { path, manifest_path, manifest, fitness, strangers, remarks, not_dropped })
}

/// Writes the image, and says what is in it.
fn write(
    request: &Request<'_>,
    image: &NewFile,
    version: String,
    architecture: Option<&'static str>,
    facts: &HostFacts,
) -> Result<Written, Error> {
    let Request { name, recipe, sources, base, output, format, compression, envelope, .. } = request;
    let options =
        Options { format: *format, compression: *compression, ..Options::new(request.time.unwrap_or(0)) };
    let offset = if matches!(envelope, Envelope::None) { 0 } else { PAYLOAD_OFFSET };
    let writer = Writer::new(image.file(), offset, &image.path(), output, options.clone())?;
    let common = Common {
        base: base.contents(),
        accounts: Accounts::of(&base.stack())?,
        filter: recipe.filter(),
        work: output,
    };
    let mut gathered = parallel::gather_all(sources, &common, &writer, options.threads)?;
    let not_dropped = common.filter.unused();
    let time = request.time.unwrap_or_else(|| newest(&gathered));

    let records = Records::of(sources, &gathered, time)?;
    let mut assembly = Assembly::new(base.contents(), time.into());
    for (source, gathered) in sources.iter().zip(&mut gathered) {
        assembly.add(source.name(), std::mem::take(&mut gathered.files))?;
    }
    for gathered in &gathered {
        assembly.prune(&gathered.emptied);
    }
    if assembly.is_empty() {
        return Err(Error::Nothing { name: name.to_string() });
    }
    let made: BTreeSet<OsString> =
        gathered.iter_mut().flat_map(|gathered| std::mem::take(&mut gathered.made)).collect();
    let strangers = strangers(&mut gathered, &made);
    let labels = Labels::find(&recipe.labelling(), base.root.as_ref())?;
    let remarks = remarks::all(sources, &gathered, &assembly, recipe);
    let mut manifest = Manifest {
        format: 1,
        name: name.to_string(),
        version,
        architecture: architecture.map(str::to_owned),
        base: notes::base(&facts.release),
        packages: sources.iter().map(notes::packages).collect::<Result<Vec<_>, _>>()?.concat(),
        records: records.places(name),
        defaults: assembly.defaults(),
        left_out: notes::left_out(sources, &gathered),
        files: notes::files(&assembly),
        made_with: MadeWith {
            onlay: env!("CARGO_PKG_VERSION").to_owned(),
            format: if offset == 0 { format.name().to_owned() } else { format!("ddi, {}", format.name()) },
            compression: compression.to_string(),
            block_size: options.block_size,
            labels: labels.as_ref().map(|labels| labels.note.clone()),
            time: time.into(),
        },
        ..Manifest::default()
    };
    manifest.note_objects(gathered.iter().flat_map(|gathered| &gathered.objects));
    let release = release::text(recipe, &facts.release, architecture);
    let said = generated::Said {
        name,
        manifest: &manifest,
        records: &records,
        release: &release,
        users: user_lines(sources),
        made: &made,
    };
    generated::add(&mut assembly, said, writer.segment(), time.into())?;
    let mut tree = assembly.tree()?;
    if let Some(labels) = &labels {
        labels.put_on(&mut tree)?;
    }
    let finished = writer.dated(time).finish(&tree)?;
    let written = Written { manifest, strangers, remarks, not_dropped };
    let protection = match envelope {
        Envelope::None => return Ok(written),
        Envelope::Verity => Protection::Verity,
        Envelope::Signed(signer) => Protection::Signed(signer),
    };
    let architecture = disk_architecture(architecture, facts)?;
    let payload = Payload::InPlace(finished.size);
    let disk = ddi::Request { payload, architecture, designator: Designator::Root, protection };
    ddi::write(&disk, image.file(), &image.path()).map_err(of_disk(&image.path()))?;
    Ok(written)
}

/// Owners that the base does not know: those of defaults are made where the extension is, as far as something makes them.
fn strangers(gathered: &mut [Gathered], made: &BTreeSet<OsString>) -> BTreeMap<OsString, PathBuf> {
    let mut strangers = BTreeMap::new();
    for gathered in gathered {
        strangers.append(&mut gathered.strangers);
        let mut others = std::mem::take(&mut gathered.strangers_of_defaults);
        others.retain(|name, _| !made.contains(name));
        strangers.append(&mut others);
    }
    strangers
}

/// Lines that make the users and groups of all sources.
fn user_lines(sources: &[Source]) -> Vec<u8> {
    let lines = sources.iter().filter_map(|source| match source {
        Source::Changes(changes) => Some(changes.user_lines()),
        Source::Package(_) | Source::Tree(_) => None,
    });
    lines.collect::<Vec<_>>().concat()
}

/// The architecture of the partition: that of the base for an extension for all.
fn disk_architecture(
    architecture: Option<&'static str>,
    facts: &HostFacts,
) -> Result<ddi::Architecture, Error> {
    let name = architecture.unwrap_or(&facts.architecture);
    ddi::Architecture::named(name).ok_or_else(|| Error::NoPartition { architecture: name.to_owned() })
}

/// The time of the newest file.
fn newest(gathered: &[Gathered]) -> u32 {
    let files = gathered.iter().flat_map(|gathered| &gathered.files);
    let newest = files.map(|file| file.metadata.mtime).max().unwrap_or(0);
    newest.clamp(0, u32::MAX.into()) as u32
}

/// Judges an image that has no name yet by the name that it will have.
fn judge(request: &Request<'_>, image: &NewFile, facts: &HostFacts) -> Result<Fitness, Error> {
    let contents = ImageFiles::of(image.file(), &image.path())?;
    let name = request.name.as_str();
    let extension = Extension { name, class: Class::Sysext, contents: &contents };
    Ok(fit::check(facts, request.base.contents(), &extension, &[], 0)?)
}

/// The architecture of all packages: none where they are for every one. Programs in a directory are the base's; those of
/// another one are found when the image is judged.
fn architecture(sources: &[Source], of_base: &str) -> Result<Option<&'static str>, Error> {
    let mut found = None;
    for source in sources {
        let Source::Package(package) = source else {
            if found.is_none() && source.has_programs()? {
                found = ddi::Architecture::named(of_base).map(ddi::Architecture::name);
            }
            continue;
        };
        if package.is_any_architecture() {
            continue;
        }
        found = package.systemd_architecture();
        if found != Some(of_base) {
            return Err(Error::Architecture {
                package: package.path().to_owned(),
                is: package.architecture().into_owned(),
                base: of_base.to_owned(),
            });
        }
    }
    Ok(found)
}

/// The version of an extension: what the recipe says, else that of the package that is called as it, else that of `first`.
pub fn version(
    name: &ExtensionName,
    recipe: &Recipe,
    first: Option<&str>,
    sources: &[Source],
) -> Result<String, Error> {
    if let Some(version) = &recipe.version {
        return checked_version(version);
    }
    let files = || {
        sources.iter().filter_map(|source| match source {
            Source::Package(package) => Some((package.name().into_owned(), package.version())),
            Source::Tree(_) | Source::Changes(_) => None,
        })
    };
    let installed: Vec<(String, String)> = sources
        .iter()
        .filter_map(|source| match source {
            Source::Changes(changes) => Some(changes.packages()),
            Source::Package(_) | Source::Tree(_) => None,
        })
        .flatten()
        .map(|note| (note.name.clone(), note.version.clone()))
        .collect();
    let called = |wanted: Option<&str>| {
        let mut all = files().chain(installed.iter().cloned());
        all.find(|(name, _)| Some(name.as_str()) == wanted)
    };
    let package = called(Some(name.as_str())).or_else(|| called(first));
    // What an overlay has is in no order that somebody chose.
    let alone = || <[_; 1]>::try_from(installed.clone()).ok().map(|[package]| package);
    match package.or_else(|| files().next()).or_else(alone) {
        Some((_, version)) => Ok(version_of(&version)),
        None => Err(Error::NoVersion { name: name.to_string() }),
    }
}

/// A version that a person chose, which is not changed.
fn checked_version(version: &str) -> Result<String, Error> {
    if version.is_empty() || version_of(version) != version {
        return Err(Error::BadVersion { version: version.to_owned() });
    }
    Ok(version.to_owned())
}
