//! All extensions of a host, whoever put them there, and what each of them is at the moment.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::images::parts;
use super::{Error, HeldBack, Images, Record, Stored, Survey, enabled, merge, survey};
use crate::host::Host;
use crate::overlay::RUN;

/// What an extension is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is merged.
    Active,
    /// It is enabled and fits, and is merged at the next boot or refresh.
    NextBoot,
    /// It is enabled and not merged, for a reason.
    HeldBack,
    /// Its image is there, and it is not enabled.
    Disabled,
    /// Somebody else put it where systemd looks, and systemd has not merged it.
    NotMerged,
    /// Somebody else put it where systemd looks, and it keeps systemd from merging anything, or would.
    Unreadable,
}

/// One extension, or one image of it.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its version; `None` of others', and of what is gone.
    pub version: Option<String>,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of the image; `None` of others'.
    pub size: Option<u64>,
    /// What it is.
    pub state: State,
    /// Why it is that, where there is more to say.
    pub why: Option<String>,
    /// Whether it fits; `None` where nobody has judged.
    pub fits: Option<bool>,
    /// Its packages, each as "NAME VERSION"; `None` where it does not say.
    pub packages: Option<Vec<String>>,
    /// Whether it is among our images; else somebody else's.
    pub is_ours: bool,
}

/// All extensions of a root.
pub fn list(host: &Host, state: &Path) -> Result<Vec<Listed>, Error> {
    let survey = survey(host, state)?;
    let (record, merged) =
        if host.is_running { (Record::read()?, merge::merged(host)) } else { Default::default() };
    let images = Images::open(state)?.map(|images| images.all()).transpose()?.unwrap_or_default();
    let look = Look { survey: &survey, record: &record, merged: &merged, is_running: host.is_running };
    let mut found: Vec<Listed> = images.iter().map(|image| look.at_image(image)).collect();
    for held in survey.held.iter().filter(|held| !images.iter().any(|image| image.path == held.path)) {
        found.push(gone(held));
    }
    // What was removed may still be merged.
    for active in record.active.iter().filter(|active| !images.iter().any(|image| image.path == active.path))
    {
        if merged.contains(&active.merged_as) && !found.iter().any(|listed| listed.path == active.path) {
            found.push(Listed {
                version: Some(active.version.clone()),
                ..still_merged(&active.name, &active.path)
            });
        }
    }
    found.extend(look.at_others(host));
    found.sort_by(|one, other| (!one.is_ours, &one.name).cmp(&(!other.is_ours, &other.name)));

    Ok(found)
}

/// The names of all that have an image, or are enabled on a root. Nothing is judged for that.
pub fn names(host: &Host, state: &Path) -> Result<BTreeSet<String>, Error> {
    let images = Images::open(state)?.map(|images| images.all()).transpose()?.unwrap_or_default();
    let of_images = images.into_iter().map(|image| image.name);
    Ok(of_images.chain(enabled(&host.root)?.into_iter().map(|link| link.name)).collect())
}

/// One that is enabled and has no image.
fn gone(held: &HeldBack) -> Listed {
    Listed {
        name: held.name.clone(),
        version: version_of(&held.path),
        path: held.path.clone(),
        size: None,
        state: State::HeldBack,
        why: Some(held.why.clone()),
        fits: None,
        packages: None,
        is_ours: true,
    }
}

/// The version of an image, by its name.
fn version_of(image: &Path) -> Option<String> {
    let file = image.file_name()?.to_str()?;
    parts(file).map(|(_, version)| version.to_owned())
}

/// One whose image was removed, or is in RAM.
fn still_merged(name: &str, path: &Path) -> Listed {
    let is_in_ram = path.starts_with(RUN);
    let why = if is_in_ram { "until the reboot" } else { "removed: it goes with the next refresh or boot" };
    Listed {
        name: name.to_owned(),
        version: None,
        path: path.to_owned(),
        size: None,
        state: State::Active,
        why: Some(why.to_owned()),
        fits: is_in_ram.then_some(true),
        packages: None,
        is_ours: true,
    }
}

