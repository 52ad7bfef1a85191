//! Whether a store is what it says: also one that somebody else made, who has no index.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::SystemTime;

use super::Error;
use super::best_before::PREFIX;
use super::delta;
use super::directory::{LARGEST_INDEX, is_image, read_index, sums_of};
use super::export::Pages;
use super::index::{Entry, INDEX, Index};
use super::openpgp::{Certificates, Refusal};
use super::sums::{SUMS, Sums};
use super::verify_image::{flaw_of, is_any_image};
use super::verify_lists::{Checked, Trust};
use crate::image::FileSource;
use crate::package::Identity;
use crate::sys::{FileKind, Root, with_causes};

/// What was found of a store.
#[derive(Debug, Default)]
pub struct Report {
    /// How many images it has.
    pub images: usize,
    /// The bytes of all files that were read.
    pub bytes: u64,
    /// Whether it has an index.
    pub has_index: bool,
    /// The signatures that it has.
    pub signatures: Vec<Checked>,
    /// Whether anybody's key was there to check them with.
    pub has_keys: bool,
    /// The last day on which it is to be believed.
    pub best_before: Option<String>,
    /// What is wrong.
    pub flaws: Vec<Flaw>,
}

/// What can be wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// A list of digests is missing.
    #[error("SHA256SUMS is missing")]
    NoSums,
    /// A list that nobody has signed who is trusted.
    #[error("{file} is {}, and not by {}, who is trusted", signed_by(by), any_of(trusted))]
    Unsigned {
        /// The list.
        file: &'static str,
        /// Who has signed it, by his own word.
        by: Vec<String>,
        /// The fingerprints of those who are trusted.
        trusted: Vec<String>,
    },
    /// A signature of one of several keys is missing.
    #[error("{file} is not signed by {key}, which signs the store")]
    NotSignedBy {
        /// The list.
        file: &'static str,
        /// The key's fingerprint.
        key: String,
    },
    /// A signature that does not count.
    #[error("{file}: {refusal}")]
    Refused {
        /// The file that has it.
        file: String,
        /// Why.
        refusal: Refusal,
    },
    /// The store is old.
    #[error("it was best before {0}, which is over")]
    Over(String),
    /// A flaw in a directory below.
    #[error("{directory}: {flaw}")]
    In {
        /// The directory.
        directory: String,
        /// The flaw.
        flaw: Box<Flaw>,
    },
    /// A list that is none.
    #[error("{file} is none: {problem}")]
    Unreadable {
        /// Which.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// A file that is listed and not there.
    #[error("{0} is listed, and not there")]
    Missing(String),
    /// A file that is not the one that is listed.
    #[error("{0} is not what is listed: it has another digest")]
    Changed(String),
    /// An image that no list has.
    #[error("{0} is not listed")]
    Unlisted(String),
    /// The pages were made of another index.
    #[error(
        "index.html and the other pages show another state of the store; 'store export html' makes them anew"
    )]
    StalePages,
    /// The two lists say different things.
    #[error("SHA256SUMS and index.json do not agree on {0}")]
    Disagreed(String),
    /// The index says of an image what it is not.
    #[error("index.json says of {file} what it is not: {what}")]
    Lie {
        /// The image.
        file: String,
        /// What.
        what: &'static str,
    },
    /// A file beside an image by which no client could build it.
    #[error("{file} is of no use for {image}: {problem}")]
    Useless {
        /// The file.
        file: String,
        /// The image.
        image: String,
        /// Why.
        problem: String,
    },
    /// An image that no host would merge, or that cannot be read.
    #[error("{file}: {problem}")]
    Unfit {
        /// The image.
        file: String,
        /// Why.
        problem: String,
    },
}

