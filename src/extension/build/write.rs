//! From sources to an image that has its name.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest, Sha256};

use super::accounts::Accounts;
use super::assemble::Assembly;
use super::error::Error;
use super::gather::{Brought, Common, Gathered, What, gather};
use super::manifest::{self, Base, Files, Image, MadeWith, Manifest, PackageNote};
use super::naming::{ExtensionName, image_name, version_of};
use super::recipe::Recipe;
use super::release;
use super::source::Source;
use crate::extension::fit::{self, Extension, Fitness};
use crate::extension::matching::HostFacts;
use crate::extension::{Class, Directory, Squashed, of_disk};
use crate::host::{Host, OsRelease};
use crate::image::ddi::{self, Designator, PAYLOAD_OFFSET, Payload, Protection, Signer};
use crate::image::squashfs::{Compression, Options, Segment, Writer};
use crate::image::tree::Metadata;
use crate::sys::{Context, NewFile, Root, Xattrs};

/// What is to be built.
#[derive(Debug)]
pub struct Request<'a> {
    /// The extension's name.
    pub name: ExtensionName,
    /// How.
    pub recipe: &'a Recipe,
    /// From what.
    pub sources: Vec<Source>,
    /// For what.
    pub base: &'a Host,
    /// The directory that the image goes to.
    pub output: Root,
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
}

/// Builds an image. Until it is whole, and was judged, there is none of its name, and an older one stays.
pub fn build(request: &Request<'_>) -> Result<Built, Error> {
    let contents = Directory::new(request.base.root.try_clone()?);
    let facts = HostFacts::read(request.base, &contents, None)?;
    let architecture = architecture(&request.sources, &facts.architecture)?;
    let version = match &request.recipe.version {
        Some(version) => version_of(version),
        None => version_of_first(&request.name, &request.sources)?,
    };
    let file = image_name(&request.name, &version, architecture);
    let image = NewFile::create(&request.output, OsStr::new(&file))?;
    let (mut manifest, strangers) = write(request, &image, version, architecture, &facts)?;
    let fitness = judge(request, &image, &facts, &contents)?;
    let is_good = fitness.fits() && fitness.verdict.is_ok();
    if !is_good && !request.unfit {
        return Err(Error::Unfit { name: request.name.to_string(), fitness: Box::new(fitness) });
    }
    let (size, sha256) = digest_of(image.file(), &image.path())?;
    let beside = NewFile::create(&request.output, OsStr::new(&format!("{file}.json")))?;
    manifest.image = Some(Image { file, size, sha256 });
    beside.file().write_all(&manifest.to_text()).context("write", beside.path())?;
    let (path, manifest_path) = (image.path(), beside.path());
    image.place(0o644)?;
    beside.place(0o644)?;
    Ok(Built { path, manifest_path, manifest, fitness, strangers })
}