struct Look<'a> {
    survey: &'a Survey,
    record: &'a Record,
    merged: &'a [String],
    is_running: bool,
}

impl Look<'_> {
    fn at_image(&self, image: &Stored) -> Listed {
        let fit = self.survey.fit.iter().find(|active| active.path == image.path);
        // systemd itself may have refused what fits; whatever else was found then may be otherwise now.
        let refused = self.record.held.iter().filter(|held| held.by_systemd);
        let held = self.survey.held.iter().chain(refused).find(|held| held.path == image.path);
        let active = self.record.active.iter().find(|active| active.path == image.path);
        let is_merged = active.is_some_and(|active| self.merged.contains(&active.merged_as));
        let (state, why) = match (is_merged, fit, held) {
            (true, _, Some(held)) => (State::Active, Some(format!("would be held back: {}", held.why))),
            (true, None, None) => {
                (State::Active, Some("disabled: it goes with the next refresh or boot".to_owned()))
            }
            (true, Some(fit), None) if active.is_some_and(|active| active.stamp != fit.stamp) => (
                State::Active,
                Some("the image is another one now, which comes with the next refresh or boot".to_owned()),
            ),
            (true, Some(_), None) => (State::Active, None),
            (false, _, Some(held)) => (State::HeldBack, Some(held.why.clone())),
            (false, Some(_), None) => (State::NextBoot, self.why_not_yet(active.is_some())),
            (false, None, None) => (State::Disabled, None),
        };
        let packages = image.manifest.as_ref().map(|manifest| {
            manifest.packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect()
        });
        Listed {
            name: image.name.clone(),
            version: Some(image.version.clone()),
            path: image.path.clone(),
            size: Some(image.size),
            state,
            why,
            fits: fit.map(|_| true).or(held.map(|_| false)),
            packages,
            is_ours: true,
        }
    }

    /// What to do about one that is not merged, and could be.
    fn why_not_yet(&self, is_linked: bool) -> Option<String> {
        let words = if is_linked && !self.record.merged {
            "systemd has not merged it at this boot ('journalctl --boot --unit=systemd-sysext' says why): \
             'onlay ext refresh' does"
        } else {
            "'onlay ext refresh' merges it now"
        };
        self.is_running.then(|| words.to_owned())
    }

    /// What others have put there, and what is merged of which nothing is known.
    fn at_others(&self, host: &Host) -> Vec<Listed> {
        let other = |name: &str, path: PathBuf, state, why| Listed {
            name: name.to_owned(),
            version: None,
            path,
            size: None,
            state,
            why,
            fits: None,
            packages: None,
            is_ours: false,
        };
        let mut found: Vec<Listed> = Vec::new();
        for stranger in &self.survey.strangers {
            let state = if self.merged.contains(&stranger.name) { State::Active } else { State::NotMerged };
            found.push(other(&stranger.name, host.root.join(&stranger.path), state, None));
        }
        for trouble in &self.survey.troubles {
            let masked = if self.record.masked.contains(&trouble.name) { " (masked)" } else { "" };
            let why = Some(format!("{}{masked}", trouble.why));
            found.push(other(&trouble.name, host.root.join(&trouble.path), State::Unreadable, why));
        }
        let ours = self.record.active.iter().map(|active| &active.merged_as);
        let ours: Vec<&String> =
            ours.chain(self.record.generated.iter().map(|made| &made.merged_as)).collect();
        for name in self.merged.iter().filter(|name| !ours.contains(name)) {
            if !found.iter().any(|listed| listed.name == **name) {
                found.push(other(
                    name,
                    PathBuf::new(),
                    State::Active,
                    Some("what it was merged from is gone".to_owned()),
                ));
            }
        }
        found
    }
}
