//! Adding images: each is copied (of a directory one is made), read to its end and judged before it gets its name.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::change::Change;
use super::identity::Identity;
use super::images::{Images, open_to_read};
use super::report::Report;
use super::squash::squash;
use super::survey::{New, version_of};
use super::{Error, enabled, sound, users};
use crate::extension::ImageFiles;
use crate::package::digest::Algorithm;
use crate::sys::{Context, NewFile, Root, copy_content_to_sync, with_causes};

/// What is to be added.
#[derive(Debug)]
pub struct Request<'a> {
    /// The images, or directories.
    pub files: &'a [PathBuf],
    /// Enable none of them.
    pub disabled: bool,
    /// Also take those that do not fit now. They are held back until they do.
    pub unfit: bool,
}

/// What came of one file.
#[derive(Debug)]
pub struct Added {
    /// The file.
    pub source: PathBuf,
    /// The extension's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where the image is, or would be.
    pub path: PathBuf,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether it is enabled by that.
    pub is_enabled: bool,
    /// The version that was enabled before, whose image stays.
    pub replaces: Option<String>,
    /// Why it does not fit now, where it does not.
    pub why: Option<String>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is among the images now.
    Added,
    /// It was there already.
    Known,
    /// It does not fit, and was not taken.
    Unfit,
}

/// Adds images, and enables them; nothing is added where one of them cannot be used at all.
pub fn add(change: &Change<'_>, request: &Request<'_>) -> Result<(Vec<Added>, Option<Report>), Error> {
    let mut begun = change.begin()?;
    let images = if change.dry_run { Images::open(change.state)? } else { Some(Images::make(change.state)?) };
    let mut items: Vec<Item> = Vec::new();
    for file in request.files {
        let item = Item::open(change, images.as_ref(), file)?;
        let name = item.identity.name.to_string();
        if let Some(other) = items.iter().find(|other| other.identity.name == item.identity.name) {
            return Err(Error::Twice { name, one: other.source.clone(), other: file.clone() });
        }
        items.push(item);
    }
    let news: Vec<New<'_>> = items.iter().map(Item::as_new).collect();
    let survey = change.survey(&mut begun, &news)?;
    let mut added = Vec::new();
    for item in items {
        let why = survey.held.iter().find(|held| held.path == item.path).map(|held| held.why.clone());
        added.push(item.take(change, images.as_ref(), request, why)?);
    }
    let report = change.finish(&begun)?;
    Ok((added, report))
}

/// One file on its way.
struct Item {
    source: PathBuf,
    identity: Identity,
    /// To read from.
    file: File,
    /// The copy that gets a name; none where the image is there already, or nothing is to be changed.
    copy: Option<NewFile>,
    is_known: bool,
    version: String,
    path: PathBuf,
}

impl Item {
    fn open(change: &Change<'_>, images: Option<&Images>, source: &Path) -> Result<Item, Error> {
        let unusable = |why: String| Error::Unusable { path: source.to_owned(), why };
        let mut file = open_to_read(source)?;
        if file.metadata().context("examine", source)?.is_dir() {
            let place = images.map_or_else(|| Root::open("/var/tmp"), |images| images.dir.try_clone())?;
            file = squash(source, &place)?;
        }
        let contents = ImageFiles::of(&file, source).map_err(|error| unusable(with_causes(&error)))?;
        let identity = Identity::of(&contents, &file, source)?;
        let path = Images::place(change.state).join(identity.file_name());
        let version = identity.version.clone();
        let mut item =
            Item { source: source.to_owned(), identity, file, copy: None, is_known: false, version, path };
        item.is_known = item.compare(change)?;
        if item.is_known {
            item.file = open_to_read(&item.path)?;
        } else if let Some(images) = images.filter(|_| !change.dry_run) {
            let copy = images.new_file(&item.identity.file_name())?;
            copy_content_to_sync(&item.file, copy.file()).context("copy to", copy.path())?;
            item.file = copy.file().try_clone().context("duplicate", copy.path())?;
            item.copy = Some(copy);
        }
        match sound::flaw(&item.file, source, &change.host.root) {
            Some(why) => Err(unusable(why)),
            None => Ok(item),
        }
    }

    /// Whether the image is there already. Another one of its name and version is replaced, unless others use it.
    fn compare(&self, change: &Change<'_>) -> Result<bool, Error> {
        let known = match open_to_read(&self.path) {
            Err(error) if error.is_not_found() => return Ok(false),
            other => other?,
        };
        let digest = |file, path| Algorithm::Sha256.digest_file(file, path);
        if digest(&self.file, &self.source)? == digest(&known, &self.path)? {
            return Ok(true);
        }
        match users::others_with(&self.path, &change.host, change.state)?.first() {
            None => Ok(false),
            Some(user) => Err(Error::OtherContent {
                name: self.identity.name.to_string(),
                version: self.version.clone(),
                user: user.display().to_string(),
            }),
        }
    }

    fn as_new(&self) -> New<'_> {
        let name = self.identity.name.as_str();
        New { name, version: &self.version, path: self.path.clone(), file: &self.file }
    }

    /// Gives it its name and enables it, where it fits or need not.
    fn take(
        mut self,
        change: &Change<'_>,
        images: Option<&Images>,
        request: &Request<'_>,
        why: Option<String>,
    ) -> Result<Added, Error> {
        let is_taken = why.is_none() || request.unfit;
        if let (Some(images), Some(copy), true) = (images, self.copy.take(), is_taken) {
            images.place_new(copy, &self.identity)?;
        }
        let name = self.identity.name.to_string();
        let was = enabled(&change.host.root)?.into_iter().find(|link| link.name == name);
        let is_enabled =
            is_taken && !request.disabled && was.as_ref().is_none_or(|link| link.image != self.path);
        let replaces =
            was.filter(|link| is_enabled && link.image.exists()).map(|link| version_of(&link.image));
        if is_enabled && !change.dry_run {
            enabled::enable(&change.host.root, &name, &self.path)?;
        }
        let outcome = match (is_taken, self.is_known) {
            (false, _) => Outcome::Unfit,
            (true, true) => Outcome::Known,
            (true, false) => Outcome::Added,
        };
        Ok(Added {
            source: self.source,
            name,
            version: self.version,
            path: self.path,
            outcome,
            is_enabled,
            replaces,
            why,
        })
    }
}