/// Looks at all of a store, or of a directory of such. Only reads. Signatures are checked by the keys that are given, or else by those
/// that the store names itself.
pub fn verify(path: &Path, given: Option<&Certificates>, now: SystemTime) -> Result<Report, Error> {
    let dir = Root::open(path)?;
    let has_lists = |dir: &Root| dir.exists(INDEX) || dir.exists(SUMS);
    if has_lists(&dir) {
        return verify_one(&dir, given, now);
    }
    let mut report = Report::default();
    let mut found = false;
    for entry in dir.entries()? {
        let Ok(below) = dir.open_child(&entry.name) else { continue };
        if has_lists(&below) {
            found = true;
            report.take(&entry.name.to_string_lossy(), verify_one(&below, given, now)?);
        }
    }
    if found { Ok(report) } else { Err(Error::None(path.to_owned())) }
}

impl Flaw {
    /// Whether it is that nobody has signed who is trusted.
    pub fn is_of_trust(&self) -> bool {
        match self {
            Flaw::Unsigned { .. } => true,
            Flaw::In { flaw, .. } => flaw.is_of_trust(),
            _ => false,
        }
    }
}

fn signed_by(by: &[String]) -> String {
    if by.is_empty() { "signed by nobody".to_owned() } else { format!("signed by {}", by.join(" and ")) }
}

/// Whole keyrings are not named one by one.
fn any_of(trusted: &[String]) -> String {
    if trusted.len() > 4 { format!("any of {} keys", trusted.len()) } else { trusted.join(" or ") }
}

impl Report {
    /// Takes what was found of a store in a directory below.
    fn take(&mut self, directory: &str, below: Report) {
        self.images += below.images;
        self.bytes += below.bytes;
        self.has_index |= below.has_index;
        self.has_keys |= below.has_keys;
        // The day that comes first.
        self.best_before = [self.best_before.take(), below.best_before].into_iter().flatten().min();
        let named = |checked: Checked| Checked { file: format!("{directory}/{}", checked.file), ..checked };
        self.signatures.extend(below.signatures.into_iter().map(named));
        let inside = |flaw| Flaw::In { directory: directory.to_owned(), flaw: Box::new(flaw) };
        self.flaws.extend(below.flaws.into_iter().map(inside));
    }
}

fn verify_one(dir: &Root, given: Option<&Certificates>, now: SystemTime) -> Result<Report, Error> {
    let trust = Trust::of(dir, given, now);
    let mut report = Report { has_keys: !trust.certificates.is_empty(), ..Report::default() };
    let index = match read_index(dir) {
        Ok(signed) => {
            report.has_index = true;
            trust.look_at_index(&signed, &mut report);
            Some(signed.index)
        }
        Err(Error::None(_) | Error::Lost(_)) => None,
        Err(Error::Index { problem, .. }) => {
            report.flaws.push(Flaw::Unreadable { file: INDEX.to_owned(), problem });
            None
        }
        Err(error) => return Err(error),
    };
    let sums = read_sums(&trust, &mut report)?;
    if let (Some(index), Some(sums)) = (&index, &sums) {
        compare(&sums_of(index), sums, &mut report);
    }
    let listed = sums.or_else(|| index.as_ref().map(sums_of));
    let Some(listed) = listed else { return Err(Error::None(dir.path().to_owned())) };
    for (file, digest) in &listed.0 {
        look_at(dir, file, *digest, index.as_ref(), &mut report)?;
    }
    if let Some(index) = &index {
        let known = index.images.iter().map(|entry| (&*entry.sha256, entry)).collect();
        index.images.iter().for_each(|entry| look_beside(dir, entry, &known, &mut report));
        let is_stale = Pages::read(dir).is_some_and(|pages| pages.serial != index.serial);
        report.flaws.extend(is_stale.then_some(Flaw::StalePages));
    }
    for entry in dir.entries()? {
        let name = entry.name.to_string_lossy();
        if is_any_image(&name) && !listed.0.contains_key(&*name) {
            report.flaws.push(Flaw::Unlisted(name.into_owned()));
        }
    }
    Ok(report)
}

/// Whether a file is an image, or one beside it: a manifest, a list of blocks, a patch; or says until when all are to be believed.
fn is_of_image(file: &str) -> bool {
    let patch = file.strip_suffix(".patch").and_then(|rest| Some(rest.rsplit_once(".from-")?.0));
    let other = file.strip_suffix(".json").or_else(|| file.strip_suffix(".blocks"));
    is_image(patch.or(other).unwrap_or(file)) || file.starts_with(PREFIX)
}

