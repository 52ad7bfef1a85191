//! Choosing among the images that are there: enabling, disabling and removing them.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::change::Change;
use super::images::{Images, Stored};
use super::record::HeldBack;
use super::report::Report;
use super::survey::{New, survey, survey_with};
use super::{Actions, Enabled, Error, enabled, users};
use crate::host::Host;
use crate::sys::Context;

/// `NAME` or `NAME=VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The extension's name.
    pub name: String,
    /// One version; else the newest, or all.
    pub version: Option<String>,
}

/// What became of one that was to be enabled or disabled.
#[derive(Debug)]
pub struct Chosen {
    /// The extension's name.
    pub name: String,
    /// The version, where one is enabled.
    pub version: Option<String>,
    /// Whether anything changes.
    pub is_new: bool,
    /// Whether it is enabled then.
    pub is_enabled: bool,
    /// Why it does not fit now, where it does not.
    pub why: Option<String>,
}

/// An image that was removed, or kept.
#[derive(Debug)]
pub struct Removed {
    /// The image.
    pub image: Stored,
    /// Other roots that have it enabled: for them it is kept.
    pub users: Vec<PathBuf>,
}

/// Enables images that are there; those that do not fit only with `unfit`.
pub fn enable(
    change: &Change<'_>,
    choices: &[Choice],
    unfit: bool,
) -> Result<(Vec<Chosen>, Option<Report>), Error> {
    let mut begun = change.begin()?;
    let images = choices.iter().map(|choice| choice.newest(change)).collect::<Result<Vec<_>, _>>()?;
    let files = images
        .iter()
        .map(|image| Ok(File::open(&image.path).context("open", &image.path)?))
        .collect::<Result<Vec<_>, Error>>()?;
    let news: Vec<New<'_>> = images
        .iter()
        .zip(&files)
        .map(|(image, file)| New {
            name: &image.name,
            version: &image.version,
            path: image.path.clone(),
            file,
        })
        .collect();
    let survey = change.survey(&mut begun, &news)?;
    let was = enabled(&change.host.root)?;
    let mut chosen = Vec::new();
    for image in images {
        let why = survey.held.iter().find(|held| held.path == image.path).map(|held| held.why.clone());
        let was_enabled = was.iter().any(|link| link.image == image.path);
        let is_new = !was_enabled && (why.is_none() || unfit);
        if is_new && !change.dry_run {
            enabled::enable(&change.host.root, &image.name, &image.path)?;
        }
        let is_enabled = was_enabled || is_new;
        chosen.push(Chosen { name: image.name, version: Some(image.version), is_new, is_enabled, why });
    }
    Ok((chosen, change.finish(&begun)?))
}

/// Disables extensions; their images stay.
pub fn disable(change: &Change<'_>, choices: &[Choice]) -> Result<(Vec<Chosen>, Option<Report>), Error> {
    let begun = change.begin()?;
    change.refuse_where_blocked()?;
    let was = enabled(&change.host.root)?;
    let mut chosen = Vec::new();
    for choice in choices {
        let is_new = was.iter().any(|link| link.name == choice.name);
        if !is_new && choice.all(change)?.is_empty() {
            return Err(Error::NoSuch(choice.name.clone()));
        }
        let name = choice.name.clone();
        chosen.push(Chosen { name, version: None, is_new, is_enabled: false, why: None });
    }
    for gone in chosen.iter().filter(|gone| gone.is_new && !change.dry_run) {
        enabled::disable(&change.host.root, &gone.name)?;
    }
    Ok((chosen, change.finish(&begun)?))
}

/// Disables extensions and removes their images, but for those that another deployment or snapshot has enabled.
pub fn remove(change: &Change<'_>, choices: &[Choice]) -> Result<(Vec<Removed>, Option<Report>), Error> {
    let begun = change.begin()?;
    change.refuse_where_blocked()?;
    let was = enabled(&change.host.root)?;
    let (mut gone, mut links) = (Vec::new(), Vec::new());
    for choice in choices {
        let images = choice.all(change)?;
        let link = was.iter().find(|link| choice.is_about(link));
        if images.is_empty() && link.is_none() {
            return Err(choice.missing());
        }
        links.extend(link);
        for image in images {
            let users = users::others_with(&image.path, &change.host, change.state)?;
            gone.push(Removed { image, users });
        }
    }
    if change.dry_run {
        return Ok((gone, None));
    }
    for link in links {
        enabled::disable(&change.host.root, &link.name)?;
    }
    // What is merged is taken off before its image goes; and where it is not, it stays usable.
    let report = change.finish(&begun)?;
    if let Some(images) = Images::open(change.state)? {
        for removed in gone.iter().filter(|removed| removed.users.is_empty()) {
            images.remove(&removed.image)?;
        }
    }
    Ok((gone, report))
}