/// Writes the image, and says what is in it.
fn write(
    request: &Request<'_>,
    image: &NewFile,
    version: String,
    architecture: Option<&'static str>,
    facts: &HostFacts,
) -> Result<(Manifest, BTreeMap<OsString, PathBuf>), Error> {
    let Request { name, recipe, sources, base, output, compression, envelope, .. } = request;
    let options = Options { compression: *compression, ..Options::new(request.time.unwrap_or(0)) };
    let offset = if matches!(envelope, Envelope::None) { 0 } else { PAYLOAD_OFFSET };
    let writer = Writer::new(image.file(), offset, &image.path(), output, options.clone())?;
    let common = Common {
        base: Some(&base.root),
        accounts: Accounts::of(&base.root)?,
        filter: recipe.filter(),
        work: output,
    };
    let mut gathered = gather_all(sources, &common, &writer, options.threads)?;
    let time = request.time.unwrap_or_else(|| newest(&gathered));

    let mut assembly = Assembly::new(Some(&base.root), time.into());
    let mut strangers = BTreeMap::new();
    for (source, gathered) in sources.iter().zip(&mut gathered) {
        strangers.append(&mut gathered.strangers);
        assembly.add(source.name(), std::mem::take(&mut gathered.files))?;
    }
    if assembly.is_empty() {
        return Err(Error::Nothing { name: name.to_string() });
    }
    let mut manifest = Manifest {
        format: 1,
        name: name.to_string(),
        version,
        architecture: architecture.map(str::to_owned),
        base: note_base(&facts.release),
        packages: sources
            .iter()
            .filter_map(|source| note_package(source).transpose())
            .collect::<Result<_, _>>()?,
        defaults: assembly.defaults(),
        left_out: left_out(&gathered),
        files: note_files(&assembly),
        made_with: MadeWith {
            onlay: env!("CARGO_PKG_VERSION").to_owned(),
            format: if offset == 0 { "squashfs" } else { "ddi, squashfs" }.to_owned(),
            compression: compression.to_string(),
            block_size: options.block_size,
            time: time.into(),
        },
        ..Manifest::default()
    };
    manifest.note_objects(gathered.iter().flat_map(|gathered| &gathered.objects));
    let release = release::text(recipe, &facts.release, architecture);
    add_generated(&mut assembly, name, &manifest, &release, writer.segment(), time.into())?;
    let finished = writer.dated(time).finish(&assembly.tree()?)?;
    let protection = match envelope {
        Envelope::None => return Ok((manifest, strangers)),
        Envelope::Verity => Protection::Verity,
        Envelope::Signed(signer) => Protection::Signed(signer),
    };
    let architecture = disk_architecture(architecture, facts)?;
    let payload = Payload::InPlace(finished.size);
    let disk = ddi::Request { payload, architecture, designator: Designator::Root, protection };
    ddi::write(&disk, image.file(), &image.path()).map_err(of_disk(&image.path()))?;
    Ok((manifest, strangers))
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

/// How many files are not in the image, by the reason.
fn left_out(gathered: &[Gathered]) -> BTreeMap<String, u64> {
    let mut left_out = BTreeMap::new();
    for gathered in gathered {
        for (reason, files) in &gathered.out {
            *left_out.entry(reason.words().to_owned()).or_default() += files.len() as u64;
        }
        if gathered.dropped > 0 {
            *left_out.entry("what the recipe drops".to_owned()).or_default() += gathered.dropped;
        }
    }
    left_out
}

/// Judges an image that has no name yet by the name that it will have.
fn judge(
    request: &Request<'_>,
    image: &NewFile,
    facts: &HostFacts,
    base: &Directory,
) -> Result<Fitness, Error> {
    let contents = Squashed::of(image.file(), &image.path())?;
    let name = request.name.as_str();
    let extension = Extension { name, class: Class::Sysext, contents: &contents };
    Ok(fit::check(facts, base, &extension, &[], 0)?)
}

/// The architecture of all packages: none where they are for every one.
fn architecture(sources: &[Source], of_base: &str) -> Result<Option<&'static str>, Error> {
    let mut found = None;
    for source in sources {
        let Source::Package(package) = source else { continue };
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

fn version_of_first(name: &ExtensionName, sources: &[Source]) -> Result<String, Error> {
    let packages = || {
        sources.iter().filter_map(|source| match source {
            Source::Package(package) => Some(package),
            Source::Tree(_) => None,
        })
    };
    // The package that the extension is named after, else the first.
    let package = packages().find(|package| package.name() == name.as_str()).or_else(|| packages().next());
    match package {
        Some(package) => Ok(version_of(&package.version())),
        None => Err(Error::NoVersion { name: name.to_string() }),
    }
}

/// Gathers from all sources, several at a time; the results are in their order. What is longest is begun first.
fn gather_all(
    sources: &[Source],
    common: &Common<'_>,
    writer: &Writer,
    threads: NonZeroUsize,
) -> Result<Vec<Gathered>, Error> {
    // The order in the image, which is that of beginning: what comes first need not wait for a place.
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(sources[index].size()));
    let work: Vec<(usize, Mutex<Option<Segment>>)> =
        order.into_iter().map(|index| (index, Mutex::new(Some(writer.segment())))).collect();
    let results: Vec<Mutex<Option<Result<Gathered, Error>>>> =
        sources.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads.get().min(sources.len()) {
            scope.spawn(|| {
                while let Some((index, segment)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let segment = segment.lock().ok().and_then(|mut segment| segment.take());
                    let Some(segment) = segment else { continue };
                    let result = gather(&sources[*index], common, segment);
                    let has_failed = result.is_err();
                    if let Ok(mut slot) = results[*index].lock() {
                        *slot = Some(result);
                    }
                    if has_failed {
                        next.store(work.len(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut gathered = Vec::new();
    let mut missing = false;
    for result in results {
        match result.into_inner().ok().flatten() {
            Some(Ok(found)) => gathered.push(found),
            Some(Err(error)) => return Err(error),
            None => missing = true,
        }
    }
    assert!(!missing, "what was not begun follows a failure");
    Ok(gathered)
}

/// The files that the extension has besides those of its sources.
fn add_generated(
    assembly: &mut Assembly<'_>,
    name: &ExtensionName,
    manifest: &Manifest,
    release: &str,
    mut segment: Segment,
    time: i64,
) -> Result<(), Error> {
    let lines = assembly.default_lines();
    let mut files = vec![
        (manifest::place(name), manifest.to_text(), Xattrs::default()),
        (release_place(name), release.as_bytes().to_vec(), not_strict()),
    ];
    if !lines.is_empty() {
        let path = Path::new("usr/lib/tmpfiles.d").join(format!("onlay-{name}.conf"));
        files.push((path, lines, Xattrs::default()));
    }
    let mut generated = Vec::new();
    for (path, text, xattrs) in files {
        let stored = segment.store(&mut &text[..], &path)?;
        let metadata = Metadata { mode: 0o644, mtime: time, xattrs, ..Metadata::default() };
        let what = What::File(stored, Sha256::digest(&text).into());
        generated.push(Brought { path, default_of: None, metadata, what });
    }
    segment.close()?;
    assembly.add(PathBuf::from("onlay"), generated)
}

/// Where systemd looks for the extension-release file.
fn release_place(name: &ExtensionName) -> PathBuf {
    Path::new("usr/lib/extension-release.d").join(format!("extension-release.{name}"))
}

/// Before 257, systemd takes all of the image's file name for the extension's: the file has another then, which it reads all the
/// same where this says so (systemd-sysext(8)).
fn not_strict() -> Xattrs {
    Xattrs(BTreeMap::from([(b"user.extension-release.strict".to_vec(), b"0".to_vec())]))
}

fn note_base(os_release: &OsRelease) -> Base {
    Base {
        id: os_release.id().to_owned(),
        version_id: os_release.get("VERSION_ID").map(str::to_owned),
        sysext_level: os_release.get("SYSEXT_LEVEL").map(str::to_owned),
    }
}

fn note_package(source: &Source) -> Result<Option<PackageNote>, Error> {
    let Source::Package(package) = source else { return Ok(None) };
    let file = File::open(package.path()).context("open", package.path())?;
    Ok(Some(PackageNote {
        name: package.name().into_owned(),
        version: package.version(),
        architecture: package.architecture().into_owned(),
        source: package.source().into_owned(),
        license: package.license().map(std::borrow::Cow::into_owned),
        sha256: digest_of(&file, package.path())?.1,
        scripts: package.scripts().into_iter().map(str::to_owned).collect(),
        replaces: None,
    }))
}

fn note_files(assembly: &Assembly<'_>) -> Files {
    let mut files = Files::default();
    let mut digest = Sha256::new();
    for (path, stored, contents) in assembly.contents() {
        files.count += 1;
        files.bytes += stored.size();
        digest.update(hex(contents));
        digest.update(b"  ");
        digest.update(path.as_os_str().as_encoded_bytes());
        digest.update(b"\n");
    }
    files.sha256 = hex(&digest.finalize());
    files
}

/// A file's size in bytes and its SHA-256.
fn digest_of(file: &File, path: &Path) -> Result<(u64, String), Error> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    loop {
        let length = file.read_at(&mut buffer, offset).context("read", path)?;
        if length == 0 {
            return Ok((offset, hex(&digest.finalize())));
        }
        digest.update(&buffer[..length]);
        offset += length as u64;
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
