//! Adding images: each is copied (of a directory one is made, and what was downloaded is taken as it is), read to its end and
//! judged before it gets its name.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::change::Change;
use super::identity::Identity;
use super::images::{Images, open_to_read};
use super::report::Report;
use super::squash::squash;
use super::survey::New;
use super::{Error, enabled, sound, users};
use crate::extension::ImageFiles;
use crate::fetch::Partial;
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
    /// Take the others where one that was downloaded cannot be used.
    pub others_all_the_same: bool,
}

/// An image that was downloaded. It goes where it is not taken.
#[derive(Debug)]
pub struct Incoming {
    /// All of it, in the folder of images.
    pub image: Partial,
    /// What it is called in its store.
    pub called: PathBuf,
    /// The extension that it is to be of.
    pub name: String,
    /// The version that it is to have.
    pub version: String,
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
    /// It cannot be used at all.
    Unusable,
}

/// Adds images, and enables them; nothing is added where one of them cannot be used at all.
pub fn add(
    change: &Change<'_>,
    request: &Request<'_>,
    incoming: Vec<Incoming>,
) -> Result<(Vec<Added>, Option<Report>), Error> {
    let mut begun = change.begin()?;
    let images = if change.dry_run { Images::open(change.state)? } else { Some(Images::make(change.state)?) };
    let mut added = Vec::new();
    let mut taken = Vec::new();
    for one in incoming {
        let unusable = one.unusable(change.state);
        match Item::take_over(change, one) {
            Err(Error::Unusable { why, .. }) if request.others_all_the_same => {
                added.push(Added { why: Some(why), ..unusable });
            }
            item => taken.push(item?),
        }
    }
    let mut items: Vec<Item> = Vec::new();
    let of_files = request.files.iter().map(|file| Item::open(change, images.as_ref(), file));
    for item in taken.into_iter().map(Ok).chain(of_files) {
        let item = item?;
        let name = item.identity.name.to_string();
        if let Some(other) = items.iter().find(|other| other.identity.name == item.identity.name) {
            return Err(Error::Twice { name, one: other.source.clone(), other: item.source });
        }
        items.push(item);
    }
    let news: Vec<New<'_>> = items.iter().map(Item::as_new).collect();
    let survey = change.survey(&mut begun, &news)?;
    for item in items {
        let why = survey.held.iter().find(|held| held.path == item.path).map(|held| held.why.clone());
        added.push(item.take(change, images.as_ref(), request, why)?);
    }
    let report = change.finish(&begun)?;
    Ok((added, report))
}

impl Incoming {
    /// What is told of it where it cannot be used.
    fn unusable(&self, state: &Path) -> Added {
        Added {
            source: self.called.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            path: Images::place(state).join(&self.called),
            outcome: Outcome::Unusable,
            is_enabled: false,
            replaces: None,
            why: None,
        }
    }

    /// What the image is, by what is in it alone: what its store calls it must be so.
    fn identity(&self) -> Result<Identity, Error> {
        let unusable = |why: String| Error::Unusable { path: self.called.clone(), why };
        let file = self.image.file();
        let contents = ImageFiles::of(file, &self.called).map_err(|error| unusable(with_causes(&error)))?;
        let identity = Identity::inside(&contents, file, &self.called)?;
        if identity.name.as_str() != self.name {
            return Err(unusable(format!(
                "its store says that it is '{}', and it is '{}'",
                self.name, identity.name
            )));
        }
        Ok(Identity { version: self.version.clone(), ..identity })
    }
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

    /// One that was downloaded.
    fn take_over(change: &Change<'_>, incoming: Incoming) -> Result<Item, Error> {
        let identity = match incoming.identity() {
            Ok(identity) => identity,
            Err(error) => {
                incoming.image.discard()?;
                return Err(error);
            }
        };
        let source = incoming.called;
        let partial = incoming.image.path();
        let file = incoming.image.file().try_clone().context("duplicate", &partial)?;
        let copy = incoming.image.into_new_file(OsStr::new(&identity.file_name()))?;
        let path = Images::place(change.state).join(identity.file_name());
        let version = identity.version.clone();
        let mut item = Item { source, identity, file, copy: Some(copy), is_known: false, version, path };
        item.is_known = item.compare(change)?;
        if item.is_known {
            item.copy = None;
            item.file = open_to_read(&item.path)?;
        }
        match sound::flaw(&item.file, &partial, &change.host.root) {
            Some(why) => Err(Error::Unusable { path: item.source, why }),
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
        let replaces = was.filter(|link| is_enabled && link.image.exists()).map(|link| link.version());
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