/// What else changes where extensions are not merged any more.
#[derive(Debug, Default)]
pub struct Without {
    /// What is enabled, and would be held back then.
    pub held: Vec<HeldBack>,
    /// Units that would be restarted, or stopped where their files go.
    pub units: Vec<String>,
}

/// What would follow from disabling extensions. Only reads.
pub fn without(change: &Change<'_>, choices: &[Choice]) -> Result<Without, Error> {
    let links = enabled(&change.host.root)?;
    let is_meant = |link: &&Enabled| choices.iter().any(|choice| choice.is_about(link));
    let gone: Vec<&str> = links.iter().filter(is_meant).map(|link| &*link.name).collect();
    let now = survey(&change.host, change.state)?;
    let mut held = survey_with(&change.host, change.state, &[], &gone)?.held;
    held.retain(|one| !now.held.iter().any(|known| known.path == one.path));
    let mut actions = Actions::default();
    for active in now.fit.iter().filter(|active| gone.contains(&&*active.name)) {
        actions.extend(&active.actions);
    }
    Ok(Without { held, units: [actions.restart, actions.reload_or_restart].concat() })
}

impl Choice {
    /// The images that it is about.
    fn all(&self, change: &Change<'_>) -> Result<Vec<Stored>, Error> {
        let Some(images) = Images::open(change.state)? else { return Ok(Vec::new()) };
        let is_meant = |image: &Stored| self.version.as_ref().is_none_or(|version| *version == image.version);
        Ok(images.of(&self.name)?.into_iter().filter(is_meant).collect())
    }

    /// The image that it means on a root: the one that is enabled, else the newest.
    pub fn image(&self, host: &Host, state: &Path) -> Option<PathBuf> {
        let link = enabled(&host.root).ok()?.into_iter().find(|link| self.is_about(link));
        let newest = || {
            let images = Images::open(state).ok()??.of(&self.name).ok()?;
            let is_meant =
                |image: &Stored| self.version.as_ref().is_none_or(|version| *version == image.version);
            images.into_iter().rfind(is_meant).map(|image| image.path)
        };
        link.map(|link| link.image).or_else(newest)
    }

    fn newest(&self, change: &Change<'_>) -> Result<Stored, Error> {
        if let Some(image) = self.all(change)?.pop() {
            return Ok(image);
        }
        let link = enabled(&change.host.root)?.into_iter().find(|link| self.is_about(link));
        Err(link.map_or_else(|| self.missing(), |link| Error::Gone { name: link.name, path: link.image }))
    }

    /// Whether a link is one that it means.
    fn is_about(&self, link: &Enabled) -> bool {
        let is_version = |version: &String| *version == link.version();
        self.name == link.name && self.version.as_ref().is_none_or(is_version)
    }

    fn missing(&self) -> Error {
        match &self.version {
            None => Error::NoSuch(self.name.clone()),
            Some(version) => Error::NoSuchVersion { name: self.name.clone(), version: version.clone() },
        }
    }
}

impl FromStr for Choice {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Choice, &'static str> {
        let (name, version) =
            word.split_once('=').map_or((word, None), |(name, version)| (name, Some(version)));
        if name.is_empty() || name.contains('/') || version.is_some_and(str::is_empty) {
            return Err("an extension is NAME or NAME=VERSION, as 'onlay ext list' shows it");
        }
        Ok(Choice { name: name.to_owned(), version: version.map(str::to_owned) })
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            None => f.write_str(&self.name),
            Some(version) => write!(f, "{}={version}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_a_name_or_one_version() {
        for (word, read) in [
            ("gdb", Some(("gdb", None))),
            ("gdb=16.3-1", Some(("gdb", Some("16.3-1")))),
            ("=1", None),
            ("gdb=", None),
            ("./gdb.raw", None),
        ] {
            let found = word.parse::<Choice>().ok();
            let found = found.as_ref().map(|choice| (&*choice.name, choice.version.as_deref()));
            assert_eq!(found, read, "{word}");
        }
    }
}