fn read_sums(trust: &Trust<'_>, report: &mut Report) -> Result<Option<Sums>, Error> {
    let text = match trust.dir.read(SUMS, LARGEST_INDEX) {
        Err(error) if error.is_not_found() => {
            report.flaws.push(Flaw::NoSums);
            return Ok(None);
        }
        other => other?,
    };
    match Sums::parse(&text) {
        Ok(sums) => {
            trust.look_at_sums(&text, &sums, report)?;
            Ok(Some(sums))
        }
        Err(problem) => {
            let problem = problem.to_string();
            report.flaws.push(Flaw::Unreadable { file: SUMS.to_owned(), problem });
            Ok(None)
        }
    }
}

fn compare(index: &Sums, sums: &Sums, report: &mut Report) {
    let names: BTreeSet<&String> = index.0.keys().chain(sums.0.keys()).collect();
    for name in names.into_iter().filter(|name| is_of_image(name)) {
        if index.0.get(name) != sums.0.get(name) {
            report.flaws.push(Flaw::Disagreed(name.clone()));
        }
    }
}

/// Looks at one file that is listed.
fn look_at(
    dir: &Root,
    file: &str,
    digest: Identity,
    index: Option<&Index>,
    report: &mut Report,
) -> Result<(), Error> {
    let path = dir.join(file);
    let stat = dir.lstat_exact(Path::new(file))?;
    let Some(stat) = stat.filter(|stat| FileKind::of(stat) == FileKind::File) else {
        // That a list is fresh is said by a name, which need not be a file.
        if !file.starts_with(PREFIX) {
            report.flaws.push(Flaw::Missing(file.to_owned()));
        }
        return Ok(());
    };
    let opened = dir.open_exact_file(Path::new(file))?;
    report.bytes += u64::try_from(stat.st_size).unwrap_or_default();
    if Identity::of_file(&opened, &path)? != digest {
        report.flaws.push(Flaw::Changed(file.to_owned()));
    } else if is_any_image(file) {
        report.images += 1;
        let entry = index.and_then(|index| index.image(file));
        report.flaws.extend(flaw_of(&opened, file, &path, entry));
    }
    Ok(())
}

/// Looks whether an image can be built by the files beside it, those that are what is listed; `known` has images by their digests.
fn look_beside(dir: &Root, entry: &Entry, known: &HashMap<&str, &Entry>, report: &mut Report) {
    let open = |file: &str| dir.open_exact_file(Path::new(file)).ok();
    let (Some(image), Some(digest)) = (open(&entry.file), entry.digest()) else { return };
    let mut look = |file: &str, sha256: &str, check: &dyn Fn(&[u8]) -> Result<(), delta::Error>| {
        let Ok(bytes) = dir.read(file, delta::patch::LARGEST) else { return };
        // What is another file was told already.
        if Identity::parse(sha256) == Some(Identity::of(&bytes))
            && let Err(error) = check(&bytes)
        {
            let (file, image) = (file.to_owned(), entry.file.clone());
            report.flaws.push(Flaw::Useless { file, image, problem: with_causes(&error) });
        }
    };
    if let Some(blocks) = &entry.blocks {
        let path = dir.join(&entry.file);
        look(&blocks.file, &blocks.sha256, &|bytes| {
            delta::check_list(bytes, &FileSource::new(&image, &path)?, digest)
        });
    }
    for patch in &entry.patches {
        let older = known.get(&*patch.from);
        let opened =
            older.and_then(|older| Some((open(&older.file)?, dir.join(&older.file), older.digest()?)));
        let old = opened.as_ref().map(|(file, path, sha256)| delta::Old { file, path, sha256: *sha256 });
        look(&patch.file, &patch.sha256, &|bytes| {
            delta::check_patch(bytes, digest, &patch.from, old.as_ref())
        });
    }
}
